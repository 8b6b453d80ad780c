"""`watch`: the core without a screen. It says what happens, answers signals and scrapes, and ends gracefully.

The `SyncService` decides when a sync runs; here its events become log lines, notices and metrics.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from msgspec.structs import replace as replace_settings

from storage_sync.config.places import state_directory
from storage_sync.config.settings import Settings
from storage_sync.config.token import Token
from storage_sync.reports.advice import advise, figures_of
from storage_sync.reports.metric_facts import facts_of, seen_now
from storage_sync.reports.metrics import Facts, render, write_textfile
from storage_sync.service.commands import Command, Reload, TryNow
from storage_sync.service.effective_settings import Configuration
from storage_sync.service.service import SyncService
from storage_sync.service.unforeseen import Unforeseen
from storage_sync.state.directory import open_state_dir
from storage_sync.state.history import History
from storage_sync.sync.cancel import Cancel
from storage_sync.values.errors import ConfigError, Interrupted
from storage_sync.values.events import Event, RunEnded, RunStarted, StateChanged
from storage_sync.values.outcome import ErrorValue, Outcome, Word
from storage_sync.values.snapshot import Advice, Run, Snapshot
from storage_sync.watch import notify
from storage_sync.watch.alert_state import Change, Condition, after_ping, after_run, after_wait
from storage_sync.watch.metrics_server import Address, exposing
from storage_sync.watch.systemd import Systemd
from storage_sync.watch.watch_log import Said, Voice

PULSE_S = 1.0
"""How often the service manager is told, at least, that the core lives; its beat comes every half second."""
LAST_WORDS_S = 1.0
"""How long notices under way may delay the end."""
WAITING_NOTICES = 100

_OURS = (
    *("metrics_file", "notify_command", "notify_url", "heartbeat_url"),
    *("max_episodes_cache", "batch_size", "interval_s", "staleness_s", "wait_notice_s", "poll_s"),
    "rows_read_per_day",
)
"""Settings that are used here; what needs a restart stays as it was."""

Progress = Callable[[Run], None]


class _Told(Struct, frozen=True):
    """Something for the world outside, in order: the run that ended, or a change of state."""

    outcome: Outcome | None = None
    change: Change | None = None


async def watch(
    configuration: Configuration,
    token: Token | None,
    *,
    listen: Address | None,
    systemd: Systemd,
    progress: Progress,
    cancel: Cancel,
) -> Outcome:
    """Run until `cancel` asks; the outcome is that of the last run, with the exit code of the signal.

    LocalIO when the address is taken; ConfigError when no cache or primary is named.
    """
    watcher = Watcher(configuration, token, systemd, progress)
    try:
        await cancel.run(watcher.run(listen))
    except Interrupted as error:
        return watcher.ended(error)
    return watcher.ended(None)


class Watcher:
    """One core and what hears it. All methods belong to the loop of `run`."""

    def __init__(self, configuration: Configuration, token: Token | None, systemd: Systemd, progress: Progress) -> None:
        self._settings = configuration.settings
        again = configuration.again
        told = replace(configuration, again=self._rereading(again) if again is not None else None, unattended=True)
        self._service = SyncService(told, token=token, publish=self._publish, emit=self._emit)
        self._systemd = systemd
        self._progress = progress
        self._voice = Voice()
        self._unforeseen = Unforeseen()
        self._condition = Condition(since=time.time())
        self._snapshot: Snapshot | None = None
        self._verdict = Word.UNKNOWN
        self._last: Outcome | None = None
        self._counted: Outcome | None = None
        self._queue: asyncio.Queue[_Told] = asyncio.Queue()
        self._numbers = itertools.count(1)
        self._running = False
        self._once_more = False
        self._advice: tuple[Advice, ...] = ()

    async def run(self, listen: Address | None) -> None:
        """Until cancelled, or until the core ends, which is then an error of its own."""
        async with AsyncExitStack() as stack:
            if listen is not None:
                at = await stack.enter_async_context(exposing(listen, self._metrics))
                self._say(Said(logging.INFO, "watch", f"metrics on http://{at}/metrics"))
                if not at.local:
                    told = f"{at} can be reached from other machines, and asks for no password"
                    self._say(Said(logging.WARNING, "watch", told))
            stack.enter_context(
                _signals({signal.SIGHUP: partial(self._submit, Reload()), signal.SIGUSR1: self._sync_now})
            )
            await stack.enter_async_context(_beside(self._pulse()))
            teller = await stack.enter_async_context(_beside(self._tell()))
            core = asyncio.create_task(self._service.run())
            try:
                await asyncio.wait({core, teller}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._systemd.tell("STOPPING=1")
                self._service.request_stop()
                await core
                await self._last_words()
            if teller.done():
                await teller

    def ended(self, error: Interrupted | None) -> Outcome:
        """The document of the whole command."""
        last = self._last if self._last is not None else Outcome("watch", Word.UNKNOWN, 0)
        outcome = replace(last, command="watch", verdict=self._verdict, exit_code=0, error=None, next_action=None)
        if error is None:
            return outcome
        code = error.actual_exit_code
        name = "SIGTERM" if code == 128 + signal.SIGTERM else "SIGINT"
        self._say(Said(logging.INFO, "watch", f"stopped by {name}"))
        why = ErrorValue("interrupted", f"stopped by {name}", "start it again", True, code)
        return replace(outcome, exit_code=code, error=why, next_action=why.hint)

    # -------------------------------------------------------------------------------- what the core says

    def _publish(self, snapshot: Snapshot) -> None:
        first = self._snapshot is None
        self._snapshot = snapshot
        if snapshot.run is not None and self._running:
            self._progress(snapshot.run)
        now = time.time()
        self._turn(after_ping(self._condition, snapshot.primary, now))
        self._turn(after_wait(self._condition, snapshot.cache, self._settings.wait_notice_s, now))
        if first:
            self._systemd.tell("READY=1", "STATUS=starting")

    def _emit(self, event: Event) -> None:
        for said in self._voice.hear(event, time.monotonic()):
            self._say(said)
        if isinstance(event, StateChanged):
            # pictures come at most ten times a second, this at once
            self._verdict = event.new
        elif isinstance(event, RunStarted):
            self._running = True
        elif isinstance(event, RunEnded):
            self._running = False
            self._heard_end(event.outcome)

    def _heard_end(self, outcome: Outcome) -> None:
        if outcome.command not in ("sync", "verify"):
            return
        self._last = outcome
        if outcome.counts:
            self._counted = outcome
        self._turn(after_run(self._condition, outcome, time.time()))
        self._hand_on(_Told(outcome=outcome))
        if self._once_more:
            self._once_more = False
            self._submit(TryNow())

    def _turn(self, new: Condition) -> None:
        old, self._condition = self._condition, new
        if old.word == new.word:
            return
        change = Change(old, new)
        self._say(self._voice.changed(change, time.time()))
        self._systemd.tell(f"STATUS={new.word.replace('_', ' ')}: {new.message}")
        if new.trouble or change.recovered:
            self._hand_on(_Told(change=change))

    def _say(self, said: Said) -> None:
        logger = logging.getLogger(f"storage_sync.{said.area}")
        logger.log(said.level, said.text, extra={"sync_id": said.run_id})

    def _failed(self, area: str, why: str) -> None:
        for said in self._voice.failed(area, why, time.monotonic()):
            self._say(said)

    # -------------------------------------------------------------------------------------- what we are told

    def _rereading(self, again: Callable[[], Configuration]) -> Callable[[], Configuration]:
        """The same, and we take from it what is ours: notices and the metrics file."""

        def reread() -> Configuration:
            fresh = again()
            self._settings = replace_settings(self._settings, **{name: getattr(fresh.settings, name) for name in _OURS})
            return fresh

        return reread

    def _sync_now(self) -> None:
        """At once, or right after the run that goes on: it may have asked the primary already."""
        if self._running:
            self._once_more = True
        else:
            self._submit(TryNow())

    def _submit(self, command: Command[None]) -> None:
        self._service.submit(next(self._numbers), command)

    # ---------------------------------------------------------------------------------- the world outside

    def _hand_on(self, told: _Told) -> None:
        if self._queue.qsize() >= WAITING_NOTICES:
            self._failed("notify", "too many notices wait; the oldest was dropped")
            self._queue.get_nowait()
            self._queue.task_done()
        self._queue.put_nowait(told)

    async def _tell(self) -> None:
        """One after the other, so that a recovery never overtakes its trouble."""
        while True:
            told = await self._queue.get()
            try:
                await self._tell_one(told)
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends this notice and not the service
                self._failed("notify", self._unforeseen.explained("a notice", error).message)
            self._queue.task_done()

    async def _tell_one(self, told: _Told) -> None:
        if told.change is not None:
            await self._notify(told.change)
        if told.outcome is not None:
            await self._write_metrics()
            await self._advise(told.outcome)
            if told.outcome.proof is not None and told.outcome.verdict is Word.IN_SYNC:
                for why in await notify.beat(self._settings):
                    self._failed("heartbeat", why)

    async def _notify(self, change: Change) -> None:
        notice = notify.notice_of(change, self._settings, self._verdict, time.time())
        for why in await notify.tell(self._settings, notice):
            self._failed("notify", why)

    async def _last_words(self) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._queue.join()
        except TimeoutError:
            self._say(Said(logging.WARNING, "notify", "notices were still being sent and were dropped"))

    async def _pulse(self) -> None:
        """The service manager hears of us while the core's own beat is young, and no longer."""
        wanted = self._systemd.watchdog_s
        if wanted is None:
            return
        while True:
            snapshot = self._snapshot
            if snapshot is not None and time.monotonic() - snapshot.beat.at < wanted:
                self._systemd.tell("WATCHDOG=1")
            await asyncio.sleep(min(PULSE_S, wanted / 3))

    async def _write_metrics(self) -> None:
        target = self._settings.metrics_file
        if target is None:
            return
        facts = await self._facts()
        try:
            await asyncio.to_thread(write_textfile, target, facts)
        except OSError as error:
            self._failed("metrics", f"the metrics file {target} cannot be written: {error.strerror}")

    async def _advise(self, outcome: Outcome) -> None:
        """Said when it is new."""
        if outcome.command != "sync" or outcome.error is not None:
            return
        found = await asyncio.to_thread(_advice, self._settings)
        for one in found:
            if one.setting not in {known.setting for known in self._advice}:
                self._say(Said(logging.INFO, "advice", one.text))
        self._advice = found

    async def _metrics(self) -> bytes:
        return render(await self._facts())

    async def _facts(self) -> Facts:
        outcome = self._counted or self._last or Outcome("watch", Word.UNKNOWN, 0)
        warnings: list[str] = []
        history = _history(self._settings)
        facts = await asyncio.to_thread(facts_of, outcome, self._settings, history, warnings.append)
        for why in warnings:
            self._failed("metrics", why)
        return seen_now(facts, self._snapshot, self._verdict, time.time()) if self._snapshot is not None else facts


def _advice(settings: Settings) -> tuple[Advice, ...]:
    """From the history of this cache. Blocking."""
    with History.open(_history(settings), _unsaid, read_only=True) as book:
        return advise(figures_of(book, settings))


def _unsaid(why: str) -> None:
    """The metrics have said it already."""


def _history(settings: Settings) -> Path:
    """The history of this cache. ConfigError when no cache is named."""
    folder = state_directory(settings)
    if settings.cache is None or folder is None:
        raise ConfigError("no cache is named", hint="give --cache PATH, or storage-sync config init")
    return open_state_dir(folder, str(settings.cache), create=False).history


@asynccontextmanager
async def _beside(work: Coroutine[object, object, None]) -> AsyncIterator[asyncio.Task[None]]:
    """The work as a task that ends with the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextmanager
def _signals(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
