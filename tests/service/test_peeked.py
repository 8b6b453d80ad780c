"""What the picture says after a look at a copy, after redb's own check, and of what makes syncs cheaper."""

from __future__ import annotations

from pathlib import Path

import msgspec

from storage_sync import _native
from storage_sync.demo.demo import Demo
from storage_sync.service.commands import Do, Pause, SetAccess, TryNow
from storage_sync.service.operations import Peek, Verify
from storage_sync.values.events import Answer
from storage_sync.values.found import still
from storage_sync.values.outcome import CacheState, CheckStatus, Outcome, Word
from storage_sync.values.snapshot import LockState
from tests.service.test_service import NOW, proven, running, settings_of


async def test_a_peek_shows_facts_of_the_copy_and_judges_nothing(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=8, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        before = await watcher.until(proven)
        assert before.cache.peek is None
        assert before.cache.integrity is not None, "the first sync made the file"
        watcher.ask(service, Pause(True))
        held = _native.CacheFile.open(str(demo.cache), "write")
        try:
            answer = await watcher.answer(watcher.ask(service, Do(Peek())))
            assert isinstance(answer, Answer)
            assert isinstance(answer.value, Outcome)
            assert answer.value.verdict is not Word.IN_SYNC
            seen = await watcher.until(lambda snapshot: snapshot.cache.peek is not None)
            watcher.ask(service, TryNow())
            locked = await watcher.until(lambda snapshot: snapshot.cache.lock is LockState.OTHER)
        finally:
            held.close()
        assert CacheState.LOCKED_EXCLUSIVE in locked.cache.states
        assert seen.cache.peek is not None
        assert seen.cache.peek.attempts >= 1
        assert 0 <= seen.taken_at - seen.cache.peek.copied_at < 60
        assert seen.cache.integrity is not None
        assert seen.cache.integrity.was.status is CheckStatus.PASS
        assert seen.cache.integrity.at > before.cache.integrity.at
        assert still(seen.cache.generation, seen.present) == 1
        subjects = {result.name: result.subject for result in seen.checks}
        assert subjects["cache_integrity"] == "copy"
        assert subjects["episode_count"] == "file", "what a copy cannot say stays as it was"
        assert seen.freshness.proof == before.freshness.proof


async def test_a_deep_check_is_dated_and_a_quick_one_keeps_its_date(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        first = await watcher.until(proven)
        watcher.ask(service, Pause(True))
        await watcher.answer(watcher.ask(service, Do(Verify(deep=True))))
        await watcher.until(lambda snapshot: snapshot.cache.integrity != first.cache.integrity)
        deep = watcher.snapshots[-1]
        await watcher.answer(watcher.ask(service, Do(Verify())))
        quick = watcher.snapshots[-1]
        assert quick.cache.integrity == deep.cache.integrity
        checks = [{one.name: one.found for one in shown.checks}["cache_integrity"] for shown in (deep, quick)]
        assert checks[0] == checks[1], "one that was left out says nothing new"


async def test_a_console_that_looks_only_says_when_it_compares(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        writing = await watcher.until(lambda snapshot: snapshot.freshness.next_sync_at is not None)
        assert writing.freshness.next_compare_at is None
        watcher.ask(service, SetAccess("ro"))
        looking = await watcher.until(lambda snapshot: snapshot.freshness.next_compare_at is not None)
        assert looking.freshness.next_sync_at is None


async def test_advice_is_in_the_picture(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=30, now=int(NOW))
    hectic = msgspec.structs.replace(settings_of(demo), interval_s=0.001)
    async with running(hectic) as (_, watcher):
        seen = await watcher.until(lambda snapshot: bool(snapshot.advice))
    assert seen.advice[0].setting == "max_episodes_cache"
    assert seen.advice[0].suggested < 30
