"""A day of an agent: do-memory's server started through `exec`, again and again, and what each start finds.

`make interop-server PYTEST_FLAGS='-s -k day'` prints the table.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from storage_sync.cache.holders import lock_holders
from tests.independent.projection_check import check
from tests.interop.test_server import NAME, Server
from tests.support import stores
from tests.support.command import Tool
from tests.support.starts import Starts

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]


def binary() -> str:
    found = os.environ.get("SERVER_BIN")
    assert found, "`make interop-server` builds the server and sets SERVER_BIN"
    return found


def variables_of(primary: Path, cache: Path) -> dict[str, str]:
    """As an `.mcp.json` with `env` gives them. do-memory's server takes an address only with TLS, so it is a file."""
    return {
        "MEMORY_DB_PATH": str(primary),
        "REDB_CACHE_PATH": str(cache),
        "XDG_DATA_HOME": str(cache.parent),
        "RUST_LOG": "error",
        "MCP_RATE_LIMIT_ENABLED": "false",
    }


@dataclass
class Day:
    """One agent's machine, and the primary that it shares with another agent."""

    tool: Tool
    primary: Path
    told: list[str] = field(default_factory=list)

    @property
    def starts(self) -> Starts:
        return Starts(self.tool, variables_of(self.primary, self.tool.cache))

    @contextmanager
    def session(self, what: str, *, options: tuple[str, ...] = ("--deadline", "60")) -> Iterator[Server]:
        """The server, started through `exec`; it must have the cache before it answers."""
        with self.starts.begin(binary(), options=options, stderr=subprocess.DEVNULL) as child:
            try:
                server = Server(child)
                self.told.append(what)
                assert server.pid == child.pid
                assert server.pid in {holder.pid for holder in lock_holders(str(self.tool.cache))}, what
                yield server
            finally:
                child.kill()

    def rows(self) -> list[dict[str, Any]]:
        """What each start found, oldest first, with what was so."""
        found = list(reversed(self.starts.remembered()))
        assert len(found) == len(self.told), [self.told, found]
        return [{"what": what, **start["start"]} for what, start in zip(self.told, found, strict=True)]


@contextmanager
def other_agent(primary: Path, folder: Path) -> Iterator[Server]:
    """Another machine: the same primary, a cache of its own, nothing of ours."""
    environment = {**os.environ, **variables_of(primary, folder / "other.redb")}
    with subprocess.Popen(
        [binary()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as child:
        try:
            yield Server(child)
        finally:
            child.kill()


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    def shown(value: object) -> str:
        return "?" if value is None else str(value)

    lines = [f"{'start':<52} {'found':>6} {'behind':>6} {'delay s':>8}  verdict"]
    lines += [
        f"{row['what']:<52} {shown(row['found']):>6} {shown(row['behind']):>6} {row['delay_s']:>8.2f}  {row['verdict']}"
        for row in rows
    ]
    return "\n".join(lines)


def test_a_day_of_an_agent(tmp_path: Path) -> None:
    primary = stores.primary("v47-small", tmp_path / "shared")
    day = Day(Tool.at(tmp_path / "tool", "unused"), primary)
    (tmp_path / "other").mkdir()
    with other_agent(primary, tmp_path / "other") as other:
        with day.session("morning: there is no cache yet") as server:
            key = server.create("Written in the first session")
            server.leave()

        theirs = [other.create(f"By the other agent, {number}") for number in range(3)]
        with day.session("the other agent wrote 3 episodes meanwhile") as server:
            assert server.episode(key)["task_description"] == "Written in the first session"
            assert server.episode(theirs[0])["task_description"] == "By the other agent, 0"
            held = day.starts.run("true")
            day.told.append("a second program while the server runs")
            assert f"held by {NAME} (pid {server.pid}, " in held.stderr
            server.create("Written just before the kill")
        # the session's end was a kill -9: nobody closed the cache
        theirs.append(other.create("By the other agent, while ours lay dead"))

        with day.session("after a kill -9 of the server") as server:
            assert server.episode(theirs[-1])["task_description"].startswith("By the other agent")
            server.leave()

        theirs.append(other.create("By the other agent, before a start that was killed"))
        _kill_while_it_works(day)
        with day.session("after a kill -9 of exec") as server:
            server.leave()
        other.leave()

    away = primary.parent.rename(tmp_path / "away")
    with day.session("during an outage of the primary") as server:
        assert server.episode(theirs[-1])["task_description"].endswith("that was killed")
        server.leave()
    away.rename(primary.parent)
    with other_agent(primary, tmp_path / "other") as other:
        theirs.append(other.create("By the other agent, after the outage"))
        other.leave()
    with day.session("after the outage") as server:
        server.leave()

    data = bytearray(day.tool.cache.read_bytes())
    data[8192 : 8192 + 65536] = bytes(65536)
    day.tool.cache.write_bytes(data)
    with day.session("with a damaged cache") as server:
        assert server.episode(theirs[-1])["task_description"] == "By the other agent, after the outage"
        server.leave()
    with day.session("evening") as server:
        server.leave()

    rows = day.rows()
    print("\n" + table(rows), file=sys.stderr)
    without = ("a second program while the server runs", "during an outage of the primary")
    for row in rows:
        expected = (None, "UNKNOWN") if row["what"] in without else (0, "IN_SYNC")
        assert (row["behind"], row["verdict"]) == expected, row
    assert rows[1]["found"] >= 3

    copy = stores.quiet_copy(primary, tmp_path / "compared")
    report = check(copy, day.tool.cache)
    assert report.holds(), report.text()
    _read_by_do_memory(day, copy, tmp_path)


def _kill_while_it_works(day: Day) -> None:
    """Kill `exec` as soon as it has the lease; its line of history is then never written."""
    lease = day.tool.cache.with_name("cache.redb.lock")
    with day.starts.begin(binary(), options=("--deadline", "60"), stderr=subprocess.DEVNULL) as child:
        while str(child.pid) not in lease.read_text():
            assert child.poll() is None
        child.kill()


def _read_by_do_memory(day: Day, primary: Path, folder: Path) -> None:
    """Its own server, with an empty database: what it answers can only be from the cache."""
    with subprocess.Popen(
        [binary()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **variables_of(folder / "empty.db", day.tool.cache)},
        text=True,
    ) as child:
        server = Server(child)
        for key, description in stores.select(primary, "SELECT episode_id, task_description FROM episodes"):
            assert server.episode(str(key))["task_description"] == description
        server.leave()
