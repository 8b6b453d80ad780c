"""Running what the core does asynchronously: signals, progress, the log."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.invocation import Invocation
from storage_sync.values.secrets import redacted
from storage_sync.values.visible import LONGEST, clean, printable, spoken

if TYPE_CHECKING:
    from pathlib import Path

    from storage_sync.config.request import Request
    from storage_sync.service.operations import Operation
    from storage_sync.sync.cancel import Cancel
    from storage_sync.values.outcome import Outcome
    from storage_sync.values.snapshot import Run

SHOW_AFTER_S = 0.5
"""Work shorter than this shows no progress line."""
REDRAW_S = 0.1

Work = Callable[[Callable[["Run"], None], "Cancel"], Coroutine[object, object, "Outcome"]]


class ProgressLine:
    """The progress of one run: a line that is redrawn on a terminal, or JSON lines."""

    def __init__(self, invocation: Invocation, clock: Callable[[], float] = monotonic) -> None:
        self._invocation = invocation
        self._clock = clock
        self._started = clock()
        self._drawn_at = -REDRAW_S
        self._phase = ""
        self._shown = False
        self._noted = 0
        self._lines = not invocation.machine and not invocation.quiet and sys.stderr.isatty()

    def __call__(self, run: Run) -> None:
        self._say(run.notes)
        now = self._clock()
        if run.step == self._phase and now - self._drawn_at < REDRAW_S:
            return
        self._phase, self._drawn_at = run.step, now
        if self._invocation.jsonl:
            output.print_progress(self._invocation, run)
        elif self._lines and now - self._started >= SHOW_AFTER_S:
            self._shown = True
            text = clean(redacted(progress_text(run), self._invocation.secrets))
            sys.stderr.write(f"\r\x1b[K{text[: output.width_of(sys.stderr) - 1]}")
            sys.stderr.flush()

    def _say(self, notes: Sequence[str]) -> None:
        """What is new of them, each on a line of its own."""
        new, self._noted = notes[self._noted :], len(notes)
        if self._invocation.machine or self._invocation.quiet:
            return
        for note in new:
            clear = "\r\x1b[K" if self._shown else ""
            sys.stderr.write(f"{clear}{printable(redacted(note, self._invocation.secrets))}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Take the line away, so that what is said next begins on an empty one."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def progress_text(run: Run) -> str:
    """Phase, rows, rate, bytes and remaining time in one line; what is unknown is left out."""
    from storage_sync.reports.document import number, size

    total = "" if run.total is None else f" of {number(run.total)}"
    parts = [run.step, f"{number(run.done)}{total} rows"]
    if run.rate is not None:
        parts.append(f"{number(round(run.rate))} rows/s")
    if run.bytes:
        parts.append(size(run.bytes))
    if run.eta_s is not None:
        parts.append(f"{duration(run.eta_s)} left")
    if run.cancel_asked_at is not None:
        parts.append("stopping")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def run_core(invocation: Invocation, work: Work, *, tells: bool = False) -> Outcome:
    """Run the coroutine in a loop of its own; SIGINT and SIGTERM ask it to stop before its commit.

    `tells`: its log is what a person came for.
    """
    import asyncio

    from storage_sync.sync.cancel import Cancel

    collect_garbage()
    progress = ProgressLine(invocation)

    async def main() -> Outcome:
        loop = asyncio.get_running_loop()
        cancel = Cancel()
        wanted = {signal.SIGINT: 130, signal.SIGTERM: 143}
        # a signal that is ignored, as under nohup, stays so
        codes = {one: code for one, code in wanted.items() if signal.getsignal(one) != signal.SIG_IGN}
        for number, code in codes.items():
            loop.add_signal_handler(number, _ask, cancel, signal.Signals(number).name, code)
        try:
            return await work(progress, cancel)
        finally:
            for number in codes:
                loop.remove_signal_handler(number)

    with logged(invocation, tells=tells):
        try:
            return asyncio.run(main())
        finally:
            progress.close()


def run_operation(invocation: Invocation, operation: Operation, request: Request) -> Outcome:
    """One operation of the core, with stores and a loop of its own."""

    async def work(progress: Callable[[Run], None], cancel: Cancel) -> Outcome:
        from storage_sync.service.performing import once

        return await once(operation, request, progress, cancel)

    return run_core(invocation, work)


def collect_garbage() -> None:
    """From here on the process may live long; what it has imported so far is left out of every collection."""
    gc.freeze()
    gc.enable()


def _ask(cancel: Cancel, name: str, code: int) -> None:
    cancel.ask(name, code)


# ----------------------------------------------------------------------------------------------- log


class TextLines(logging.Formatter):
    """One line: time in UTC, level, area, message; an exception below it. Without secrets and control characters."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        said = spoken(redacted(record.getMessage(), self._secrets))
        line = f"{instant(record)} {record.levelname} {record.name}: {said}"
        if record.exc_info:
            line += f"\n{redacted(self.formatException(record.exc_info), self._secrets)}"
        return printable(line)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, area, message, sync_id, and the exception where there is one."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": instant(record),
            "level": record.levelname.lower(),
            "area": record.name.removeprefix("storage_sync").lstrip(".") or "core",
            "message": redacted(record.getMessage(), self._secrets)[:LONGEST],
        }
        sync_id = getattr(record, "sync_id", None)
        if sync_id:
            line["sync_id"] = sync_id
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info), self._secrets)
        return output.json_text(line, indent=False)


def _log_file(path: Path) -> logging.Handler:
    from console.cli.log_file import LogFile

    return LogFile(path)


def instant(record: logging.LogRecord) -> str:
    """When it was said, in UTC with milliseconds."""
    from storage_sync.reports.document import rfc3339

    return rfc3339(record.created)[:-1] + f".{int(record.msecs):03d}Z"


@contextmanager
def logged(invocation: Invocation, *, tells: bool = False, silent: bool = False) -> Iterator[None]:
    """Log to the file, or to standard error: there a person sees warnings, and everything with `--verbose`.

    `tells`: also there what the setting `log.level` lets through, and a reader that does not read holds nothing up.
    `silent`: nothing there without `--verbose`.
    """
    from console.cli.lossy_log import LossyLog
    from storage_sync.values.errors import LocalIO

    settings = invocation.loaded().settings
    to_person = settings.log_file is None and settings.log_format == "text" and "log_format" not in invocation.typed
    level = "warning" if to_person and not tells else settings.log_level
    level = "debug" if invocation.verbose else "error" if invocation.quiet else level
    try:
        handler: logging.Handler = (
            _log_file(settings.log_file)
            if settings.log_file is not None
            else logging.NullHandler()
            if silent and not invocation.verbose
            else LossyLog(sys.stderr)
            if tells
            else logging.StreamHandler(sys.stderr)
        )
    except OSError as error:
        raise LocalIO(
            f"the log file {settings.log_file} cannot be written: {error.strerror}", hint="check --log-file"
        ) from None
    form = JsonLines if settings.log_format == "json" else TextLines
    handler.setFormatter(form(invocation.secrets))
    if silent:
        # libraries whose log nobody takes would write to standard error
        logging.getLogger().addHandler(logging.NullHandler())
    logger = logging.getLogger("storage_sync")
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    try:
        yield
    finally:
        logger.setLevel(before[0])
        logger.propagate = before[1]
        logger.removeHandler(handler)
        handler.close()
