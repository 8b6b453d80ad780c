"""do-memory's own server holds the cache in production: what we show and do meanwhile (`make interop-server`)."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from storage_sync import _native
from storage_sync.cache.copy import private_copy
from tests.independent.projection_check import check
from tests.support import stores
from tests.support.command import Tool, fingerprint

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

NAME = "do-memory-mcp-server"


class Server:
    """The running server, spoken to in JSON-RPC: one line a message."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self._number = 0
        self.call(
            "initialize",
            {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def call(self, method: str, parameters: dict[str, Any]) -> Any:
        """The result; lines of its audit log, which have no id, are passed over."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": parameters}
        self._child.stdin.write(json.dumps(message) + "\n")
        self._child.stdin.flush()
        for line in self._child.stdout:
            answer = json.loads(line)
            if answer.get("id") == self._number:
                assert answer.get("error") is None, answer
                return answer["result"]
        raise AssertionError("the server ended")

    def tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        (content,) = self.call("tools/call", {"name": name, "arguments": arguments})["content"]
        value = json.loads(content["text"])
        assert isinstance(value, dict)
        return value

    def create(self, description: str) -> str:
        """A new episode; its id."""
        answer = self.tool(
            "create_episode", task_description=description, domain="interop", task_type="testing", tags=["held"]
        )
        return str(answer["episode_id"])

    def episode(self, key: str) -> dict[str, Any]:
        value = self.tool("get_episode", episode_id=key)["episode"]
        assert isinstance(value, dict)
        return value

    def leave(self) -> None:
        """End of its input: it closes the cache and ends."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        assert self._child.wait(60) == 0


@contextmanager
def serving(primary: Path, cache: Path) -> Iterator[Server]:
    binary = os.environ.get("SERVER_BIN")
    assert binary, "`make interop-server` builds the server and sets SERVER_BIN"
    places = {"MEMORY_DB_PATH": str(primary), "REDB_CACHE_PATH": str(cache)}
    variables = {**os.environ, "MEMORY_STORAGE_MODE": "local", "RUST_LOG": "warn", **places}
    with subprocess.Popen(
        [binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=variables, text=True
    ) as child:
        try:
            yield Server(child)
        finally:
            child.kill()


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """With a cache that a sync of ours has just made."""
    primary = stores.primary("v47-small", tmp_path / "primary")
    made = Tool.at(tmp_path / "tool", f"file:{primary}")
    made.sync()
    return made


def another_agent_writes(primary: Path) -> None:
    with closing(sqlite3.connect(primary, timeout=30)) as database, database:
        database.execute("UPDATE heuristics SET confidence = confidence / 2")


def primary_of(tool: Tool) -> Path:
    return Path(tool.primary.removeprefix("file:"))


def cached(cache: Path, key: str) -> dict[str, Any] | None:
    """The episode as a verified copy of the cache has it."""
    with private_copy(str(cache), None) as copy:
        (value,) = copy.file.get("episodes", [key])
    if value is None:
        return None
    episode = json.loads(_native.decode_value("episodes", value))
    assert isinstance(episode, dict)
    return episode


def agrees(tool: Tool) -> dict[str, list[str]]:
    """Rows that only the cache has, once all others are the primary's."""
    report = check(stores.quiet_copy(primary_of(tool), tool.folder / "compared"), tool.cache)
    assert report.holds(), report.text()
    return {table: list(keys) for table, keys in report.extra.items()}


def test_status_names_it_and_peek_reads_what_it_has_just_written(tool: Tool) -> None:
    with serving(primary_of(tool), tool.cache) as server:
        (holder,) = tool.json("status").document["cache"]["lock"]
        assert (holder["pid"], holder["command"], holder["exclusive"]) == (server.pid, NAME, True)
        assert holder["since"].endswith("Z")
        assert f"{NAME} (pid {server.pid}, " in tool.run("status").stderr
        before = tool.json("peek").document
        key = server.create("Written while the server holds the cache")
        document = tool.json("peek").document
        assert document["counts"]["episodes"]["cache"] == before["counts"]["episodes"]["cache"] + 1
        assert document["counts"]["episodes"]["cache_only"] == 1
        assert {one["status"] for one in document["checks"]} == {"pass"}, document["checks"]
        assert str(server.pid) in document["peek"]["held_by"][0]
        episode = cached(tool.cache, key)
        assert episode is not None
        assert episode["task_description"] == "Written while the server holds the cache"
        assert server.episode(key)["task_description"] == episode["task_description"]
        server.leave()


def test_a_sync_waits_for_it(tool: Tool) -> None:
    with serving(primary_of(tool), tool.cache) as server:
        key = server.create("The sync must not lose this")
        alike = tool.json("sync", "--wait", "0.5")
        assert (alike.exit_code, alike.document["verdict"]) == (0, "IN_SYNC"), "what it wrote itself is in both"
        another_agent_writes(primary_of(tool))
        refused = tool.json("sync", "--wait", "0.5")
        assert (refused.exit_code, refused.document["error"]["code"]) == (6, "cache_locked")
        assert f"{NAME} (pid {server.pid}, " in refused.document["error"]["message"]
        assert refused.document["cache_writes"]["commits"] == 0
        with tool.start("sync", "--json", "--wait", "120") as waiting:
            # it is at it when it has our lease; from then on only the server keeps it from its commit
            lease = tool.cache.with_name("cache.redb.lock")
            while not lease.stat().st_size:
                assert waiting.poll() is None
            server.create("Written while a sync waits")
            assert waiting.poll() is None, "it did not wait"
            server.leave()
            out, _ = waiting.communicate(timeout=120)
        document = json.loads(out)
    assert (document["exit_code"], document["verdict"]) == (0, "IN_SYNC"), out
    assert document["counts"]["episodes"]["cache"] == 62
    assert cached(tool.cache, key) is not None
    assert agrees(tool) == {}


def test_a_rebuild_is_prepared_while_it_holds_the_cache_and_finished_after_it_left(tool: Tool) -> None:
    with serving(primary_of(tool), tool.cache) as server:
        staged = tool.json("rebuild", "--staged", "--yes").document
        assert staged["error"] is None, staged
        assert staged["next_action"] == "storage-sync rebuild --swap"
        refused = tool.json("rebuild", "--swap", "--yes", "--wait", "0.2")
        assert (refused.exit_code, refused.document["error"]["code"]) == (6, "cache_locked")
        late = server.create("Written after the new file was prepared")
        server.leave()
    old = tool.cache.stat().st_ino
    done = tool.json("rebuild", "--swap", "--yes").document
    assert (done["exit_code"], done["verdict"]) == (0, "IN_SYNC"), done
    assert tool.cache.stat().st_ino != old
    assert cached(tool.cache, late) is not None
    assert agrees(tool) == {}
    assert not list(tool.cache.parent.glob("*.build-*"))


def test_it_opens_our_file_again_answers_from_it_and_writes_to_it(tool: Tool, tmp_path: Path) -> None:
    """With an empty database of its own: what it knows can only be from our file, and what it writes only we see."""
    assert tool.json("rebuild", "--yes").document["verdict"] == "IN_SYNC"
    rows = stores.select(primary_of(tool), "SELECT episode_id, task_description FROM episodes")
    with serving(tmp_path / "other.db", tool.cache) as server:
        for key, description in rows[:10]:
            assert server.episode(str(key))["task_description"] == description
        written = server.create("Only the cache knows this")
        server.tool("update_episode", episode_id=written, description="Its text was changed")
        server.leave()
    before = cached(tool.cache, written)
    document = tool.sync()
    assert document["counts"]["episodes"]["cache_only"] == 1
    assert agrees(tool)["episodes"] == [written]
    assert cached(tool.cache, written) == before
    assert before is not None
    assert before["task_description"] == "Its text was changed"
    quiet = fingerprint(tool.cache)
    tool.sync()
    assert fingerprint(tool.cache) == quiet


def test_what_it_writes_to_both_stores_is_merged(tool: Tool) -> None:
    """The normal life: it writes to primary and cache, leaves, and the next sync proves the two equal."""
    with serving(primary_of(tool), tool.cache) as server:
        key = server.create("In both stores")
        server.tool("update_episode", episode_id=key, description="Its text was changed")
        server.leave()
    before = cached(tool.cache, key)
    assert before is not None
    document = tool.sync()
    assert document["counts"]["episodes"]["cache"] == 61
    assert agrees(tool).get("episodes", []) == []
    assert cached(tool.cache, key) == before, "what do-memory wrote and nobody changed since stays as it is"
