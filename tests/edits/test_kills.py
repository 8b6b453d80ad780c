"""Kills around the commit of a change: the old state or the new one, and nothing lost in either."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.edits.conftest import NOW, Stores
from tests.support.processes import environment

KILLED = """
import os, signal, sys
from storage_sync import _native

def die(*arguments):
    if sys.argv[1] == "after":
        real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

real = _native.edit
_native.edit = die
from console.cli import main
main(sys.argv[2:])
"""
KEY = "episode_00000000-0000-4000-8000-000000000000"


def killed(stores: Stores, moment: str, *words: str) -> None:
    command = [sys.executable, "-c", KILLED, moment, *words, "--config", str(stores.demo.config_file)]
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()


def with_orphan(stores: Stores) -> None:
    from storage_sync import _native

    value = next(value for (table, _), value in stores.rows().items() if table == "embeddings")
    change = ("embeddings", KEY, None, value)
    _native.edit(str(stores.cache), [change], {}, stores.generation, NOW * 1000)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_removal(stores: Stores, moment: str) -> None:
    with_orphan(stores)
    before = stores.rows()
    killed(stores, moment, "orphans", "quarantine", KEY, "--yes")
    gone = {("embeddings", KEY)} if moment == "after" else set()
    assert set(before) - set(stores.rows()) == gone
    # pending entries are nobody's until the next run has looked whether their commit came
    assert stores.json("quarantine")[1]["set_aside"] == []
    stores.sync()
    aside = stores.json("quarantine")[1]["set_aside"]
    assert [row["key"] for row in aside] == [KEY] * (moment == "after")
    if moment == "after":
        assert stores.json("quarantine", "restore", str(aside[0]["id"]), "--yes")[0] == 0
    assert stores.rows() == before


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_undo(stores: Stores, moment: str) -> None:
    before = stores.rows()
    stores.change_primary()
    stores.sync()
    after = stores.rows()
    killed(stores, moment, "undo", "--yes")
    assert stores.rows() == (before if moment == "after" else after)
    assert stores.json("undo", "--plan")[0] == 0
    document = stores.sync()
    assert document["proof"]["generation"] == stores.generation
    assert {key for key in after if key not in stores.rows()} == set()
