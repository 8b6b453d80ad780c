"""F7: rows that no column should hold: each is cached equal or refused by name, and the rest arrives."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.hostile import KINDS, SOURCES, Hostile, fuzzed
from tests.independent.projection_check import check
from tests.support.command import Tool
from tests.support.size import FULL
from tests.support.sqld import Sqld

WINDOW = 100_000
BATCH = 1_000
BATCHES = 60 if FULL else 5


def judge(tool: Tool, primary: Path) -> dict[str, int]:
    """Sync, and compare with what an independent reader of both says; gives how many rows were refused, by table."""
    result = tool.json("sync")
    assert (result.exit_code, result.document["verdict"]) == (7, "IN_SYNC"), result.stdout[:3000] + result.stderr
    report = check(primary, tool.cache, window=WINDOW)
    # the independent reader takes any text for that of a pattern
    unreadable = set(report.missing.pop("patterns", []))
    assert unreadable <= refused_of(tool, "patterns")
    assert report.holds(exact=True), report.text()[:6000]
    refused = {table: report.expected[table] - report.equal.get(table, 0) for table in SOURCES}
    tables = result.document["counts"]
    for table in SOURCES:
        counts = tables[table]
        assert counts["expected"] == report.expected[table], table
        assert counts["refused"] == refused[table], table
        assert counts["cache"] == report.equal.get(table, 0), table
    again = tool.json("sync").document
    assert (again["verdict"], again["cache_writes"]["commits"]) == ("IN_SYNC", 0)
    return refused


def refused_of(tool: Tool, table: str) -> set[str]:
    """Keys of the rows of a table that were refused, each with a column and a reason."""
    rows = tool.json("quarantine", "list").document["refused"]
    assert all(row["column"] and row["reason"] for row in rows)
    return {row["key"] for row in rows if row["table"] == table}


def tool_for(folder: Path, url: str) -> Tool:
    return Tool.at(folder, url, STORAGE_SYNC_MAX_EPISODES_CACHE=str(WINDOW))


@pytest.fixture
def spoilt(tmp_path: Path) -> Hostile:
    return Hostile(tmp_path / "primary")


def every_kind(spoilt: Hostile) -> int:
    count = 0
    for table, (_, keys) in SOURCES.items():
        for column in spoilt.columns(table):
            for kind, value in KINDS.items():
                if value is None and column in keys:
                    continue  # no primary takes a row without a key
                spoilt.add(table, {**spoilt.sound(table, f"{column} {kind}"), column: value})
                count += 1
    spoilt.write()
    return count


@pytest.mark.parametrize("served", [False, True], ids=["file", "sqld"])
def test_every_kind_in_every_column(spoilt: Hostile, tmp_path: Path, served: bool) -> None:
    assert len(KINDS) >= 60
    assert every_kind(spoilt) > 60 * 80
    if served:
        with Sqld(spoilt.path) as server:
            refused = judge(tool_for(tmp_path / "tool", server.url), spoilt.path)
    else:
        refused = judge(tool_for(tmp_path / "tool", f"file:{spoilt.path}"), spoilt.path)
    assert all(refused.values()), refused


@pytest.mark.parametrize("batch", range(BATCHES))
def test_fuzzed_rows(spoilt: Hostile, tmp_path: Path, batch: int) -> None:
    draw = random.Random(f"F7 {batch}")
    for number in range(BATCH):
        table = draw.choice(sorted(SOURCES))
        row = fuzzed(draw, spoilt.sound(table, f"{batch} {number}"))
        spoilt.add(table, row)
    spoilt.write()
    refused = judge(tool_for(tmp_path / "tool", f"file:{spoilt.path}"), spoilt.path)
    assert sum(refused.values()) > BATCH // 4
