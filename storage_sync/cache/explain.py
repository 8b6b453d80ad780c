"""What an error of the data plane means for an operator, where no nearer code knew better."""

from __future__ import annotations

from storage_sync import _native
from storage_sync.values.errors import (
    CacheDamaged,
    CacheLocked,
    InternalError,
    LocalIO,
    StorageSyncError,
    VersionMismatch,
)


def explain(error: _native.NativeError) -> StorageSyncError:
    """The error of the hierarchy that stands for a native one (docs/cache.md#errors)."""
    match error:
        case _native.DatabaseAlreadyOpen():
            return CacheLocked(f"the cache is held by another process ({error})")
        case _native.UpgradeRequired():
            return VersionMismatch(f"the cache has another file format ({error})")
        case _native.CommitUnknown():
            return LocalIO(f"a file could not be written to its end ({error}); the cache keeps its old state")
        case _native.StorageIo() if error.errno is not None:
            return LocalIO(f"a file could not be read or written: {error}")
        case _native.PreviousIo():
            return LocalIO("a file could not be read or written after an earlier I/O error")
        case _native.StorageError() | _native.TableError() | _native.DatabaseError() | _native.NativePanic():
            return CacheDamaged(f"redb cannot read the file: {error}")
        case _:
            return InternalError(f"{type(error).__name__}: {error}")
