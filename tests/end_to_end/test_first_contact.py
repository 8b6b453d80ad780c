"""A cache that do-memory wrote itself is taken over: equal rows stay as they are, its own rows stay at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.independent.projection_check import check
from tests.independent.redb_reader import RedbFile
from tests.independent.rust_types import CACHED
from tests.support import stores
from tests.support.command import Tool, fingerprint
from tests.support.sqld import Sqld


@pytest.fixture(params=sorted(stores.CACHES))
def taken(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Tool, Path]]:
    """The tool at a cache of do-memory's with the primary that belongs to it, and a copy of that primary."""
    primary = stores.primary(request.param, tmp_path)
    with Sqld(primary) as server:
        yield Tool.at(tmp_path / "tool", server.url, stores.cache(request.param, tmp_path / "cache")), primary


def bytes_of(cache: Path) -> dict[tuple[str, bytes], bytes]:
    file = RedbFile(cache)
    return {(table, key): value for table in CACHED for key, value in file.rows(table)}


def test_take_over(taken: tuple[Tool, Path]) -> None:
    tool, primary = taken
    wide = ("--window", "2000")
    before, judged = bytes_of(tool.cache), check(primary, tool.cache, window=2000)
    document = tool.sync(*wide)
    after, report = bytes_of(tool.cache), check(primary, tool.cache, window=2000)
    assert report.holds(), report.text()
    assert report.extra == judged.extra, "rows that only the cache has stay"
    touched = {(table, key) for table, rows in judged.differing.items() for key in rows}
    for (table, key), value in before.items():
        if (table, key.decode()) not in touched:
            assert after[table, key] == value, f"{table} {key.decode()} was equal and must stay byte-identical"
    for table, rows in judged.extra.items():
        assert document["counts"][table]["cache_only"] == len(rows)
    quiet = fingerprint(tool.cache)
    second = tool.sync(*wide)
    assert fingerprint(tool.cache) == quiet
    assert second["cache_writes"]["commits"] == 0


def test_merged_rows_keep_what_only_the_cache_has(tmp_path: Path) -> None:
    """An episode whose description changed keeps its applied patterns, its features and the order of its tags."""
    primary, cache = stores.primary("small", tmp_path), stores.cache("small", tmp_path / "cache")
    file = RedbFile(cache)
    rich = next(
        key.decode()
        for key, data in file.rows("episodes")
        if (value := CACHED["episodes"].whole(data))["applied_patterns"] and len(value["tags"]) > 1
    )
    old = CACHED["episodes"].whole(dict(file.rows("episodes"))[rich.encode()])
    stores.execute(primary, [f"UPDATE episodes SET task_description = 'changed' WHERE episode_id = '{rich}'"])
    Tool.at(tmp_path / "tool", f"file:{primary}", cache).sync()
    new = CACHED["episodes"].whole(dict(RedbFile(cache).rows("episodes"))[rich.encode()])
    assert new == {**old, "task_description": "changed"}


def test_a_cache_of_another_primary_is_refused(tmp_path: Path) -> None:
    """Most of its episodes are unknown here: guard, exit 9, nothing changed; `--adopt` takes it over."""
    primary, cache = stores.primary("small", tmp_path), stores.cache("cli", tmp_path / "cache")
    tool = Tool.at(tmp_path / "tool", f"file:{primary}", cache)
    before = fingerprint(cache)
    result = tool.json("sync")
    assert (result.exit_code, result.document["error"]["code"]) == (9, "guard")
    assert "--adopt" in result.document["error"]["hint"]
    assert fingerprint(cache) == before
    tool.sync("--adopt")
    report = check(primary, cache)
    assert report.holds(), report.text()
    assert len(report.extra["episodes"]) == 14
