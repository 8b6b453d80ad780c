"""Files beside the cache that are built to take its place: how they are named, found and removed.

`<cache>.build-<id>` is that of a run which may be gone on with, `<cache>.build-undo-<random>` the copy of an undo.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from storage_sync.cache.identity import real_path
from storage_sync.files.ownership import is_ours

_ID_DIGITS, _RANDOM_OCTETS = 12, 8


def build_of(cache: str, identity: bytes) -> str:
    """The name under which a later run of the same `identity` finds what this one built."""
    return f"{real_path(cache)}.build-{identity.hex()[:_ID_DIGITS]}"


def undo_build(cache: str) -> str:
    """A name that nobody can have foreseen."""
    return f"{real_path(cache)}.build-undo-{os.urandom(_RANDOM_OCTETS).hex()}"


def builds_beside(cache: str) -> list[str]:
    """Those of unfinished runs, of whatever primary or settings."""
    return sorted(entry.path for entry in _beside(cache, rf"\.build-[0-9a-f]{{{_ID_DIGITS}}}"))


def remove_undo_builds(cache: str) -> None:
    """What a killed undo of this user left; the lease is held, so none is at work."""
    with suppress(OSError):  # nobody reads it; the next run tries again
        for entry in _beside(cache, rf"\.build-undo-[0-9a-f]{{{2 * _RANDOM_OCTETS}}}"):
            if is_ours(entry.stat()):
                Path(entry.path).unlink()


def _beside(cache: str, ending: str) -> list[os.DirEntry[str]]:
    """Regular files whose name is the cache's with such an ending; one that is a little different is somebody's."""
    real = Path(real_path(cache))
    name = re.compile(re.escape(real.name) + ending)
    try:
        entries = list(os.scandir(real.parent))
    except OSError:
        return []
    return [entry for entry in entries if name.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]
