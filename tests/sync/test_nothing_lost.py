"""What a sync takes out of the cache, and the primary cannot give back, is quarantined."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.state.quarantine import SetAside
from storage_sync.values.options import Options
from storage_sync.values.outcome import Word
from tests.independent.projection_check import check
from tests.independent.redb_reader import RedbFile
from tests.support import stores

NOW = 1_795_392_000.0


def rows(cache: Path, table: str) -> dict[str, bytes]:
    return {key.decode(): bytes(value) for key, value in RedbFile(cache).rows(table)}


def aside(state: Path) -> dict[tuple[str, str], tuple[bytes, str]]:
    folder = next(state.rglob("set-aside"))
    with SetAside.open(folder) as store:
        found = store.rows(limit=1000)
        return {(row.table, row.key): (value.value, row.reason) for row in found if (value := store.show(row.id))}


async def test_what_do_memory_had_otherwise_at_first_contact(tmp_path: Path) -> None:
    cache, primary = stores.cache("small", tmp_path), stores.primary("small", tmp_path)
    before = rows(cache, "heuristics")
    stores.execute(primary, ["UPDATE heuristics SET action_text = action_text || '!'"])
    settings = Settings(primary=f"file:{primary}", cache=cache, state_dir=tmp_path / "state")
    outcome = await once(Sync(), Request(settings, None))
    assert outcome.verdict is Word.IN_SYNC, outcome.error
    assert check(primary, cache).holds()
    kept = aside(tmp_path / "state")
    assert before
    for key, value in before.items():
        assert kept[("heuristics", key)] == (value, "local change replaced")


async def test_what_do_memory_wrote_between_two_syncs(tmp_path: Path) -> None:
    """Replaced by the primary's row, or gone with its row out of the window: the bytes are kept."""
    demo = Demo.create(tmp_path, episodes=12, now=int(NOW))
    settings = Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir)
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    first = rows(demo.cache, "episodes")
    stores.execute(demo.primary, ["UPDATE episodes SET task_description = 'now ' || task_description"])
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    generation = 7
    newest, oldest = (
        str(stores.select(demo.primary, f"SELECT episode_id FROM episodes ORDER BY start_time {way}, episode_id")[0][0])
        for way in ("DESC", "ASC")
    )
    now = rows(demo.cache, "episodes")
    changes = [("episodes", key, _native.digest("blake3", now[key]), first[key]) for key in (newest, oldest)]
    meta = _meta(demo.cache)
    _native.edit(str(demo.cache), changes, meta, generation, int(NOW * 1000))
    narrow = msgspec.structs.replace(settings, max_episodes_cache=6)
    outcome = await once(Sync(), Request(narrow, None, Options(allow_shrink=True)))
    assert outcome.verdict is Word.IN_SYNC, outcome.error
    assert check(demo.primary, demo.cache, window=6).holds()
    kept = aside(demo.state_dir)
    assert kept[("episodes", newest)] == (first[newest], "local change replaced")
    assert kept[("episodes", oldest)] == (first[oldest], "left the window with a local change")
    assert len([key for table, key in kept if table == "episodes"]) == 2, "rows as the primary has them just leave"


async def test_what_a_killed_run_took_out_of_a_file_that_is_gone(tmp_path: Path) -> None:
    """Killed between its commit and the confirmation; then the file was lost: the pending rows are all there is."""
    demo = Demo.create(tmp_path, episodes=12, now=int(NOW))
    settings = Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir)
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    first = "(SELECT min(heuristic_id) FROM heuristics)"
    stores.execute(demo.primary, [f"DELETE FROM heuristics WHERE heuristic_id = {first}"])
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    kept = aside(demo.state_dir)
    assert [table for table, _ in kept] == ["heuristics"]
    with closing(sqlite3.connect(next(demo.state_dir.rglob("rows.db")))) as store, store:
        store.execute("UPDATE rows SET pending = 1")
    demo.cache.unlink()
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    assert aside(demo.state_dir) == kept


def _meta(cache: Path) -> dict[str, bytes]:
    file = _native.CacheFile.open(str(cache), "read")
    try:
        return file.meta()
    finally:
        file.close()
