"""F7: rows that no column should hold: each is cached equal or refused by name, and the rest arrives."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.faults.hostile import KINDS, SOURCES, Hostile, Value, fuzzed
from tests.independent.projection_check import check
from tests.support import size
from tests.support.command import Tool
from tests.support.sqld import Sqld

WINDOW = 100_000
BATCH = 1_000
BATCHES = size.of(2, 5, 60)


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
    for table in SOURCES:
        for column in spoilt.columns(table):
            for kind, value in KINDS.items():
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


REWARD = dict.fromkeys(("total", "base", "efficiency", "complexity_bonus", "quality_multiplier", "learning_bonus"), 0.5)
STEP = {
    "step_number": 1,
    "timestamp": "2026-08-01T03:45:51Z",
    "tool": "t",
    "action": "a",
    "result": None,
    "latency_ms": 1,
    "tokens_used": None,
    "metadata": {},
}
TIMES = {
    "2026-08-1T03:45:51Z": True,
    " 2026 - 8 - 1 3 : 4 : 5.25 utc ": True,
    "+2026-08-01t03:45:60.5+01 30": True,
    "2026-08-01T03:45:51.1234567891\u221201:30": True,
    "2026-08-01T03:45:51\u2212 01:30": False,
    "2026-08-01T03:45:51+24:00": False,
    "2026-08-01T03:45:51+0160": False,
    "2026-08-01T03:45:51": False,
    "2026-08-01_03:45:51Z": False,
    "2026-13-01T03:45:51Z": False,
    "20260-08-01T03:45:51Z": False,
}
"""Spellings of a time, and whether chrono takes them."""


def long_found(spoilt: Hostile) -> dict[str, int]:
    """One of each form that only thousands of fuzzed rows had come upon; rows that are refused, by table."""
    refused = dict.fromkeys(SOURCES, 0)

    def add(table: str, name: str, *, good: bool, expected: bool = True, **columns: Value) -> None:
        spoilt.add(table, {**spoilt.sound(table, name), **columns})
        refused[table] += expected and not good

    for number in range(3):
        add("episodes", f"without an id {number}", good=False, episode_id=None)
    add("summaries", "of an episode without an id", good=False, expected=False, episode_id=None)
    numbers: dict[str, Value] = {"integer": 0, "real": -0.0, "blob": b"0"}
    for class_, value in numbers.items():
        add("recommendation_sessions", f"id that is a {class_}", good=False, session_id=value)
    # found by the id of its session, as SQL compares them
    named: dict[str, Value] = {"integer": 0, "text": "0", "blob": b"0", "nothing": None}
    for class_, value in named.items():
        add("recommendation_feedback", class_, good=False, expected=class_ in ("integer", "blob"), session_id=value)
    for score in ({}, {"abstention_score": 0.5}, {"abstention_score": None}):
        good = score != {"abstention_score": None}
        add("episodes", f"reward {score}", good=good, reward=json.dumps({**REWARD, **score}))
    for arguments, good in (
        ({"parameters": None}, True),
        ({"parameters": {"a": 1}}, True),
        ({"parameters_json": None, "parameters": 1}, False),
        ({"parameters_json": None}, False),
        ({"parameters_json": "{}", "parameters": 1}, True),
        ({}, False),
    ):
        steps = json.dumps([{**STEP, **arguments}], separators=(",", ":"))
        add("episodes", f"step {arguments}", good=good, steps=steps)
    for text, good in TIMES.items():
        add(
            "episodes",
            f"time {text}",
            good=good,
            steps=json.dumps([{**STEP, "parameters_json": "", "timestamp": text}]),
        )
    spoilt.write()
    return refused


@pytest.mark.parametrize("served", [False, True], ids=["file", "sqld"])
def test_forms_that_are_rare_among_fuzzed_rows(spoilt: Hostile, tmp_path: Path, served: bool) -> None:
    expected = long_found(spoilt)
    if served:
        with Sqld(spoilt.path) as server:
            refused = judge(tool_for(tmp_path / "tool", server.url), spoilt.path)
    else:
        refused = judge(tool_for(tmp_path / "tool", f"file:{spoilt.path}"), spoilt.path)
    assert refused == expected


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
