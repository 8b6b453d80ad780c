"""The history: runs, checks, pings and marks of orphans, in a SQLite file of the state directory.

It is a convenience, never a condition: a damaged file is moved aside, a failing write is a warning, and what it
cannot answer is empty. Times are UTC epoch seconds.

See docs/protocol.md#files.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msgspec import MsgspecError, Struct, json

from storage_sync.files.kinds import require_readable
from storage_sync.files.writing import ensure_file, make_folder, move_aside
from storage_sync.state.sqlite_file import transaction
from storage_sync.values.outcome import Check, CheckStatus, Purpose, TableChange, Word
from storage_sync.values.snapshot import LOCK_TAKEN, HistoryView, ReadCosts, RowsRead, RunSummary, StartFacts

if TYPE_CHECKING:
    from storage_sync.values.answers import CheckRun

VERSION = 1
KEEP_RUNS = 5_000
"""Of those that only followed, and as many of all others: a busy primary is followed every few seconds, and proofs and
plans are what one looks for later."""
ALL_RUNS = 2 * KEEP_RUNS
KEEP_PINGS = 20_000
BUSY_MS = 2_000
FILE_NAME = "history.db"

_FOLLOWED = "json_extract(document, '$.followed') IS NOT NULL"
_OTHERS = "json_extract(document, '$.followed') IS NULL"

_DDL = f"""
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, cause TEXT NOT NULL, started_at REAL NOT NULL,
    took_s REAL NOT NULL, new INTEGER NOT NULL, changed INTEGER NOT NULL, gone INTEGER NOT NULL,
    exit_code INTEGER NOT NULL, result TEXT NOT NULL, resumable INTEGER NOT NULL, generation INTEGER,
    bytes_received INTEGER NOT NULL, requests INTEGER NOT NULL, rows_fetched INTEGER NOT NULL,
    fetch_s REAL NOT NULL, document TEXT NOT NULL, steps TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS runs_by_time ON runs(started_at);
CREATE INDEX IF NOT EXISTS runs_followed ON runs(started_at) WHERE {_FOLLOWED};
CREATE INDEX IF NOT EXISTS runs_others ON runs(started_at, kind, result) WHERE {_OTHERS};
CREATE TABLE IF NOT EXISTS checks (
    run_id TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL, at REAL NOT NULL, expected TEXT, actual TEXT,
    detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS checks_by_name ON checks(name, at);
CREATE INDEX IF NOT EXISTS checks_by_run ON checks(run_id);
CREATE TABLE IF NOT EXISTS pings (at REAL NOT NULL, ms REAL);
CREATE INDEX IF NOT EXISTS pings_by_time ON pings(at);
CREATE TABLE IF NOT EXISTS orphans (
    key TEXT PRIMARY KEY NOT NULL, first_seen REAL NOT NULL, expected_reason TEXT, expected_at REAL);
CREATE TABLE IF NOT EXISTS totals (name TEXT NOT NULL, label TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (name, label));
"""

_SUMMARY = (
    "id, kind, cause, started_at, took_s, new, changed, gone, exit_code, result, resumable, generation, "
    "bytes_received, requests"
)
_START = "json_extract(document, '$.start')"
_UNDOES = (
    "CASE WHEN kind = 'undo' AND json_extract(document, '$.error') IS NULL AND (new + changed + gone > 0"
    " OR json_extract(document, '$.file_restored') IS NOT NULL)"
    " THEN coalesce(json_extract(document, '$.undone_run'), '') ELSE '' END"
)
"""The run that an undo undid: of one that ended well and changed something."""
_DRIFTS = "coalesce(json_extract(document, '$.verdict') = 'DRIFT', 0)"
_DOES = "coalesce(json_extract(document, '$.does'), '')"


class Medians(Struct, frozen=True):
    """Middle values over the newest successful runs and pings; None while there are none."""

    rows_per_s: float | None = None
    ping_ms: float | None = None


class OrphanMark(Struct, frozen=True):
    """Since when a broken vector is known (epoch seconds), and why an operator expects it, if one does."""

    first_seen: float
    expected_reason: str | None = None


OFFLINE = frozenset({LOCK_TAKEN, "undo", "orphans", "quarantine", "detach", "compact"})
"""Kinds of runs that say nothing about the primary."""


def _start_of(text: str | None) -> StartFacts | None:
    """What the document of a run says of a start; None where it says nothing."""
    try:
        return StartFacts(**json.decode(text)) if text else None
    except (TypeError, MsgspecError):
        return None


def speaks(run: RunSummary) -> bool:
    """Whether a run ended well and says how the whole cache stands to the primary; a part of it (`verify --subset`) is
    not enough."""
    return run.exit_code in (0, 7) and run.kind not in OFFLINE and run.result != Word.UNKNOWN


class History:
    """One open history. Safe to call from several threads; close it with `close` or a `with` block."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, warn: Callable[[str], None], *, on_disk: bool = False
    ) -> None:
        self.path = path
        self._db = connection
        self._on_disk = on_disk
        self._warn = warn
        self._lock = threading.Lock()
        self._revision = 0

    @classmethod
    def open(cls, path: Path, warn: Callable[[str], None], *, read_only: bool = False) -> History:
        """Open or create it; what cannot be used is moved aside or replaced by one in memory, with a warning.

        `read_only`: nothing is created or moved; an absent or unusable file reads as empty.
        """
        if read_only:
            return cls(path, _read_only(path, warn), warn)
        connection, on_disk = _usable(path, warn)
        return cls(path, connection, warn, on_disk=on_disk)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    # --------------------------------------------------------------------------------------- writing

    def record_run(
        self,
        summary: RunSummary,
        *,
        document: Mapping[str, object] | None = None,
        steps: Sequence[tuple[str, float]] = (),
        checks: Sequence[Check] = (),
        applied: Mapping[str, TableChange] | None = None,
        rows_fetched: int = 0,
        fetch_s: float = 0.0,
        retries: int = 0,
        lock_s: float = 0.0,
        requests_by_code: Mapping[str, int] | None = None,
        rows_read: Mapping[Purpose, int] | None = None,
        unmetered: Mapping[Purpose, int] | None = None,
        costs: RunCost | None = None,
    ) -> None:
        """Remember a run that ended: its document, its steps (name, seconds), its checks, and the running totals.

        `costs`: what it tells of the next of its kind.
        """
        at = summary.started_at + summary.took_s
        totals = [
            ("runs", summary.result or str(summary.exit_code), 1.0),
            ("bytes", "", float(summary.bytes_received)),
            *(("requests", code, float(n)) for code, n in (requests_by_code or {"": summary.requests}).items()),
            ("retries", "", float(retries)),
            ("lock_held", "", lock_s),
            *(("phase_seconds", name, seconds) for name, seconds in steps),
            *(("phase_count", name, 1.0) for name, _ in steps),
            *(("phase_bucket", f"{name}\t{_bucket(seconds)}", 1.0) for name, seconds in steps),
        ]
        totals.extend(
            ("changes", f"{table}	{operation}", float(getattr(change, operation)))
            for table, change in (applied or {}).items()
            for operation in ("insert", "update", "remove")
        )

        def write(db: sqlite3.Connection) -> None:
            places = ", ".join("?" * 18)
            db.execute(
                f"INSERT OR REPLACE INTO runs VALUES ({places})",  # noqa: S608 - only question marks
                (
                    summary.id,
                    summary.kind,
                    summary.trigger,
                    summary.started_at,
                    summary.took_s,
                    summary.new,
                    summary.changed,
                    summary.gone,
                    summary.exit_code,
                    summary.result,
                    int(summary.resumable),
                    summary.generation,
                    summary.bytes_received,
                    summary.requests,
                    rows_fetched,
                    fetch_s,
                    json.encode(document or {}).decode(),
                    json.encode(steps).decode(),
                ),
            )
            db.executemany(
                "INSERT INTO checks VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        summary.id,
                        check.name,
                        check.status.value,
                        at,
                        _text(check.expected),
                        _text(check.actual),
                        check.detail,
                    )
                    for check in checks
                ],
            )
            _add(db, totals)
            _add_read(db, at, rows_read or {}, unmetered or {})
            if costs is not None:
                _note_cost(db, costs)
            for kept in (_FOLLOWED, _OTHERS):
                _forget_old(db, kept)

        self._write(write)

    def record_ping(self, at: float, ms: float | None, rows: int = 0, unmetered: int = 0) -> None:
        """Remember one ping of the primary; `ms` None: it failed. `rows`: that it read; `unmetered`: statements of
        which it did not say that."""

        def write(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO pings VALUES (?, ?)", (at, ms))
            _add_read(db, at, {Purpose.POLL: rows}, {Purpose.POLL: unmetered})
            if ms is not None and not unmetered:
                _average(db, rows)
            newest = "SELECT at FROM pings ORDER BY at DESC LIMIT 1 OFFSET ?"
            db.execute(f"DELETE FROM pings WHERE at < ({newest})", (KEEP_PINGS - 1,))  # noqa: S608 - a constant

        self._write(write)

    def count(self, name: str, label: str = "", value: float = 1.0) -> None:
        """Add to a running total (`repairs`, `rollbacks`, `bitrot_keys` … of the metrics)."""
        self._write(lambda db: _add(db, [(name, label, value)]))

    def see_orphans(self, keys: Iterable[str], at: float) -> None:
        """Note since when each of these broken vectors is known; the others are forgotten unless expected."""
        known = list(keys)

        def write(db: sqlite3.Connection) -> None:
            db.execute("CREATE TEMP TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY)")
            db.execute("DELETE FROM seen")
            db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", [(key,) for key in known])
            db.execute("INSERT OR IGNORE INTO orphans (key, first_seen) SELECT key, ? FROM seen", (at,))
            db.execute("DELETE FROM orphans WHERE expected_at IS NULL AND key NOT IN (SELECT key FROM seen)")

        self._write(write)

    def expect_orphans(self, keys: Iterable[str], reason: str, at: float) -> None:
        """Mark orphans as expected, with a note; the check then counts them apart."""
        rows = [(key, at, reason, at) for key in keys]
        self._write(
            lambda db: db.executemany(
                "INSERT INTO orphans VALUES (?, ?, ?, ?) ON CONFLICT(key) DO UPDATE SET "
                "expected_reason = excluded.expected_reason, expected_at = excluded.expected_at",
                rows,
            )
        )

    def unexpect_orphans(self, keys: Iterable[str]) -> None:
        """Take the marks back; since when the rows are known stays."""
        rows = [(key,) for key in keys]
        self._write(
            lambda db: db.executemany(
                "UPDATE orphans SET expected_reason = NULL, expected_at = NULL WHERE key = ?", rows
            )
        )

    # --------------------------------------------------------------------------------------- reading

    def runs(self, since: float | None = None, limit: int = 100) -> tuple[RunSummary, ...]:
        """Newest first; `since` in epoch seconds."""
        query = (
            f"SELECT {_SUMMARY}, {_START}, {_FOLLOWED}, {_DOES}, {_UNDOES}, '', {_DRIFTS} FROM runs"  # noqa: S608 - constants
            " WHERE started_at >= ? ORDER BY started_at DESC, rowid DESC LIMIT ?"
        )
        found = self._rows(query, since if since is not None else -1e18, limit)
        rows = [dict(zip(RunSummary.__struct_fields__, row, strict=True)) for row in found]
        undone = self._undone() if rows else {}
        return tuple(
            RunSummary(
                **{
                    **row,
                    "resumable": bool(row["resumable"]),
                    "start": _start_of(row["start"]),
                    "followed": bool(row["followed"]),
                    "undone_by": undone.get(row["id"], ""),
                    "drifts": bool(row["drifts"]),
                }
            )
            for row in rows
        )

    def _undone(self) -> dict[str, str]:
        """Runs that are undone, each with the run that undid it. An undo that was undone itself counts no more."""
        undone: dict[str, str] = {}
        query = (
            f"SELECT id, {_UNDOES} FROM runs WHERE {_OTHERS} AND kind = 'undo'"  # noqa: S608 - constants
            " ORDER BY started_at DESC, rowid DESC"
        )
        for by, run_id in self._rows(query):
            if run_id and by not in undone:
                undone.setdefault(run_id, by)
        return undone

    def document(self, run_id: str) -> dict[str, object] | None:
        """The document that a run printed."""
        for (text,) in self._rows("SELECT document FROM runs WHERE id = ?", run_id):
            found: dict[str, object] = json.decode(text)
            return found
        return None

    def steps(self, run_id: str) -> tuple[tuple[str, float], ...]:
        """The steps of a run with their seconds."""
        rows = self._rows("SELECT steps FROM runs WHERE id = ?", run_id)
        return tuple((str(name), float(seconds)) for (text,) in rows for name, seconds in json.decode(text))

    def recent_checks(self, name: str, limit: int = 14) -> tuple[CheckStatus, ...]:
        """How one check ended in the newest runs, newest last."""
        rows = self._rows("SELECT status FROM checks WHERE name = ? ORDER BY at DESC, rowid DESC LIMIT ?", name, limit)
        return tuple(CheckStatus(status) for (status,) in reversed(rows))

    def pings(self, limit: int = 60) -> tuple[float | None, ...]:
        """The newest pings in milliseconds, newest last; None: that one failed."""
        rows = self._rows("SELECT ms FROM pings ORDER BY at DESC, rowid DESC LIMIT ?", limit)
        return tuple(ms for (ms,) in reversed(rows))

    def timed_pings(self, limit: int = 60) -> tuple[tuple[float, float | None], ...]:
        """The newest pings with their moments, newest last."""
        rows = self._rows("SELECT at, ms FROM pings ORDER BY at DESC, rowid DESC LIMIT ?", limit)
        return tuple((at, ms) for at, ms in reversed(rows))

    def fetch_rates(self) -> dict[str, float]:
        """Rows fetched a second, of each run that fetched any."""
        rows = self._rows("SELECT id, rows_fetched / fetch_s FROM runs WHERE rows_fetched > 0 AND fetch_s > 0")
        return dict(rows)

    def check_runs(self, limit: int = 14) -> tuple[CheckRun, ...]:
        """How all checks ended in the newest runs that had some, newest first."""
        from storage_sync.values.answers import CheckRun

        rows = self._rows(
            "SELECT runs.id, kind, started_at, took_s, group_concat(status) FROM runs "
            "JOIN checks ON checks.run_id = runs.id GROUP BY runs.id ORDER BY started_at DESC, runs.rowid DESC LIMIT ?",
            limit,
        )
        return tuple(
            CheckRun(run_id, kind, at, took_s, tuple(CheckStatus(status) for status in statuses.split(",")))
            for run_id, kind, at, took_s, statuses in rows
        )

    def last_run(self, *, successful: bool = False) -> RunSummary | None:
        """The newest run, or the newest that ended well (exit 0 or 7) and asked the primary about all rows."""
        for run in self.runs(limit=200):
            if speaks(run) if successful else run.kind != LOCK_TAKEN:
                return run
        return None

    def medians(self, last: int = 15) -> Medians:
        """Median speed of the newest successful runs that changed rows, and the median ping."""
        from statistics import median

        rows = self._rows(
            "SELECT rows_fetched, fetch_s FROM runs "
            "WHERE exit_code IN (0, 7) AND rows_fetched > 0 AND fetch_s > 0 ORDER BY started_at DESC LIMIT ?",
            last,
        )
        pings = [ms for ms in self.pings() if ms is not None]
        return Medians(
            rows_per_s=median(row[0] / row[1] for row in rows) if rows else None,
            ping_ms=median(pings) if pings else None,
        )

    def view(self, last: int = 20) -> HistoryView:
        """What a front end shows: number of runs, how many of them compared with the primary, ended in sync, or only
        followed, and the newest ones. Commands that ask no primary are in the number alone."""
        offline = sorted(OFFLINE)
        asks = f"kind NOT IN ({', '.join('?' * len(offline))})"
        rows = self._rows(
            f"SELECT count(*), total({asks}), total({asks} AND result = ?), "  # noqa: S608 - constants
            f"(SELECT count(*) FROM runs WHERE {_FOLLOWED}) FROM runs WHERE {_OTHERS}",
            *offline,
            *offline,
            Word.IN_SYNC.value,
        )
        others, asked, in_sync, followed = rows[0] if rows else (0, 0, 0, 0)
        return HistoryView(self._revision, others + followed, int(asked), int(in_sync), self.runs(limit=last), followed)

    def orphan_marks(self) -> dict[str, OrphanMark]:
        """Since when each broken vector is known, and which are expected."""
        rows = self._rows("SELECT key, first_seen, expected_reason FROM orphans")
        return {key: OrphanMark(first_seen, reason) for key, first_seen, reason in rows}

    def totals(self) -> dict[tuple[str, str], float]:
        """Running totals by name and label."""
        return {(name, label): value for name, label, value in self._rows("SELECT name, label, value FROM totals")}

    def rows_read(self, now: float) -> RowsRead | None:
        """What the primary said it read today and within a day; None where it never said anything."""
        if not self._rows("SELECT 1 FROM totals WHERE name = 'rows_read' LIMIT 1"):
            return None
        of_day = "SELECT name, value FROM totals WHERE label = ? AND name IN (?, ?)"
        today = dict(self._rows(of_day, _day(now), *_OF_A_DAY))
        of_hours = "SELECT name, CAST(label AS INTEGER), value FROM totals WHERE name IN (?, ?)"
        newest = int(now // HOUR_S)
        lately, firsts = 0, []
        for name, hour, value in self._rows(of_hours, *_OF_AN_HOUR):
            if not newest - HOURS < hour <= newest:
                continue
            if name == _OF_AN_HOUR[0]:
                lately += int(value)
            else:
                firsts.append(value)
        since = min(firsts, default=now)
        return RowsRead(int(today.get(_OF_A_DAY[0], 0)), lately, since, int(today.get(_OF_A_DAY[1], 0)))

    def is_unmetered(self) -> bool:
        """Whether the primary was asked, and never said how many rows it read."""
        found = self._rows("SELECT DISTINCT name FROM totals WHERE name IN ('rows_read', 'unmetered')")
        return [name for (name,) in found] == ["unmetered"]

    def read_costs(self) -> ReadCosts:
        """What the last polls and the last proof made the primary read."""
        found = dict(self._rows("SELECT label, value FROM totals WHERE name = ?", _COST))
        proof = found.get("proof")
        return ReadCosts(found.get("poll"), int(proof) if proof is not None else None, bool(found.get("renews")))

    # ----------------------------------------------------------------------------------------- ground

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        with self._lock:
            self._put_back()
            try:
                try:
                    self._do(work)
                except sqlite3.DatabaseError as error:
                    self._begin_again(error)
                    self._do(work)
                self._revision += 1
            except sqlite3.Error as error:
                self._warn(f"the history {self.path} cannot be written ({error})")

    def _do(self, work: Callable[[sqlite3.Connection], object]) -> None:
        with transaction(self._db):
            work(self._db)

    def _begin_again(self, error: sqlite3.DatabaseError) -> None:
        """Where the file is damaged, do at once what the next start would do; another error is raised again."""
        if not self._on_disk or type(error) is not sqlite3.DatabaseError:
            raise error
        self._db.close()
        self._db, self._on_disk = _usable(self.path, self._warn)

    def _put_back(self) -> None:
        """Write what is known to a new file where somebody removed the old one; once, if that cannot be done."""
        if not self._on_disk or self.path.exists():
            return
        try:
            fresh = _connect(self.path)
            self._db.backup(fresh)
        except (sqlite3.Error, OSError) as error:
            self._on_disk = False
            self._warn(f"the history {self.path} was removed and cannot be restored ({error})")
            return
        self._db.close()
        self._db = fresh
        self._warn(f"the history {self.path} was removed; what it held was restored")

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                try:
                    return self._db.execute(query, values).fetchall()
                except sqlite3.DatabaseError as error:
                    self._begin_again(error)
                    return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                self._warn(f"the history {self.path} cannot be read ({error})")
                return []


BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)
"""Upper bounds in seconds of the histogram of phases."""


def _bucket(seconds: float) -> str:
    return next((f"{bound:g}" for bound in BUCKETS if seconds <= bound), "+Inf")


def _forget_old(db: sqlite3.Connection, which: str) -> None:
    """Leave the newest `KEEP_RUNS` of these runs, with their checks."""
    oldest = f"SELECT started_at FROM runs WHERE {which} ORDER BY started_at DESC LIMIT 1 OFFSET ?"  # noqa: S608 - constants
    old = f"SELECT id FROM runs WHERE {which} AND started_at < ({oldest})"  # noqa: S608 - constants
    gone = db.execute(old, (KEEP_RUNS - 1,)).fetchall()
    db.executemany("DELETE FROM checks WHERE run_id = ?", gone)
    db.executemany("DELETE FROM runs WHERE id = ?", gone)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _add(db: sqlite3.Connection, totals: Iterable[tuple[str, str, float]]) -> None:
    db.executemany(
        "INSERT INTO totals VALUES (?, ?, ?) ON CONFLICT(name, label) DO UPDATE SET value = value + excluded.value",
        [total for total in totals if total[2]],
    )


class RunCost(Struct, frozen=True):
    """Rows that one run made the primary read: `followed` for what a poll saw, `proof` for all expected rows;
    `renewed`: it was a proof that read nothing."""

    followed: int = 0
    proof: int | None = None
    renewed: bool = False


HOUR_S = 3_600.0
HOURS = 24
_OF_A_DAY = ("rows_read_on", "unmetered_on")
_OF_AN_HOUR = ("rows_read_in", "read_since")
_COST = "cost"
_WEIGHT = 0.1
"""Of the newest poll in the average."""


def _day(at: float) -> str:
    """The day of a moment where this process runs."""
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _add_read(
    db: sqlite3.Connection, at: float, rows_read: Mapping[Purpose, int], unmetered: Mapping[Purpose, int]
) -> None:
    """What was read for each purpose in all, on this day and in this hour; earlier days are forgotten."""
    rows, silent = sum(rows_read.values()), sum(unmetered.values())
    if not rows and not silent:
        return
    _add(db, [("rows_read", purpose, float(count)) for purpose, count in rows_read.items()])
    _add(db, [("unmetered", purpose, float(count)) for purpose, count in unmetered.items()])
    day, hour = _day(at), int(at // HOUR_S)
    db.execute("DELETE FROM totals WHERE name IN (?, ?) AND label <> ?", (*_OF_A_DAY, day))
    db.execute(
        "DELETE FROM totals WHERE name IN (?, ?) AND CAST(label AS INTEGER) NOT BETWEEN ? AND ?",
        (*_OF_AN_HOUR, hour - HOURS + 1, hour),
    )
    _add(db, [(_OF_A_DAY[0], day, float(rows)), (_OF_A_DAY[1], day, float(silent))])
    _add(db, [(_OF_AN_HOUR[0], str(hour), float(rows))])
    if rows:
        db.execute("INSERT OR IGNORE INTO totals VALUES (?, ?, ?)", (_OF_AN_HOUR[1], str(hour), at))


def _average(db: sqlite3.Connection, rows: float) -> None:
    """One more poll in the average."""
    db.execute(
        "INSERT INTO totals VALUES (?, 'poll', ?) "
        "ON CONFLICT(name, label) DO UPDATE SET value = value + ? * (? - value)",
        (_COST, rows, _WEIGHT, rows),
    )


def _note_cost(db: sqlite3.Connection, cost: RunCost) -> None:
    # what was followed belongs to the poll that saw it, which is in the average already
    db.execute(
        "UPDATE totals SET value = value + ? WHERE name = ? AND label = 'poll'", (_WEIGHT * cost.followed, _COST)
    )
    known = [("renews", float(cost.renewed))] if cost.renewed or cost.proof is not None or cost.followed else []
    known += [("proof", float(cost.proof))] if cost.proof is not None else []
    db.executemany("INSERT OR REPLACE INTO totals VALUES (?, ?, ?)", [(_COST, *one) for one in known])


def _usable(path: Path, warn: Callable[[str], None]) -> tuple[sqlite3.Connection, bool]:
    """An open history, and whether it is the file: a damaged one is moved aside, and what cannot be is in memory."""
    for attempt in range(2):
        try:
            return _connect(path), True
        except (sqlite3.OperationalError, OSError) as error:
            warn(f"the history {path} cannot be opened ({error}); this run is not remembered")
            break
        except sqlite3.DatabaseError as error:
            if attempt or not _move_aside(path, warn, str(error)):
                break
    return _in_memory(), False


def _connect(path: Path) -> sqlite3.Connection:
    make_folder(path.parent)
    ensure_file(path)
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise sqlite3.OperationalError(f"it is of a newer version ({version})")
        if version and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("it is damaged")
        # the indexes of an older file are made now
        db.executescript(_DDL)
        if not version:
            db.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        # the caller gets no connection that it could close
        db.close()
        raise
    return db


def _in_memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    db.executescript(_DDL)
    return db


def _read_only(path: Path, warn: Callable[[str], None]) -> sqlite3.Connection:
    if not path.exists():
        return _in_memory()
    try:
        require_readable(path)
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        db.execute("SELECT id FROM runs LIMIT 1").fetchone()
    except (sqlite3.Error, OSError) as error:
        warn(f"the history {path} cannot be read ({error})")
        return _in_memory()
    return db


def _move_aside(path: Path, warn: Callable[[str], None], why: str) -> bool:
    """Keep a damaged history beside the new one; its journal files go with it."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    try:
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                move_aside(part, aside.with_name(aside.name + suffix))
    except OSError as error:
        warn(f"the history {path} is damaged ({why}) and cannot be moved aside ({error.strerror})")
        return False
    warn(f"the history {path} was damaged ({why}); it was moved to {aside.name} and a new one begun")
    return True
