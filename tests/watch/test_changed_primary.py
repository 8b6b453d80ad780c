"""A primary that changes under a running `watch`: its schema, the functions of its server, the server itself."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.independent.projection_check import check
from tests.support import hrana, stores
from tests.support.command import Tool
from tests.support.relay import Exchange, Fault, Relay, Reply
from tests.support.sqld import Sqld
from tests.support.watching import Line, Watch, said, watching, well, wrote

NEVER_S = 600
"""No run by the interval: what is found is found by the poll and by the proof itself."""


def older(folder: Path, without: list[str]) -> Path:
    """A primary as an older do-memory left it."""
    database = stores.primary("small", folder)
    stores.execute(database, without)
    return database


def ended_well(line: Line) -> bool:
    return line["area"] == "sync" and "in sync" in line["message"] and "exit 0" in line["message"]


def by_hand(watch: Watch, position: int) -> Line:
    watch.process.send_signal(signal.SIGUSR1)
    return watch.until(ended_well, after=position)


GROWTH = {
    "a table": (
        ["ALTER TABLE recommendation_feedback RENAME TO later"],
        ["ALTER TABLE later RENAME TO recommendation_feedback"],
    ),
    "a late column": (
        ["ALTER TABLE episodes DROP COLUMN checkpoints"],
        [
            "ALTER TABLE episodes ADD COLUMN checkpoints TEXT NOT NULL DEFAULT '[]'",
            "UPDATE episodes SET task_description = task_description || ' again' WHERE rowid % 2 = 0",
        ],
    ),
    "tags": (
        ["DROP TABLE episode_tags"],
        [
            "CREATE TABLE episode_tags (episode_id TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (episode_id, tag))",
            "INSERT INTO episode_tags SELECT episode_id, 'late' FROM episodes LIMIT 5",
        ],
    ),
    "an index that is gone": (["SELECT 1"], ["DROP INDEX IF EXISTS idx_embeddings_item"]),
}


@pytest.mark.parametrize("name", GROWTH)
def test_a_schema_that_grows_is_seen_by_the_next_proof(tmp_path: Path, name: str) -> None:
    before, after = GROWTH[name]
    with Sqld(older(tmp_path / "p", before)) as server:
        tool = Tool.at(tmp_path, server.url, STORAGE_SYNC_POLL_S="600")
        with watching(tool, "--interval", str(NEVER_S)) as watch:
            watch.until(well)
            position = len(watch.lines)
            hrana.execute(server.url, after)
            by_hand(watch, position)
            copy = stores.quiet_copy(server.database, tmp_path / "copy")
            assert check(copy, tool.cache).holds(exact=True)
            checked = tool.json("status", "--check")
            assert (checked.document["verdict"], checked.exit_code) == ("IN_SYNC", 0)
            assert watch.stop(signal.SIGTERM)[0] == 143


def test_a_schema_that_grows_is_seen_by_the_poll(tmp_path: Path) -> None:
    before, after = GROWTH["a table"]
    with Sqld(older(tmp_path / "p", before)) as server:
        tool = Tool.at(tmp_path, server.url, STORAGE_SYNC_POLL_S="0.2")
        with watching(tool, "--interval", "3") as watch:
            watch.until(well)
            position = len(watch.lines)
            hrana.execute(server.url, after)
            watch.until(wrote("added"), after=position)
            assert watch.stop(signal.SIGTERM)[0] == 143


def test_a_table_that_goes_is_a_refusal_and_its_return_heals(tmp_path: Path) -> None:
    with Sqld(stores.primary("small", tmp_path / "p")) as server:
        tool = Tool.at(tmp_path, server.url, STORAGE_SYNC_POLL_S="600")
        with watching(tool, "--interval", str(NEVER_S)) as watch:
            watch.until(well)
            position = len(watch.lines)
            hrana.execute(server.url, ["ALTER TABLE heuristics RENAME TO h"])
            watch.process.send_signal(signal.SIGUSR1)
            refused = watch.until(said("primary_schema: "), after=position)
            assert "no table heuristics" in refused["message"]
            hrana.execute(server.url, ["ALTER TABLE h RENAME TO heuristics"])
            position = len(watch.lines)
            by_hand(watch, position)
            assert watch.stop(signal.SIGTERM)[0] == 143


def without(*functions: str) -> Callable[[int, str], Fault]:
    """A server that has not these functions: it says so itself, of another name."""

    def fault(exchange: Exchange) -> None:
        for function in functions:
            exchange.body = exchange.body.replace(f"{function}(".encode(), f"no_{function}(".encode())
        exchange.send(exchange.ask())

    return lambda number, path: fault


@pytest.mark.parametrize("lost", [("sha3", "crypto_blake3", "crypto_sha256"), ("sha3", "crypto_blake3")])
def test_a_digest_function_that_goes_is_done_without(tmp_path: Path, lost: tuple[str, ...]) -> None:
    with Sqld(stores.primary("small", tmp_path / "p")) as server, Relay(server.port) as relay:
        tool = Tool.at(tmp_path, relay.url, STORAGE_SYNC_POLL_S="600")
        with watching(tool, "--interval", str(NEVER_S)) as watch:
            watch.until(well)
            relay.play(without(*lost))
            hrana.execute(server.url, ["UPDATE episodes SET task_description = 'after' WHERE rowid < 4"])
            position = len(watch.lines)
            done = by_hand(watch, position)
            assert wrote("changed")(done)
            # and back: a server that got it again is used as it is known, until it is probed again
            relay.play()
            by_hand(watch, len(watch.lines))
            copy = stores.quiet_copy(server.database, tmp_path / "copy")
            assert check(copy, tool.cache).holds(exact=True)
            assert watch.stop(signal.SIGTERM)[0] == 143


def test_a_server_without_cursors_and_digests_notices_a_growing_schema_too(tmp_path: Path) -> None:
    """The proof then rests on one read transaction in pages: its first statement is bound as well."""
    before, after = GROWTH["a table"]

    def fault(exchange: Exchange) -> None:
        if exchange.path.startswith("/v3/"):
            exchange.send(Reply(404, b""))
            return
        without("sha3", "crypto_blake3", "crypto_sha256")(0, "")(exchange)

    with Sqld(older(tmp_path / "p", before)) as server, Relay(server.port) as relay:
        relay.play(lambda number, path: fault)
        tool = Tool.at(tmp_path, relay.url, STORAGE_SYNC_POLL_S="600")
        with watching(tool, "--interval", str(NEVER_S)) as watch:
            watch.until(well)
            hrana.execute(server.url, after)
            by_hand(watch, len(watch.lines))
            copy = stores.quiet_copy(server.database, tmp_path / "copy")
            assert check(copy, tool.cache).holds(exact=True)
            assert watch.stop(signal.SIGTERM)[0] == 143


def test_another_server_with_another_schema_at_the_same_address(tmp_path: Path) -> None:
    before, _ = GROWTH["a table"]
    old, new = older(tmp_path / "old", before), stores.primary("small", tmp_path / "new")
    with Sqld(old) as server:
        tool = Tool.at(tmp_path, server.url, STORAGE_SYNC_POLL_S="0.2")
        with watching(tool, "--interval", "2") as watch:
            watch.until(well)
            position = len(watch.lines)
            server.stop()
            server.replace(new)
            server.start()
            watch.until(wrote("added"), after=position)
            copy = stores.quiet_copy(server.database, tmp_path / "copy")
            assert check(copy, tool.cache).holds(exact=True)
            assert watch.stop(signal.SIGTERM)[0] == 143
