"""F9: two of our tools and a do-memory race for one file; what must hold in every round, whoever do-memory is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage_sync import _native
from tests.faults.racers import our_tool, racing
from tests.independent.projection_check import check
from tests.support import stores
from tests.support.command import Tool

REBUILD_EVERY = 10
FINE = {0, 1, 11}
"""In sync; changed right after the commit; another run of ours is at it."""


@dataclass
class Tally:
    """What happened in all rounds."""

    opened: int = 0
    failed: int = 0
    rows: dict[str, str] = field(default_factory=dict)
    fractions: dict[str, int] = field(default_factory=dict)
    generations: list[int] = field(default_factory=list)
    codes: dict[int, int] = field(default_factory=dict)


def race(folder: Path, opener: Sequence[str], cache: Path, rounds: int) -> Tally:
    """Run the rounds on a fresh `cache` that `opener` opens; AssertionError for what must never be."""
    primary = stores.primary("v47-small", folder / "primary")
    state = folder / "tool" / "state"
    alone = Tool.at(folder / "tool", f"file:{primary}", cache)
    alone.sync()
    tally = Tally()
    with ExitStack() as stack:
        tools = [stack.enter_context(racing(*our_tool(primary, cache, state))) for _ in range(2)]
        other = stack.enter_context(racing(*opener))
        for number in range(rounds):
            change_primary(primary, number)
            other.tell("go")
            for place, tool in enumerate(tools):
                tool.tell("rebuild" if number % REBUILD_EVERY == place else "sync")
            runs = [tool.answer() for tool in tools]
            other.tell("stop")
            judge_round(tally, runs, other.answer(), number)
            assert any(run["exit_code"] != 11 for run in runs), f"round {number}: {runs}"
            if any(run["verdict"] == "IN_SYNC" for run in runs):
                report = check(primary, cache)
                assert report.holds(), f"round {number}: IN_SYNC was said\n{report.text()}"
    alone.sync()
    report = check(primary, cache)
    assert report.holds(), report.text()
    nothing_is_lost(tally, cache)
    return tally


def change_primary(primary: Path, number: int) -> None:
    """Every row that the opener may write to, and some others."""
    text = f"'round {number} ' || substr(task_description, -20)"
    first = "SELECT episode_id FROM episodes ORDER BY episode_id LIMIT 6"
    stores.execute(
        primary,
        [f"UPDATE episodes SET task_description = {text} WHERE rowid % 7 = {number % 7} OR episode_id IN ({first})"],
    )


def judge_round(tally: Tally, runs: Sequence[dict[str, Any]], told: dict[str, Any], number: int) -> None:
    for run in runs:
        code = run["exit_code"]
        assert code in FINE, f"round {number}: {run}"
        tally.codes[code] = tally.codes.get(code, 0) + 1
        if run["commits"] and run["generation"] is not None:
            tally.generations.append(run["generation"])
    windows = [window for run in runs for window in run["windows"]]
    for started, ended in told["failed"]:
        inside = any(begin <= ended and started <= end for begin, end in windows)
        assert inside, f"round {number}: do-memory could not open the file, and nobody was committing"
    assert told["moved"] == 0, f"round {number}: the file was replaced while do-memory had it"
    tally.opened += told["opened"]
    tally.failed += len(told["failed"])
    tally.rows |= told["rows"]
    tally.fractions |= told["fractions"]


def nothing_is_lost(tally: Tally, cache: Path) -> None:
    """One writer at a time, one history, and every write of do-memory that was acknowledged."""
    assert len(set(tally.generations)) == len(tally.generations), "two runs made the same generation"
    file = _native.CacheFile.open(str(cache), "read")
    try:
        for key, value in zip(tally.rows, file.get("heuristics", list(tally.rows)), strict=True):
            assert value is not None, f"heuristic {key} of do-memory is gone"
            assert json.loads(_native.decode_value("heuristics", value)) == json.loads(tally.rows[key])
        for key, value in zip(tally.fractions, file.get("episodes", list(tally.fractions)), strict=True):
            assert value is not None
            start = json.loads(_native.decode_value("episodes", value))["start_time"]
            assert float(f"0.{start[20:-1]}") == tally.fractions[key] / 1e6, f"episode {key}: a write is lost ({start})"
    finally:
        file.close()
