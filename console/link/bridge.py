"""Where the threads meet: the sync core runs in one worker thread, the screens read a mailbox.

State is latest-wins, events are ordered and bounded, commands are answered by events. Nothing here waits for the
core, except `stop`, which waits at most its timeout.

See docs/architecture.md#threads.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from storage_sync.service.commands import Command
from storage_sync.values.events import Answer, CoreDied, Event, LogLine, Refused
from storage_sync.values.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path

EVENTS_KEPT = 5000
LINES_A_TICK = 50
BEAT_S = 0.5

ANSWERS = (Answer, Refused)

Publish = Callable[[Snapshot], None]
Emit = Callable[[Event], None]


class Tap(Protocol):
    """Sees in the core's thread all that the core gives (a recorder); it never raises."""

    def snapshot(self, snapshot: Snapshot) -> None: ...

    def event(self, event: Event) -> None: ...


class Bridge(Protocol):
    """All that the screens know of the core."""

    def start(self, answered: Callable[[], object] | None = None) -> None:
        """Start the core; returns at once. `answered` is called in this thread's loop when `drain` has an answer."""
        ...

    def latest(self) -> Snapshot | None:
        """The newest snapshot, with the core's own sign of life in `beat`; None before the first one."""
        ...

    def drain(self) -> list[Event]:
        """Events since the last call: all answers, and at most `LINES_A_TICK` log lines."""
        ...

    def submit(self, command: Command[object]) -> int:
        """Ask for something; the answer is an event with the returned number."""
        ...

    def stop(self, timeout: float) -> bool:
        """Ask the core to end and wait at most `timeout` seconds; whether it did."""
        ...


class Service(Protocol):
    """What the bridge needs of `storage_sync.service.service.SyncService`; all of it is called in the core's loop."""

    async def run(self) -> None: ...

    def submit(self, number: int, command: Command[object]) -> None: ...

    def request_stop(self) -> None: ...


MakeService = Callable[[Publish, Emit], Service]


class Mailbox:
    """One slot for the newest snapshot and two bounded queues; the only object that both threads touch."""

    def __init__(self, limit: int = EVENTS_KEPT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._slot: Snapshot | None = None
        self._answers: deque[Event] = deque()
        self._lines: deque[LogLine] = deque()
        self._total = 0
        self._dropped = 0

    def put(self, snapshot: Snapshot) -> None:
        """Newest wins; one that is older than the slot's (a lying core) is not taken."""
        held = self._slot
        if held is None or snapshot.seq >= held.seq:
            self._slot = snapshot

    def post(self, event: Event) -> None:
        with self._lock:
            self._total += 1
            if not isinstance(event, LogLine):
                self._answers.append(event)
                return
            self._lines.append(event)
            if len(self._lines) + len(self._answers) > self._limit:
                self._lines.popleft()
                self._dropped += 1

    def newest(self, beat_at: float | None) -> Snapshot | None:
        held = self._slot
        if held is None:
            return None
        at = held.beat.at if beat_at is None else max(held.beat.at, beat_at)
        beat = replace(
            held.beat, at=at, events_total=self._total, events_dropped=held.beat.events_dropped + self._dropped
        )
        return replace(held, beat=beat)

    def take(self, lines: int = LINES_A_TICK) -> list[Event]:
        with self._lock:
            taken: list[Event] = [self._lines.popleft() for _ in range(min(lines, len(self._lines)))]
            taken.extend(self._answers)
            self._answers.clear()
            return taken


class _Core(Struct):
    """The worker's side while it runs: set by the worker, read under the bridge's lock."""

    loop: asyncio.AbstractEventLoop
    service: Service


class ThreadBridge:
    """Runs the service in a daemon thread with an event loop of its own.

    `make_service` is called in that thread: what it imports is imported there, after the first paint. A core that
    dies, even by a native panic, becomes a `CoreDied` event, and a file where `report` writes one.
    """

    def __init__(
        self,
        make_service: MakeService,
        *,
        report: Callable[[BaseException], Path | None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        tap: Tap | None = None,
    ) -> None:
        self._make_service = make_service
        self._tap = tap
        self._write_report = report
        self._monotonic = monotonic
        self._mailbox = Mailbox()
        self._thread: threading.Thread | None = None
        self._gate = threading.Lock()
        self._core: _Core | None = None
        self._early: list[tuple[int, Command[object]]] = []
        self._stopping = False
        self._dead = False
        self._beat_at: float | None = None
        self._last_id = 0
        self._answered: Callable[[], object] | None = None
        self._asking: asyncio.AbstractEventLoop | None = None
        self._told = False

    def start(self, answered: Callable[[], object] | None = None) -> None:
        if self._thread is None:
            if answered is not None:
                self._answered, self._asking = answered, asyncio.get_running_loop()
            self._beat_at = self._monotonic()
            self._thread = threading.Thread(target=self._work, name="sync-core", daemon=True)
            self._thread.start()

    def latest(self) -> Snapshot | None:
        return self._mailbox.newest(self._beat_at)

    def drain(self) -> list[Event]:
        return self._mailbox.take()

    def submit(self, command: Command[object]) -> int:
        self._last_id += 1
        number = self._last_id
        with self._gate:
            if self._dead:
                self._mailbox.post(Refused(number, "the sync core has ended", "q quits; start the console again"))
            elif self._core is None:
                self._early.append((number, command))
            else:
                self._call(self._core, self._core.service.submit, number, command)
        return number

    def stop(self, timeout: float) -> bool:
        thread = self._thread
        if thread is None:
            return True
        with self._gate:
            self._stopping = True
            if self._core is not None:
                self._call(self._core, self._core.service.request_stop)
        thread.join(timeout)
        return not thread.is_alive()

    @staticmethod
    def _call(core: _Core, function: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop closed in between; the core's end is reported by its own event
            core.loop.call_soon_threadsafe(function, *arguments)

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 -- a native panic is no Exception, and must not end unseen
            self._emit(CoreDied(self._report(error)))
        finally:
            with self._gate:
                self._dead = True
                self._core = None

    async def _run(self) -> None:
        heart = asyncio.create_task(self._heart())
        try:
            service = self._make_service(self._publish, self._emit)
            self._open(_Core(asyncio.get_running_loop(), service))
            await service.run()
        finally:
            heart.cancel()

    def _publish(self, snapshot: Snapshot) -> None:
        self._mailbox.put(snapshot)
        if self._tap is not None:
            self._tap.snapshot(snapshot)

    def _emit(self, event: Event) -> None:
        self._mailbox.post(event)
        if self._asking is not None and isinstance(event, ANSWERS) and not self._told:
            self._told = True
            with suppress(RuntimeError):  # the console has left
                self._asking.call_soon_threadsafe(self._tell)
        if self._tap is not None:
            self._tap.event(event)

    def _tell(self) -> None:
        """In the loop that asks: several answers at once are told once."""
        self._told = False
        if self._answered is not None:
            self._answered()

    def _open(self, core: _Core) -> None:
        with self._gate:
            self._core = core
            for number, command in self._early:
                core.service.submit(number, command)
            self._early.clear()
            if self._stopping:
                core.service.request_stop()

    async def _heart(self) -> None:
        while True:
            self._beat_at = self._monotonic()
            await asyncio.sleep(BEAT_S)

    def _report(self, error: BaseException) -> str:
        """Where the evidence went: a file, or the error's own words. Never local variables."""
        written = self._write_report(error) if self._write_report is not None else None
        return str(written) if written is not None else f"{type(error).__name__}: {error}"
