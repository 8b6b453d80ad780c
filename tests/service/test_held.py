"""The core beside a process that holds the cache: it goes on looking, says of what, and writes when it is free."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest

from console.views.states import behind_now, changed_since, generation_now, rewritten, rows_behind
from console.views.verdict import verdict
from storage_sync import _native
from storage_sync.cache import servers
from storage_sync.config.request import Request
from storage_sync.demo.beginning import begin
from storage_sync.demo.demo import Demo
from storage_sync.reports.metric_facts import facts_of, seen_now
from storage_sync.reports.metrics import Facts, render
from storage_sync.reports.status import status_quick
from storage_sync.service import schedule
from storage_sync.sync import compare
from storage_sync.values.events import LogLine, RunEnded, RunStarted
from storage_sync.values.outcome import HolderKind, Outcome, Word
from storage_sync.values.snapshot import Behind, LockState, Snapshot
from tests.independent.projection_check import check
from tests.service.test_service import NOW, Watcher, cached, proven, running, settings_of
from tests.support import stores
from tests.support.processes import DO_MEMORY, HOLD_LOCK, WITHOUT_CACHE, holding, written_by_holder
from tests.support.processes import running as process
from tests.support.values import altered
from widgets.glyphs import Role


def outcomes(watcher: Watcher) -> list[Outcome]:
    return [event.outcome for event in watcher.events if isinstance(event, RunEnded)]


def failures(watcher: Watcher) -> list[LogLine]:
    return [event for event in watcher.events if isinstance(event, LogLine) and event.level == "fail"]


def looked_at_a_copy(snapshot: Snapshot) -> bool:
    return snapshot.cache.look is not None and snapshot.cache.look.of == "copy" and not changed_since(snapshot)


def drop_a_row(cache: Path) -> None:
    """As do-memory does it: our ledger stays as it is."""
    file = _native.CacheFile.open(str(cache), "private")
    ((key, value),) = file.page("heuristics", None, 1)
    file.close()
    _native.edit(str(cache), [("heuristics", key, _native.digest("blake3", value), None)], {}, None, 0)


async def test_a_held_cache_is_compared_at_the_start_and_synced_when_it_is_free(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    with holding(demo.cache) as holder:
        async with running(settings_of(demo)) as (_, watcher):
            seen = await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            assert seen.cache.lock is LockState.OTHER
            assert seen.cache.look is not None
            assert [(one.pid, one.kind) for one in seen.cache.look.held_by] == [(holder.pid, HolderKind.DO_MEMORY)]
            assert "HELD" in seen.states
            assert not {"REPAIRED", "UNCLEAN"} & set(seen.states)
            demo.grow(3, NOW)
            behind = await watcher.until(lambda now: now.verdict is Word.STALE)
            assert behind.cache.lock is LockState.OTHER
            holder.kill()
            holder.wait()
            done = await watcher.until(lambda now: proven(now) and cached(now, "episodes") == 13)
            assert done.cache.lock is LockState.FREE
        assert failures(watcher) == []
        assert {outcome.exit_code for outcome in outcomes(watcher)} <= {0, 6}


def lag(snapshot: Snapshot, table: str) -> Behind:
    """What was found last, whether it holds or not."""
    assert snapshot.freshness.behind is not None
    return snapshot.freshness.behind.was.tables[table]


async def test_a_primary_that_changes_is_counted_at_most_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    real = compare.project

    async def project(*arguments: object) -> object:
        asked.append(0.0)
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("storage_sync.sync.waiting.project", project)
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    monkeypatch.setattr(schedule, "PROOF_GAP_S", 0.0)
    with holding(demo.cache):
        async with running(settings_of(demo)) as (_, watcher):
            await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            demo.grow(3, NOW)
            seen = await watcher.until(lambda now: now.verdict is Word.STALE and rows_behind(now) > 0)
            assert lag(seen, "episodes").new == 3
            monkeypatch.setattr(schedule, "PROOF_GAP_S", 3600.0)
            proofs = len(asked)
            demo.grow(2, NOW)
            moved = await watcher.until(lambda now: now.verdict is Word.STALE and behind_now(now) is None)
            written_by_holder(demo.cache, drop_a_row)
            written = await watcher.until(lambda now: rewritten(now) == 1)
            assert written.verdict is Word.STALE, "the primary may have what its holder wrote"
            assert len(asked) == proofs
            assert lag(moved, "episodes").new == 3
            # what was written since the proof is counted without another one
            await watcher.until(lambda now: rewritten(now) == 1 and lag(now, "episodes").new == 5)
            assert len(asked) == proofs


async def test_what_the_holder_writes_is_judged_by_the_last_comparison(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    with process(HOLD_LOCK, demo.cache):
        async with running(settings_of(demo)) as (_, watcher):
            before = await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            written_by_holder(demo.cache, lambda copy: None)
            past = await watcher.until(lambda now: changed_since(now))
            assert past.verdict is Word.UNKNOWN
            again = await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            assert again.freshness.proof == before.freshness.proof, "the primary was not asked"
            written_by_holder(demo.cache, drop_a_row)
            drift = await watcher.until(lambda now: now.verdict is Word.DRIFT)
            assert lag(drift, "heuristics").new == 1
        runs = [event for event in watcher.events if isinstance(event, RunStarted)]
        assert [run.kind for run in runs] == ["sync"]


async def test_what_is_excepted_from_a_proof_stays_excepted_when_the_holder_touches_the_file(tmp_path: Path) -> None:
    """A rejected row and failed checks: a new copy with the same rows has them too."""
    demo = Demo.create(tmp_path, episodes=10)
    await asyncio.to_thread(begin, demo)
    with process(HOLD_LOCK, demo.cache):
        async with running(settings_of(demo)) as (_, watcher):
            before = await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            told = verdict(before, now=before.taken_at, beat_age=0.0)
            assert (told.word, told.role) == ("IN SYNC", Role.ATTENTION)
            assert ", except for 1 rejected row; 2 checks failed" in told.sentence[1]
            for _ in range(2):
                written_by_holder(demo.cache, lambda copy: None)
                await watcher.until(lambda now: changed_since(now))
                again = await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
                after = verdict(again, now=again.taken_at, beat_age=0.0)
                assert (after.word, after.role, after.exit_code) == (told.word, told.role, told.exit_code)
                assert ", except for 1 rejected row; 2 checks failed" in after.sentence[1]
            assert not [
                one
                for one in (verdict(one, now=one.taken_at, beat_age=0.0) for one in watcher.snapshots)
                if one.word == "IN SYNC" and one.role is Role.OK
            ]


async def test_copies_that_start_by_themselves_keep_within_their_hour(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    settings = msgspec.structs.replace(settings_of(demo), copy_bytes_per_hour=1 << 20)
    with process(HOLD_LOCK, demo.cache):
        async with running(settings) as (_, watcher):
            await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            while watcher.snapshots[-1].cache.waits_until is None:
                written_by_holder(demo.cache, lambda copy: None)
                await watcher.until(lambda now: changed_since(now))
                await watcher.until(lambda now: now.cache.waits_until is not None or looked_at_a_copy(now))
            held_back = watcher.snapshots[-1]
            assert held_back.cache.waits_until is not None
            assert held_back.cache.waits_until > held_back.taken_at + 3000
            assert held_back.cache.copied_bytes > 0
            facts = seen_now(Facts(), held_back, held_back.verdict, held_back.taken_at)
            told = render(facts).decode()
            assert "storage_sync_copies_wait_until_timestamp_seconds" in told
            assert "storage_sync_copied_bytes_last_hour" in told
            said = [one.text for one in watcher.events if isinstance(one, LogLine) and one.level == "warn"]
            assert any("copy_bytes_per_hour" in text for text in said)


async def test_a_lock_that_nobody_is_listed_for_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of another container has it: only our commit finds out."""
    monkeypatch.setattr("storage_sync.cache.lease.lock_holders", lambda path: ())
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    demo.grow(1, NOW)
    with holding(demo.cache):
        async with running(settings_of(demo)) as (_, watcher):
            seen = await watcher.until(lambda now: now.cache.lock is LockState.OTHER)
            assert seen.cache.holder is not None
            assert seen.cache.holder.kind is HolderKind.UNLISTED
            told = outcomes(watcher)[0].error
            assert told is not None
            assert "in another container" in told.message
            assert "on the host" in told.hint
            assert failures(watcher) == []


FIRST = "episode_id = (SELECT min(episode_id) FROM episodes)"
REWRITTEN = (
    "CREATE TEMP TABLE one AS SELECT * FROM episodes ORDER BY episode_id LIMIT 1",
    "UPDATE one SET task_description = 'rewritten'",
    # do-memory replaces what it rewrites
    "INSERT OR REPLACE INTO episodes SELECT * FROM one",
)


def change_a_row(cache: Path) -> None:
    """An episode with another text, as do-memory rewrites it."""
    file = _native.CacheFile.open(str(cache), "private")
    ((key, value),) = file.page("episodes", None, 1)
    file.close()
    changed = altered("episodes", value, task_description="rewritten")
    _native.edit(str(cache), [("episodes", key, _native.digest("blake3", value), changed)], {}, None, 0)


async def test_rows_that_the_holder_wrote_to_both_stores_are_no_drift(tmp_path: Path) -> None:
    """Until they are compared with the primary: it has moved, and whether it has the same is not known."""
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    with process(HOLD_LOCK, demo.cache):
        async with running(settings_of(demo)) as (_, watcher):
            await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            stores.execute(demo.primary, REWRITTEN)
            written_by_holder(demo.cache, change_a_row)
            seen = await watcher.until(lambda now: rewritten(now) == 1)
            assert seen.verdict is Word.STALE
            assert Word.DRIFT not in {one.verdict for one in watcher.snapshots}


async def test_rows_that_only_the_cache_has_rewritten_are_drift(tmp_path: Path) -> None:
    """The primary was asked after the copy was made, and is what it was; once it moves that is not known any more."""
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    with process(HOLD_LOCK, demo.cache):
        async with running(settings_of(demo)) as (_, watcher):
            before = await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            saved = shutil.copyfile(demo.cache, tmp_path / "saved.redb")
            written_by_holder(demo.cache, change_a_row)
            seen = await watcher.until(lambda now: now.verdict is Word.DRIFT)
            assert (rewritten(seen), lag(seen, "episodes").changed) == (1, 1)
            written_by_holder(demo.cache, lambda copy: shutil.copyfile(saved, copy))
            again = await watcher.until(lambda now: proven(now) and not rewritten(now))
            assert again.freshness.proof == before.freshness.proof
            written_by_holder(demo.cache, change_a_row)
            await watcher.until(lambda now: now.verdict is Word.DRIFT)
            demo.grow(1, NOW)
            await watcher.until(lambda now: now.verdict is Word.STALE)


async def test_rewritten_rows_are_unknown_while_the_primary_is_away(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    with process(HOLD_LOCK, demo.cache):
        async with running(settings_of(demo)) as (_, watcher):
            await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            demo.primary.rename(tmp_path / "away")
            written_by_holder(demo.cache, change_a_row)
            seen = await watcher.until(lambda now: rewritten(now) == 1)
            assert seen.verdict is Word.UNKNOWN
            assert Word.DRIFT not in {one.verdict for one in watcher.snapshots}


async def test_a_server_that_runs_without_its_cache_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SETTLE_S", 0.0)
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    monkeypatch.setenv("REDB_CACHE_PATH", str(demo.cache))
    async with running(settings_of(demo)) as (_, watcher):
        await watcher.until(proven)
        with process(WITHOUT_CACHE, name=DO_MEMORY) as server:
            seen = await watcher.until(lambda now: bool(now.cache.memory_only))
            assert [one.pid for one in seen.cache.memory_only] == [server.pid]
            told = facts_of(status_quick(Request(settings_of(demo), None)), settings_of(demo), tmp_path / "none", print)
            assert told.memory_only == 1
        await watcher.until(lambda now: not now.cache.memory_only)


async def test_rows_that_the_primary_has_too_are_proven_and_stay_so_until_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only our ledger lacks them, and the next run that finds the file free lists them."""
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    async with running(settings_of(demo)) as (_, first):
        await first.until(proven)
    monkeypatch.setattr(schedule, "PROOF_GAP_S", 0.0)
    with process(HOLD_LOCK, demo.cache) as holder:
        async with running(settings_of(demo)) as (_, watcher):
            await watcher.until(lambda now: proven(now) and looked_at_a_copy(now))
            before = shutil.copyfile(demo.cache, tmp_path / "before.redb")
            stores.execute(demo.primary, [f"UPDATE episodes SET task_description = 'rewritten' WHERE {FIRST}"])
            written_by_holder(demo.cache, change_a_row)
            equal = await watcher.until(lambda now: proven(now) and "LOCAL_DRIFT" in now.states)
            assert equal.cache.waiting is None
            monkeypatch.setattr(schedule, "PROOF_GAP_S", 3600.0)
            written_by_holder(demo.cache, lambda copy: None)
            again = await watcher.until(lambda now: proven(now) and looked_at_a_copy(now) and now.seq > equal.seq)
            assert rewritten(again) == 0
            written_by_holder(demo.cache, lambda copy: shutil.copyfile(before, copy))
            older = await watcher.until(lambda now: rewritten(now) == 1)
            assert older.verdict is Word.DRIFT
            written_by_holder(demo.cache, change_a_row)
            await watcher.until(lambda now: proven(now) and not rewritten(now))
            holder.kill()
            holder.wait()
            await watcher.until(
                lambda now: proven(now) and now.cache.lock is LockState.FREE and generation_now(now) == 2
            )
    assert check(demo.primary, demo.cache).holds()
