"""The imprint of the last proof, outside the cache. Without it the next proof reads more, and proves as much."""

from __future__ import annotations

from pathlib import Path

import msgspec

from storage_sync.cache.identity import real_path
from storage_sync.files.kinds import read_small
from storage_sync.files.writing import replace_file
from storage_sync.values.errors import LocalIO
from storage_sync.values.imprint import KnownImprint

FILE_NAME = "imprint.json"


def read_imprint(folder: Path, cache: str) -> KnownImprint | None:
    """What was kept for the cache at `cache`; None where there is nothing that can be read."""
    try:
        known = msgspec.json.decode(read_small(folder / FILE_NAME), type=KnownImprint)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return known if known.path == real_path(cache) else None


def write_imprint(folder: Path, known: KnownImprint) -> None:
    """Replace it so that a crash leaves the old one or the new one, whole; a power cut may lose it. LocalIO."""
    file = folder / FILE_NAME
    try:
        replace_file(file, msgspec.json.encode(known) + b"\n", durable=False)
    except OSError as error:
        raise LocalIO(f"{file} cannot be written: {error.strerror}") from error
