"""`quarantine list|show` on real stores."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from storage_sync.demo.demo import Demo
from tests.cli.conftest import Cli


@pytest.fixture
def made(cli: Cli) -> Demo:
    """A demo whose second sync refuses one row and sets two aside."""
    folder = cli.folder / "demo"
    folder.mkdir()
    made = Demo.create(folder, 2, 30, now=1_795_392_000)
    assert cli.json("sync", "--config", str(made.config_file))[0] == 0
    with closing(sqlite3.connect(made.primary)) as db:
        db.execute("UPDATE episodes SET steps = '{not json' WHERE rowid = 1")
        db.execute("DELETE FROM episodes WHERE rowid = 2")
        db.commit()
    assert cli.json("sync", "--config", str(made.config_file))[0] == 7
    return made


def test_list_and_show(cli: Cli, made: Demo) -> None:
    where = ("--config", str(made.config_file))
    code, document = cli.json("quarantine", "list", *where)
    assert code == 0
    (refused,) = document["refused"]
    assert (refused["table"], refused["column"]) == ("episodes", "steps")
    assert refused["id"] == f"episodes/{refused['key']}"
    assert refused["first_seen"].endswith("Z")
    reasons = [entry["reason"] for entry in document["set_aside"] if entry["table"] == "episodes"]
    assert sorted(reasons) == ["gone from the primary", "refused by the primary's new row"]
    for entry in (refused, document["set_aside"][0]):
        _, shown = cli.json("quarantine", "show", str(entry["id"]), *where)
        assert shown["entry"] == entry
    _, out, _ = cli.run("quarantine", *where)
    assert out.rstrip().endswith("quarantined.")
    code, document = cli.json("quarantine", "show", "none", *where)
    assert (code, document["error"]["code"]) == (2, "usage")


def test_an_absent_cache_has_none(cli: Cli) -> None:
    code, document = cli.json("quarantine", *cli.stores)
    assert (code, document["refused"], document["set_aside"]) == (0, [], [])
