"""Rows that a sync, a repair or an operator took out and the primary cannot give back (docs/protocol.md#files).

A SQLite file in the state folder, durable before the commit that needs it. Entries are written as pending, with
the generation of that commit, and confirmed after it; `settle` of the next run decides about what a kill left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from msgspec import Struct

from storage_sync import _native
from storage_sync.files.kinds import require_readable
from storage_sync.files.writing import ensure_file, make_folder
from storage_sync.state.sqlite_file import Database, Words

FILE_NAME = "rows.db"
DAY_S = 86400.0

_WORDS = Words(
    "the quarantined rows", hint="check the state folder and its free space; a damaged rows.db can be moved away"
)
_BATCH = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tbl        TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      BLOB NOT NULL,
    digest     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    run_id     TEXT NOT NULL,
    generation INTEGER NOT NULL,
    at         REAL NOT NULL,
    pending    INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS spent (id INTEGER PRIMARY KEY, generation INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS rows_pending ON rows (pending, generation);
"""
_LIST = "SELECT id, tbl, key, reason, run_id, generation, at, pending, digest, length(value) FROM rows"
_TAKE = "SELECT id, tbl, key, reason, run_id, generation, at, pending, digest, length(value), value FROM rows"


class Removed(Struct, frozen=True):
    """A row that is about to leave the cache, as `Staging.replaced` gives it."""

    table: str
    key: str
    value: bytes
    reason: str


class AsideRow(Struct, frozen=True):
    """One row of the store without its bytes. `digest`: hex of the whole blake3 of them; `at`: UTC epoch seconds."""

    id: int
    table: str
    key: str
    reason: str
    run_id: str
    generation: int
    at: float
    pending: bool
    digest: str
    bytes: int


class AsideValue(Struct, frozen=True):
    """A row with its bytes; `intact`: they still hash to what was written."""

    row: AsideRow
    value: bytes
    intact: bool


class AsideTotals(Struct, frozen=True):
    rows: int
    bytes: int


class Settled(Struct, frozen=True):
    """What `settle` did with the entries that an earlier run left pending."""

    confirmed: int
    dropped: int


class SetAside:
    """The open store. All methods raise LocalIO when the store cannot be read or written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    @contextmanager
    def open(folder: Path, *, create: bool = True) -> Iterator[SetAside]:
        """The store in `folder` (`StateDir.set_aside`), for the body of a `with`."""
        path = folder / FILE_NAME
        with _WORDS.explain(path):
            if create:
                make_folder(folder)
                ensure_file(path)
            require_readable(path)
        # EXTRA is FULL and a sync of the folder after the journal is gone: only then is a commit durable.
        with Database.open(path, _SCHEMA, _WORDS, synchronous="EXTRA", create=create) as database:
            yield SetAside(database)

    def put(self, rows: Iterable[Removed], run_id: str, generation: int, at: float, *, pending: bool = True) -> int:
        """Add rows, all or none, durable on return; gives their number. Memory: one batch of them."""
        added = 0
        source = iter(rows)
        with self._database.writing() as connection:
            while batch := list(islice(source, _BATCH)):
                connection.executemany(
                    "INSERT INTO rows (tbl, key, value, digest, reason, run_id, generation, at, pending)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        (
                            row.table,
                            row.key,
                            row.value,
                            digest_of(row.value),
                            row.reason,
                            run_id,
                            generation,
                            at,
                            int(pending),
                        )
                        for row in batch
                    ),
                )
                added += len(batch)
        return added

    def confirm(self, run_id: str, generation: int) -> int:
        """The commit of this run and generation is durable: its entries count from now on."""
        with self._database.writing() as connection:
            return connection.execute(
                "UPDATE rows SET pending = 0 WHERE pending = 1 AND run_id = ? AND generation = ?", (run_id, generation)
            ).rowcount

    def settle(self, live_generation: int | None) -> Settled:
        """Before a new run: entries pending for the very next generation are dropped, all others confirmed.

        The next one never came: what it would have replaced is still in the cache. One that the cache reached, came.
        One further on came too, or may have, and then the file was lost or replaced: nothing else has these rows.
        Rows that a restore spent go when its generation came.
        Only while the lease is held, and before anything is put by this run.
        """
        with self._database.writing() as connection:
            confirmed = connection.execute(
                "UPDATE rows SET pending = 0 WHERE pending = 1 AND generation <> ?", ((live_generation or 0) + 1,)
            ).rowcount
            dropped = connection.execute("DELETE FROM rows WHERE pending = 1").rowcount
            connection.execute(
                "DELETE FROM rows WHERE id IN (SELECT id FROM spent WHERE generation <= ?)", (live_generation or 0,)
            )
            connection.execute("DELETE FROM spent")
        return Settled(confirmed, dropped)

    def rows(self, after: int = 0, limit: int = 100, *, pending: bool = False) -> list[AsideRow]:
        """At most `limit` rows with an id above `after`, in that order; those still pending only when asked for."""
        with self._database.reading() as connection:
            found = connection.execute(
                _LIST + " WHERE id > ? AND pending <= ? ORDER BY id LIMIT ?",
                (after, int(pending), limit),
            ).fetchall()
        return [_row(fields) for fields in found]

    def totals(self) -> AsideTotals:
        with self._database.reading() as connection:
            rows, size = connection.execute(
                "SELECT count(*), coalesce(sum(length(value)), 0) FROM rows WHERE pending = 0"
            ).fetchone()
        return AsideTotals(rows, size)

    def show(self, row_id: int) -> AsideValue | None:
        """One confirmed row with its bytes."""
        return next(iter(self.take([row_id])), None)

    def take(self, ids: Sequence[int]) -> list[AsideValue]:
        """Confirmed rows with their bytes, for a restore; they stay here until `discard`, after its commit."""
        with self._database.reading() as connection:
            found = [
                fields
                for row_id in ids
                for fields in connection.execute(_TAKE + " WHERE id = ? AND pending = 0", (row_id,))
            ]
        return [_value(_row(fields[:-1]), fields[-1]) for fields in found]

    def of_run(self, run_id: str) -> list[int]:
        """Ids of what one run quarantined, for its undo."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT id FROM rows WHERE run_id = ? AND pending = 0 ORDER BY id", (run_id,)
            ).fetchall()
        return [row_id for (row_id,) in found]

    def spend(self, ids: Sequence[int], generation: int) -> None:
        """The commit of this generation restores these rows: they go with `discard`, or with the next `settle`."""
        with self._database.writing() as connection:
            rows = [(row_id, generation) for row_id in ids]
            connection.executemany("INSERT OR REPLACE INTO spent (id, generation) VALUES (?, ?)", rows)

    def discard(self, ids: Sequence[int]) -> int:
        """Remove rows that were restored, or that an operator gives up."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM spent WHERE id = ?", ((row_id,) for row_id in ids))
            return connection.executemany("DELETE FROM rows WHERE id = ?", ((row_id,) for row_id in ids)).rowcount

    def purge(self, days: float, now: float) -> int:
        """Remove confirmed rows that are older than `days`; `now` in UTC epoch seconds."""
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM rows WHERE pending = 0 AND at < ?", (now - days * DAY_S,)).rowcount


def digest_of(value: bytes) -> str:
    """Hex of the whole blake3; its first half is the value digest of the ledger."""
    return _native.digest("blake3", value).hex()


def _row(fields: tuple[int, str, str, str, str, int, float, int, str, int]) -> AsideRow:
    number, table, key, reason, run_id, generation, at, pending, digest, size = fields
    return AsideRow(number, table, key, reason, run_id, generation, at, bool(pending), digest, size)


def _value(row: AsideRow, value: bytes) -> AsideValue:
    return AsideValue(row, value, digest_of(value) == row.digest)
