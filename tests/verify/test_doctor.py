"""`doctor` finds what would stop a sync, and says each cause once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from storage_sync.cache import states
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.service.operations import doctor, sync
from storage_sync.values.outcome import CheckStatus, Outcome
from tests.support import stores
from tests.support.sqld import Sqld


@pytest.fixture
async def proven(tmp_path: Path) -> Settings:
    primary = stores.primary("cli", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    assert (await sync(Request(settings, None))).exit_code == 0
    return settings


def failed(outcome: Outcome) -> list[str]:
    return [check.name for check in outcome.checks if check.status is CheckStatus.FAIL]


async def test_a_disk_without_room_stands_in_the_way(proven: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failed(await doctor(Request(proven, None))) == []
    monkeypatch.setattr(states, "free_space", lambda _: 4096)
    outcome = await doctor(Request(proven, None))
    assert (failed(outcome), outcome.exit_code) == (["cache_file"], 8)
    looks = msgspec.structs.replace(proven, access="read-only")
    assert failed(await doctor(Request(looks, None))) == []


async def test_damage_is_said_once_and_is_never_called_a_stranger(proven: Settings) -> None:
    assert proven.cache is not None
    with proven.cache.open("r+b") as file:
        file.write(b"SQLite format 3\0")
    outcome = await doctor(Request(proven, None))
    assert (failed(outcome), outcome.exit_code) == (["cache_file"], 5)


async def test_what_watching_will_cost(tmp_path: Path) -> None:
    """By one measured poll and one proof, before the first sync and after it."""
    generate(tmp_path / "primary.db", 7, 60)
    with Sqld(tmp_path / "primary.db") as server:
        settings = Settings(primary=server.url, cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
        first = await doctor(Request(settings, None))
        assert (await sync(Request(settings, None))).exit_code == 0
        second = await doctor(Request(settings, None))
    for outcome in (first, second):
        costs = outcome.extra["costs"]
        assert isinstance(costs, dict)
        assert 10 <= costs["poll"] <= 30
        assert costs["proof"] > 500
        assert costs["a_month_idle"] < costs["a_month_busy"]
        (check,) = (check for check in outcome.checks if check.name == "costs")
        assert f"a proof {costs['proof']:,}; about {costs['a_month_idle']:,} a month" in str(check.actual)


async def test_reading_a_file_costs_nothing(proven: Settings) -> None:
    outcome = await doctor(Request(proven, None))
    (check,) = (check for check in outcome.checks if check.name == "costs")
    assert check.actual == "nothing: it is a file of this machine"
    assert "costs" not in outcome.extra
