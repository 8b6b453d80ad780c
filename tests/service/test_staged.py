"""A file that another process holds: the new one is staged through a plan, and put in place once it is free."""

from __future__ import annotations

from pathlib import Path

from storage_sync import _native
from storage_sync.demo.demo import Demo
from storage_sync.service.commands import ListBuilds, Pause
from storage_sync.service.operations import Rebuild
from storage_sync.values.answers import UnfinishedBuild
from storage_sync.values.events import Answer
from storage_sync.values.options import Options
from storage_sync.values.outcome import Word
from tests.service.test_jobs import executed, planned
from tests.service.test_service import NOW, proven, running, settings_of


async def test_a_held_file_is_staged_and_swapped_later(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=12, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        held = _native.CacheFile.open(str(demo.cache), "write")
        try:
            before = demo.cache.stat().st_ino
            plan = await planned(service, watcher, Rebuild(), Options(stage_only=True))
            assert plan.phrase is None, "nothing is replaced yet"
            assert "the cache is held by another process, and needs no repair" in plan.lost
            staged = await executed(service, watcher, plan)
            assert staged.error is None
            assert "staged" in staged.extra
            assert demo.cache.stat().st_ino == before
        finally:
            held.close()
        answer = await watcher.answer(watcher.ask(service, ListBuilds()))
        assert isinstance(answer, Answer)
        assert isinstance(answer.value, tuple)
        assert [type(build) for build in answer.value] == [UnfinishedBuild]
        swap = await planned(service, watcher, Rebuild())
        assert swap.phrase == "default"
        done = await executed(service, watcher, swap)
        assert done.verdict is Word.IN_SYNC
        assert demo.cache.stat().st_ino != before
        answer = await watcher.answer(watcher.ask(service, ListBuilds()))
        assert isinstance(answer, Answer)
        assert answer.value == ()
