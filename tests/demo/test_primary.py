"""The demo's primary is read slowly where many rows arrived, and as fast as any file otherwise."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest

from storage_sync.config.load import load_settings
from storage_sync.config.request import Request
from storage_sync.demo.demo import Demo
from storage_sync.demo.primary import WATCHED_S, DemoSource
from storage_sync.demo.troubles import MANY
from storage_sync.service.operations import Sync
from storage_sync.service.performing import perform
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Session
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import Phase, Run


async def test_a_sync_of_many_rows_can_be_watched_and_no_other_waits(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, 3, 60)
    request = Request(load_settings(demo.config_file, None, {}, {}).settings, None)
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    session = Session(request.settings, None, source=DemoSource(demo, pause))

    async def synced() -> list[Run]:
        waited.clear()
        seen: list[Run] = []
        outcome = await perform(session, Sync(), request, seen.append, Cancel())
        assert outcome.verdict is Word.IN_SYNC
        return [run for run in seen if run.step == Phase.FETCH]

    try:
        await synced()
        assert waited == []
        demo.grow(MANY, time.time())
        fetched = await synced()
        assert sum(waited) == pytest.approx(WATCHED_S, rel=0.1)
        assert max(waited) < 0.25
        assert len({run.done for run in fetched}) >= len(waited)
        assert all(one.done <= other.done for one, other in pairwise(fetched))
        await synced()
        assert waited == []
    finally:
        await session.close()
