"""What redb and the system say of a file, in the words of the error hierarchy."""

from __future__ import annotations

import pytest

from storage_sync import _native
from storage_sync.cache.explain import explain
from storage_sync.values.errors import (
    CacheDamaged,
    CacheLocked,
    InternalError,
    LocalIO,
    StorageSyncError,
    VersionMismatch,
)


def of_the_system() -> _native.StorageIo:
    error = _native.StorageIo("no space left")
    error.errno = 28
    return error


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (_native.DatabaseAlreadyOpen("x"), CacheLocked, "the cache is held by another process (x)"),
        (_native.UpgradeRequired("x"), VersionMismatch, "the cache has another file format (x)"),
        (
            _native.CommitUnknown("x"),
            LocalIO,
            "a file could not be written to its end (x); the cache keeps its old state",
        ),
        (of_the_system(), LocalIO, "a file could not be read or written: no space left"),
        (_native.PreviousIo("x"), LocalIO, "a file could not be read or written after an earlier I/O error"),
        (_native.Corrupted("x"), CacheDamaged, "redb cannot read the file: x"),
        (_native.TableError("x"), CacheDamaged, "redb cannot read the file: x"),
        (_native.DatabaseError("x"), CacheDamaged, "redb cannot read the file: x"),
        (_native.NativePanic("x"), CacheDamaged, "redb cannot read the file: x"),
        (_native.NativeError("x"), InternalError, "NativeError: x"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, _native.NativeError) else "",
)
def test_each_error_of_the_data_plane_has_its_meaning(
    said: _native.NativeError, kind: type[StorageSyncError], message: str
) -> None:
    error = explain(said)
    assert (type(error), error.message) == (kind, message)
