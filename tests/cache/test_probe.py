"""What a child process finds in a suspect file, and that it never outlives or disturbs us."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from storage_sync.cache import probe
from storage_sync.cache.probe import ProbeReport, probe_file
from storage_sync.values.errors import InternalError, Interrupted, LocalIO
from tests.support.processes import environment

PAGE = 4096


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """The child runs this instead: what a damaged file makes of it cannot be had on demand."""
    script = folder / "child.py"
    script.write_text(code)
    interpreter = folder / "python"
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))


def test_a_sound_file_is_walked_and_checked(cache: Path) -> None:
    report = probe_file(str(cache))
    assert report.damage == ""
    assert report.integrity is True
    assert not report.repaired
    assert {table.name for table in report.tables} >= {"episodes", "patterns", "embeddings", "schema_version"}
    assert all(table.rows is not None for table in report.tables)


def test_the_check_can_be_left_out(cache: Path) -> None:
    assert probe_file(str(cache), check_integrity=False).integrity is None


def test_a_torn_file_is_repaired_on_the_way(torn: Path) -> None:
    before = torn.read_bytes()
    report = probe_file(str(torn))
    assert (report.damage, report.repaired, report.integrity) == ("", True, True)
    assert torn.read_bytes() == before, "it is looked at, not mended"


def test_what_does_not_open_is_damage(cache: Path) -> None:
    os.truncate(cache, cache.stat().st_size - PAGE)
    report = probe_file(str(cache))
    assert "truncated" in report.damage.lower()
    assert report.step == "opening it"


def test_zeroed_pages_are_found_one_by_one(cache: Path) -> None:
    """Each page, zeroed alone: damage, a check that does not pass, or a page that nobody uses; never our own end."""
    whole = cache.read_bytes()
    pages = list(range(1, len(whole) // PAGE))
    found = 0
    for page in random.Random(7).sample(pages, 12):
        cache.write_bytes(whole[: page * PAGE] + bytes(PAGE) + whole[(page + 1) * PAGE :])
        report = probe_file(str(cache), timeout_s=30.0)
        if report.damage or report.integrity is not True:
            assert report.damage or report.integrity_detail
            found += 1
    assert found >= 3


def test_a_file_that_is_not_there_is_this_machines_matter(tmp_path: Path) -> None:
    with pytest.raises((LocalIO, InternalError)):
        probe_file(str(tmp_path / "none"))


def test_an_abort_is_damage(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        monkeypatch, tmp_path, 'import os\nprint(\'{"step": "reading table episodes"}\', flush=True)\nos.abort()\n'
    )
    report = probe_file(str(cache))
    assert "SIGABRT" in report.damage
    assert "reading table episodes" in report.damage


def test_an_abort_in_the_check_leaves_the_walk(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = '{"repaired": true}\\n{"tables": [["episodes", "&str", "&[u8]", 3]]}\\n{"step": "redb\'s own check"}'
    stand_in(monkeypatch, tmp_path, f"import os\nprint({lines!r}.replace('\\\\n', chr(10)), flush=True)\nos.abort()\n")
    report = probe_file(str(cache))
    assert report.damage == ""
    assert report.integrity is False
    assert "SIGABRT" in report.integrity_detail
    assert report.repaired
    assert [table.name for table in report.tables] == ["episodes"]


def test_a_hang_is_damage_and_ends(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is over when the child hangs, and not before."""
    hangs = tmp_path / "hangs"
    told = f'print(\'{{"step": "opening it"}}\', flush=True)\nopen({str(hangs)!r}, "w")\n'
    stand_in(monkeypatch, tmp_path, f"{told}while True: pass\n")
    monkeypatch.setattr(probe, "time", SimpleNamespace(monotonic=lambda: 10.0 if hangs.exists() else 0.0))
    report = probe_file(str(cache), timeout_s=10.0)
    assert report == ProbeReport("reading it did not end within 10 s (opening it)", "opening it", seconds=10.0)


def test_a_long_probe_can_be_cancelled(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    stand_in(monkeypatch, tmp_path, f'open({str(runs)!r}, "w")\nwhile True: pass\n')
    monkeypatch.setattr(probe, "time", SimpleNamespace(monotonic=lambda: 0.0))
    with pytest.raises(Interrupted):
        probe_file(str(cache), cancelled=SimpleNamespace(is_set=runs.exists))


@pytest.mark.parametrize(("number", "error"), [(signal.SIGKILL, LocalIO), (signal.SIGINT, Interrupted)])
def test_a_child_that_somebody_ended_judges_nothing(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    error: type[Exception],
) -> None:
    code = f"import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nos.kill(os.getpid(), {int(number)})\n"
    stand_in(monkeypatch, tmp_path, code)
    with pytest.raises(error):
        probe_file(str(cache))


def test_a_child_without_a_report_is_our_fault(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, tmp_path, "raise SystemExit(3)\n")
    with pytest.raises(InternalError, match="code 3"):
        probe_file(str(cache))


def test_it_stays_in_our_process_group(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "group"
    code = f"import os\nopen({str(group)!r}, 'w').write(str(os.getpgrp()))\nprint('{{\"done\": true}}')\n"
    stand_in(monkeypatch, tmp_path, code)
    probe_file(str(cache))
    assert group.read_text() == str(os.getpgrp())


PARENT = """
import sys
from storage_sync.cache import probe
sys.executable = sys.argv[2]
probe.probe_file(sys.argv[1])
"""


def test_it_dies_with_us(cache: Path, tmp_path: Path) -> None:
    """The real child's watch over the pipe, around work that never ends."""
    pid_file = tmp_path / "pid"
    os.mkfifo(pid_file)
    script = tmp_path / "child.py"
    script.write_text(
        "import os, sys, threading\n"
        "from storage_sync.cache import probe_child\n"
        "def endless(*_):\n"
        f"    open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        "    threading.Event().wait()\n"
        "probe_child._examine = endless\n"
        f"probe_child.main([{str(cache)!r}, 'walk'], sys.stdout)\n"
    )
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}"\n')
    interpreter.chmod(0o755)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, cache, interpreter], env=environment())
    child = int(pid_file.read_text())
    watch = os.pidfd_open(child)
    parent.kill()
    parent.wait()
    ready, _, _ = select.select([watch], [], [], 10.0)
    os.close(watch)
    assert ready, "the child is still there"


LIMITED = """
import resource, sys
from storage_sync.cache.probe import probe_file
bound = 6 << 30
resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
print(repr(probe_file(sys.argv[1]).damage))
"""


def test_a_bound_on_our_memory_is_no_damage(cache: Path) -> None:
    """The child's own bound is not above one that we have."""
    line = [sys.executable, "-c", LIMITED, str(cache)]
    ended = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "''\n"), ended.stderr
