"""Rows as lines of a file, with progress and an end before the last one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import BinaryIO

from storage_sync.cache.cancelled import Cancelled
from storage_sync.values.errors import Interrupted

TOLD_EVERY_S = 0.25
Tell = Callable[[int, int], None]
"""Hears how many rows of how many are written; in the thread that writes."""


def put_lines(out: BinaryIO, lines: Iterable[bytes], total: int, tell: Tell, cancelled: Cancelled) -> int:
    """Write each, and tell from time to time; the octets written. OSError, Interrupted. Blocking."""
    told = time.monotonic()
    for done, line in enumerate(lines, 1):
        if cancelled.is_set():
            raise Interrupted("the export was cancelled; no file was written")
        out.write(line)
        if (now := time.monotonic()) - told >= TOLD_EVERY_S:
            told = now
            tell(done, total)
    return out.tell()
