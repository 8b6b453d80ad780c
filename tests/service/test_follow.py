"""The core follows what it saw change, and proves by time and where something is not explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from console.views import differences
from console.views.frame import Frame
from console.views.states import behind_now, holds
from console.views.verdict import verdict
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.reports.metric_facts import facts_of, seen_now
from storage_sync.reports.metrics import render
from storage_sync.service import schedule, worker
from storage_sync.service import snapshots as snapshots_of_core
from storage_sync.service.performing import perform
from storage_sync.values.events import RunEnded
from storage_sync.values.found import Basis, Found
from storage_sync.values.outcome import Check, CheckStatus, Outcome, Purpose, TableChange, TableCounts, Word
from storage_sync.values.snapshot import CheckResult, Snapshot
from tests.service.test_held import lag, looked_at_a_copy
from tests.service.test_service import Watcher, cached, proven, running
from tests.support import hrana
from tests.support.processes import holding
from tests.support.scenes import snapshots as scenes
from tests.support.sqld import Sqld
from tests.sync.test_follow import UNSEEN, copied, rewritten
from widgets.glyphs import Look
from widgets.line import text_of


def settings_for(server: Sqld, folder: Path) -> Settings:
    return Settings(
        primary=server.url,
        cache=folder / "cache.redb",
        state_dir=folder / "state",
        max_episodes_cache=40,
        poll_s=0.2,
        interval_s=3600.0,
        staleness_s=7200.0,
    )


def ends(watcher: Watcher) -> list[Outcome]:
    return [event.outcome for event in watcher.events if isinstance(event, RunEnded)]


async def test_a_change_is_followed_and_not_proven(tmp_path: Path) -> None:
    generate(tmp_path / "primary.db", 7, 60)
    with Sqld(tmp_path / "primary.db") as server:
        settings = settings_for(server, tmp_path)
        async with running(settings) as (service, watcher):
            first = await watcher.until(proven)
            await watcher.until(lambda now: bool(now.primary.pings))
            hrana.execute(server.url, [copied(1), *rewritten()])
            followed = await watcher.until(lambda now: proven(now) and now.freshness.followed is not None)
            assert followed.freshness.proof is not None
            assert first.freshness.proof is not None
            assert followed.freshness.proof.at == first.freshness.proof.at
            results, before = ({one.name: one for one in now.checks} for now in (followed, first))
            for name in snapshots_of_core.COMPARED:
                # it was not made again: its result stands, and its figures while there are as many rows
                assert results[name].found.was.status == before[name].found.was.status
                assert results[name].found.at == before[name].found.at
                assert results[name].recent == before[name].recent
                assert holds(followed, results[name], followed.taken_at)
            at = followed.taken_at
            frame = Frame(followed, verdict(followed, now=at, beat_age=0.0), at, 0.0, Look())
            told = [text_of(fact.value) for fact in differences.tables(frame).facts]
            assert told
            assert all("equal then" in one for one in told)
            outcome = ends(watcher)[-1]
            assert outcome.transfer.read(Purpose.PROOF) in (0, None)
            assert watcher.events
            facts = facts_of(outcome, settings, service._session.state.history, print)
            metrics = render(seen_now(facts, followed, followed.verdict, followed.taken_at)).decode()
            assert f"storage_sync_followed_rows {float(outcome.followed.changes)}" in metrics  # type: ignore[union-attr]
            assert "storage_sync_followed_timestamp_seconds " in metrics
            assert "storage_sync_in_sync 1.0" in metrics
            await watcher.synced(service)
            proof = ends(watcher)[-1]
            assert proof.followed is None
            assert proof.applied == {}, "a proof finds nothing to do"


async def test_what_is_not_explained_is_proven_and_not_called_in_sync_until_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (schedule, worker):
        monkeypatch.setattr(module, "UNEXPLAINED_GAP_S", 1.0)
    generate(tmp_path / "primary.db", 7, 60)
    with Sqld(tmp_path / "primary.db") as server:
        async with running(settings_for(server, tmp_path)) as (_, watcher):
            await watcher.until(proven)
            await watcher.until(lambda now: bool(now.primary.pings))
            hrana.execute(server.url, UNSEEN["an update in place"])
            await watcher.heard(lambda one: isinstance(one, RunEnded) and "follow" in one.outcome.extra)
            unexplained = ends(watcher)[-1]
            assert unexplained.verdict is Word.STALE
            assert unexplained.proof is None
            assert watcher.snapshots[-1].verdict is Word.STALE
            await watcher.until(proven)
            assert ends(watcher)[-1].applied["heuristics"].update == 1


async def test_what_is_written_while_the_cache_is_held_is_counted_at_once_and_not_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short a time ago the primary was asked for a proof."""
    monkeypatch.setattr(schedule, "PROOF_GAP_S", 3600.0)
    monkeypatch.setattr(schedule, "COUNT_GAP_S", 0.0)
    generate(tmp_path / "primary.db", 7, 60)
    with Sqld(tmp_path / "primary.db") as server:
        settings = settings_for(server, tmp_path)
        async with running(settings) as (_, watcher):
            await watcher.until(proven)
        assert settings.cache is not None
        with holding(settings.cache):
            async with running(settings) as (_, watcher):
                await watcher.until(
                    lambda now: proven(now) and looked_at_a_copy(now) and now.present.primary is not None
                )
                runs = len(ends(watcher))
                hrana.execute(server.url, [copied(1), *rewritten()])
                moved = await watcher.until(lambda now: now.verdict is Word.STALE)
                assert moved.freshness.moved_at is not None
                counted = await watcher.until(lambda now: counted_rows(now) > 0)
                assert len(ends(watcher)) == runs, "no proof was asked for"
                shown = verdict(counted, now=counted.taken_at, beat_age=0.0)
                assert shown.word == "STALE"
                assert f"At least {counted_rows(counted)} rows behind (counted " in shown.sentence[0]
                hrana.execute(server.url, [copied(2)])
                more = await watcher.until(lambda now: counted_rows(now) > counted_rows(counted))
                assert more.freshness.proof == counted.freshness.proof
                assert lag(more, "episodes").new == lag(counted, "episodes").new + 1
                # until it is counted again the number is of an earlier moment
                monkeypatch.setattr(schedule, "COUNT_GAP_S", 3600.0)
                hrana.execute(server.url, UNSEEN["an update in place"])
                past = await watcher.until(lambda now: behind_now(now) is None)
                told = verdict(past, now=past.taken_at, beat_age=0.0).sentence[0]
                assert f"At least {counted_rows(more)} rows behind (counted " in told
                assert "; the primary has changed since" in told


def counted_rows(snapshot: Snapshot) -> int:
    found = snapshot.freshness.behind
    return found.was.rows if found is not None and not found.was.complete else 0


async def test_in_sync_is_not_said_of_a_primary_that_was_seen_to_change_during_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polls go on while a run is active; what they saw is not answered by its end."""
    generate(tmp_path / "primary.db", 7, 60)
    with Sqld(tmp_path / "primary.db") as server:
        settings = msgspec.structs.replace(settings_for(server, tmp_path), poll_s=600.0, max_episodes_cache=500)
        async with running(settings) as (service, watcher):
            episodes = cached(await watcher.until(proven), "episodes") or 0
            await watcher.until(lambda now: bool(now.primary.pings))
            late = [3]

            async def written_to(*args: Any, **kwargs: Any) -> Outcome:
                outcome = await perform(*args, **kwargs)
                if late:
                    hrana.execute(server.url, [copied(late.pop())])
                    await service._primary.fingerprint()
                return outcome

            monkeypatch.setattr(worker, "perform", written_to)
            seen = len(watcher.snapshots)
            hrana.execute(server.url, [copied(1)])
            service._primary.ping_now()
            await watcher.until(lambda now: proven(now) and cached(now, "episodes") == episodes + 2)
            told = [(now.verdict, cached(now, "episodes")) for now in watcher.snapshots[seen:]]
            assert (Word.IN_SYNC, episodes + 1) not in told, told
            assert (Word.STALE, episodes + 1) in told, told


@pytest.mark.parametrize(
    ("status", "actual", "stands"),
    [(CheckStatus.PASS, 896, True), (CheckStatus.PASS, 895, True), (CheckStatus.FAIL, 895, False)],
)
def test_a_check_that_a_run_did_not_make_keeps_its_result_and_its_time(
    status: CheckStatus, actual: int, stands: bool
) -> None:
    """A rejected row is missing all along, whoever follows; what did not pass was of another file."""
    snapshot = scenes.scene("in_sync").snapshot
    was = CheckResult("episode_count", Found(Check("episode_count", status, 896, actual), scenes.OF_BOTH, 90.0))
    told = Check("episode_count", CheckStatus.PASS, None, None, "at the last proof", made_at=80.0)
    later = replace(scenes.FILE, mtime_ns=1)
    both = Basis(later, scenes.STAND)

    def shown(checks: tuple[CheckResult, ...], **followed: TableChange) -> CheckResult:
        outcome = Outcome("sync", Word.IN_SYNC, 0, checks=(told,), applied=followed)
        before = replace(snapshot, checks=checks)
        (one,) = snapshots_of_core.checks_after(before, outcome, both, lambda _: (), 100.0)
        return one

    kept = shown((was,))
    assert kept.found.was == was.found.was
    assert kept.found.at == 90.0
    assert (kept.found.now(both) is not None) == stands
    assert shown((was,), patterns=TableChange(3), episodes=TableChange(update=2)) == kept
    counted = shown((was,), episodes=TableChange(600, remove=4)).found
    assert (counted.was.status, counted.at) == (status, 90.0)
    more = 596 if stands else 0
    assert (counted.was.expected, counted.was.actual) == (896 + more, actual + more), "with what was followed since"
    counts = {"episodes": TableCounts(cache=actual + 600, refused=4)}
    outcome = Outcome("sync", Word.IN_SYNC, 0, checks=(told,), applied={"episodes": TableChange(600)}, counts=counts)
    (other,) = snapshots_of_core.checks_after(replace(snapshot, checks=(was,)), outcome, both, lambda _: (), 100.0)
    assert other.found.was.actual == (None if stands else actual), "others are rejected: how many pass is not known"
    for checks in ((), (replace(was, found=replace(was.found, at=70.0)),)):
        assert shown(checks).found == Found(told, both, 80.0), "the proof came later, and is what is known"
