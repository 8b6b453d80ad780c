"""Old cache files that are kept beside the new one, for a person to look at or to go back to."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Literal

from msgspec import Struct

from storage_sync.cache.identity import real_path
from storage_sync.files.writing import second_name
from storage_sync.values.errors import LocalIO

Why = Literal["corrupt", "old"]

KEEP = 3
"""Files of each kind that stay; the oldest go first."""

_STAMP = "%Y%m%dT%H%M%SZ"


class KeptFile(Struct, frozen=True):
    path: str
    why: Why
    bytes: int
    at: str
    """UTC, as in its name."""


def kept_files(cache: str) -> list[KeptFile]:
    """What is kept beside the cache at `cache`, newest first."""
    real = Path(real_path(cache))
    pattern = re.compile(re.escape(real.name) + r"\.(corrupt|old)-(\d{8}T\d{6}Z)(?:-(\d+))?")
    found = []
    try:
        entries = list(os.scandir(real.parent))
    except OSError:
        return []
    for entry in entries:
        match = pattern.fullmatch(entry.name)
        if match is None or not entry.is_file(follow_symlinks=False):
            continue
        why: Why = "corrupt" if match[1] == "corrupt" else "old"
        order = (match[2], int(match[3] or 0))
        found.append((order, KeptFile(entry.path, why, entry.stat().st_size, match[2])))
    return [kept for _, kept in sorted(found, key=lambda item: item[0], reverse=True)]


def keep_file(cache: str, why: Why, now: float) -> str:
    """Give the file at `cache` a second name `<name>.<why>-<utc>`, durably; the first one stays until a rename.

    A link where the file system has them, else a copy. `now` in UTC epoch seconds. LocalIO.
    """
    real = real_path(cache)
    stem = f"{real}.{why}-{time.strftime(_STAMP, time.gmtime(now))}"
    try:
        name = _free_name(stem)
        second_name(Path(real), Path(name))
    except OSError as error:
        raise LocalIO(f"{real} cannot be kept as {stem}: {error.strerror}") from error
    return name


def prune_kept(cache: str, why: Why) -> list[str]:
    """Remove all but the newest `KEEP` of one kind; their names."""
    gone = []
    for kept in [file for file in kept_files(cache) if file.why == why][KEEP:]:
        try:
            Path(kept.path).unlink()
        except OSError:
            continue
        gone.append(kept.path)
    return gone


def _free_name(stem: str) -> str:
    name, number = stem, 1
    while os.path.lexists(name):
        name, number = f"{stem}-{number}", number + 1
    return name
