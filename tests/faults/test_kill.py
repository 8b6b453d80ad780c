"""SIGKILL at random moments of a sync: the old state or the new one, nothing lost, and the next run finishes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random

from storage_sync.cache.set_aside import SetAside
from storage_sync.demo import Demo
from tests.independent.projection_check import check
from tests.independent.redb_reader import RedbFile
from tests.support import stores
from tests.support.command import Tool

NOW = 1_795_392_000
ROUNDS = int(os.environ.get("KILL_ROUNDS", "8"))
LONGEST_S = 0.9
FIRST = "(SELECT min(heuristic_id) FROM heuristics)"


def heuristics(cache: Path) -> dict[str, bytes]:
    return {key.decode(): bytes(value) for key, value in RedbFile(cache).rows("heuristics")}


def set_aside(state: Path) -> dict[str, bytes]:
    with SetAside.open(next(state.rglob("set-aside"))) as store:
        return {row.key: value.value for row in store.rows(limit=1000) if (value := store.show(row.id)) is not None}


def test_it_is_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    random = Random(7)
    demo = Demo.create(tmp_path, episodes=3 * ROUNDS + 60, now=NOW)
    tool = Tool.at(tmp_path / "tool", f"file:{demo.primary}")
    tool.sync()
    had = heuristics(tool.cache)
    for number in range(ROUNDS):
        old = stores.quiet_copy(demo.primary, tmp_path / "old")
        stores.execute(
            demo.primary,
            [
                f"DELETE FROM heuristics WHERE heuristic_id = {FIRST}",
                f"UPDATE episodes SET task_description = '{number}' || task_description WHERE rowid % 3 = {number % 3}",
            ],
        )
        process = tool.start("sync", "--json")
        try:
            process.wait(random.uniform(0.05, LONGEST_S))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        states = [check(primary, tool.cache).holds(exact=True) for primary in (old, demo.primary)]
        assert states.count(True) == 1, f"round {number}: {states}"
        tool.sync()
        assert check(demo.primary, tool.cache).holds(exact=True), f"round {number}"
        left = heuristics(tool.cache)
        gone = {key: value for key, value in had.items() if key not in left}
        assert set_aside(tmp_path / "tool" / "state") == gone, f"round {number}: each once, with its bytes"
    assert sorted(path.name for path in tool.cache.parent.glob("cache.redb*")) == ["cache.redb", "cache.redb.lock"]
