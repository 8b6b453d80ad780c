"""The console is closed while a run is in some phase: the core ends, and the file is the old one or the new one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.service import performing
from storage_sync.service.effective_settings import Configuration
from storage_sync.service.operations import Operation, Sync
from storage_sync.service.performing import once
from storage_sync.service.service import SyncService
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.progress import Progress
from storage_sync.sync.session import Session
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import Phase, Run
from tests.independent.projection_check import check
from tests.support.command import fingerprint

NOW = 1_795_392_000.0
LIMIT_S = 20.0
LATE = (Phase.READ_BACK, Phase.WITNESS)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.HISTORY])
@pytest.mark.parametrize("how", ["asked", "cancelled"])
async def test_it_ends_in_each_phase(phase: Phase, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    settings = Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir, poll_s=60.0)
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    demo.grow(3, NOW)
    before = fingerprint(demo.cache)

    def stopping(progress: Progress) -> Progress:
        def watch(run: Run) -> None:
            progress(run)
            if run.step == phase and run.ended_at is None:
                if how == "asked":
                    service.request_stop()
                else:
                    task.cancel()

        return watch

    async def perform(
        session: Session,
        operation: Operation,
        request: Request,
        progress: Progress,
        cancel: Cancel,
        **given: Any,
    ) -> Outcome:
        return await performing.perform(session, operation, request, stopping(progress), cancel, **given)

    monkeypatch.setattr("storage_sync.service.worker.perform", perform)
    service = SyncService(Configuration(settings), publish=lambda _: None, emit=lambda _: None)
    task = asyncio.create_task(service.run())
    async with asyncio.timeout(LIMIT_S):
        await asyncio.wait({task})
    after = fingerprint(demo.cache)
    if phase in LATE:
        assert after != before
    elif phase is not Phase.COMMIT:
        assert after == before
    if after != before:
        assert check(demo.primary, demo.cache).holds(exact=True)
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
