"""What the pulse does between two pings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from storage_sync.cache.states import FileJudgement, judge_file
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.primary.source import Fingerprint, LocalSource
from storage_sync.service import monitor
from storage_sync.service.monitor import Ears, Pulse
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.service.publisher import Board
from storage_sync.service.triggers import Agenda
from storage_sync.sync.session import Session
from storage_sync.values.outcome import CacheState
from storage_sync.values.snapshot import CoreBeat, PrimaryStatus, Snapshot


def pulse_of(
    settings: Settings, pinged: Callable[[float | None], None] = lambda _: None
) -> tuple[Pulse, Board, list[Snapshot]]:
    """And all that it shows."""
    ears = Ears(
        settings=lambda: settings,
        budget=lambda: None,
        pinged=pinged,
        committing=lambda: False,
        replacing=lambda: False,
        reload=lambda: None,
        explained=lambda _, error: pytest.fail(str(error)),
        taken=lambda _: None,
    )
    shown: list[Snapshot] = []
    board = Board(Snapshot(0, 0.0, CoreBeat(0.0)), shown.append, lambda _: None)
    return Pulse(Session(settings, None), board, Agenda(), ears, None, asyncio.Event()), board, shown


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
    pulse, _, _ = pulse_of(settings)
    pinging = asyncio.create_task(pulse.ping())
    await enough.wait()
    pinging.cancel()
    assert done[:6] == ["ping", "look"] * 3


async def test_what_was_there_before_a_run_ended_is_not_said_of_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first sync ends while the file is looked at: there is a cache, whatever the look has found."""
    demo = Demo.create(tmp_path, episodes=5)
    settings = Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir)
    await once(Sync(), Request(settings, None))
    later = demo.cache.rename(tmp_path / "later")

    def look(path: str, **given: Any) -> FileJudgement:
        judgement = judge_file(path, **given)
        if later.exists():
            later.rename(path)
        return judgement

    monkeypatch.setattr(monitor, "judge_file", look)
    pulse, board, shown = pulse_of(settings)
    await pulse.look_at_file()
    board.flush(now=True)
    assert shown[-1].cache.states == (CacheState.CLEAN,)
    assert not any(CacheState.ABSENT in snapshot.cache.states for snapshot in shown)


async def test_a_ping_that_ends_after_a_run_keeps_what_the_run_told_of_the_primary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = Demo.create(tmp_path, episodes=5)
    settings = Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir)
    answered = asyncio.Event()
    pulse, board, _ = pulse_of(settings, lambda _: answered.set())
    ask = LocalSource.fingerprint

    async def fingerprint(source: LocalSource) -> Fingerprint:
        found = await ask(source)
        board.update(primary=replace(board.snapshot.primary, epoch=7))
        return found

    monkeypatch.setattr(LocalSource, "fingerprint", fingerprint)
    pinging = asyncio.create_task(pulse.ping())
    await answered.wait()
    pinging.cancel()
    assert (board.snapshot.primary.status, board.snapshot.primary.epoch) == (PrimaryStatus.CONNECTED, 7)
