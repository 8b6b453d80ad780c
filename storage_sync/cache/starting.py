"""Who is about to open the cache: a note beside it, so that nobody of ours commits at that moment.

do-memory tries redb's lock once when it starts; one that finds it taken goes on without its cache. `exec` leaves the
note before it becomes the server. It counts until that process holds the cache, or is gone, or its time is over, and
never for longer than `MOST_S`, whatever it says.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from storage_sync.cache.holders import lock_holders
from storage_sync.cache.identity import real_path
from storage_sync.files.kinds import read_small
from storage_sync.files.writing import replace_file
from storage_sync.values.errors import LocalIO

MOST_S = 10.0
_TICKS_FIELD = 19
"""Of `/proc/<pid>/stat`, counted behind the name: when the process started, in clock ticks since the machine did."""


@dataclass(frozen=True, slots=True)
class Starting:
    """Process `pid`, which started at `ticks`, opens the cache before `until` (epoch seconds)."""

    pid: int
    ticks: int
    until: float


def starting_path(cache: str) -> str:
    return real_path(cache) + ".starting"


def announce(cache: str, seconds: float = MOST_S) -> Starting:
    """Say that this process is about to open the cache. LocalIO when the note cannot be written."""
    pid = os.getpid()
    note = Starting(pid, _ticks(pid) or 0, time.time() + min(seconds, MOST_S))
    path = starting_path(cache)
    text = json.dumps({"pid": note.pid, "ticks": note.ticks, "until": note.until})
    try:
        if _read(cache) is not None:
            # of another user perhaps, whose file ours could not take the place of
            Path(path).unlink(missing_ok=True)
        replace_file(Path(path), f"{text}\n".encode(), mode=0o644, durable=False)
    except OSError as error:
        raise LocalIO(f"the note {path} cannot be written: {error.strerror}") from error
    return note


def withdraw(cache: str) -> None:
    """Take the note of this process back, where it is this one's."""
    note = _read(cache)
    if note is not None and note.pid == os.getpid():
        with contextlib.suppress(OSError):
            Path(starting_path(cache)).unlink()


def starting(cache: str) -> Starting | None:
    """Who is about to open the cache, another process than this one; None when nobody is. Blocking: reads `/proc`."""
    note = _read(cache)
    if note is None or note.pid == os.getpid() or not 0 < note.until - time.time() <= MOST_S:
        return None
    if _ticks(note.pid) != note.ticks:
        return None
    holds = any(holder.pid == note.pid for holder in lock_holders(real_path(cache)))
    return None if holds else note


def _read(cache: str) -> Starting | None:
    """A note that cannot be read says nothing."""
    try:
        fields = json.loads(read_small(starting_path(cache), 4096))
        return Starting(int(fields["pid"]), int(fields["ticks"]), float(fields["until"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ticks(pid: int) -> int | None:
    """When the process started; None when there is none of this number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[_TICKS_FIELD])
    except (OSError, ValueError, IndexError):
        return None
