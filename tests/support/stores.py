"""Copies of the stores that do-memory itself wrote (`tests/fixtures/`), unpacked into a test's own folder."""

from __future__ import annotations

import lzma
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
CACHES = {
    "small": "cache.redb",
    "cli": "cache.redb",
    "v47-small": "cache.redb",
    "medium": "cache-full.redb",
}
"""Caches that do-memory wrote, by set."""
PRIMARIES = ("small", "cli", "batch", "v47-small", "medium")
"""Sets with a primary; `v47-small` is of generation 0.1.47, the others of 0.1.40."""


def unpack(name: str, file: str, folder: Path) -> Path:
    """A private, writable copy of `fixtures/<name>/<file>` in `folder`, unpacked when it is stored as .xz."""
    target = folder / file
    folder.mkdir(parents=True, exist_ok=True)
    plain = FIXTURES / name / file
    if plain.exists():
        shutil.copyfile(plain, target)
    else:
        with lzma.open(FIXTURES / name / f"{file}.xz") as packed, target.open("wb") as out:
            shutil.copyfileobj(packed, out)
    return target


def primary(name: str, folder: Path) -> Path:
    return unpack(name, "primary.db", folder)


def cache(name: str, folder: Path) -> Path:
    copy = unpack(name, CACHES[name], folder)
    return copy.rename(folder / "cache.redb")


def quiet_copy(database: Path, folder: Path) -> Path:
    """A copy of a database that a server holds but is not writing to, with what is still in its log."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "copy.db"
    for suffix in ("", "-wal"):
        piece = Path(f"{database}{suffix}")
        copy = Path(f"{target}{suffix}")
        copy.unlink(missing_ok=True)
        if piece.exists():
            shutil.copyfile(piece, copy)
    Path(f"{target}-shm").unlink(missing_ok=True)
    return target


def execute(database: Path, statements: Sequence[str]) -> None:
    """Run statements on a file that nobody serves, in one transaction, with foreign keys on like libSQL."""
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        with connection:
            for statement in statements:
                connection.execute(statement)
    finally:
        connection.close()


def select(database: Path, statement: str) -> list[tuple[object, ...]]:
    """Rows of one query on a file at rest."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()
