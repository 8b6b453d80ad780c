"""Our lease: one writing run at a time on one cache (docs/operations.md#lease).

A `flock` on `<cache>.lock`, which the kernel drops with the process, so it is never stale. What stands in the
file is for people. do-memory never looks at it; redb's own lock on the cache is another matter (`holders.py`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import MsgspecError, Struct, json
from msgspec.structs import replace

from storage_sync.cache.holders import describe, lock_holders
from storage_sync.cache.identity import file_system_of, real_path
from storage_sync.files.kinds import descriptor_of, read_small
from storage_sync.files.writing import own_file
from storage_sync.values.errors import LeaseHeld, LocalIO
from storage_sync.values.outcome import HolderKind, LockHolder

_BUSY = frozenset({errno.EWOULDBLOCK, errno.EACCES})
_UNSUPPORTED = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})


class LeaseNote(Struct, frozen=True):
    """Who wrote the lock file last; `started` in UTC epoch seconds."""

    pid: int
    host: str
    run_id: str
    started: float


class Lease(Struct, frozen=True):
    """A lease that is held. `exclusive` is False only where the file system has no locks and `lock_ok` was given."""

    path: str
    note: LeaseNote
    exclusive: bool = True

    @staticmethod
    @contextmanager
    def acquire(
        cache: str,
        run_id: str,
        *,
        lock_ok: bool = False,
    ) -> Iterator[Lease]:
        """Hold the lease of the cache at path `cache` for the body of a `with`.

        LeaseHeld while another run has it; LocalIO when the file cannot be made or the file system has no locks.
        """
        path = lease_path(cache)
        refuse_network(path, lock_ok)
        descriptor, exclusive = _lock(path, lock_ok)
        note = LeaseNote(os.getpid(), os.uname().nodename, run_id, time.time())
        try:
            _write_note(descriptor, note)
            yield Lease(path, note, exclusive)
        finally:
            _clear_note(descriptor)
            os.close(descriptor)


def lease_path(cache: str) -> str:
    """The lock file beside the real file of a cache, so that two names of one file share one lease."""
    return real_path(cache) + ".lock"


def lease_holder(cache: str) -> LockHolder | None:
    """Who holds the lease now, or None; looks without locking."""
    return next(iter(lock_holders(lease_path(cache))), None)


def cache_holders(cache: str) -> tuple[LockHolder, ...]:
    """`lock_holders` of the cache; another run of ours is known by its lease."""
    holders = lock_holders(cache)
    lease = lease_holder(cache) if holders else None
    return tuple(
        replace(holder, kind=HolderKind.OURS) if lease is not None and holder.pid == lease.pid else holder
        for holder in holders
    )


def read_note(cache: str) -> LeaseNote | None:
    """What the lock file says; only worth something while `lease_holder` names the same process."""
    try:
        return json.decode(read_small(lease_path(cache), 4096), type=LeaseNote)
    except (OSError, ValueError, MsgspecError):
        return None


def refuse_network(path: str, lock_ok: bool) -> None:
    """LocalIO for a file on a network file system, unless the operator said that its locks are good."""
    system = file_system_of(path)
    if system.network and not lock_ok:
        raise LocalIO(
            f"{path} is on a network file system ({system.kind}), where a lock may not be seen by others",
            hint="keep the cache on a local disk, or give --lock-ok if only this machine uses it",
        )


def _lock(path: str, lock_ok: bool) -> tuple[int, bool]:
    while True:
        descriptor = _open(path)
        kept = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Somebody may have removed the file between the two calls: then we locked what nobody will look at.
            if _still_there(descriptor, path):
                kept = True
                return descriptor, True
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                if lock_ok:
                    kept = True
                    return descriptor, False
                raise LocalIO(
                    f"the file system of {path} has no locks ({error.strerror})",
                    hint="keep the cache on a local disk, or give --lock-ok if only one run at a time uses it",
                ) from error
            if error.errno not in _BUSY:
                raise LocalIO(f"{path}: {error.strerror}") from error
            raise LeaseHeld(_held(path)) from error
        finally:
            if not kept:
                os.close(descriptor)


def _open(path: str) -> int:
    try:
        return own_file(path, mode=0o644)
    except PermissionError:
        # Another user's lock file can still be locked; only its note stays as it is.
        try:
            return descriptor_of(path, os.O_NOFOLLOW)
        except OSError as error:
            raise LocalIO(f"the lease {path} cannot be opened: {error.strerror}") from error
    except OSError as error:
        raise LocalIO(f"the lease {path} cannot be made: {error.strerror}") from error


def _still_there(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), Path(path).stat())
    except FileNotFoundError:
        return False


def _held(path: str) -> str:
    cache = path.removesuffix(".lock")
    holder, note = lease_holder(cache), read_note(cache)
    who = describe(holder) if holder is not None else "another process"
    if note is not None and (holder is None or holder.pid == note.pid):
        who = f"{who}, run {note.run_id} on {note.host}"
    return f"another run works on this cache: {who}"


def _write_note(descriptor: int, note: LeaseNote) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.encode(note) + b"\n", 0)
    except OSError:
        return  # the note is for people; the lock is what counts


def _clear_note(descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)
    except OSError:
        return
