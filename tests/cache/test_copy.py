"""Private copies: taken without a lock, examined when suspect, gone at the end whatever happens."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from storage_sync import _native
from storage_sync.cache.content import judge_content
from storage_sync.cache.copy import DamagedCopy, is_suspect, private_copy, sweep
from storage_sync.cache.identity import read_identity
from storage_sync.values.errors import CacheLocked, Interrupted, LocalIO
from storage_sync.values.outcome import CacheState as S
from tests.faults.test_peek import judge, versions
from tests.faults.writers import Counter
from tests.support import stores
from tests.support.command import fingerprint
from tests.support.processes import HOLD_REDB, as_nobody, environment, running

PAGE = 4096


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "copies"


def test_the_live_file_is_not_touched_and_the_copy_goes(cache: Path, folder: Path) -> None:
    before, status = cache.read_bytes(), read_identity(str(cache))
    with private_copy(str(cache), folder) as copy:
        assert copy.file.schema_version() == 4
        assert copy.identity == status
        assert copy.finding.state == S.CLEAN
        assert Path(copy.path).stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        assert copy.probe is not None
        assert copy.probe.integrity is True
    assert list(folder.iterdir()) == []
    assert cache.read_bytes() == before
    assert read_identity(str(cache)) == status


def test_a_proven_file_needs_no_child(cache: Path, folder: Path) -> None:
    with private_copy(str(cache), folder, proven=read_identity(str(cache))) as copy:
        assert copy.probe is None


def test_what_is_suspect(cache: Path) -> None:
    identity = read_identity(str(cache))
    assert not is_suspect(identity, identity)
    os.utime(cache, ns=(5, 5))
    assert is_suspect(read_identity(str(cache)), identity)
    assert is_suspect(identity, None)
    assert is_suspect(None, None)


def test_a_torn_file_is_repaired_in_the_copy_only(torn: Path, folder: Path) -> None:
    before = torn.read_bytes()
    with private_copy(str(torn), folder) as copy:
        assert copy.repaired
        assert copy.finding.state == S.REPAIRED
        assert copy.header.recovery_required
    assert torn.read_bytes() == before


def test_a_killed_file_that_needs_no_repair_is_unclean(killed: Path, folder: Path) -> None:
    with private_copy(str(killed), folder) as copy:
        assert not copy.repaired
        assert copy.finding.state == S.UNCLEAN


def test_a_file_that_others_hold_is_looked_at(cache: Path, folder: Path) -> None:
    with running(HOLD_REDB, cache, "write") as child:
        with private_copy(str(cache), folder) as copy:
            assert copy.file.schema_version() == 4
        assert child.poll() is None


def test_without_a_state_folder_it_goes_to_a_temporary_one(cache: Path) -> None:
    with private_copy(str(cache), None) as copy:
        place = Path(copy.path)
        assert place.parent.stat().st_mode & 0o777 == 0o700
    assert not place.parent.exists()


def test_damage_is_a_finding_with_its_evidence(cache: Path, folder: Path) -> None:
    os.truncate(cache, cache.stat().st_size - PAGE)
    with pytest.raises(DamagedCopy) as caught, private_copy(str(cache), folder):
        pass
    assert caught.value.finding.state == S.CORRUPT
    assert (caught.value.code, caught.value.exit_code) == ("cache_damaged", 5)
    assert "truncated" in caught.value.message
    assert list(folder.iterdir()) == []


def test_damage_that_only_our_own_open_sees(cache: Path, folder: Path) -> None:
    os.truncate(cache, cache.stat().st_size - PAGE)
    with pytest.raises(DamagedCopy), private_copy(str(cache), folder, proven=read_identity(str(cache))):
        pass


def test_a_deep_copy_has_the_report_of_the_child(cache: Path, folder: Path) -> None:
    proven = read_identity(str(cache))
    with private_copy(str(cache), folder, proven=proven, deep=True) as copy:
        assert copy.probe is not None
        assert copy.probe.integrity is True
    os.truncate(cache, cache.stat().st_size - PAGE)
    with (
        pytest.raises(DamagedCopy, match="truncated"),
        private_copy(str(cache), folder, proven=read_identity(str(cache)), deep=True),
    ):
        pass
    assert list(folder.iterdir()) == []


def test_flipped_bits_end_in_a_finding_and_never_in_anything_else(cache: Path, folder: Path) -> None:
    """Half of them on a file that passes as proven, so that no child looks first."""
    whole = bytearray(cache.read_bytes())
    random = Random(11)
    seen: set[S] = set()
    for turn in range(60):
        at, bit = random.randrange(4096, len(whole)), 1 << random.randrange(8)
        whole[at] ^= bit
        cache.write_bytes(whole)
        try:
            with private_copy(str(cache), folder, proven=read_identity(str(cache)) if turn % 2 else None) as copy:
                sound = copy.probe is None or copy.probe.integrity is True
                judgement = judge_content(copy.file, None, copy.scan(), sound=sound)
                seen.update(judgement.states)
        except DamagedCopy as error:
            seen.add(error.finding.state)
        whole[at] ^= bit
    assert seen == {S.UNSTAMPED, S.CORRUPT}


def test_an_error_inside_the_block_cleans_up_too(cache: Path, folder: Path) -> None:
    with pytest.raises(Interrupted), private_copy(str(cache), folder):
        raise Interrupted("stop")
    assert list(folder.iterdir()) == []


def test_an_identity_that_moved_meanwhile_is_none(cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _native.copy_file

    def copy_and_touch(source: str, target: str, attempts: int) -> _native.CopyInfo:
        info = real(source, target, attempts)
        os.utime(cache, ns=(5, 5))
        return info

    monkeypatch.setattr(_native, "copy_file", copy_and_touch)
    with private_copy(str(cache), folder) as copy:
        assert copy.identity is None


def test_a_file_that_never_rests(cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(source: str, target: str, attempts: int) -> _native.CopyInfo:
        raise BlockingIOError("it moved")

    monkeypatch.setattr(_native, "copy_file", busy)
    with pytest.raises(CacheLocked), private_copy(str(cache), folder):
        pass
    assert list(folder.iterdir()) == []


def test_an_absent_file_and_a_full_disk_are_local(cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LocalIO), private_copy(str(cache) + ".none", folder):
        pass
    monkeypatch.setattr("storage_sync.cache.space.free_space", lambda path: 10)
    with pytest.raises(LocalIO, match="bytes are needed"), private_copy(str(cache), folder):
        pass
    assert list(folder.iterdir()) == []


COPYING = """
import sys
from pathlib import Path
from storage_sync.cache.copy import private_copy
with private_copy(sys.argv[1], Path(sys.argv[2])):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_leftovers_of_dead_runs_go_those_of_living_ones_stay(cache: Path, folder: Path) -> None:
    with running(COPYING, cache, folder) as living:
        with running(COPYING, cache, folder) as dead:
            os.kill(dead.pid, signal.SIGKILL)
            dead.wait()
        gone = sweep(folder)
        assert [name.split("-")[0] for name in gone] == [str(dead.pid)]
        assert {path.name.split("-")[0] for path in folder.iterdir()} == {str(living.pid)}
        assert living.stdin is not None
        living.stdin.close()
        living.wait()
    assert list(folder.iterdir()) == []


KEEPING_A_FOLDER = """
import sys
from pathlib import Path
from storage_sync.cache.copy import private_folder
with private_folder(Path(sys.argv[2])) as place:
    (place / "rows.redb").write_bytes(b"rows")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_dead_runs_folder_is_swept(cache: Path, folder: Path) -> None:
    with running(KEEPING_A_FOLDER, cache, folder) as living:
        with running(KEEPING_A_FOLDER, cache, folder) as dead:
            os.kill(dead.pid, signal.SIGKILL)
            dead.wait()
        assert [name.split("-")[0] for name in sweep(folder)] == [str(dead.pid)]
        assert [path.read_bytes() for path in folder.glob("*.folder/rows.redb")] == [b"rows"]
        assert living.stdin is not None
        living.stdin.close()
        living.wait()
    assert list(folder.iterdir()) == []


def test_two_runs_at_once(cache: Path, folder: Path) -> None:
    with private_copy(str(cache), folder) as one, private_copy(str(cache), folder) as two:
        assert one.path != two.path
        assert one.file.schema_version() == two.file.schema_version() == 4


def test_a_folder_that_cannot_be_made(open_folder: Path, cache: Path) -> None:
    code = """
import json, sys
from pathlib import Path
from storage_sync.cache.copy import private_copy
from storage_sync.values.errors import LocalIO
drop()
try:
    with private_copy(sys.argv[1], Path(sys.argv[2])):
        print(json.dumps("opened"))
except LocalIO as error:
    print(json.dumps(error.message))
"""
    target = cache.rename(open_folder / "cache.redb")
    target.chmod(0o444)
    open_folder.chmod(0o555)
    assert "cannot be made" in as_nobody(code, target, open_folder / "copies")
    open_folder.chmod(0o755)


def test_a_burst_of_writes_is_waited_out(cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One open writes the header several times: that is over after some milliseconds."""
    real, left = _native.copy_file, [BlockingIOError()] * 3

    def busy(source: str, target: str, attempts: int = 5) -> _native.CopyInfo:
        if left:
            raise left.pop()
        return real(source, target, attempts)

    monkeypatch.setattr(_native, "copy_file", busy)
    with private_copy(str(cache), folder, proven=read_identity(str(cache))) as copy:
        assert copy.file.schema_version() == 4
    assert not left


# -------------------------------------------------------------------------- while somebody is at the file


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_a_file_that_others_put_there_or_take_away_meanwhile_is_copied_whole_or_not_at_all(
    how: str, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    one, other = stores.cache("v47-small", tmp_path / "one"), tmp_path / "other.redb"
    shutil.copyfile(one, other)
    _native.detach(str(other))
    whole = {fingerprint(one), fingerprint(other)}
    cache, target, over = place / "cache.redb", tmp_path / "copy.redb", threading.Event()
    place.mkdir()

    def put() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            fresh = place / "fresh.redb"
            os.link(other if number % 2 else one, fresh)
            fresh.replace(cache)
            if how == "deleted":
                cache.unlink(missing_ok=True)

    copied = absent = 0
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(put)
        try:
            while copied < 100 and absent < 3000:
                try:
                    _native.copy_file(str(cache), str(target), 5)
                except FileNotFoundError:
                    absent += 1
                    assert not target.exists()
                except BlockingIOError:
                    assert not target.exists()
                else:
                    copied += 1
                    assert fingerprint(target) in whole
        finally:
            over.set()
        others.result()
    assert copied or absent


def test_a_holder_that_dies_while_its_file_is_copied_leaves_a_committed_state(tmp_path: Path) -> None:
    copies = 0
    for number in range(4):
        folder = tmp_path / f"{number}"
        cache, counter = stores.cache("v47-small", folder), Counter(folder / "counter")
        line = [sys.executable, "-m", "tests.faults.writers", "held", str(cache), str(folder / "counter"), "0", "0"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, env=environment(), text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            with ThreadPoolExecutor(1) as pool:
                before = counter.value
                copying = pool.submit(copied_at_last, cache, folder / "copy.redb")
                writer.kill()
                copying.result()
        copies += 1
        judge("held", versions(folder / "copy.redb"), before, counter.value)
        with private_copy(str(cache), None) as after:
            assert after.file.scan().clean, "and so does the file that it left"
    assert copies == 4


def copied_at_last(cache: Path, target: Path) -> None:
    while True:
        with suppress(BlockingIOError):
            _native.copy_file(str(cache), str(target), 5)
            return
