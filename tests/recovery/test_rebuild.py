"""A new cache beside the old one: planned, staged, swapped, discarded, resumed after kills."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from storage_sync.demo.demo import generate
from tests.recovery.conftest import CACHE_ONLY, Store, held
from tests.support import hrana
from tests.support.command import Tool, applied, fingerprint
from tests.support.processes import HOLD_REDB, running
from tests.support.sqld import Sqld


def test_a_healthy_cache_is_rebuilt_with_all_that_it_has(store: Store) -> None:
    before = fingerprint(store.cache)
    plan = store.tool.json("rebuild", "--plan").document
    assert plan["rebuild"]["fetched_rows"] == 0
    assert plan["rebuild"]["cache_only_rows"] == 1
    assert plan["rebuild"]["disk_free"] > plan["rebuild"]["disk_needed"] > 0
    assert fingerprint(store.cache) == before
    done = store.tool.json("rebuild", "--yes").document
    assert (done["verdict"], done["proof"]["root"]) == ("IN_SYNC", store.root), done
    assert applied(done) == applied(plan, "plan") == {}
    assert done["rebuild"].items() <= plan["rebuild"].items()
    (kept,) = store.kept_files("old")
    assert fingerprint(kept) == before
    assert held(store.cache, "heuristics", CACHE_ONLY) is not None
    assert store.tool.sync()["cache_writes"]["commits"] == 0


def test_staged_while_held_then_swapped(store: Store) -> None:
    """do-memory holds the file: the new one is prepared, and finished after it left, with what it wrote meanwhile."""
    with running(HOLD_REDB, store.cache, "write"):
        staged = store.tool.json("rebuild", "--staged", "--yes").document
        assert staged["error"] is None
        assert staged["staged"]["root"] == store.root
        assert staged["next_action"] == "storage-sync rebuild --swap"
        locked = store.tool.json("rebuild", "--swap", "--yes", "--wait", "0.2")
        assert (locked.exit_code, locked.document["error"]["code"]) == (6, "cache_locked")
    done = store.tool.json("rebuild", "--swap", "--yes").document
    assert (done["verdict"], done["proof"]["root"]) == ("IN_SYNC", store.root)
    assert held(store.cache, "heuristics", CACHE_ONLY) is not None
    assert not list(store.cache.parent.glob("*.build-*"))


def test_a_build_of_other_settings_is_not_swapped(store: Store) -> None:
    assert store.tool.json("rebuild", "--staged", "--yes", "--window", "3").exit_code == 0
    before = fingerprint(store.cache)
    result = store.tool.json("rebuild", "--swap", "--yes")
    assert (result.exit_code, result.document["error"]["code"]) == (9, "guard")
    assert fingerprint(store.cache) == before
    assert store.tool.json("rebuild", "--discard", "--yes").document["verdict"] == "IN_SYNC"
    assert not list(store.cache.parent.glob("*.build-*"))


DIES_BEFORE_THE_RENAME = """
import os, signal, sys
from console.cli.entry import run
from storage_sync.sync import apply
apply._swap = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
run(sys.argv[1:])
"""


def test_a_finished_build_without_its_name_is_taken_up_again(tmp_path: Path) -> None:
    """Killed between the end of the build and its rename: nothing is fetched again, the manifest neither."""
    path = tmp_path / "primary.db"
    generate(path, 6, 300)
    with Sqld(path) as server:
        straight = Tool.at(tmp_path / "straight", server.url).sync()
        tool = Tool.at(tmp_path / "killed", server.url)
        command = [sys.executable, "-c", DIES_BEFORE_THE_RENAME, "rebuild", "--yes", *tool.arguments]
        assert subprocess.run(command, env=tool.variables, check=False).returncode == -signal.SIGKILL
        assert not tool.cache.exists()
        done = tool.json("rebuild", "--yes").document
    assert (done["verdict"], done["proof"]["root"]) == ("IN_SYNC", straight["proof"]["root"])
    assert done["transfer"]["bytes_received"] < straight["transfer"]["bytes_received"] / 50


def test_a_finished_build_takes_what_changed_before_it_is_put_in_place(tmp_path: Path) -> None:
    """Its imprint is no longer the primary's: the manifest is sent, and of the rows only those that differ."""
    path = tmp_path / "primary.db"
    generate(path, 6, 300)
    with Sqld(path) as server:
        tool = Tool.at(tmp_path / "killed", server.url)
        command = [sys.executable, "-c", DIES_BEFORE_THE_RENAME, "rebuild", "--yes", *tool.arguments]
        assert subprocess.run(command, env=tool.variables, check=False).returncode == -signal.SIGKILL
        hrana.execute(server.url, ["UPDATE episodes SET task_description='changed' WHERE rowid=1"])
        done = tool.json("rebuild", "--yes").document
        straight = Tool.at(tmp_path / "straight", server.url).sync()
    assert (done["verdict"], done["proof"]["root"]) == ("IN_SYNC", straight["proof"]["root"])
    assert done["transfer"]["bytes_received"] < straight["transfer"]["bytes_received"] / 20
