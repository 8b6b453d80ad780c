"""No state folder: what only the cache holds must not go, since there is nowhere to keep it."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.values.outcome import Word
from tests.support import stores
from tests.support.command import fingerprint


async def test_rows_that_the_primary_lost_stay_where_they_cannot_be_quarantined(tmp_path: Path) -> None:
    primary = stores.primary("v47-small", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    stores.execute(primary, ["DELETE FROM heuristics WHERE heuristic_id = (SELECT min(heuristic_id) FROM heuristics)"])
    (tmp_path / "file").touch()
    before = fingerprint(tmp_path / "cache.redb")
    outcome = await once(Sync(), Request(replace(settings, state_dir=tmp_path / "file"), None))
    assert (outcome.exit_code, outcome.verdict) == (8, Word.UNKNOWN)
    assert outcome.error is not None
    assert outcome.error.message.startswith(f"the state folder {tmp_path / 'file'} cannot be used: ")
    assert outcome.next_action == "rows that only the cache holds would be lost; give --state-dir"
    assert fingerprint(tmp_path / "cache.redb") == before
