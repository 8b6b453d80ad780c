"""`exec`: bring the cache up to date, then become COMMAND.

COMMAND uses our standard input and output, so messages go to standard error or the log. Whatever happens here,
COMMAND starts when the deadline is over; only a signal or `--strict` prevents that.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from msgspec import Struct, field
from msgspec.structs import replace

from console.cli.exec_process import Stopped, Stopping, become, write_line
from console.cli.invocation import Invocation, Limits
from storage_sync.config.do_memory import speaks_of_it
from storage_sync.files.core_files import allow_core_files
from storage_sync.primary.server_choice import other_stores
from storage_sync.service.schedule import Trigger
from storage_sync.values.errors import LeaseHeld, StorageSyncError, UsageError, exit_code_of
from storage_sync.values.secrets import redacted
from storage_sync.values.visible import clean

if TYPE_CHECKING:
    from storage_sync.config.request import Request
    from storage_sync.service.start import Startup
    from storage_sync.sync.cancel import Cancel
    from storage_sync.values.outcome import Outcome

NO_COMMIT_S = 0.3
"""In the last so many seconds of the deadline no commit begins."""
ATTEMPTS = 2
AFTER_S = 30.0
"""Longest time of the update after COMMAND."""
END_S = 0.1
"""Of the deadline, for what comes after the update: the line of history, the note, the start itself."""
LATE_S = 0.05
"""How long after the deadline COMMAND starts at the latest; unfinished work is then left as it is."""
_STARTED_MOST_S = 0.5
"""Longest time that Python's own start counts for: a shell that became us may have worked for long before."""


class Ended(Struct, frozen=True):
    """How the update ended: what stopped it, in a sentence and with its exit code; '' and 0 when nothing did."""

    reason: str = ""
    exit_code: int = 0


class Start(Struct):
    """One start of COMMAND. `began`: on the monotonic clock, when this process did."""

    invocation: Invocation
    command: Sequence[str]
    deadline_s: float
    strict: bool
    began: float = field(default_factory=lambda: time.monotonic() - min(time.process_time(), _STARTED_MOST_S))
    unstarted: Callable[[], None] | None = None
    """Called when this process ends without COMMAND."""
    stopping: Stopping = field(default_factory=Stopping)
    cancel: Cancel | None = None
    update: Startup | None = None
    _left: threading.Lock = field(default_factory=threading.Lock)
    """Taken by the thread that goes on to COMMAND or ends the process: the main thread, or the deadline's watchdog."""

    @property
    def deadline(self) -> float:
        """On the monotonic clock."""
        return self.began + self.deadline_s

    def run(self) -> NoReturn:
        """Ends as COMMAND, or as a process with the exit code of what stopped it."""
        try:
            self.stopping.begin()
            threading.Thread(target=self._watch_deadline, name="deadline", daemon=True).start()
            ended = self._brought_up_to_date()
            self._left.acquire()
            if self.stopping.number is not None:
                raise Stopped(self.stopping.number)
            self._go_on(ended, self.stopping.end)
        except Stopped as stopped:
            self._left.acquire(blocking=False)
            self._end(stopped.exit_code)

    def _go_on(self, ended: Ended, last: Callable[[], None]) -> NoReturn:
        """The end, in the thread that has `_left`; `last` is called just before COMMAND."""
        if ended.reason:
            _say(self.invocation, ended.reason)
        if ended.exit_code and self.strict:
            self._end(ended.exit_code)
        with suppress(StorageSyncError):
            self._announce()
        last()
        allow_core_files(self.invocation.core_limit)
        told, exit_code = become(self.command)
        _say(self.invocation, told)
        self._end(exit_code)

    def _end(self, exit_code: int) -> NoReturn:
        if self.unstarted is not None:
            self.unstarted()
        os._exit(exit_code)

    def _announce(self) -> None:
        """No run of this tool commits while COMMAND opens the cache; a commit that has begun is waited for."""
        from storage_sync.cache.starting import announce
        from storage_sync.service.start import await_commit

        cache = self.invocation.loaded().settings.cache
        if cache is not None:
            with suppress(StorageSyncError):
                announce(str(cache))
            await_commit(str(cache), max(self.deadline, time.monotonic()) + LATE_S)

    # -------------------------------------------------------------------------------------- deadline

    def _watch_deadline(self) -> None:
        """Start COMMAND at the deadline, whatever the main thread waits for: a file that blocks, a locked history."""
        pause = threading.Event()
        pause.wait(max(self.deadline + LATE_S - time.monotonic(), 0))
        while self.cancel is not None and self.cancel.committing:
            pause.wait(0.01)
        if self._left.acquire(blocking=False):
            self._go_on(Ended(f"gave up after {self.deadline_s:g} s", 13), _nothing)

    # ---------------------------------------------------------------------------------------- update

    def _brought_up_to_date(self) -> Ended:
        """Errors are returned, never raised."""
        try:
            return self._updated()
        except StorageSyncError as error:
            return Ended(error.message, exit_code_of(error))
        except Exception as error:  # noqa: BLE001 - a bug of ours must not keep COMMAND from its start
            from console.cli.bug_report import reported

            return Ended(reported(self.invocation, error), 70)

    def _updated(self) -> Ended:
        from storage_sync.values.options import Options

        limits = Limits(0.0, max(self.deadline - END_S - time.monotonic(), 0.0), ATTEMPTS)
        request = self.invocation.request(Options(follows=True), limits=limits)
        if speaks_of_it(self.invocation.env) or Path(self.command[0]).name.startswith("do-memory"):
            for told in other_stores(request.settings, self.invocation.env):
                _say(self.invocation, told)
        with suppress(OSError):
            # do-memory makes the folder when it starts; then it would start without the rows
            Path(request.settings.cache or "").parent.mkdir(parents=True, exist_ok=True)
        outcome = self._run(request)
        if outcome.error is None:
            return Ended()
        return Ended(outcome.error.message, outcome.error.exit_code)

    def _run(self, request: Request) -> Outcome:
        from storage_sync.service.start import Startup
        from storage_sync.sync.cancel import Cancel

        self.cancel = Cancel(commit_until=self.deadline - NO_COMMIT_S)
        self.update = Startup(request, self.cancel, self.began)
        return _in_loop(self.invocation, self.stopping, self.cancel, self.update.run())


def _in_loop(
    invocation: Invocation, stopping: Stopping, cancel: Cancel, work: Coroutine[object, object, Outcome]
) -> Outcome:
    """In a loop that is never closed: work that hangs in it ends with this process."""
    import asyncio

    from console.cli.running import logged

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.add_reader(stopping.woken, _nothing)

    def ask(number: int) -> None:
        loop.call_soon_threadsafe(cancel.ask, f"signal {number}", 128 + number)

    with logged(invocation, silent=True):
        stopping.ask = ask
        try:
            return loop.run_until_complete(work)
        finally:
            stopping.ask = None


def _say(invocation: Invocation, text: str) -> None:
    write_line(clean(redacted(f"storage-sync exec: {text}", invocation.secrets)))


def _nothing() -> None:
    """The loop wakes, and Python calls its signal handlers."""


def run(invocation: Invocation, command: Sequence[str], *, deadline_s: float, strict: bool, after: bool) -> NoReturn:
    if invocation.machine:
        invocation.json = invocation.jsonl = False
        raise UsageError(
            "exec prints no document: standard output belongs to COMMAND", hint="leave out --json and --jsonl"
        )
    if not command:
        raise UsageError("COMMAND is missing", hint="storage-sync exec [--deadline S] -- COMMAND…")
    start = Start(invocation, command, deadline_s, strict)
    if not after:
        start.run()
    from console.cli.exec_after import supervise

    supervise(lambda unstarted: replace(start, unstarted=unstarted).run(), lambda: _bring_in_after(invocation))


def _bring_in_after(invocation: Invocation) -> None:
    """What the primary has by now, once COMMAND has let go of the cache; a signal ends it before its commit."""
    from storage_sync.service.operations import Sync
    from storage_sync.service.performing import once
    from storage_sync.sync.cancel import Cancel
    from storage_sync.values.options import Options

    stopping, cancel = Stopping(), Cancel()
    with suppress(Stopped):
        stopping.begin()
        try:
            request = invocation.request(Options(follows=True), limits=Limits(deadline=AFTER_S))
            work = once(Sync(), replace(request, trigger=Trigger.AFTER), cancel=cancel)
            outcome = _in_loop(invocation, stopping, cancel, work)
        except StorageSyncError as error:
            _say(invocation, error.message)
            return
        if outcome.error is not None and outcome.error.code != LeaseHeld.code:
            _say(invocation, outcome.error.message)
