"""Open a suspect file in a child process: there a panic, an abort or an endless loop is a finding, not our end.

The child works on a private copy that nobody else uses, holds no lock on the live file, stays in our process
group and dies with us: it watches a pipe that only we hold open.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from typing import Any

from msgspec import Struct, field

from storage_sync.cache.cancelled import Cancelled
from storage_sync.cache.children import SAFE_FOLDER, child_command
from storage_sync.cache.probe_child import CHECKING
from storage_sync.values.errors import InternalError, Interrupted, LocalIO

TIMEOUT_S = 60.0
"""A probe of 100 MB takes about a second; a file that keeps it busy for a minute is damaged."""

_POLL_S = 0.05
_REPORT_BYTES = 1 << 20
_CRASHES = frozenset(
    {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGXCPU}
)


class ProbedTable(Struct, frozen=True):
    name: str
    key_type: str
    value_type: str
    rows: int | None


class ProbeReport(Struct, frozen=True):
    """`damage` is the sentence that shows why it cannot be read, '' for a file that opened and was walked to its end.

    `repaired`: redb repaired the copy while opening it. `integrity`: redb's own check of structure and bytes passed;
    None when it was not asked for or not reached. `integrity_detail`: what it said when it did not pass.
    """

    damage: str
    step: str
    repaired: bool = False
    integrity: bool | None = None
    integrity_detail: str = ""
    tables: tuple[ProbedTable, ...] = field(default=())
    seconds: float = 0.0


def probe_file(
    copy: str,
    *,
    check_integrity: bool = True,
    timeout_s: float = TIMEOUT_S,
    cancelled: Cancelled | None = None,
) -> ProbeReport:
    """Open the private copy at `copy` in a child and walk all its tables; it stays as it is, whatever redb mends there.

    Interrupted when `cancelled` is set; LocalIO when the machine, not the file, stops the child.
    """
    started = time.monotonic()
    code, output, finished = _run(copy, check_integrity, timeout_s, cancelled or threading.Event())
    lines = _lines(output)
    step = next((str(line["step"]) for line in reversed(lines) if "step" in line), "starting")
    # The walk is reported before redb's own check begins: a crash of the check leaves the report of the walk.
    report = {name: value for line in lines if "step" not in line for name, value in line.items()}
    seconds = time.monotonic() - started
    if "done" not in report:
        why = _death(code, step) if finished else f"reading it did not end within {timeout_s:g} s ({step})"
        if step != CHECKING:
            return ProbeReport(why, step, seconds=seconds)
        report |= {"integrity": False, "integrity_detail": why}
    return _judge(report, step, seconds)


def _judge(report: dict[str, Any], step: str, seconds: float) -> ProbeReport:
    if "local" in report:
        raise LocalIO(f"a private copy of the cache cannot be read: {report['local']}")
    return ProbeReport(
        damage=str(report.get("damage", "")),
        step=step,
        repaired=bool(report.get("repaired", False)),
        integrity=report.get("integrity"),
        integrity_detail=str(report.get("integrity_detail", "")),
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
        hint="perhaps memory was short: see the system log, then run it again",
    )


def _run(copy: str, check_integrity: bool, timeout_s: float, cancelled: Cancelled) -> tuple[int, bytes, bool]:
    walk = "integrity" if check_integrity else "walk"
    command = child_command("storage_sync.cache.probe_child", os.path.abspath(copy), walk)  # noqa: PTH100 (links stay)
    alive, ours = os.pipe()
    try:
        with subprocess.Popen(
            command, stdin=alive, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=SAFE_FOLDER
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
        except subprocess.TimeoutExpired:
            if cancelled.is_set():
                raise Interrupted("stopped while a copy of the cache was examined") from None
            if time.monotonic() >= deadline:
                child.kill()
                # with what it said last, which may still be on the way
                output, _ = child.communicate()
                return output, False


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
