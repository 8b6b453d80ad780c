"""Files and names that outlast a power cut."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from storage_sync.values.errors import LocalIO


def replace_file(path: Path, data: bytes) -> None:
    """Write beside, sync, rename, sync the folder; mode 0600. For one writer at a time: it holds the lease. LocalIO."""
    beside = path.with_name(f".{path.name}.new")
    try:
        # what a killed run left, perhaps another user's
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise LocalIO(f"{path} cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make it, and what is missing above it, with mode 0700 and names that outlast a power cut. OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)
