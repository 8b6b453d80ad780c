"""Room on the disk, asked before it is needed."""

from __future__ import annotations

import os
from pathlib import Path

from storage_sync.values.errors import LocalIO


def free_space(path: str) -> int | None:
    """Bytes that this user may still write where `path` is or would be; None when that cannot be told."""
    folder = Path(path).absolute()
    while True:
        try:
            room = os.statvfs(folder)
        except FileNotFoundError:
            if folder.parent == folder:
                return None
            folder = folder.parent
        except (OSError, ValueError):
            return None
        else:
            return room.f_bavail * room.f_frsize


def require_space(path: str, needed: int) -> None:
    """LocalIO unless `needed` bytes are free where `path` is; an unknown amount passes."""
    free = free_space(path)
    if free is not None and free < needed:
        raise LocalIO(
            f"{needed:,} bytes are needed and {free:,} are free where {path} is",
            hint="free some space or give another place (--cache, --state-dir)",
        )
