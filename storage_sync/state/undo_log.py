"""What the newest runs changed, so that it can be looked at and undone (docs/cli.md#undo).

A SQLite file in the state folder, beside the quarantined rows. Quarantined rows are what the primary cannot give back
and stay until an operator decides; this log is a convenience with bounds: the newest `KEEP_RUNS` runs, and the bytes
of a run only up to `KEEP_BYTES`. A run above that is remembered without its rows (`whole` is False), and its undo can
only restore what was quarantined. What a run left in the rows is kept too, to be looked at, up to `KEEP_AFTER` bytes.
So a failure here costs a warning, never a run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from msgspec import Struct

from storage_sync.files.kinds import require_readable
from storage_sync.files.writing import ensure_file
from storage_sync.state.sqlite_file import Database, Words

FILE_NAME = "undo.db"
KEEP_RUNS = 30
KEEP_BYTES = 64 << 20
"""Bytes of one run that are kept, and of all runs together."""
KEEP_AFTER = 8 << 20
"""Bytes of one run's rows as it left them: undo needs none of them, so those that come later are not kept."""
KEEP_REJECTED = 10_000
"""Rejected rows of one run that are listed."""

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
CREATE TABLE IF NOT EXISTS left_there (
    run    INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    tbl    TEXT NOT NULL,
    key    TEXT NOT NULL,
    value  BLOB NOT NULL,
    PRIMARY KEY (run, tbl, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected (
    run    INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    tbl    TEXT NOT NULL,
    key    TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS rejected_run ON rejected (run);
CREATE TABLE IF NOT EXISTS taken_back (run INTEGER PRIMARY KEY REFERENCES runs (seq) ON DELETE CASCADE);
"""
_RUN = """
SELECT id, kind, generation, at, whole, file, count(steps.run), coalesce(sum(length(before)), 0)
FROM runs LEFT JOIN steps ON steps.run = runs.seq WHERE generation <= ?
"""
_STANDING = " AND NOT EXISTS (SELECT 1 FROM taken_back WHERE taken_back.run = runs.seq)"
_NEWEST_FIRST = " GROUP BY runs.seq ORDER BY runs.seq DESC"


class Step(Struct, frozen=True):
    """One row that a run changed: its bytes before (None: absent), and the whole blake3 of those after it.

    `left`: the bytes after it; None: absent, or not kept.
    """

    table: str
    key: str
    before: bytes | None
    after: bytes | None
    left: bytes | None = None

    @property
    def cut(self) -> bool:
        """Whether the row is there after the run, and its bytes are not kept."""
        return self.after is not None and self.left is None


class Rejected(Struct, frozen=True):
    """A row of the primary that the cache could not take in a run."""

    table: str
    key: str
    reason: str


class UndoRun(Struct, frozen=True):
    """A run that can be undone. `at` in UTC epoch seconds; `rows`, `bytes`: what is kept of it."""

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
        # a log that a power cut has torn would not open again: no later run could be undone
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
        rejected: Iterable[Rejected] = (),
        keep_bytes: int = KEEP_BYTES,
        keep_after: int = KEEP_AFTER,
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
            connection.executemany(
                "INSERT INTO rejected VALUES (?, ?, ?, ?)",
                ((seq, row.table, row.key, row.reason) for row in islice(rejected, KEEP_REJECTED)),
            )
            held = left = 0
            for step in steps:
                held += len(step.before or b"")
                if held > keep_bytes:
                    connection.execute("DELETE FROM steps WHERE run = ?", (seq,))
                    connection.execute("DELETE FROM left_there WHERE run = ?", (seq,))
                    connection.execute("UPDATE runs SET whole = 0 WHERE seq = ?", (seq,))
                    return False
                if step.left is not None and left + len(step.left) <= keep_after:
                    left += len(step.left)
                    connection.execute(
                        "INSERT INTO left_there VALUES (?, ?, ?, ?)", (seq, step.table, step.key, step.left)
                    )
                connection.execute(
                    "INSERT INTO steps VALUES (?, ?, ?, ?, ?)", (seq, step.table, step.key, step.before, step.after)
                )
        return True

    def runs(self, live: int) -> list[UndoRun]:
        """What can be undone of a cache of generation `live`, newest first."""
        return self._listed(_RUN + _STANDING + _NEWEST_FIRST, live)

    def run(self, run_id: str, live: int) -> UndoRun | None:
        """One run, undone or not; None when nothing is kept of it."""
        found = self._listed(_RUN + " AND id = ?" + _NEWEST_FIRST, live, run_id)
        return found[0] if found else None

    def has_dropped(self) -> bool:
        """Whether any run that was remembered is not any more."""
        with self._database.reading() as connection:
            ((dropped,),) = connection.execute(
                "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'runs'), 0)"
                " > (SELECT count(*) FROM runs)"
            ).fetchall()
        return bool(dropped)

    def _listed(self, query: str, *values: object) -> list[UndoRun]:
        with self._database.reading() as connection:
            found = connection.execute(query, values).fetchall()
        return [
            UndoRun(run_id, kind, generation, at, bool(whole), file, rows, size)
            for run_id, kind, generation, at, whole, file, rows, size in found
        ]

    def steps(self, run_id: str) -> list[Step]:
        """What one run changed; at most `KEEP_BYTES` of values."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT tbl, key, before, after, value FROM steps JOIN runs ON steps.run = runs.seq"
                " LEFT JOIN left_there USING (run, tbl, key) WHERE runs.id = ? ORDER BY tbl, key",
                (run_id,),
            ).fetchall()
        return [Step(*fields) for fields in found]

    def rejected(self, run_id: str) -> list[Rejected]:
        """Rows that one run had to reject, or an earlier one, so that they still lack; at most `KEEP_REJECTED`."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT tbl, key, reason FROM rejected JOIN runs ON rejected.run = runs.seq WHERE runs.id = ?"
                " ORDER BY tbl, key",
                (run_id,),
            ).fetchall()
        return [Rejected(*fields) for fields in found]

    def forget(self, run_id: str) -> None:
        """This run was undone: it is only looked at from now on."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO taken_back SELECT seq FROM runs WHERE id = ?", (run_id,))

    def _prune(self, connection: sqlite3.Connection, live: int) -> None:
        """Make room for one more run."""
        held = 0
        for place, run in enumerate(self._listed(_RUN + _NEWEST_FIRST, live), 1):
            held += run.bytes
            if place >= KEEP_RUNS or held > KEEP_BYTES:
                connection.execute("DELETE FROM runs WHERE id = ?", (run.id,))
