"""Where the threads meet: latest wins, order and bounds of events, death and stalling of the core."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from console.link.bridge import EVENTS_KEPT, LINES_A_TICK, Emit, Mailbox, Publish, ThreadBridge
from console.views.verdict import verdict
from storage_sync.files.report import write_report
from storage_sync.service.commands import Command, MakePlan, TryNow
from storage_sync.service.operations import Sync
from storage_sync.values.events import Accepted, Answer, CoreDied, Event, LogLine, Refused
from tests.support.scenes import snapshots
from tests.support.scripted_bridge import ScriptedBridge

SNAPSHOT = snapshots.scene("in_sync").snapshot
WAIT_S = 20.0


def line(number: int) -> LogLine:
    return LogLine(float(number), "info", "test", f"line {number}")


class Core:
    """A service that is told what to do; every step is waited for, nothing sleeps."""

    def __init__(self, publish: Publish, emit: Emit, body: Callable[[Core], None] | None = None) -> None:
        self.publish = publish
        self.emit = emit
        self.body = body
        self.commands: list[tuple[int, Command[object]]] = []
        self.thread = threading.current_thread()
        self.running = threading.Event()
        self.heard = threading.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        self.publish(SNAPSHOT)
        if self.body is not None:
            self.body(self)
        self.running.set()
        await self._stop.wait()

    def submit(self, number: int, command: Command[object]) -> None:
        self.commands.append((number, command))
        self.emit(Accepted(number))
        self.heard.set()

    def request_stop(self) -> None:
        self._stop.set()


class Started:
    """A bridge with such a core."""

    def __init__(self, body: Callable[[Core], None] | None = None, **options: object) -> None:
        self.made = threading.Event()
        self.core: Core | None = None

        def make(publish: Publish, emit: Emit) -> Core:
            self.core = Core(publish, emit, body)
            self.made.set()
            return self.core

        self.bridge = ThreadBridge(make, **options)  # type: ignore[arg-type]

    def start(self) -> Core:
        self.bridge.start()
        assert self.made.wait(WAIT_S)
        assert self.core is not None
        assert self.core.running.wait(WAIT_S)
        return self.core


def test_the_core_runs_in_a_thread_of_its_own() -> None:
    started = Started()
    core = started.start()
    assert core.thread is not threading.current_thread()
    assert core.thread.daemon
    latest = started.bridge.latest()
    assert latest is not None
    assert latest.profile == SNAPSHOT.profile
    assert started.bridge.stop(WAIT_S)


def test_nothing_is_made_before_start() -> None:
    started = Started()
    assert started.bridge.latest() is None
    assert not started.made.is_set()
    assert started.bridge.stop(0)


def test_commands_reach_the_core_in_order_even_before_it_is_there() -> None:
    started = Started()
    first = started.bridge.submit(TryNow())
    core = started.start()
    assert core.heard.wait(WAIT_S)
    core.heard.clear()
    second = started.bridge.submit(MakePlan(Sync()))
    assert core.heard.wait(WAIT_S)
    assert core.commands == [(first, TryNow()), (second, MakePlan(Sync()))]
    assert started.bridge.drain() == [Accepted(first), Accepted(second)]
    assert started.bridge.stop(WAIT_S)


async def test_an_answer_is_told_at_once_and_in_the_loop_that_asked() -> None:
    heard: list[tuple[threading.Thread, list[Event]]] = []
    told = asyncio.Event()

    def speak(core: Core) -> None:
        for number in range(3):
            core.emit(line(number))
            core.emit(Answer(number, "yes"))

    started = Started(speak)

    def answered() -> None:
        heard.append((threading.current_thread(), started.bridge.drain()))
        told.set()

    started.bridge.start(answered)
    numbers: set[int] = set()
    async with asyncio.timeout(WAIT_S):
        while len(numbers) < 3:
            await told.wait()
            told.clear()
            numbers = {event.command_id for _, events in heard for event in events if isinstance(event, Answer)}
    assert {thread for thread, _ in heard} == {threading.current_thread()}
    assert started.bridge.stop(WAIT_S)


def test_a_line_alone_tells_nobody() -> None:
    called: list[str] = []
    bridge = ScriptedBridge([SNAPSHOT])
    bridge.start(lambda: called.append("told"))
    bridge.post(line(1))
    assert called == []
    bridge.post(Refused(1, "no", ""))
    assert called == ["told"]


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt("native panic"), SystemExit(3)])
def test_a_core_that_dies_leaves_a_report(error: BaseException, tmp_path: Path) -> None:
    def die(_core: Core) -> None:
        secret = "hunter2"  # noqa: F841 -- a local variable that must not be in the report
        raise error

    started = Started(die, report=partial(write_report, folder=tmp_path))
    started.bridge.start()
    started.bridge.stop(WAIT_S)
    died = [event for event in started.bridge.drain() if isinstance(event, CoreDied)]
    assert len(died) == 1
    report = Path(died[0].report).read_text(encoding="utf-8")
    assert type(error).__name__ in report
    assert "hunter2" not in report.replace('secret = "hunter2"', "")


def test_a_core_that_cannot_be_made_dies_too() -> None:
    def make(_publish: Publish, _emit: Emit) -> Core:
        raise ImportError("no module named storage_sync._native")

    bridge = ThreadBridge(make)
    bridge.start()
    bridge.stop(WAIT_S)
    assert bridge.drain() == [CoreDied("ImportError: no module named storage_sync._native")]
    number = bridge.submit(TryNow())
    refused = bridge.drain()
    assert [event.command_id for event in refused if isinstance(event, Refused)] == [number]


def test_a_stalled_core_is_visible_within_two_seconds() -> None:
    moment = [snapshots.BEAT]
    release = threading.Event()
    blocked = threading.Event()

    def block(core: Core) -> None:
        core.running.set()
        blocked.set()
        release.wait(WAIT_S)

    started = Started(block, monotonic=lambda: moment[0])
    started.start()
    assert blocked.wait(WAIT_S)
    words = []
    for _ in range(5):
        latest = started.bridge.latest()
        assert latest is not None
        words.append(verdict(latest, now=snapshots.NOW, beat_age=moment[0] - latest.beat.at).word)
        moment[0] += 0.5
    assert words == ["IN SYNC", "IN SYNC", "IN SYNC", "IN SYNC", "STALLED"]
    release.set()
    assert started.bridge.stop(WAIT_S)


def test_leaving_a_stalled_core_waits_no_longer_than_it_is_told() -> None:
    release = threading.Event()

    def block(core: Core) -> None:
        core.running.set()
        release.wait(WAIT_S)

    started = Started(block)
    started.start()
    assert not started.bridge.stop(0.05)
    release.set()
    assert started.bridge.stop(WAIT_S)


def test_the_newest_snapshot_wins_and_an_older_one_is_not_taken() -> None:
    mailbox = Mailbox()
    for number in (1, 5, 3):
        mailbox.put(replace(SNAPSHOT, seq=number))
    newest = mailbox.newest(None)
    assert newest is not None
    assert newest.seq == 5


def test_only_log_lines_are_dropped_and_drops_are_counted() -> None:
    mailbox = Mailbox()
    mailbox.put(SNAPSHOT)
    mailbox.post(Accepted(1))
    for number in range(EVENTS_KEPT * 2):
        mailbox.post(line(number))
    mailbox.post(Accepted(2))
    taken = mailbox.take()
    assert [event for event in taken if isinstance(event, Accepted)] == [Accepted(1), Accepted(2)]
    lines = [event for event in taken if isinstance(event, LogLine)]
    assert len(lines) == LINES_A_TICK
    assert lines == sorted(lines, key=lambda event: event.at)
    newest = mailbox.newest(None)
    assert newest is not None
    assert newest.beat.events_dropped == EVENTS_KEPT + 1
    assert newest.beat.events_total == EVENTS_KEPT * 2 + 2


def test_a_flood_leaves_the_newest_lines() -> None:
    mailbox = Mailbox(limit=100)
    for number in range(1000):
        mailbox.post(line(number))
    taken: list[object] = []
    while batch := mailbox.take():
        taken.extend(batch)
    assert taken == [line(number) for number in range(900, 1000)]


def test_a_script_shows_its_snapshots_in_turn_and_keeps_the_last() -> None:
    bridge = ScriptedBridge([replace(SNAPSHOT, seq=number) for number in (1, 2)])
    assert [snapshot.seq for snapshot in (bridge.latest(), bridge.latest(), bridge.latest()) if snapshot] == [1, 2, 2]
    assert bridge.submit(TryNow()) == 1
    assert bridge.asked[0].kind is TryNow
