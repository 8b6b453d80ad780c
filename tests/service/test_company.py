"""The core is not alone: a second console, another run, a folder full of noise, a primary that comes and goes."""

from __future__ import annotations

import os
from pathlib import Path

from storage_sync.cache.lease import Lease
from storage_sync.demo.demo import Demo
from storage_sync.service.commands import Do, MakePlan
from storage_sync.service.operations import Peek, Rebuild, Sync, Verify
from storage_sync.values.events import Answer, Refused, RunEnded, RunStarted
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import PrimaryStatus
from tests.independent.projection_check import check
from tests.service.test_service import NOW, cached, proven, running, settings_of


async def test_another_run_is_named_and_not_a_crash(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        with Lease.acquire(os.fspath(demo.cache), "s-other"):
            refused = await watcher.synced(service)
            assert isinstance(refused, Refused)
            assert "s-other" in refused.reason
        answered = await watcher.synced(service)
        assert isinstance(answered, Answer)
        assert isinstance(answered.value, Outcome)
        assert answered.value.verdict is Word.IN_SYNC


async def test_two_consoles_and_one_that_only_looks_share_a_cache(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with (
        running(settings_of(demo)) as (_, one),
        running(settings_of(demo)) as (_, other),
        running(settings_of(demo, access="read-only")) as (_, looking),
    ):
        for watcher in (one, other, looking):
            await watcher.until(proven)
        demo.grow(2, NOW)
        for watcher in (one, other, looking):
            await watcher.until(lambda now: proven(now) and cached(now, "episodes") == 12)
        assert check(demo.primary, demo.cache).holds(exact=True)
        for watcher in (one, other):
            codes = {event.outcome.exit_code for event in watcher.events if isinstance(event, RunEnded)}
            assert codes <= {0, 6, 11, 130}, codes


async def test_a_storm_of_changes_is_one_run_or_two(tmp_path: Path) -> None:
    """A file that is touched all the time is looked at again, but not once a touch."""
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, watcher):
        await watcher.until(proven)
        for _ in range(4):
            for _ in range(25):
                os.utime(demo.cache)
                (tmp_path / "noise").touch()
            drawn = len(watcher.snapshots)
            await watcher.until(lambda _, drawn=drawn: len(watcher.snapshots) > drawn)  # type: ignore[misc]
        await watcher.until(lambda now: proven(now) and now.run is not None and now.run.ended_at is not None)
        runs = [event for event in watcher.events if isinstance(event, RunStarted)]
        assert len(runs) <= 8, [run.trigger for run in runs]


async def test_orders_during_a_run_wait_their_turn(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=30, now=int(NOW))
    async with running(settings_of(demo, on_start=False)) as (service, watcher):
        commands = (MakePlan(Sync()), Do(Verify()), MakePlan(Rebuild()), Do(Peek()), MakePlan(Sync()), Do(Verify()))
        orders = [watcher.ask(service, command) for command in commands]
        answers = [await watcher.answer(order) for order in orders]
        assert all(isinstance(answer, Answer) for answer in answers), answers
    started = [event.kind for event in watcher.events if isinstance(event, RunStarted)]
    assert len(started) == len(orders)


async def test_a_primary_that_comes_and_goes_ends_in_a_proof(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    away = demo.primary.with_suffix(".away")
    async with running(settings_of(demo, poll_s=0.05)) as (_, watcher):
        await watcher.until(lambda now: proven(now) and now.primary.status is PrimaryStatus.CONNECTED)
        for _ in range(4):
            demo.primary.rename(away)
            await watcher.until(lambda now: now.primary.status is not PrimaryStatus.CONNECTED)
            away.rename(demo.primary)
            await watcher.until(lambda now: now.primary.status is PrimaryStatus.CONNECTED)
        demo.grow(1, NOW)
        await watcher.until(lambda now: proven(now) and cached(now, "episodes") == 11)
    assert check(demo.primary, demo.cache).holds(exact=True)
