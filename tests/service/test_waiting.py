"""The core beside a process that holds the cache: rows wait, and are committed once it lets go."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_sync.cache.waiting_rows import read_waiting
from storage_sync.config.request import Request
from storage_sync.demo.demo import Demo
from storage_sync.reports.document import report
from storage_sync.reports.metric_facts import facts_of
from storage_sync.reports.metrics import render
from storage_sync.reports.status import status_quick
from storage_sync.service import schedule
from storage_sync.state.history import History
from storage_sync.values.events import LogLine, RunEnded
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import LockState, Snapshot
from tests.independent.projection_check import check
from tests.service.test_service import NOW, Watcher, cached, proven, running, settings_of
from tests.support.processes import holding


@pytest.fixture(autouse=True)
def asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a held cache the primary is asked at most once a minute."""
    monkeypatch.setattr(schedule, "PROOF_GAP_S", 0.0)


def failures(watcher: Watcher) -> list[LogLine]:
    return [event for event in watcher.events if isinstance(event, LogLine) and event.level == "fail"]


def waiting(rows: int) -> object:
    def reached(now: Snapshot) -> bool:
        return now.cache.waiting is not None and now.cache.waiting.rows >= rows

    return reached


async def made(folder: Path) -> Demo:
    demo = Demo.create(folder, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    return demo


async def test_rows_wait_beside_a_held_cache_and_are_committed_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = await made(tmp_path)
    settings = settings_of(demo)
    with holding(demo.cache) as holder:
        async with running(settings) as (_, watcher):
            await watcher.until(lambda now: proven(now) and now.cache.lock is LockState.OTHER)
            demo.grow(3, NOW)
            seen = await watcher.until(waiting(3))  # type: ignore[arg-type]
            assert seen.verdict is Word.STALE
            assert seen.cache.waiting is not None
            told = status_quick(Request(settings, None))
            waits = told.extra["waiting"]
            assert isinstance(waits, dict)
            assert waits["rows"] == seen.cache.waiting.rows
            assert f"{waits['rows']} rows have waited since {waits['since']} for the cache to be free" in report(told)
            history = next(demo.cache.parent.rglob("history.db"))
            assert f"storage_sync_waiting_rows {waits['rows']:.1f}".encode() in render(
                facts_of(told, settings, history, lambda _: None)
            )
            asked: list[object] = []
            monkeypatch.setattr("storage_sync.sync.run.project", lambda *given: asked.append(given))
            holder.kill()
            holder.wait()
            done = await watcher.until(
                lambda now: proven(now) and cached(now, "episodes") == 13 and now.cache.lock is LockState.FREE
            )
            assert done.freshness.proof is not None
            assert done.freshness.proof.at >= seen.cache.waiting.as_of
            await watcher.until(lambda now: now.cache.waiting is None)
            assert asked == [], "what waited is committed without a question to the primary"
        ends = [event.outcome for event in watcher.events if isinstance(event, RunEnded)]
        assert failures(watcher) == []
        assert [end.error for end in ends] == [None] * len(ends)
    assert check(demo.primary, demo.cache).holds(exact=True)


async def test_what_an_earlier_process_left_waiting_is_committed_and_then_compared(tmp_path: Path) -> None:
    """It does not know what the primary was then, so that it cannot tell whether it moved since."""
    demo = await made(tmp_path)
    with holding(demo.cache):
        async with running(settings_of(demo)) as (_, watcher):
            await watcher.until(lambda now: proven(now) and now.cache.lock is LockState.OTHER)
            demo.grow(3, NOW)
            await watcher.until(waiting(3))  # type: ignore[arg-type]
    demo.grow(2, NOW)
    async with running(settings_of(demo, interval_s=1.0)) as (_, watcher):
        await watcher.until(lambda now: proven(now) and cached(now, "episodes") == 15)
    assert read_waiting(str(demo.cache)).kept is None
    assert check(demo.primary, demo.cache).holds(exact=True)


async def test_each_lock_that_is_seen_taken_is_a_line_of_history(tmp_path: Path) -> None:
    demo = await made(tmp_path)
    async with running(settings_of(demo)) as (_, watcher):
        before = await watcher.until(proven)
        with holding(demo.cache) as holder:
            await watcher.until(lambda now: now.history.runs > before.history.runs)
    history = next(demo.cache.parent.rglob("history.db"))
    with History.open(history, lambda _: None, read_only=True) as book:
        (start,) = [run for run in book.runs() if run.kind == "start"]
        document = book.document(start.id)
        assert book.last_run() != start
    assert start.start is not None
    assert (start.start.behind, start.start.delay_s, start.start.verdict) == (0, None, "IN_SYNC")
    assert document is not None
    assert isinstance(document["holder"], dict)
    assert document["holder"]["pid"] == holder.pid
