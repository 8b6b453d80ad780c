"""A do-memory that found its cache locked goes on without it: that is seen, by its environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage_sync.cache import servers
from storage_sync.cache.lease import cache_holders
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.reports.status import status_quick
from tests.support import stores
from tests.support.processes import DO_MEMORY, WITHOUT_CACHE, holding, running

SETTLE_S = servers.SETTLE_S


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = stores.cache("small", tmp_path)
    monkeypatch.setattr(servers, "SETTLE_S", 0.0)
    monkeypatch.setenv("REDB_CACHE_PATH", os.path.relpath(made))
    return made


def test_a_server_without_its_cache_is_told(cache: Path, tmp_path: Path) -> None:
    with running(WITHOUT_CACHE, name=DO_MEMORY) as server:
        (found,) = servers.in_memory_only(str(cache), cache_holders(str(cache)))
        assert found.pid == server.pid
        assert "runs in memory only" in servers.warning(found)
        assert servers.in_memory_only(str(tmp_path / "other.redb"), ()) == ()
        settings = Settings(cache=cache, state_dir=tmp_path / "state")
        assert any("runs in memory only" in text for text in status_quick(Request(settings, None)).warnings)
    assert servers.in_memory_only(str(cache), ()) == ()


def test_one_that_holds_it_or_has_just_started_is_not(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with holding(cache):
        assert servers.in_memory_only(str(cache), cache_holders(str(cache))) == ()
    monkeypatch.setattr(servers, "SETTLE_S", SETTLE_S)
    with running(WITHOUT_CACHE, name=DO_MEMORY):
        assert servers.in_memory_only(str(cache), ()) == ()


def test_one_that_has_just_started_is_about_to_open_it(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "OPENS_S", 3600.0)
    assert servers.opening(str(cache)) is None
    with running(WITHOUT_CACHE, name=DO_MEMORY) as server:
        assert servers.opening(str(cache)) == server.pid
        assert servers.opening(str(tmp_path / "other.redb")) is None, "its environment names another cache"
        monkeypatch.setattr(servers, "OPENS_S", 0.0)
        assert servers.opening(str(cache)) is None, "it had its time"
    monkeypatch.setattr(servers, "OPENS_S", 3600.0)
    with holding(cache):
        assert servers.opening(str(cache)) is None, "it has it"
    monkeypatch.delenv("REDB_CACHE_PATH")
    monkeypatch.chdir(tmp_path)
    with running(WITHOUT_CACHE, name=DO_MEMORY) as server:
        assert servers.opening(str(cache)) is None
        assert servers.opening(str(tmp_path / "data" / "cache.redb")) == server.pid, "the usual one"
