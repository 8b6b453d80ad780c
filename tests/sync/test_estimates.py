"""The first proof against a primary is preceded by what watching it costs."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.values.options import USUAL
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import Run
from tests.support import stores
from tests.support.sqld import Sqld


async def test_the_first_sync_says_what_watching_costs_and_the_next_does_not(tmp_path: Path) -> None:
    with Sqld(stores.primary("v47-small", tmp_path / "primary")) as server:
        settings = Settings(primary=server.url, cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
        seen: list[Run] = []
        request = Request(settings, None, replace(USUAL, estimates=True))
        first = await once(Sync(), request, seen.append)
        again = await once(Sync(), request)
    assert (first.verdict, again.verdict) == (Word.IN_SYNC, Word.IN_SYNC)
    assert isinstance(first.extra["costs"], dict)
    assert any(note.startswith("what watching this primary costs: ") for note in seen[-1].notes)
    assert "costs" not in again.extra
