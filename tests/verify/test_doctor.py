"""`doctor` finds what would stop a sync, and says each cause once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from storage_sync.cache import states
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.service.operations import Doctor, Sync
from storage_sync.service.performing import once
from storage_sync.values.outcome import CheckStatus, Outcome
from tests.support import network, stores
from tests.support.command import Tool
from tests.support.processes import tool_as_nobody
from tests.support.relay import Exchange, Fault, Relay
from tests.support.sqld import Sqld


@pytest.fixture
async def proven(tmp_path: Path) -> Settings:
    primary = stores.primary("cli", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    assert (await once(Sync(), Request(settings, None))).exit_code == 0
    return settings


def failed(outcome: Outcome) -> list[str]:
    return [check.name for check in outcome.checks if check.status is CheckStatus.FAIL]


async def test_a_disk_without_room_stands_in_the_way(proven: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failed(await once(Doctor(), Request(proven, None))) == []
    monkeypatch.setattr(states, "free_space", lambda _: 4096)
    outcome = await once(Doctor(), Request(proven, None))
    assert (failed(outcome), outcome.exit_code) == (["cache_file"], 8)
    looks = msgspec.structs.replace(proven, access="read-only")
    assert failed(await once(Doctor(), Request(looks, None))) == []


async def test_damage_is_said_once_and_is_never_called_a_stranger(proven: Settings) -> None:
    assert proven.cache is not None
    with proven.cache.open("r+b") as file:
        file.write(b"SQLite format 3\0")
    outcome = await once(Doctor(), Request(proven, None))
    assert (failed(outcome), outcome.exit_code) == (["cache_file"], 5)


async def test_what_watching_will_cost(tmp_path: Path) -> None:
    """By one measured poll and one proof, before the first sync and after it."""
    generate(tmp_path / "primary.db", 7, 60)
    with Sqld(tmp_path / "primary.db") as server:
        settings = Settings(primary=server.url, cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
        first = await once(Doctor(), Request(settings, None))
        assert (await once(Sync(), Request(settings, None))).exit_code == 0
        second = await once(Doctor(), Request(settings, None))
    for outcome in (first, second):
        costs = outcome.extra["costs"]
        assert isinstance(costs, dict)
        assert 10 <= costs["poll"] <= 30
        assert costs["poll_quiet"] <= 1
        assert 0 < costs["follow"] <= 250
        assert costs["proof"] > 500
        assert costs["a_month_idle"] < costs["a_month_busy"]
        (check,) = (check for check in outcome.checks if check.name == "costs")
        assert f"a proof {costs['proof']:,}; in a month: no rows if nobody writes" in str(check.actual)
    assert first.extra["costs"] == second.extra["costs"]


async def test_reading_a_file_costs_nothing(proven: Settings) -> None:
    outcome = await once(Doctor(), Request(proven, None))
    (check,) = (check for check in outcome.checks if check.name == "costs")
    assert check.actual == "nothing: it is a file on this machine"
    assert "costs" not in outcome.extra


async def test_a_guard_that_would_stop_a_sync_stands_in_the_way(proven: Settings) -> None:
    assert proven.primary is not None
    stores.execute(Path(proven.primary.removeprefix("file:")), ["DELETE FROM episodes"])
    outcome = await once(Doctor(), Request(proven, None))
    assert (failed(outcome), outcome.exit_code) == (["plan"], 9)
    stopped = await once(Sync(), Request(proven, None))
    assert stopped.error is not None
    (check,) = [check for check in outcome.checks if check.name == "plan"]
    assert check.detail == f"{stopped.error.message}; next: {stopped.error.hint}"
    assert (outcome.plan, outcome.counts, outcome.proof) == ({}, {}, None), "a plan is not what was asked for"


@pytest.fixture
def store() -> Iterator[Tool]:
    """A proven store of this user below a folder that everybody may enter, unlike `tmp_path`, and may write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "place").mkdir()
        tool = Tool.at(folder / "tool", f"file:{stores.primary('cli', folder)}", folder / "place" / "cache.redb")
        tool.sync()
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        yield tool
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777)


def no_folder(tool: Tool) -> None:
    tool.cache.parent.rename(tool.cache.parent.with_name("elsewhere"))


def closed_folder(tool: Tool) -> None:
    tool.cache.parent.chmod(0o555)


def closed_state(tool: Tool) -> None:
    (tool.folder / "state").chmod(0o555)


def closed(name: str) -> Callable[[Tool], None]:
    def close(tool: Tool) -> None:
        (path,) = [path for path in tool.folder.parent.rglob(name) if path.is_file()]
        path.chmod(0o444)

    return close


WAYS: dict[str, tuple[Callable[[Tool], None], str]] = {
    "no folder": (no_folder, "cache_folder"),
    "a folder of another user": (closed_folder, "cache_folder"),
    "a state folder of another user": (closed_state, "state_folder"),
    "a history of another user": (closed("history.db"), "state_files"),
    "an undo log of another user": (closed("undo.db"), "state_files"),
    "a lock of another user": (closed("cache.redb.lock"), "cache_folder"),
    "a cache of another user": (closed("cache.redb"), "cache_file"),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_another_user_keeps_to_himself_stands_in_the_way(store: Tool, way: str) -> None:
    (undo,) = store.folder.rglob("history.db")
    undo.with_name("undo.db").touch()
    undo.with_name("undo.db").chmod(0o666)
    spoil, name = WAYS[way]

    def found() -> list[str]:
        # that user may not be able to start a child: Python itself may lie where he cannot read
        checks = tool_as_nobody(store, "doctor").document["checks"]
        return [check["name"] for check in checks if check["status"] == "fail" and check["name"] != "cache_content"]

    assert found() == []
    spoil(store)
    assert found()[0] == name
    assert tool_as_nobody(store, "doctor").exit_code == 8


def test_a_primary_that_wants_a_token_is_asked_with_it(tmp_path: Path) -> None:
    """As a sync asks it; without a token the answer is the server's."""
    answer = network.answer(401, '{"error":"Unauthorized"}')

    def guarded(exchange: Exchange) -> None:
        if exchange.header("Authorization") == "Bearer a-token-of-some-length":
            exchange.send(exchange.ask())
        else:
            answer(exchange)

    def script(number: int, path: str) -> Fault:
        return guarded

    with Sqld(stores.primary("cli", tmp_path)) as server, Relay(server.port) as relay:
        relay.play(script)
        tool = Tool.at(tmp_path / "tool", relay.url, TURSO_AUTH_TOKEN="a-token-of-some-length")
        assert tool.json("doctor").exit_code == 0
        tool.sync()
        assert tool.json("doctor").exit_code == 0
        assert Tool.at(tmp_path / "other", relay.url).json("doctor").exit_code == 4
