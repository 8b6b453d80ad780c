"""What the newest runs changed, so that it can be taken back (docs/cli.md#undo).

A SQLite file in the state folder, beside the rows set aside. Set-aside rows are what the primary cannot give back
and stay until an operator decides; this log is a convenience with bounds: the newest `KEEP_RUNS` runs, and the bytes
of a run only up to `KEEP_BYTES`. A run above that is remembered without its rows (`whole` is False), and its undo can
only put back what was set aside. So a failure here costs a warning, never a run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage_sync.files.kinds import require_readable
from storage_sync.files.writing import ensure_file
from storage_sync.state.database import Database, Words

FILE_NAME = "undo.db"
KEEP_RUNS = 10
KEEP_BYTES = 64 << 20
"""Bytes of one run that are kept, and of all runs together."""

_WORDS = Words("what undo needs")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    at         REAL NOT NULL,
    whole      INTEGER NOT NULL,
    file       TEXT
);
CREATE TABLE IF NOT EXISTS steps (
    run    INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    tbl    TEXT NOT NULL,
    key    TEXT NOT NULL,
    before BLOB,
    after  BLOB
);
CREATE INDEX IF NOT EXISTS steps_run ON steps (run);
"""
_RUN = """
SELECT id, kind, generation, at, whole, file, count(steps.run), coalesce(sum(length(before)), 0)
FROM runs LEFT JOIN steps ON steps.run = runs.seq WHERE generation <= ?
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One row that a run changed: its bytes before (None: absent), and the whole blake3 of those after it."""

    table: str
    key: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class UndoRun:
    """A run that can be taken back. `at` in UTC epoch seconds; `rows`, `bytes`: what is kept of it."""

    id: str
    kind: str
    generation: int
    at: float
    whole: bool
    file: str | None
    """Where the file that it replaced is kept; such a run has no rows."""
    rows: int
    bytes: int


class UndoLog:
    """The open log. All methods raise LocalIO when it cannot be read or written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    @contextmanager
    def open(folder: Path, *, create: bool = True) -> Iterator[UndoLog]:
        """The log in `folder` (`StateDir.folder`), for the body of a `with`."""
        path = folder / FILE_NAME
        with _WORDS.explain(path):
            if create:
                # values of rows lie here: for nobody else's eyes, whatever the folder allows
                ensure_file(path)
            require_readable(path)
        # a log that a power cut has torn would not open again: no later run could be taken back
        with Database.open(path, _SCHEMA, _WORDS, synchronous="FULL") as database:
            yield UndoLog(database)

    def put(
        self,
        run_id: str,
        kind: str,
        generation: int,
        at: float,
        steps: Iterable[Step] = (),
        *,
        live: int,
        file: str | None = None,
        keep_bytes: int = KEEP_BYTES,
    ) -> bool:
        """Remember a run before its commit of `generation`; False when its rows are too many bytes to be kept.

        `live`: generation of the cache now, under the lease: what was written down for a later one never came and goes.
        """
        with self._database.writing() as connection:
            connection.execute("DELETE FROM runs WHERE id = ? OR generation > ?", (run_id, live))
            self._prune(connection, live)
            seq = connection.execute(
                "INSERT INTO runs (id, kind, generation, at, whole, file) VALUES (?, ?, ?, ?, 1, ?)",
                (run_id, kind, generation, at, file),
            ).lastrowid
            held = 0
            for step in steps:
                held += len(step.before or b"")
                if held > keep_bytes:
                    connection.execute("DELETE FROM steps WHERE run = ?", (seq,))
                    connection.execute("UPDATE runs SET whole = 0 WHERE seq = ?", (seq,))
                    return False
                connection.execute(
                    "INSERT INTO steps VALUES (?, ?, ?, ?, ?)", (seq, step.table, step.key, step.before, step.after)
                )
        return True

    def runs(self, live: int) -> list[UndoRun]:
        """What can be taken back of a cache of generation `live`, newest first."""
        with self._database.reading() as connection:
            found = connection.execute(_RUN + " GROUP BY runs.seq ORDER BY runs.seq DESC", (live,)).fetchall()
        return [
            UndoRun(run_id, kind, generation, at, bool(whole), file, rows, size)
            for run_id, kind, generation, at, whole, file, rows, size in found
        ]

    def steps(self, run_id: str) -> list[Step]:
        """What one run changed; at most `KEEP_BYTES` of values."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT tbl, key, before, after FROM steps JOIN runs ON steps.run = runs.seq WHERE runs.id = ?"
                " ORDER BY tbl, key",
                (run_id,),
            ).fetchall()
        return [Step(*fields) for fields in found]

    def forget(self, run_id: str) -> None:
        """This run was taken back."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))

    def _prune(self, connection: sqlite3.Connection, live: int) -> None:
        """Make room for one more run."""
        held = 0
        for place, run in enumerate(self.runs(live), 1):
            held += run.bytes
            if place >= KEEP_RUNS or held > KEEP_BYTES:
                connection.execute("DELETE FROM runs WHERE id = ?", (run.id,))
