"""What lies beside a `file:` primary: a journal of a killed writer, a log, and nothing of ours afterwards."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage_sync.primary import local
from storage_sync.primary.source import LocalSource
from storage_sync.primary.urls import parse
from storage_sync.values.errors import PrimaryUnavailable
from tests.support import stores
from tests.support.command import Result, Tool

NOBODY = 65_534
ROOT = os.geteuid() == 0
"""Whoever is not root reads files of this own user here: then what is left belongs to that one."""

AS_NOBODY = f"""
import importlib, os, pkgutil, sys
import console.cli, storage_sync
for package in (storage_sync, console.cli):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
from console.cli import entry
sys.exit(entry.run(sys.argv[1:]))
"""
"""The command of a user who may read and not write; the interpreter itself may lie where only its owner can reach."""


def as_nobody(tool: Tool, *words: str) -> Result:
    command = [sys.executable, "-c", AS_NOBODY, *words, "--json", *tool.arguments]
    done = subprocess.run(command, env=tool.variables, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE episodes SET task_description = hex(randomblob(20000))")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that another user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="beside-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def primary(place: Path, mode: str) -> Path:
    folder = place / "p"
    database = stores.primary("small", folder)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    database.chmod(0o644)
    return database


def reader(place: Path, database: Path) -> Tool:
    home = place / "home"
    home.mkdir()
    if ROOT:
        os.chown(home, NOBODY, NOBODY)
    return Tool(home, f"file:{database}", home / "cache.redb")


def beside(database: Path) -> dict[str, tuple[int, int]]:
    """Mode and owner of all that is in the folder."""
    return {file.name: (file.stat().st_mode, file.stat().st_uid) for file in database.parent.iterdir()}


@pytest.mark.parametrize("folder_mode", [0o555, 0o755])
def test_what_was_never_committed_is_never_read(place: Path, folder_mode: int) -> None:
    database = primary(place, "DELETE")
    subprocess.run([sys.executable, "-c", KILLED, str(database)], check=False)
    assert Path(f"{database}-journal").stat().st_size > 0
    before = beside(database)
    database.parent.chmod(folder_mode)
    tool = reader(place, database)
    result = as_nobody(tool, "sync")
    assert result.exit_code == 8, result.stdout
    assert "-journal of a transaction that was not finished" in result.document["error"]["message"]
    assert "do-memory" in result.document["error"]["hint"]
    assert beside(database) == before
    database.parent.chmod(0o755)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(
            "SELECT count(*) FROM episodes WHERE length(task_description) > 30000"
        ).fetchone() == (0,)
    assert as_nobody(tool, "sync").document["verdict"] == "IN_SYNC"


@pytest.mark.parametrize("folder_mode", [0o777, 0o755, 0o555])
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_nothing_is_left_beside_a_primary_of_another_user(place: Path, folder_mode: int, mode: str) -> None:
    database = primary(place, mode)
    database.parent.chmod(folder_mode)
    before = beside(database)
    tool = reader(place, database)
    for command in ("ping", "sync", "verify"):
        result = as_nobody(tool, *command.split())
        assert result.exit_code == 0, result.stdout
    assert beside(database) == before


def test_an_application_that_is_there_keeps_its_files(place: Path) -> None:
    database = primary(place, "WAL")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE episodes SET task_description = 'in the log'")
        for file in database.parent.iterdir():
            file.chmod(0o666)
        before = beside(database)
        tool = reader(place, database)
        assert as_nobody(tool, "sync").document["verdict"] == "IN_SYNC"
        assert beside(database) == before
        connection.execute("UPDATE episodes SET task_description = 'again'")


def test_a_log_that_nobody_holds_is_not_read_around(place: Path) -> None:
    database = primary(place, "WAL")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE episodes SET task_description = 'in the log'")
        kept = place / "kept"
        kept.mkdir()
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{database}{suffix}", kept / f"primary.db{suffix}")
    before = beside(kept / "primary.db")
    result = as_nobody(reader(place, kept / "primary.db"), "sync")
    if ROOT:
        assert result.exit_code == 8
        assert "changes in its -wal file" in result.document["error"]["message"]
        assert beside(kept / "primary.db") == before
    else:
        assert result.document["verdict"] == "IN_SYNC"


async def test_a_file_that_is_written_while_it_is_read_alone_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = primary(tmp_path, "WAL")
    monkeypatch.setattr(local, "_may_leave_files", lambda _: False)
    source = LocalSource(parse(f"file:{database}"))
    assert local.way_of(database).stamp is not None
    await source.probe()
    assert [file.name for file in database.parent.iterdir()] == ["primary.db"]

    def write(connection: sqlite3.Connection) -> int:
        stores.execute(database, ["UPDATE episodes SET task_description = 'written meanwhile'"])
        return int(connection.execute("SELECT count(*) FROM episodes").fetchone()[0])

    with pytest.raises(PrimaryUnavailable, match="written to while it was read"):
        await source._call(write)
    assert (await source.fingerprint()).values
