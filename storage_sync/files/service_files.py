"""Folders and files of a service, made with the owner and mode that fit the user it runs as."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from storage_sync.files.writing import new_file, sync_folder


class Owner(Struct, frozen=True):
    """User and group by number."""

    user: int
    group: int


def place_folder(folder: Path, mode: int, owner: Owner) -> None:
    """A new folder; what is missing above it belongs to root, or whoever we are, and may be looked into. OSError."""
    if not folder.parent.is_dir():
        place_folder(folder.parent, 0o755, Owner(os.geteuid(), os.getegid()))
    folder.mkdir(mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _give(descriptor, mode, owner)
    finally:
        os.close(descriptor)
    sync_folder(folder.parent)


def place_file(path: Path, data: bytes, mode: int, owner: Owner) -> None:
    """A new file that has owner and mode before it has its name. FileExistsError, OSError."""
    with new_file(path, mode=mode) as out:
        out.write(data)
        _give(out.fileno(), mode, owner)


def remove_placed(path: Path) -> None:
    """A file of ours goes, and its folder when nothing else is in it and it is a drop-in's. OSError."""
    path.unlink()
    sync_folder(path.parent)
    if path.parent.name.endswith(".d") and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _give(descriptor: int, mode: int, owner: Owner) -> None:
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (owner.user, owner.group):
        os.fchown(descriptor, owner.user, owner.group)
    os.fchmod(descriptor, mode)
