"""Descriptors that stay open: closing one of a file drops the POSIX locks that this process holds on it.

SQLite holds such locks on a database for as long as a connection reads it. Any other descriptor of the same file that
is closed meanwhile releases them, and a writer elsewhere then takes itself for the only one
(sqlite.org/howtocorrupt.html, section 2.2). So what looks at a database beside SQLite does so through here.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from storage_sync.files.kinds import descriptor_of

_LOCK = threading.Lock()
_DESCRIPTORS: dict[tuple[int, int], int] = {}
"""By device and inode. For the whole process, as the locks are."""


def head_of(path: Path | str, length: int) -> bytes:
    """The first `length` bytes of a regular file, or all of a shorter one. NotUsable, OSError. Thread-safe."""
    with _LOCK:
        _close_deleted()
        status = Path(path).stat()
        descriptor = _DESCRIPTORS.get((status.st_dev, status.st_ino))
        if descriptor is None:
            descriptor = descriptor_of(path)
            status = os.fstat(descriptor)
            _DESCRIPTORS[status.st_dev, status.st_ino] = descriptor
        return os.pread(descriptor, length, 0)


def _close_deleted() -> None:
    """A file without a name is nobody's database, and would take up disk space for ever."""
    for key, descriptor in list(_DESCRIPTORS.items()):
        if not os.fstat(descriptor).st_nlink:
            del _DESCRIPTORS[key]
            os.close(descriptor)
