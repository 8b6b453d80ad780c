"""One hierarchy of errors; each class carries its exit code, code word, hint and whether a retry helps.

The code words and exit codes are the contract of docs/cli.md#errors and docs/operations.md.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from storage_sync.values.next_step import NextStep, in_commands


class StorageSyncError(Exception):
    """Anything this tool can explain. `str(error)` is the sentence; `hint` says what to do next on the command line."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 70
    retry: ClassVar[bool] = False
    default_hint: ClassVar[str | NextStep] = "this is a bug; please report it"

    def __init__(self, message: str, *, hint: str | NextStep | None = None) -> None:
        super().__init__(message)
        self.message = message
        told = hint if hint is not None else self.default_hint
        self.hint = in_commands(told)
        self.step = told if isinstance(told, NextStep) else None
        """The hint as a value, where other front ends word it otherwise."""


class InternalError(StorageSyncError):
    """A state that the design rules out."""


class UsageError(StorageSyncError):
    """A command line that cannot be understood or needs consent."""

    code = "usage"
    exit_code = 2
    default_hint = "see storage-sync --help"


class ConfigError(StorageSyncError):
    """A setting that is unknown or has a value out of range; the message names file, line and key."""

    code = "config"
    exit_code = 2
    default_hint = NextStep.CHECK_SETTINGS


class PrimaryUnavailable(StorageSyncError):
    """The primary does not answer now: DNS, refused, timeout, cut body, 408, 425, 429, 5xx, too busy."""

    code = "primary_unavailable"
    exit_code = 3
    retry = True
    default_hint = "the cache is untouched and can still be read; try again later"

    def __init__(self, message: str, *, hint: str | NextStep | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        """Seconds that the server asked us to wait, if it did."""


class PrimaryRefused(StorageSyncError):
    """The primary answers, but not to us: 401, 403, wrong type, wrong shape, 404 path, TLS, redirect."""

    code = "primary_refused"
    exit_code = 4
    default_hint: ClassVar[str | NextStep] = NextStep.CHECK_URL_AND_TOKEN


class PrimarySchema(StorageSyncError):
    """The primary has no do-memory schema that we can read."""

    code = "primary_schema"
    exit_code = 4
    default_hint = "point --primary at a database that do-memory has opened at least once"


class CacheDamaged(StorageSyncError):
    """The cache file is corrupt, truncated, rotten or older than its last commit."""

    code = "cache_damaged"
    exit_code = 5
    default_hint = NextStep.REPAIR


class CacheForeign(StorageSyncError):
    """The cache path holds something that is not a redb file; it is never touched."""

    code = "cache_foreign"
    exit_code = 5
    default_hint = "give another path with --cache"


class CacheLocked(StorageSyncError):
    """Another process holds the cache file."""

    code = "cache_locked"
    exit_code = 6
    retry = True
    default_hint = NextStep.WAIT


class RowsRefused(StorageSyncError):
    """Rows of the primary were refused and the caller asked for that to be an error (`--strict`)."""

    code = "partial"
    exit_code = 7
    default_hint = NextStep.LIST_REASONS


class LocalIO(StorageSyncError):
    """A local resource failed: permission, read-only file system, disk full, I/O error."""

    code = "local_io"
    exit_code = 8
    default_hint = "check the path, its owner and the free space"


class GuardStopped(StorageSyncError):
    """A guard of docs/protocol.md#guards stopped the run; nothing was changed."""

    code = "guard"
    exit_code = 9
    default_hint = NextStep.PLAN_SYNC


class LeaseHeld(StorageSyncError):
    """Another run of this tool works on the same cache."""

    code = "lease_held"
    exit_code = 11
    retry = True
    default_hint = "wait for that run to end"


class VersionMismatch(StorageSyncError):
    """The redb format or the cache schema is of another version."""

    code = "version_mismatch"
    exit_code = 12
    default_hint = NextStep.REBUILD


class DeadlineReached(StorageSyncError):
    """The run gave up at its deadline; nothing was changed."""

    code = "deadline"
    exit_code = 13
    retry = True
    default_hint = "give a longer --deadline, or check the primary's latency"


class Interrupted(StorageSyncError):
    """A signal or the operator stopped the run before its commit. Exit 130 for SIGINT, 143 for SIGTERM."""

    code = "interrupted"
    exit_code = 130
    retry = True
    default_hint = "nothing was changed; run it again"

    def __init__(self, message: str, *, hint: str | NextStep | None = None, exit_code: int = 130) -> None:
        super().__init__(message, hint=hint)
        self.actual_exit_code = exit_code


def exit_code_of(error: StorageSyncError) -> int:
    """Exit code of one error value; only `Interrupted` depends on how it happened."""
    return error.actual_exit_code if isinstance(error, Interrupted) else error.exit_code


_LOCAL = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    }
)
"""Error numbers that mean trouble of this machine; any other unexpected one is a bug of ours."""


def explain_system(error: OSError) -> LocalIO | None:
    """What the system said where no nearer code knew better; None when it speaks of no trouble of this machine."""
    if error.errno not in _LOCAL:
        return None
    place = f"{error.filename}: " if error.filename is not None else ""
    return LocalIO(f"a file could not be read or written: {place}{error.strerror}")
