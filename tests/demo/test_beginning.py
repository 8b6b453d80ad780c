"""What the demo begins with: something to find, something to restore, something to undo."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_sync.demo.beginning import begin
from storage_sync.demo.demo import Demo
from tests.cli.conftest import Cli, clean_environment, cli

__all__ = ["clean_environment", "cli"]


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    made = Demo.create(tmp_path, 3, 60, now=1_795_392_000)
    begin(made)
    return made


def test_there_is_something_to_find_to_restore_and_to_undo(demo: Demo, cli: Cli) -> None:
    given = ("--config", str(demo.config_file))
    _, found = cli.json("orphans", "list", *given)
    assert {one["reason"] for one in found["orphans"]} >= {
        "owner nowhere",
        "not cached",
        "wrong dimension",
        "bad values",
    }
    _, held = cli.json("quarantine", "list", *given)
    assert [one["table"] for one in held["refused"]] == ["episodes"]
    assert len(held["set_aside"]) >= 2
    code, plan = cli.json("undo", "--plan", *given)
    assert code == 0
    assert {step["step"]: bool(step["rows"]) for step in plan["steps"]} == {
        "insert": True, "update": True, "remove": True, "primary": False
    }  # fmt: skip


def test_the_next_sync_changes_nothing_and_takes_no_orphan_out(demo: Demo, cli: Cli) -> None:
    given = ("--config", str(demo.config_file))
    before = cli.json("orphans", "list", *given)[1]["orphans"]
    code, document = cli.json("sync", *given)
    assert (code, document["verdict"]) == (7, "IN_SYNC")
    assert not any(any(change.values()) for change in document["applied"].values())
    assert cli.json("orphans", "list", *given)[1]["orphans"] == before


def test_the_same_seed_leaves_the_same_orphans(demo: Demo, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "other").mkdir()
    other = Demo.create(tmp_path / "other", 3, 60, now=1_795_392_000)
    begin(other)
    keys = [
        {one["key"] for one in cli.json("orphans", "list", "--config", str(made.config_file))[1]["orphans"]}
        for made in (demo, other)
    ]
    assert keys[0] == keys[1]
