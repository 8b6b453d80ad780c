"""What the core sees of both stores between its runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from storage_sync.cache.states import FileJudgement, judge_file
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.primary.source import Fingerprint, LocalSource
from storage_sync.service import cache_monitor
from storage_sync.service.cache_monitor import CacheMonitor
from storage_sync.service.effective_settings import Configuration
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.service.primary_monitor import PrimaryMonitor
from storage_sync.service.service import SyncService
from storage_sync.values.outcome import CacheState
from storage_sync.values.snapshot import PrimaryStatus, Snapshot


@contextmanager
def core(settings: Settings) -> Iterator[tuple[SyncService, list[Snapshot]]]:
    """One whose loops do not run, and all that it shows."""
    shown: list[Snapshot] = []
    service = SyncService(Configuration(settings), publish=shown.append, emit=lambda _: None)
    with service._journal.open():
        yield service, shown


def settings_of(demo: Demo) -> Settings:
    return Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir)


async def test_the_file_is_looked_at_once_a_ping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    enough = asyncio.Event()

    async def ping(_: PrimaryMonitor) -> None:
        done.append("ping")

    async def look(_: CacheMonitor) -> None:
        done.append("look")
        if len(done) >= 6:
            enough.set()

    monkeypatch.setattr(PrimaryMonitor, "_ping_once", ping)
    monkeypatch.setattr(CacheMonitor, "look", look)
    with core(Settings(poll_s=0.001, cache=tmp_path / "cache.redb", state_dir=tmp_path)) as (service, _):
        pinging = asyncio.create_task(service._primary.run())
        await enough.wait()
        pinging.cancel()
    assert done[:6] == ["ping", "look"] * 3


async def test_what_was_there_before_a_run_ended_is_not_said_of_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first sync ends while the file is looked at: there is a cache, whatever the look has found."""
    demo = Demo.create(tmp_path, episodes=5)
    settings = settings_of(demo)
    await once(Sync(), Request(settings, None))
    later = demo.cache.rename(tmp_path / "later")

    def look(path: str, **given: Any) -> FileJudgement:
        judgement = judge_file(path, **given)
        if later.exists():
            later.rename(path)
        return judgement

    monkeypatch.setattr(cache_monitor, "judge_file", look)
    with core(settings) as (service, shown):
        await service._cache.look_at_file()
        service._board.flush(now=True)
    assert shown[-1].cache.states == (CacheState.CLEAN,)
    assert not any(CacheState.ABSENT in snapshot.cache.states for snapshot in shown)


async def test_a_ping_that_ends_after_a_run_keeps_what_the_run_told_of_the_primary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = Demo.create(tmp_path, episodes=5)
    ask = LocalSource.fingerprint
    with core(settings_of(demo)) as (service, _):
        board = service._board

        async def fingerprint(source: LocalSource) -> Fingerprint:
            found = await ask(source)
            board.update(primary=replace(board.snapshot.primary, epoch=7))
            return found

        monkeypatch.setattr(LocalSource, "fingerprint", fingerprint)
        await service._primary._ping_once()
        assert (board.snapshot.primary.status, board.snapshot.primary.epoch) == (PrimaryStatus.CONNECTED, 7)
