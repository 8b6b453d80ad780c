"""The long-running core on real stores: when it syncs, what it says, how it stops."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

import msgspec
import pytest

from console.views.verdict import verdict
from storage_sync.config.load import Loaded, load_settings
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.config.view import settings_view
from storage_sync.demo.demo import Demo, generate
from storage_sync.service import schedule
from storage_sync.service.commands import (
    Cancel,
    Command,
    Do,
    DropPlan,
    Execute,
    MakePlan,
    Pause,
    Reload,
    SetAccess,
    TryNow,
    TrySettings,
)
from storage_sync.service.effective_settings import Configuration
from storage_sync.service.operations import Rebuild, Retry, Sync, Verify
from storage_sync.service.performing import once
from storage_sync.service.service import SyncService
from storage_sync.values.answers import SetupForm
from storage_sync.values.errors import ConfigError
from storage_sync.values.events import Accepted, Answer, ConfigChanged, Event, LogLine, Refused, RunEnded, RunStarted
from storage_sync.values.found import still
from storage_sync.values.outcome import CacheState, CheckStatus, Outcome, Plan, Word
from storage_sync.values.planned import is_empty
from storage_sync.values.snapshot import LockState, PrimaryStatus, Snapshot
from tests.support import processes, stores
from tests.support.sqld import Sqld

NOW = 1_795_392_000.0
LIMIT_S = 120.0


T = TypeVar("T")


class Watcher:
    """Everything that a service published, and a way to wait for what comes."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.events: list[Event] = []
        self._news = asyncio.Event()
        self._numbers = itertools.count(1)

    def publish(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)
        self._news.set()

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, reached: Callable[[Snapshot], bool]) -> Snapshot:
        """The first newest picture that fits."""
        async with asyncio.timeout(LIMIT_S):
            while not self.snapshots or not reached(self.snapshots[-1]):
                self._news.clear()
                await self._news.wait()
        return self.snapshots[-1]

    async def heard(self, wanted: Callable[[Event], bool]) -> Event:
        async with asyncio.timeout(LIMIT_S):
            while (found := next((event for event in self.events if wanted(event)), None)) is None:
                self._news.clear()
                await self._news.wait()
        return found

    async def answer(self, number: int) -> Answer | Refused:
        event = await self.heard(lambda one: isinstance(one, Answer | Refused) and one.command_id == number)
        assert isinstance(event, Answer | Refused)
        return event

    def ask(self, service: SyncService, command: Command[object]) -> int:
        number = next(self._numbers)
        service.submit(number, command)
        return number

    async def told(self, service: SyncService, command: Command[T]) -> T:
        """The answer, which is no refusal."""
        event = await self.answer(self.ask(service, command))
        assert isinstance(event, Answer), event
        return cast("T", event.value)

    async def synced(self, service: SyncService) -> Answer | Refused:
        """A sync as an operator does it: planned, then executed."""
        plan = await self.told(service, MakePlan(Sync()))
        assert isinstance(plan, Plan)
        return await self.answer(self.ask(service, Execute(plan.id, plan.phrase or "")))


def settings_of(demo: Demo, **changes: object) -> Settings:
    return Settings(
        primary=f"file:{demo.primary}",
        cache=demo.cache,
        state_dir=demo.state_dir,
        **{"interval_s": 3600.0, "staleness_s": 3600.0, "poll_s": 0.2, **changes},  # type: ignore[arg-type]
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[SyncService, Watcher]]:
    watcher = Watcher()
    service = SyncService(Configuration(settings), publish=watcher.publish, emit=watcher.emit)
    async with serving(service):
        yield service, watcher


@asynccontextmanager
async def serving(service: SyncService) -> AsyncIterator[SyncService]:
    task = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        service.request_stop()
        async with asyncio.timeout(LIMIT_S):
            await task


def cached(snapshot: Snapshot, table: str) -> int | None:
    """Rows of a table of the cache, as they are known now."""
    counts = still(snapshot.cache.counts, snapshot.present)
    return counts.get(table) if counts is not None else None


def proven(snapshot: Snapshot) -> bool:
    return snapshot.verdict is Word.IN_SYNC


async def test_it_proves_the_cache_on_start_and_again_when_the_primary_moves(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=40, now=int(NOW))
    async with running(settings_of(demo, interval_s=30.0)) as (_, watcher):
        first = await watcher.until(proven)
        assert first.freshness.proof is not None
        assert cached(first, "episodes") == 40
        assert {result.found.was.status for result in first.checks} <= {CheckStatus.PASS, CheckStatus.SKIPPED}
        await watcher.until(lambda now: now.primary.status is PrimaryStatus.CONNECTED)
        demo.grow(3, NOW)
        await watcher.until(lambda now: now.verdict is Word.STALE)
        second = await watcher.until(lambda now: proven(now) and cached(now, "episodes") == 43)
    # what was written stands above what was proven, and is followed
    assert second.freshness.followed is not None
    assert second.freshness.proof is not None
    assert second.freshness.proof.at == first.freshness.proof.at
    assert second.freshness.followed.generation == first.freshness.proof.generation + 1
    started = [event for event in watcher.events if isinstance(event, RunStarted)]
    assert [event.trigger for event in started] == ["start", "primary changed"]


async def test_a_quiet_primary_is_not_synced_again(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        pings = len((await watcher.until(lambda now: bool(now.primary.pings))).primary.pings)
        await watcher.until(lambda now: len(now.primary.pings) >= pings + 5)
        before = demo.cache.read_bytes()
        watcher.ask(service, TryNow())
        await watcher.heard(
            lambda one: isinstance(one, RunEnded) and one.outcome.exit_code == 0 and not one.outcome.applied
        )
        assert demo.cache.read_bytes() == before
    assert [event.trigger for event in watcher.events if isinstance(event, RunStarted)] == ["start", "manual"]


async def test_a_plan_is_read_then_executed_though_the_primary_grows(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo, on_start=False)) as (service, watcher):
        first = await watcher.answer(watcher.ask(service, MakePlan(Sync())))
        assert isinstance(first, Answer)
        assert isinstance(first.value, Plan)
        assert first.value.changes["episodes"].insert == 20
        assert not demo.cache.exists()
        demo.grow(1, NOW)
        done = await watcher.answer(watcher.ask(service, Execute(first.value.id)))
        assert isinstance(done, Answer)
        assert isinstance(done.value, Outcome)
        assert done.value.verdict is Word.IN_SYNC
        assert done.value.applied["episodes"].insert == 21
        unknown = await watcher.answer(watcher.ask(service, Execute("p-none")))
        assert isinstance(unknown, Refused)


async def test_a_plan_is_void_when_more_would_go_or_the_cache_moved(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        before = demo.cache.read_bytes()
        agreed = await watcher.answer(watcher.ask(service, MakePlan(Rebuild())))
        assert isinstance(agreed, Answer)
        stores.execute(demo.primary, ["DELETE FROM episodes WHERE rowid = 1"])
        late = await watcher.answer(
            watcher.ask(service, Execute(agreed.value.id, "default"))  # type: ignore[attr-defined]
        )
        assert isinstance(late, Refused)
        assert "would be removed" in late.reason
        assert demo.cache.read_bytes() == before
        assert watcher.snapshots[-1].verdict is not Word.REFUSED, "the plan is void, the cache is what it was"
        assert watcher.snapshots[-1].error is None
        again = await watcher.answer(watcher.ask(service, MakePlan(Sync())))
        assert isinstance(again, Answer)
        assert (await once(Sync(), Request(settings_of(demo), None))).error is None
        late = await watcher.answer(
            watcher.ask(service, Execute(again.value.id, "default"))  # type: ignore[attr-defined]
        )
        assert isinstance(late, Refused)
        assert "the cache has changed" in late.reason


async def test_the_timer_waits_while_a_plan_is_read(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo, interval_s=1.0)) as (service, watcher):
        await watcher.until(proven)
        answer = await watcher.answer(watcher.ask(service, MakePlan(Rebuild())))
        assert isinstance(answer, Answer)
        held = await watcher.until(lambda now: (now.freshness.next_sync_at or 0.0) > now.taken_at + 60.0)
        assert held.verdict is Word.IN_SYNC
        runs = sum(isinstance(event, RunStarted) for event in watcher.events)
        await watcher.until(lambda now: now.taken_at > held.taken_at + 2.0)
        watcher.ask(service, DropPlan())
        await watcher.until(lambda _: sum(isinstance(event, RunStarted) for event in watcher.events) > runs)
        await watcher.until(lambda _: any("; it waited while a plan was open)" in line for line in started(watcher)))
        (first,) = (line for line in started(watcher) if "waited" in line)
        assert "sync started (interval; " in first


def started(watcher: Watcher) -> list[str]:
    """What the log says of each run that started."""
    lines = [event.text for event in watcher.events if isinstance(event, LogLine)]
    return [line for line in lines if " started (" in line]


async def test_the_timer_does_not_wait_for_a_plan_that_was_left_before_it_came(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo, interval_s=1.0)) as (service, watcher):
        await watcher.until(proven)
        asked = watcher.ask(service, MakePlan(Rebuild()))
        watcher.ask(service, DropPlan())
        answer = await watcher.answer(asked)
        assert isinstance(answer, Refused)
        assert "cancelled" in answer.reason
        runs = sum(isinstance(event, RunStarted) for event in watcher.events)
        await watcher.until(lambda _: sum(isinstance(event, RunStarted) for event in watcher.events) > runs)


async def test_the_timer_does_not_wait_for_a_plan_of_nothing(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo, interval_s=1.0)) as (service, watcher):
        await watcher.until(proven)
        answer = await watcher.answer(watcher.ask(service, MakePlan(Sync())))
        assert isinstance(answer, Answer)
        assert isinstance(answer.value, Plan)
        assert is_empty(answer.value)
        runs = sum(isinstance(event, RunStarted) for event in watcher.events)
        await watcher.until(lambda _: sum(isinstance(event, RunStarted) for event in watcher.events) > runs)
        assert not [line for line in started(watcher) if "waited" in line]


async def test_read_only_looks_and_never_writes(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo, access="read-only")) as (service, watcher):
        snapshot = await watcher.until(lambda now: now.verdict is Word.EMPTY)
        assert snapshot.access == "ro"
        plan = await watcher.told(service, MakePlan(Sync()))
        assert isinstance(plan, Plan)
        for command in (Execute(plan.id), SetAccess("rw"), Do(Retry(("episodes/x",)))):
            refused = await watcher.answer(watcher.ask(service, command))
            assert isinstance(refused, Refused)
    assert not demo.cache.exists()


async def test_a_primary_that_goes_away_is_unknown_and_synced_when_it_is_back(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    away = demo.primary.with_suffix(".away")
    async with running(settings_of(demo)) as (_, watcher):
        await watcher.until(lambda now: proven(now) and now.primary.status is PrimaryStatus.CONNECTED)
        demo.primary.rename(away)
        lost = await watcher.until(lambda now: now.primary.status is not PrimaryStatus.CONNECTED)
        lost = await watcher.until(lambda now: now.verdict is Word.UNKNOWN)
        assert lost.primary.unreachable_since is not None
        assert lost.freshness.proof is not None, "the last proof stays visible"
        away.rename(demo.primary)
        await watcher.until(proven)
    triggers = [event.trigger for event in watcher.events if isinstance(event, RunStarted)]
    assert triggers == ["start", "recovery"]
    failures = [event for event in watcher.events if isinstance(event, LogLine) and event.level == "fail"]
    assert len(failures) == 1, "one line a change of state, not one a ping"


async def test_a_cache_that_was_just_made_and_proven_is_there(tmp_path: Path) -> None:
    """Or a primary that fails before the next look at the file leaves nothing but the word EMPTY."""
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, watcher):
        made = await watcher.until(proven)
    assert not [state for state in (*made.cache.states, *made.states) if state.absent]


LOST: dict[str, tuple[Callable[[Path], object], str]] = {
    "removed": (lambda path: path.rename(path.with_suffix(".away")), "The primary's file is gone since "),
    "emptied": (lambda path: path.write_bytes(b""), "The primary cannot be compared since "),
    "overwritten": (lambda path: path.write_bytes(b"no database" * 1000), "The primary cannot be compared since "),
    "without a table": (
        lambda path: stores.execute(path, ["DROP TABLE episodes"]),
        "The primary cannot be compared since ",
    ),
}


@pytest.mark.parametrize("name", LOST)
async def test_a_primary_that_was_read_and_is_not_what_it_was_is_no_matter_of_authorization(
    name: str, tmp_path: Path
) -> None:
    change, said = LOST[name]
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, watcher):
        await watcher.until(lambda now: proven(now) and now.primary.status is PrimaryStatus.CONNECTED)
        change(demo.primary)
        lost = await watcher.until(lambda now: now.primary.next_at is not None and now.primary.status.failed)
    # one that is started now knows it by the proof in the cache
    async with running(settings_of(demo)) as (_, watcher):
        again = await watcher.until(lambda now: now.primary.status.failed and now.freshness.proof is not None)
    for snapshot in (lost, again):
        told = verdict(snapshot, now=snapshot.taken_at, beat_age=0.0)
        assert (told.word, told.key, told.exit_code) == ("UNKNOWN", "t", 4)
        assert told.sentence[0].startswith(said)
        assert "Last proof " in told.sentence[0]
        assert "t tries again now" in told.next[0]
        assert snapshot.primary.auth != "refused"


async def test_a_primary_that_was_never_read_may_be_the_wrong_one(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    demo.primary.unlink()
    async with running(settings_of(demo)) as (_, watcher):
        seen = await watcher.until(lambda now: now.primary.status.failed)
    assert seen.primary.status is PrimaryStatus.REFUSED


async def test_a_cache_that_is_removed_is_built_again(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, watcher):
        await watcher.until(proven)
        await watcher.until(lambda now: bool(now.cache.states))
        demo.cache.unlink()
        await watcher.until(lambda now: CacheState.ABSENT in now.cache.states)
        await watcher.until(lambda now: proven(now) and CacheState.ABSENT not in now.cache.states)
    assert demo.cache.exists()


async def test_the_end_of_a_run_says_what_the_file_is_now(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo, poll_s=3600.0)) as (_, watcher):
        # the next look from outside that nobody asks for is an hour away
        seen = await watcher.until(lambda now: proven(now) and CacheState.CLEAN in now.cache.states)
    assert CacheState.ABSENT not in seen.cache.states
    assert seen.cache.size == demo.cache.stat().st_size


@pytest.mark.parametrize("stop", [Cancel(), DropPlan()])
async def test_a_run_that_waits_for_a_silent_primary_is_stopped_at_once(tmp_path: Path, stop: Command[None]) -> None:
    """And says nothing about the cache: what was proven before stands."""
    generate(tmp_path / "primary.db", 7, 10)
    with Sqld(tmp_path / "primary.db") as server:
        settings = Settings(primary=server.url, cache=tmp_path / "cache.redb", state_dir=tmp_path / "state", poll_s=60)
        async with running(settings) as (service, watcher):
            before = await watcher.until(proven)
            os.kill(server.pid, signal.SIGSTOP)
            asked = watcher.ask(service, MakePlan(Sync()))
            first = before.run.id if before.run is not None else ""
            await watcher.until(lambda now: now.run is not None and now.run.id != first)
            stopped = watcher.ask(service, stop)
            answer = await watcher.answer(asked)
            assert isinstance(answer, Refused)
            assert "cancelled by the operator" in answer.reason
            assert await watcher.heard(lambda event: isinstance(event, Accepted) and event.command_id == stopped)
            after = await watcher.until(lambda now: now.run is not None and now.run.ended_at is not None)
            assert (after.verdict, after.freshness.proof) == (Word.IN_SYNC, before.freshness.proof)


async def test_a_primary_that_was_refused_is_compared_again_when_it_moves(tmp_path: Path) -> None:
    """Not because it is still what was refused: that would be a run every few seconds."""
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo, staleness_s=86_400.0)) as (_, watcher):
        await watcher.until(proven)
        stores.execute(
            demo.primary, ["ALTER TABLE episodes RENAME TO away", "CREATE TABLE episodes AS SELECT * FROM away LIMIT 0"]
        )
        refused = await watcher.until(lambda now: now.verdict is Word.REFUSED and now.run is not None)
        for _ in range(3):
            asked = watcher.snapshots[-1].primary.next_at
            later = await watcher.until(lambda now, asked=asked: now.primary.next_at != asked)  # type: ignore[misc]
        assert later.run is not None
        assert later.run.id == refused.run.id  # type: ignore[union-attr]
        assert later.freshness.next_sync_reason == "interval"
        stores.execute(demo.primary, ["DROP TABLE episodes", "ALTER TABLE away RENAME TO episodes"])
        await watcher.until(proven)


async def test_a_damaged_cache_is_not_tried_again_and_again(tmp_path: Path) -> None:
    """Another try only finds the same: the next one is the interval's, or when the file is another one."""
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, watcher):
        await watcher.until(proven)
    sound = demo.cache.read_bytes()
    demo.cache.write_bytes(sound[:4096] + bytes(len(sound) - 4096))
    async with running(settings_of(demo)) as (_, watcher):
        damaged = await watcher.until(
            lambda now: now.verdict is Word.DAMAGED and now.run is not None and now.run.ended_at is not None
        )
        assert CacheState.CORRUPT in damaged.cache.states
        later = await watcher.until(lambda now: now.seq > damaged.seq and now.freshness.next_sync_at is not None)
        assert later.freshness.next_sync_reason in ("interval", "staleness")
        demo.cache.write_bytes(sound)
        assert (await watcher.until(proven)).freshness.proof is not None


async def test_a_file_that_comes_while_a_run_looks_elsewhere_is_looked_at_next(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (_, watcher):
        await watcher.until(proven)
    kept = demo.cache.rename(tmp_path / "kept.redb")
    watcher = Watcher()

    def publish(snapshot: Snapshot) -> None:
        if snapshot.run is not None and snapshot.run.step == "fetch" and kept.exists():
            kept.rename(demo.cache)
        watcher.publish(snapshot)

    configuration = Configuration(settings_of(demo, access="read-only"))
    async with serving(SyncService(configuration, publish=publish, emit=watcher.emit)):
        await watcher.until(proven)


async def test_a_sync_follows_as_soon_as_the_file_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the timer would have tried again."""
    for bound in ("BACKOFF_FIRST_S", "BACKOFF_MOST_S"):
        monkeypatch.setattr(schedule, bound, 36_000.0)
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo, poll_s=3600.0, on_start=False)) as (service, watcher):
        await watcher.synced(service)
        await watcher.until(proven)
        with processes.running(processes.HOLD_REDB, demo.cache, "write") as holder:
            demo.grow(1, NOW)
            held = await watcher.until(lambda now: now.cache.lock is LockState.OTHER)
            assert held.cache.holder is not None
            assert held.cache.holder.pid == holder.pid
            refused = await watcher.synced(service)
            assert isinstance(refused, Refused)
        ended = len(watcher.events)
        await watcher.until(lambda now: proven(now) and now.cache.lock is LockState.FREE)
        follow = [event.trigger for event in watcher.events[ended:] if isinstance(event, RunStarted)]
        assert follow == ["recovery"]


async def test_pausing_stops_the_schedule_and_not_the_operator(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo, interval_s=30.0)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        await watcher.until(lambda now: now.paused and now.freshness.next_sync_at is None)
        demo.grow(1, NOW)
        await watcher.until(lambda now: now.verdict is Word.STALE)
        answered = await watcher.synced(service)
        assert isinstance(answered, Answer)
        await watcher.until(proven)
        watcher.ask(service, Pause(False))
        await watcher.until(lambda now: now.freshness.next_sync_at is not None)


async def test_orders_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo, on_start=False)) as (service, watcher):
        for command in (Command[None](), Cancel(), MakePlan(Verify()), Do(Sync()), TrySettings(SetupForm())):
            refused = await watcher.answer(watcher.ask(service, command))
            assert isinstance(refused, Refused), command


async def test_validation_on_request_says_what_is_missing(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    settings = msgspec.structs.replace(settings_of(demo), interval_s=86_400.0)
    async with running(settings) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        demo.grow(2, NOW)
        answered = await watcher.answer(watcher.ask(service, Do(Verify(deep=True))))
        assert isinstance(answered, Answer)
        assert isinstance(answered.value, Outcome)
        failed = {check.name for check in answered.value.checks if check.status is CheckStatus.FAIL}
        assert {"episode_count", "latest_episodes", "content_digests"} <= failed
        assert any(isinstance(event, Accepted) for event in watcher.events)


async def test_settings_are_read_again_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    settings = settings_of(demo, on_start=False)
    answers: Iterator[ConfigError | Settings] = iter(
        [
            ConfigError("config.toml, line 3: interval_s is not a number"),
            msgspec.structs.replace(settings, interval_s=60.0, primary="file:other.db"),
        ]
    )

    def again() -> Configuration:
        answer = next(answers)
        if isinstance(answer, ConfigError):
            raise answer
        return Configuration(answer)

    watcher = Watcher()
    configuration = Configuration(settings, again=again)
    async with serving(SyncService(configuration, publish=watcher.publish, emit=watcher.emit)) as service:
        watcher.ask(service, Reload())
        broken = await watcher.until(lambda now: bool(now.config.error))
        assert "line 3" in broken.config.error
        watcher.ask(service, Reload())
        changed = await watcher.heard(lambda one: isinstance(one, ConfigChanged))
        assert changed == ConfigChanged(("interval_s",))
        assert (await watcher.until(lambda now: not now.config.error)).primary.url == settings.primary


async def test_what_waits_for_a_restart_is_told_apart_from_what_is_in_effect(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    text = demo.config_file.read_text()
    loaded = load_settings(demo.config_file, None, {}, {})

    def configured(now: Loaded) -> Configuration:
        return Configuration(
            msgspec.structs.replace(now.settings, on_start=False), now.file, settings_view(now, {}).settings, again
        )

    def again() -> Configuration:
        return configured(loaded.again({}))

    watcher = Watcher()
    async with serving(SyncService(configured(loaded), publish=watcher.publish, emit=watcher.emit)) as service:
        edited = text.replace("interval_s = 30", "interval_s = 60").replace("cache.redb", "other.redb")
        demo.config_file.write_text(edited)
        watcher.ask(service, Reload())
        now = await watcher.until(lambda now: any(one.waiting for one in now.config.settings))
        waiting = {one.key: one for one in now.config.settings if one.waiting}
        assert list(waiting) == ["cache.path"]
        assert waiting["cache.path"].value == str(demo.cache)
        assert waiting["cache.path"].waiting.endswith("other.redb")
        assert waiting["cache.path"].waits_from.startswith("file, line ")
        assert next(one.value for one in now.config.settings if one.key == "interval_s") == "60"
        demo.config_file.write_text(text)
        watcher.ask(service, Reload())
        await watcher.until(lambda now: not any(one.waiting for one in now.config.settings))


async def test_what_the_primary_reads_is_shown_and_remembered(tmp_path: Path) -> None:
    path = tmp_path / "primary.db"
    generate(path, 7, 40)
    with Sqld(path) as server:
        settings = Settings(
            primary=server.url, cache=tmp_path / "cache.redb", state_dir=tmp_path / "state", poll_s=0.05
        )
        async with running(settings) as (_, watcher):
            await watcher.until(lambda now: now.verdict is Word.IN_SYNC)
            # a ping from before the end of the run knows nothing of it yet
            shown = await watcher.until(
                lambda now: now.primary.rows_read is not None and now.primary.rows_read.unmetered > 0
            )
            read = shown.primary.rows_read
            assert read is not None
            assert read.today > 10
            assert read.unmetered, "the cursor of a first sync does not say what it read"
            polls = len(shown.primary.pings)
            later = await watcher.until(lambda now: len(now.primary.pings) >= polls + 5)
            assert later.primary.rows_read == read, "where the index stands, a poll reads nothing"
