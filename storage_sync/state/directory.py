"""The state folder of one cache: witness, history, quarantined rows, private copies (docs/protocol.md#files)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from msgspec import Struct

from storage_sync import _native
from storage_sync.cache.identity import real_path
from storage_sync.files.kinds import read_small
from storage_sync.files.writing import make_folder, new_file

_OWNER_FILE = "cache.path"


class StateDir(Struct, frozen=True):
    """`problem` is '' when the folder can be used; else commands that only read go on, and say it as a warning."""

    folder: Path
    problem: str = ""

    @property
    def usable(self) -> bool:
        return not self.problem

    @property
    def history(self) -> Path:
        return self.folder / "history.db"

    @property
    def set_aside(self) -> Path:
        return self.folder / "set-aside"

    @property
    def copies(self) -> Path | None:
        """Where private copies go; None: the system's folder for temporary files."""
        return self.folder / "copies" if self.usable else None


def open_state_dir(root: Path, cache: str, *, create: bool = True) -> StateDir:
    """The folder for the cache at `cache`: `root` itself, or one below it when `root` already serves another cache.

    Creates it with mode 0700, and with `create` False only looks. Never raises for what the disk answers.
    """
    real = real_path(cache)
    folder = _folder_of(root, real)
    if not create:
        return StateDir(folder) if folder.is_dir() else StateDir(folder, f"there is no state folder {folder} yet")
    try:
        folder = _claim(root, real)
    except OSError as error:
        return StateDir(folder, f"the state folder {folder} cannot be used: {error.strerror}")
    return StateDir(folder)


def folder_name(real: str) -> str:
    """A name for the folder of one cache that tells people which it is."""
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", Path(real).name)[:40]
    return f"{readable}-{_native.digest('sha-256', os.fsencode(real)).hex()[:12]}"


def _folder_of(root: Path, real: str) -> Path:
    owner = _owner(root)
    return root if owner is None or owner == real else root / folder_name(real)


def _owner(folder: Path) -> str | None:
    """Real path of the cache that claimed the folder; None when nobody did, or died while writing it."""
    try:
        return os.fsdecode(read_small(folder / _OWNER_FILE)).removesuffix("\n") or None
    except OSError:
        return None


def _claim(root: Path, real: str) -> Path:
    make_folder(root)
    try:
        with new_file(root / _OWNER_FILE) as file:
            file.write(os.fsencode(real) + b"\n")
    except FileExistsError:
        folder = _folder_of(root, real)
        if folder != root:
            make_folder(folder)
        _require_access(folder)
        return folder
    return root


def _require_access(folder: Path) -> None:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise PermissionError(13, "Permission denied", str(folder))
