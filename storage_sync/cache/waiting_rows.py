"""What waits beside a held cache: rows of the primary as it has them, in `<cache>.waiting`.

The file has owner and mode of the cache. It says which source, epoch, configuration and generation of the cache it
was fetched for, and is worth nothing for any other. What lies there and is not ours is never touched.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, field

from storage_sync import _native
from storage_sync.cache.identity import real_path
from storage_sync.files.kinds import reading
from storage_sync.files.ownership import give_ownership
from storage_sync.files.writing import put_in_place
from storage_sync.values.errors import LocalIO
from storage_sync.values.extra import Waiting

_SHARED_WRITE = stat.S_IWGRP | stat.S_IWOTH


class WaitingNote(Struct, frozen=True):
    """What the rows are, and what they were fetched for. Times are epoch seconds."""

    source_id: str
    epoch: int
    config_hash: str
    digest: str
    enc: int
    generation: int
    """Of the cache that they are to be merged into."""
    root: str
    at: float
    """When the manifest was asked for: the proof that comes of these rows speaks of this moment."""
    since: float
    """When the first of them began to wait."""
    rows: int
    """Rows of the cache that would be written or removed."""
    replication_index: int | None = None
    still_there: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """By table, rows to be removed that the primary still has; whether what they belong to is there too."""


class Kept(Struct, frozen=True):
    """A file that can be used."""

    note: WaitingNote
    rows: _native.Waiting


class Found(Struct, frozen=True):
    """What lies under the name. `kept`: None where nothing of use does. `problem`: what is wrong with it."""

    kept: Kept | None = None
    problem: str = ""
    ours: bool = True
    """It may be replaced and removed."""


def waiting_path(cache: str) -> str:
    return real_path(cache) + ".waiting"


def spool_path(cache: str) -> str:
    """Where rows are gathered; nobody reads that name."""
    return waiting_path(cache) + ".new"


def read_waiting(cache: str) -> Found:
    """Look at the file; what is wrong with it is said, not raised. Blocking."""
    path = waiting_path(cache)
    try:
        status = Path(path).lstat()
    except FileNotFoundError:
        return Found()
    except OSError as error:
        return Found(problem=f"{path} cannot be looked at: {error.strerror}", ours=False)
    stranger = _stranger(status, real_path(cache))
    if stranger:
        return Found(problem=f"{path} {stranger}; it is left alone and no rows can wait there", ours=False)
    try:
        rows = _native.Waiting.open(path)
        return Found(Kept(msgspec.json.decode(rows.note, type=WaitingNote), rows))
    except FileNotFoundError:
        return Found()
    except _native.StreamError as error:
        if error.code == "foreign":
            return Found(
                problem=f"{path} was not made by this tool; it is left alone and no rows can wait there", ours=False
            )
        return Found(problem=f"{path}: {error}; it is fetched again")
    except msgspec.MsgspecError as error:
        return Found(problem=f"{path}: its note cannot be read ({error}); it is fetched again")
    except OSError as error:
        return Found(problem=f"{path} cannot be read: {error.strerror}", ours=False)


def waiting_json(note: WaitingNote) -> Waiting:
    """`waiting` of a document."""
    return {"rows": note.rows, "since": _moment(note.since), "as_of": _moment(note.at), "generation": note.generation}


def waiting_text(note: WaitingNote) -> str:
    """`12 rows have waited since 2026-11-30T14:02:00Z`."""
    rows = "1 row has waited" if note.rows == 1 else f"{note.rows:,} rows have waited"
    return f"{rows} since {_moment(note.since)}"


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def encode_note(note: WaitingNote) -> bytes:
    return msgspec.json.encode(note)


def publish(cache: str) -> None:
    """Give the complete spool owner and mode of the cache, then its name. LocalIO. Blocking; the lease is held."""
    spool, path = Path(spool_path(cache)), Path(waiting_path(cache))
    try:
        with reading(real_path(cache)) as of_cache, reading(spool) as rows:
            try:
                give_ownership(of_cache.fileno(), rows.fileno())
            except PermissionError:
                # only root may give a file away; anybody else's stays theirs, an owner that is accepted too
                os.fchmod(rows.fileno(), stat.S_IMODE(os.fstat(of_cache.fileno()).st_mode))
        put_in_place(spool, path)
    except OSError as error:
        raise LocalIO(f"{path} cannot be written: {error.strerror}") from error


def clear_spool(cache: str) -> None:
    """Remove what a killed run left. LocalIO."""
    try:
        Path(spool_path(cache)).unlink(missing_ok=True)
    except OSError as error:
        raise LocalIO(f"{spool_path(cache)} cannot be removed: {error.strerror}") from error


def discard(cache: str) -> None:
    """Remove what waits. A file that is not ours stays. LocalIO. Blocking; the lease is held."""
    clear_spool(cache)
    if not read_waiting(cache).ours:
        return
    try:
        Path(waiting_path(cache)).unlink(missing_ok=True)
    except OSError as error:
        raise LocalIO(f"{waiting_path(cache)} cannot be removed: {error.strerror}") from error


def _stranger(status: os.stat_result, cache: str) -> str:
    """Why a file with this status cannot be ours; '' when it can.

    Rows go into the cache, so whoever may write them must be one who may write the cache.
    """
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    try:
        of_cache = Path(cache).stat()
    except OSError:
        return "has no cache beside it"
    if status.st_uid not in (of_cache.st_uid, os.geteuid()):
        return f"belongs to another user ({status.st_uid}) than the cache"
    if status.st_mode & _SHARED_WRITE & ~of_cache.st_mode:
        return "may be written by more users than the cache"
    return ""
