"""A run says what it wrote into the cache."""

from __future__ import annotations

from pathlib import Path

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.values.outcome import CacheWrites
from tests.support import stores


async def test_the_transactions_and_their_octets_are_counted(tmp_path: Path) -> None:
    database = stores.primary("small", tmp_path)
    settings = Settings(primary=f"file:{database}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    first = await once(Sync(), Request(settings, None))
    stores.execute(database, ["UPDATE heuristics SET confidence = 0.5 WHERE rowid = 1"])
    later = await once(Sync(), Request(settings, None))
    quiet = await once(Sync(), Request(settings, None))
    assert later.cache_writes.commits >= 1
    assert 0 < later.cache_writes.bytes < first.cache_writes.bytes < (tmp_path / "cache.redb").stat().st_size
    assert quiet.cache_writes == CacheWrites()
