"""A `file:` primary through stock SQLite: read-only, never created, never folded, interruptible.

Every function here blocks; `LocalSource` runs them on a thread. Neither libsql_client nor aiohttp is imported.

See docs/primary.md#file-primaries.
"""

from __future__ import annotations

import errno
import math
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote as quote_path

from msgspec import Struct

from storage_sync.files.kept import head_of
from storage_sync.files.kinds import NotUsable, require_readable
from storage_sync.primary import statements
from storage_sync.primary.capabilities import Capabilities
from storage_sync.primary.digests import CLIENT_DIGEST, half_digest
from storage_sync.primary.errors import NoFile, quote
from storage_sync.primary.schema import (
    BESIDE_TABLES,
    METADATA_TABLE,
    REVISION_TABLE,
    SEEKS,
    SOURCES,
    Projection,
    Schema,
    judge,
    names_to_look_for,
)
from storage_sync.primary.statements import Form
from storage_sync.values.errors import LocalIO, PrimaryRefused, PrimarySchema, PrimaryUnavailable, StorageSyncError

BUSY_SECONDS = 5.0
ROWS_A_BATCH = 500
BYTES_A_BATCH = 4 << 20
KEYS_A_STATEMENT = 400
MAGIC = b"SQLite format 3\x00"
VERSIONS = 18
"""Where the header says how the file is written and read: 2 and 2 with a -wal, 1 and 1 with a -journal."""
OLDEST = (3, 35, 0)

Row = tuple[object, ...]


Stamp = tuple[int, ...]
"""Identity, size and times of a file, and the size of its log: as long as it stays, nobody has written."""


class Way(Struct, frozen=True):
    """How a file is opened. `stamp`: it is read as if nobody could write it, which is checked after each read."""

    stamp: Stamp | None = None

    @property
    def parameters(self) -> str:
        return "mode=ro" if self.stamp is None else "mode=ro&immutable=1"


def way_of(path: Path) -> Way:
    """How this file is read so that nothing of ours stays beside it; PrimarySchema, LocalIO.

    Reading a WAL database makes two files beside it. Made by another user than the database's, they would keep its own
    application from writing. Such a file is read alone, which is right while its log is empty and nobody writes.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise LocalIO(f"SQLite {sqlite3.sqlite_version} is too old for a file: primary", hint="use a Python with 3.35")
    wal = _look(path)
    if not wal or _may_leave_files(path):
        return Way()
    if not _size(f"{path}-wal"):
        return Way(stamp_of(path))
    if not Path(f"{path}-shm").exists():
        raise LocalIO(
            f"{path} has changes in its -wal file, and reading them would leave files of this user beside it",
            hint="run as the user whose database it is, open it once with do-memory, or give a copy of the database",
        )
    return Way()


def _may_leave_files(path: Path) -> bool:
    """Whether the files that SQLite makes beside it belong to the database's own user: root's are given to that one."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return False
    return os.geteuid() in (0, owner) and os.access(path.absolute().parent, os.W_OK)


def stamp_of(path: Path) -> Stamp:
    """LocalIO when the file is gone."""
    try:
        found = path.stat()
    except OSError as error:
        raise LocalIO(f"the primary {path} cannot be read: {os.strerror(error.errno or errno.EIO)}") from error
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return (found.st_dev, found.st_ino, found.st_size, *times, _size(f"{path}-wal"), _size(f"{path}-journal"))


def check_unwritten(path: Path, way: Way) -> None:
    """PrimaryUnavailable when the file that is read alone was written to meanwhile."""
    if way.stamp is not None and stamp_of(path) != way.stamp:
        raise PrimaryUnavailable(f"the primary {path} was written to while it was read")


def open_read_only(path: Path, way: Way | None = None) -> sqlite3.Connection:
    """A connection that cannot write the file nor create it; text arrives as bytearray, so that none is undecodable.

    PrimarySchema when there is no such database, LocalIO when it cannot be read.
    """
    parameters = (way or way_of(path)).parameters
    try:
        connection = sqlite3.connect(
            f"file:{quote_path(os.fspath(path.absolute()))}?{parameters}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise error_of(error, path) from error
    connection.text_factory = bytearray
    connection.create_function("seventeen", 1, seventeen, deterministic=True)
    connection.create_function("fifteen", 1, fifteen, deterministic=True)
    connection.create_function("digested", -1, digested, deterministic=True)
    return connection


def seventeen(value: float) -> str:
    """What `printf('%!.17g', value)` should say."""
    return _digits(value, 17)


def fifteen(value: float) -> str:
    """What `printf('%!.15g', value)` should say: SQLite's own text of a real, as `_native` makes it."""
    return _digits(value, 15)


def _digits(value: float, count: int) -> str:
    if not math.isfinite(value):
        return "Inf" if value > 0 else "-Inf"
    # SQLite prints no negative zero
    mantissa, letter, exponent = f"{value + 0.0:.{count}g}".partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + letter + exponent


def _look(path: Path) -> bool:
    """Whether the database is in WAL mode; PrimarySchema when it is not a database, LocalIO when it cannot be read."""
    try:
        head = head_of(path, VERSIONS + 2)
        for beside in ("-wal", "-journal"):
            require_readable(f"{path}{beside}")
    except FileNotFoundError:
        raise NoFile(f"there is no database {path}") from None
    except NotUsable as error:
        raise PrimarySchema(f"{error.filename} cannot be a database: {error}") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "error"
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO):
            raise NoFile(f"there is no database {path}: {reason}") from None
        raise LocalIO(f"the primary {path} cannot be read: {reason}") from error
    if head and not head.startswith(MAGIC):
        raise PrimarySchema(
            f"{path} is not a SQLite database", hint="check --primary; an encrypted database cannot be read as a file"
        )
    return head[VERSIONS:] == b"\x02\x02"


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise error_of(error, path) from error


def error_of(error: sqlite3.Error, path: Path) -> StorageSyncError:
    """What an error of SQLite means for a primary."""
    said = quote(str(error))
    name = getattr(error, "sqlite_errorname", "") or ""
    if "no such table" in said or "no such column" in said:
        return PrimarySchema(f"the primary's schema is not do-memory's: {said}")
    if name.startswith("SQLITE_NOTADB") or "not a database" in said:
        return PrimarySchema(f"{path} is not a SQLite database")
    if name.startswith("SQLITE_CORRUPT") or "malformed" in said:
        return PrimaryRefused(
            f"the primary {path} is damaged: {said}",
            hint="restore it, or let do-memory recover it; nothing was changed",
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")) and _size(f"{path}-journal"):
        return LocalIO(
            f"the primary {path} has a -journal of a transaction that was not finished; only a writer can roll it back",
            hint="open it once with do-memory, as a user who may write it; nothing was changed",
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT", "SQLITE_NOMEM")) or "locked" in said:
        return PrimaryUnavailable(f"the primary {path} is busy: {said}")
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_READONLY", "SQLITE_FULL")):
        return LocalIO(f"the primary {path} cannot be read: {said}")
    return PrimaryRefused(f"the primary {path} refused a statement: {said}")


def probe(connection: sqlite3.Connection) -> Capabilities:
    """What the file has; PrimarySchema when it is not do-memory's."""
    wanted = names_to_look_for()
    found = {
        _text(name): _text(kind)
        for name, kind in connection.execute("SELECT name,type FROM sqlite_master WHERE type IN ('table','view')")
    }
    missing = {
        name: frozenset(columns) - {_text(row[1]) for row in connection.execute(f"PRAGMA table_info({name})")}
        for name, columns in wanted.items()
        if name in found
    }
    names, late = judge(missing)
    beside = [name for name in BESIDE_TABLES if name in found]
    schema = Schema(
        tables=names,
        late=late,
        rowids=frozenset(name for name in (*names, *beside) if found[name] == "table" and _has_rowid(connection, name)),
        seeks=frozenset(seek for seek in SEEKS if _can_seek(connection, *seek)),
        revisions=REVISION_TABLE in found,
        metadata=METADATA_TABLE in found,
        keyless=any(
            _text(row[1]) == "episode_id" and not row[3] for row in connection.execute("PRAGMA table_info(episodes)")
        ),
    )
    return Capabilities(
        schema=schema,
        digest=None,
        server=f"SQLite {sqlite3.sqlite_version}",
        foreign_keys=None,
        replication_index=None,
        access="read-only",
    )


def _has_rowid(connection: sqlite3.Connection, name: str) -> bool:
    try:
        connection.execute("SELECT rowid FROM " + name + " LIMIT 0").close()  # noqa: S608 (a name of ours)
    except sqlite3.OperationalError:
        return False
    return True


def _can_seek(connection: sqlite3.Connection, table: str, column: str) -> bool:
    """Whether an index of the whole table begins with the column."""
    leading = connection.execute(
        "SELECT count(*) FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) i"
        " WHERE l.partial=0 AND i.seqno=0 AND i.name=?",
        (table, column),
    ).fetchone()
    return bool(leading[0])


def _text(value: object) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else str(value)


def begin(connection: sqlite3.Connection, projection: Projection) -> tuple[Schema, dict[str, int]]:
    """Open the read transaction of a snapshot: the schema, and rows of each source table, as they are in it."""
    connection.execute("BEGIN")
    schema = probe(connection).schema
    rows = connection.execute(statements.counts(projection, schema)).fetchall()
    return schema, {_text(table): int(count) for table, count in rows}


def batches(connection: sqlite3.Connection, projection: Projection, schema: Schema) -> Iterator[tuple[str, list[Row]]]:
    """Expected rows of every table, in the form of `Staging.feed_rows`, in batches of some 4 MB at most."""
    for table in projection.tables:
        sql = statements.snapshot(table, projection, schema, stock=True)
        if sql is None:
            continue
        with closing(connection.execute(sql)) as cursor:
            size = 16
            while rows := cursor.fetchmany(size):
                yield table, rows
                size = _next_size(rows)


def _next_size(rows: Sequence[Row]) -> int:
    """Rows for the next batch, by the size of these."""
    held = sum(len(cell) for row in rows for cell in row if isinstance(cell, (bytes, bytearray)))
    return max(1, min(ROWS_A_BATCH, BYTES_A_BATCH * len(rows) // max(1, held)))


def by_keys(
    connection: sqlite3.Connection, table: str, schema: Schema, keys: Sequence[str], form: Form
) -> Iterator[list[Row]]:
    """Rows of given source keys (hex), in batches (`statements.stock_by_keys`)."""
    for first in range(0, len(keys), KEYS_A_STATEMENT):
        some = keys[first : first + KEYS_A_STATEMENT]
        sql = statements.stock_by_keys(table, schema, len(some), form)
        if sql is not None:
            yield connection.execute(sql, [bytes.fromhex(key) for key in some]).fetchall()


def digested(table: str, *typed: object) -> str:
    """Digest of one typed row, in hex, by the function that is used where a primary has none."""
    return half_digest(CLIENT_DIGEST, canonical(table, typed))


def answered(connection: sqlite3.Connection, sql: str) -> list[Row]:
    """Rows with texts as such: of what we named ourselves, or as hex."""
    rows = connection.execute(sql).fetchall()
    return [tuple(_text(cell) if isinstance(cell, bytearray) else cell for cell in row) for row in rows]


def canonical(table: str, typed: Sequence[object]) -> bytes:
    """Canonical text (enc=1) of one typed row: `typeof, CAST(… AS BLOB)` for each column, then for the tags."""
    parts: list[bytes] = []
    columns = len(SOURCES[table].columns)
    for number in range(columns):
        kind, value = _text(typed[2 * number]), typed[2 * number + 1]
        parts.append(kind.encode())
        if isinstance(value, (bytes, bytearray)):
            parts += [str(len(value)).encode(), bytes(value)]
    if table == "episodes":
        tags = typed[2 * columns + 1]
        parts += [b"tags", bytes(tags) if isinstance(tags, (bytes, bytearray)) else b""]
    return b"|".join(parts)
