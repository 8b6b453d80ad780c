"""Open a suspect file in a child process: there a panic, an abort or an endless loop is a finding, not our end.

The child works on a private copy that nobody else uses, holds no lock on the live file, stays in our process
group and dies with us: it watches a pipe that only we hold open. Run as `python -m storage_sync.cache.probe`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from storage_sync.cache.waiting import Cancelled
from storage_sync.errors import InternalError, Interrupted, LocalIO

TIMEOUT_S = 60.0
"""A probe of 100 MB takes about a second; a file that keeps it busy for a minute is damaged."""

_POLL_S = 0.05
_EXTRA_MEMORY = 2 << 30
_PAGE = 500
_REPORT_BYTES = 1 << 20
_CRASHES = frozenset(
    {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGXCPU}
)
_WRONG_TYPES = "TableTypeMismatch"


@dataclass(frozen=True, slots=True)
class ProbedTable:
    name: str
    key_type: str
    value_type: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """`damage` is the sentence that shows the damage, '' for a file that opened and was read to its end.

    `repaired`: redb repaired the copy while opening it; `integrity`: redb's own check, None when it was not asked for.
    """

    damage: str
    step: str
    repaired: bool = False
    integrity: bool | None = None
    tables: tuple[ProbedTable, ...] = field(default=())
    seconds: float = 0.0


def probe_file(
    copy: str,
    *,
    check_integrity: bool = False,
    timeout_s: float = TIMEOUT_S,
    cancelled: Cancelled | None = None,
) -> ProbeReport:
    """Open the private copy at `copy` (it may be repaired by that) in a child and walk all its tables.

    Interrupted when `cancelled` is set; LocalIO when the machine, not the file, stops the child.
    """
    started = time.monotonic()
    code, output, finished = _run(copy, check_integrity, timeout_s, cancelled or threading.Event())
    lines = _lines(output)
    step = next((str(line["step"]) for line in reversed(lines) if "step" in line), "starting")
    report = next((line for line in reversed(lines) if "done" in line), None)
    seconds = time.monotonic() - started
    if not finished:
        return ProbeReport(f"reading it did not end within {timeout_s:g} s ({step})", step, seconds=seconds)
    if report is None:
        return ProbeReport(_death(code, step), step, seconds=seconds)
    return _judge(report, step, seconds)


def _judge(report: dict[str, Any], step: str, seconds: float) -> ProbeReport:
    if "local" in report:
        raise LocalIO(f"a private copy of the cache cannot be read: {report['local']}")
    return ProbeReport(
        damage=str(report.get("damage", "")),
        step=step,
        repaired=bool(report.get("repaired", False)),
        integrity=report.get("integrity"),
        tables=tuple(ProbedTable(*fields) for fields in report.get("tables", ())),
        seconds=seconds,
    )


def _death(code: int, step: str) -> str:
    """What the child's end means: a crash is damage, anything else that we did not ask for is not a judgement."""
    if code >= 0:
        raise InternalError(f"the probe ended with code {code} and without a report ({step})")
    name = signal.Signals(-code).name
    if -code in _CRASHES:
        return f"reading it crashed with {name} ({step})"
    if -code == signal.SIGINT:
        raise Interrupted("stopped while a copy of the cache was examined")
    raise LocalIO(
        f"the probe of the cache was ended by {name} ({step})",
        hint="was memory short? see the system's log, run it again",
    )


def _run(copy: str, check_integrity: bool, timeout_s: float, cancelled: Cancelled) -> tuple[int, bytes, bool]:
    root = str(Path(__file__).resolve().parents[2])
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "storage_sync.cache.probe", copy, "integrity" if check_integrity else "walk"]
    alive, ours = os.pipe()
    try:
        with subprocess.Popen(
            command, stdin=alive, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        ) as child:
            finished = False
            try:
                output, finished = _read(child, time.monotonic() + timeout_s, cancelled)
            finally:
                if not finished:
                    child.kill()
            return child.wait(), output, finished
    except OSError as error:
        raise LocalIO(f"the probe of the cache cannot be started: {error.strerror}") from error
    finally:
        os.close(alive)
        os.close(ours)


def _read(child: subprocess.Popen[bytes], deadline: float, cancelled: Cancelled) -> tuple[bytes, bool]:
    """All that the child prints and whether it ended in time."""
    while True:
        try:
            output, _ = child.communicate(timeout=_POLL_S)
            return output, True
        except subprocess.TimeoutExpired as expired:
            if cancelled.is_set():
                raise Interrupted("stopped while a copy of the cache was examined") from None
            if time.monotonic() >= deadline:
                child.kill()
                return expired.output or b"", False


def _lines(output: bytes) -> list[dict[str, Any]]:
    found = []
    for line in output[-_REPORT_BYTES:].splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # cut off by the child's death
        if isinstance(value, dict):
            found.append(value)
    return found


# Inside the child


def main(arguments: list[str], out: IO[str]) -> int:
    """Child's side: a line a step, then one with the result."""
    path, mode = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; it is asked by the same key press
    threading.Thread(target=_watch_parent, daemon=True).start()
    _limit(path)

    def say(**fields: object) -> None:
        print(json.dumps(fields), file=out, flush=True)

    say(done=True, **_examine(path, mode == "integrity", lambda step: say(step=step)))
    return 0


def _watch_parent() -> None:
    """The pipe on standard input never carries anything: its end is our parent's end."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _limit(path: str) -> None:
    """No core files, and an end to memory: a damaged length must not drag the machine down."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _EXTRA_MEMORY + 4 * Path(path).stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _examine(path: str, check_integrity: bool, step: Any) -> dict[str, object]:
    from storage_sync import _native

    result: dict[str, object] = {}
    try:
        step("opening it")
        file = _native.CacheFile.open(path, "private")
        result["repaired"] = file.repaired
        step("listing its tables")
        tables = file.tables()
        result["tables"] = [(table.name, table.key_type, table.value_type, table.rows) for table in tables]
        for table in tables:
            step(f"reading table {table.name}")
            if table.error is not None:
                result["damage"] = f"table {table.name} cannot be opened: {table.error}"
                return result
            _walk(file, table)
        if check_integrity:
            step("redb's own check")
            result["integrity"] = file.check_integrity()
        step("closing it")
        file.close()
    except _native.StorageIo as error:
        # The system's own numbers speak of this machine; redb's words without one speak of the file.
        result["damage" if error.errno is None else "local"] = str(error)
    except _native.NativeError as error:
        result["damage"] = f"{type(error).__name__}: {error}"
    except MemoryError:
        result["damage"] = "a length in it asks for more memory than the file could ever fill"
    return result


def _walk(file: Any, table: Any) -> None:
    """Read a table of text keys to its end; others are nobody's that we know."""
    if table.key_type != "&str":
        return
    after = None
    while True:
        try:
            rows = file.page(table.name, after, _PAGE)
        except ValueError:
            return  # a value type that we cannot show
        if not rows:
            return
        after = rows[-1][0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
