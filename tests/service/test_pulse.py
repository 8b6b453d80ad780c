"""What the pulse does between two pings."""

from __future__ import annotations

import asyncio

import pytest

from storage_sync.config.settings import Settings
from storage_sync.service.monitor import Ears, Pulse
from storage_sync.service.publisher import Board
from storage_sync.service.triggers import Agenda
from storage_sync.sync.session import Session
from storage_sync.values.snapshot import CoreBeat, Snapshot


async def test_the_file_is_looked_at_once_a_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(poll_s=0.001)
    done: list[str] = []
    enough = asyncio.Event()

    async def ping(_: Pulse) -> None:
        done.append("ping")

    async def look(_: Pulse) -> None:
        done.append("look")
        if len(done) >= 6:
            enough.set()

    monkeypatch.setattr(Pulse, "_ping_once", ping)
    monkeypatch.setattr(Pulse, "_look", look)
    ears = Ears(
        settings=lambda: settings,
        budget=lambda: None,
        pinged=lambda _: None,
        committing=lambda: False,
        replacing=lambda: False,
        reload=lambda: None,
        explained=lambda _, error: pytest.fail(str(error)),
        taken=lambda _: None,
    )
    board = Board(Snapshot(0, 0.0, CoreBeat(0.0)), lambda _: None, lambda _: None)
    pulse = Pulse(Session(settings, None), board, Agenda(), ears, None, asyncio.Event())
    pinging = asyncio.create_task(pulse.ping())
    await enough.wait()
    pinging.cancel()
    assert done[:6] == ["ping", "look"] * 3
