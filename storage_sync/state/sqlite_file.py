"""SQLite files of the state folder that must be durable: how one is opened, written, and what is said when it fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from storage_sync.values.errors import LocalIO

BUSY_MS = 5000


class Words(Struct, frozen=True):
    """What is said of a file that cannot be read or written: `what` it holds, and what to do, if there is a thing."""

    what: str
    hint: str | None = None

    @contextmanager
    def explain(self, path: Path) -> Iterator[None]:
        """LocalIO for what SQLite or the system says in the body."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LocalIO(f"{self.what} ({path}) cannot be read or written: {error}", hint=self.hint) from error


class Database:
    """One open file. LocalIO from the bodies of `reading` and `writing`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, words: Words) -> None:
        self._connection = connection
        self._path = path
        self._words = words

    @staticmethod
    @contextmanager
    def open(path: Path, schema: str, words: Words, *, synchronous: str, create: bool = False) -> Iterator[Database]:
        """The file at `path`, for the body of a `with`; its tables are made when they are missing.

        `synchronous`: SQLite's setting, FULL or EXTRA: how much of a commit outlives a power cut.
        """
        mode = "rwc" if create else "rw"
        with words.explain(path):
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
            )
        try:
            with words.explain(path):
                connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute(f"PRAGMA synchronous = {synchronous}")
                new = connection.execute("PRAGMA schema_version").fetchone() == (0,)
                # one transaction for all tables of a new file: each has its own syncs
                connection.executescript(f"BEGIN IMMEDIATE;{schema}COMMIT;" if new else schema)
            yield Database(connection, path, words)
        finally:
            connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._words.explain(self._path):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the body, durable at its end, or nothing of it."""
        with self.reading() as connection, transaction(connection):
            yield connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the body, or nothing of it. `connection` begins none by itself."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # Whatever ended the body, an interrupt too, half of it is not kept.
        # A full disk may have ended the transaction already; the first error is the one to tell.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
