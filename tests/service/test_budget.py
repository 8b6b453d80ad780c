"""A core that keeps `rows_read_per_day`: it says so, polls on or says that it does not, and obeys a person."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from storage_sync.demo.demo import generate
from storage_sync.reports.metric_facts import facts_of, seen_now
from storage_sync.reports.metrics import render
from storage_sync.values.events import LogLine, RunEnded
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import Hold
from tests.service.test_follow import settings_for
from tests.service.test_service import Watcher, proven, running
from tests.support import hrana
from tests.support.sqld import Sqld
from tests.sync.test_follow import copied


def told(watcher: Watcher) -> list[str]:
    return [event.text for event in watcher.events if isinstance(event, LogLine) and event.area == "budget"]


def ends(watcher: Watcher) -> int:
    return sum(isinstance(event, RunEnded) for event in watcher.events)


async def test_a_budget_that_is_used_up_stops_what_starts_by_itself_and_nothing_else(tmp_path: Path) -> None:
    generate(tmp_path / "primary.db", 7, 60)
    with Sqld(tmp_path / "primary.db") as server:
        settings = replace(settings_for(server, tmp_path), rows_read_per_day=50)
        async with running(settings) as (service, watcher):
            await watcher.until(proven)
            used_up = await watcher.until(
                lambda now: now.primary.budget is not None and now.primary.budget.hold is Hold.USED_UP
            )
            budget = used_up.primary.budget
            assert budget is not None
            waits = await watcher.until(
                lambda now: now.primary.next_at == budget.until or _near(now.primary.next_at, budget.until)
            )
            assert waits.primary.next_at is not None
            assert told(watcher)[-1:] == [
                "rows_read_per_day = 50 is used up: the primary is not asked automatically before midnight"
            ]
            runs, read = ends(watcher), budget.read
            hrana.execute(server.url, [copied(1)])
            await watcher.until(lambda now: now.seq > waits.seq + 5)
            assert watcher.snapshots[-1].primary.rows_read is not None
            assert (ends(watcher), watcher.snapshots[-1].primary.rows_read.today) == (runs, read), "nobody asked"
            await watcher.synced(service)
            after = await watcher.until(lambda now: now.primary.budget is not None and now.primary.budget.read > read)
            assert ends(watcher) == runs + 2, "a person is obeyed: a plan, and what was planned"
            assert after.verdict is Word.IN_SYNC
            facts = facts_of(
                next(e.outcome for e in reversed(watcher.events) if isinstance(e, RunEnded)),
                settings,
                service._session.state.history,
                print,
            )
            text = render(seen_now(facts, after, after.verdict, after.taken_at)).decode()
            assert 'storage_sync_budget_hold{hold="used up"} 1.0' in text
            assert f"storage_sync_rows_read_today {float(after.primary.rows_read.today)}" in text  # type: ignore[union-attr]
            assert "storage_sync_rows_read_per_day 50.0" in text


def _near(at: float | None, until: float) -> bool:
    return at is not None and abs(at - until) < 2


async def test_polls_that_are_held_back_come_less_often(tmp_path: Path) -> None:
    generate(tmp_path / "primary.db", 7, 60)
    with Sqld(tmp_path / "primary.db") as server:
        free = settings_for(server, tmp_path)
        async with running(free) as (_, watcher):
            await watcher.until(proven)
            known = await watcher.until(lambda now: now.primary.rows_read is not None)
            assert known.primary.budget is None
        assert known.primary.rows_read is not None
        settings = replace(free, rows_read_per_day=known.primary.rows_read.today + 500, on_start=False)
        async with running(settings) as (_, watcher):
            held = await watcher.until(
                lambda now: now.primary.budget is not None and now.primary.budget.hold is not Hold.NOT
            )
            assert held.primary.budget is not None
            assert held.primary.budget.hold is Hold.NO_PROOF
            assert "and a proof reads" in told(watcher)[0]
            assert held.freshness.next_sync_at is None or held.freshness.next_sync_at >= held.primary.budget.until


async def test_the_first_sync_says_before_its_proof_what_watching_will_cost(tmp_path: Path) -> None:
    generate(tmp_path / "primary.db", 7, 60)
    with Sqld(tmp_path / "primary.db") as server:
        async with running(settings_for(server, tmp_path)) as (service, watcher):
            await watcher.until(proven)
            await watcher.synced(service)
            said = [
                "told" if isinstance(event, LogLine) else "ended"
                for event in watcher.events
                if isinstance(event, RunEnded)
                or (isinstance(event, LogLine) and event.text.startswith("what watching this primary costs: a poll"))
            ]
    assert said[:3] == ["told", "ended", "ended"], "once, and before the first proof"
