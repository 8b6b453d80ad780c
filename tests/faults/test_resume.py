"""A rebuild that is killed three times fetches hardly anything twice, and ends in the very same content.

Bytes are those that a relay in front of the server handed over, with what a dying tool had not even read yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage_sync.demo.demo import generate
from tests.independent.projection_check import check
from tests.support import size, stores
from tests.support.command import Tool
from tests.support.counting import CountingRelay
from tests.support.sqld import Sqld

EPISODES = size.of(1_000, 1_000, 7_000)
"""About three rows each with their embeddings and summaries."""
ROWS = size.of(2_000, 2_000, 20_000)
BATCH = size.of(2 << 20, 2 << 20, 4 << 20)
"""Bytes that one kill may cost: a batch, and half of one where all there is are two or three."""
KILLS = 3


@dataclass(frozen=True)
class Rebuild:
    """One rebuild as the relay and as the tool saw it."""

    passed: int
    document: dict[str, Any]


def rebuild(tool: Tool, relay: CountingRelay) -> Rebuild:
    before = relay.received
    done = tool.json("rebuild", "--yes", "--window", str(EPISODES)).document
    assert done["verdict"] == "IN_SYNC", done
    return Rebuild(relay.received - before, done)


def killed(tool: Tool, relay: CountingRelay, after: int) -> int:
    """Kill a rebuild when so many bytes have passed; gives how many did in the end."""
    before = relay.received
    with tool.start("rebuild", "--yes", "--window", str(EPISODES)) as process:
        relay.when(after, process.kill)
        process.communicate()
    assert process.returncode == -9, "it ended before it was killed"
    return relay.received - before


def test_killed_three_times(tmp_path: Path) -> None:
    """All bytes together: at most one whole fetch and a batch a kill."""
    path = tmp_path / "primary.db"
    generate(path, 5, EPISODES)
    with Sqld(path) as server, CountingRelay(server.port) as relay:
        straight = rebuild(Tool.at(tmp_path / "straight", relay.url), relay)
        rows = sum(change["insert"] for change in straight.document["applied"].values())
        assert rows >= ROWS
        tool = Tool.at(tmp_path / "killed", relay.url)
        wasted = [killed(tool, relay, straight.passed // (KILLS + 1)) for _ in range(KILLS)]
        assert not tool.cache.exists(), "nothing has the cache's name before it is proven"
        last = rebuild(tool, relay)
    total = sum(wasted) + last.passed
    figures = f"{rows} rows: {straight.passed:,} bytes without a kill, {total:,} with {KILLS}"
    print(figures)
    assert total <= straight.passed + KILLS * BATCH, figures
    assert last.document["proof"]["root"] == straight.document["proof"]["root"]
    assert check(path, tool.cache, window=EPISODES).holds(exact=True)


def test_the_manifest_is_not_sent_again(tmp_path: Path) -> None:
    """A resume asks only for what moved since, and for rows that it has not got."""
    path = tmp_path / "primary.db"
    generate(path, 5, EPISODES)
    with Sqld(path) as server, CountingRelay(server.port) as relay:
        tool = Tool.at(tmp_path / "tool", relay.url)
        staged = tool.json("rebuild", "--staged", "--yes", "--window", str(EPISODES)).document
        assert staged["staged"]["rows"] >= ROWS
        before = relay.received
        done = tool.json("rebuild", "--swap", "--yes", "--window", str(EPISODES)).document
    assert (done["verdict"], done["proof"]["root"]) == ("IN_SYNC", staged["staged"]["root"])
    assert relay.received - before < 16 << 10


def test_a_primary_that_moved_meanwhile(tmp_path: Path) -> None:
    """Rows changed, gone and new since the kill, among those that were staged and those that were not."""
    path = tmp_path / "primary.db"
    generate(path, 5, 600)
    with Sqld(path) as server, CountingRelay(server.port) as relay:
        tool = Tool.at(tmp_path / "tool", relay.url)
        killed(tool, relay, 4 << 20)
        server.stop()
        stores.execute(
            server.database,
            [
                "DELETE FROM heuristics WHERE rowid % 3 = 0",
                "DELETE FROM episodes WHERE rowid % 5 = 0",
                "UPDATE episodes SET task_description = 'x' || task_description WHERE rowid % 7 = 0",
                "INSERT INTO heuristics SELECT 'aaaaaaaa' || substr(heuristic_id, 9), condition_text, action_text,"
                " confidence, evidence, created_at, updated_at FROM heuristics LIMIT 3",
            ],
        )
        server.start()
        done = rebuild(tool, relay)
        assert done.document["transfer"]["bytes_received"] < 6 << 20, "it took up what was staged"
        server.stop()
        assert check(server.database, tool.cache, window=EPISODES).holds(exact=True)
