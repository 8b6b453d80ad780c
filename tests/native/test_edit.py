"""`edit`: single rows, with and without our own tables."""

from __future__ import annotations

from tests.support.values import altered
from pathlib import Path

from storage_sync import _native
from storage_sync.demo.demo import Demo
from tests.support.command import Tool

KEY = "ffffffff-0000-4000-8000-000000000009"
OURS = ("storage_sync_meta", "storage_sync_digest", "storage_sync_quarantine")


def test_without_a_generation_our_tables_stay_as_they_are(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=1_795_392_000)
    tool = Tool.at(tmp_path / "tool", f"file:{demo.primary}")
    tool.sync()
    cache = str(tool.cache)

    def ours() -> dict[str, list[tuple[str, bytes]]]:
        file = _native.CacheFile.open(cache, "read")
        try:
            return {table: file.page(table, None, 10_000) for table in OURS}
        finally:
            file.close()

    before = ours()
    file = _native.CacheFile.open(cache, "read")
    ((_, value),) = file.page("heuristics", None, 1)
    file.close()
    value = altered("heuristics", value, heuristic_id=KEY)
    applied = _native.edit(cache, [("heuristics", KEY, None, value)], {}, None, 0)
    assert (applied.commits, applied.rows_written) == (1, 1)
    assert ours() == before
    document = tool.sync()
    assert document["counts"]["heuristics"]["cache_only"] == 1
