"""Which process is about to open the cache: a note beside it, so that no run of ours commits at that moment.

do-memory tries redb's lock once when it starts; one that finds it taken goes on without its cache. `exec` leaves the
note before it becomes the server. It counts until that process holds the cache, or is gone, or its time is over, and
never for longer than `MOST_S`, whatever it says.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from storage_sync.cache.holders import lock_holders
from storage_sync.cache.identity import real_path
from storage_sync.files.kinds import read_small
from storage_sync.files.writing import replace_file
from storage_sync.values.errors import LocalIO

MOST_S = 10.0
_TICKS_FIELD = 19
"""Of `/proc/<pid>/stat`, counted behind the name: when the process started, in clock ticks since the machine did."""


class Starting(Struct, frozen=True):
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
    earlier = _read(cache)
    # of two starts at a time, the later one leaves standing what the earlier one said
    others = [one for one in earlier if one.pid != pid and _is_on_its_way(one)]
    text = json.dumps({**to_builtins(note), "others": [to_builtins(one) for one in others]})
    try:
        if earlier:
            # of another user perhaps, whose file ours could not take the place of
            Path(path).unlink(missing_ok=True)
        replace_file(Path(path), f"{text}\n".encode(), mode=0o644, durable=False)
    except OSError as error:
        raise LocalIO(f"the note {path} cannot be written: {error.strerror}") from error
    return note


def is_announced(cache: str, pid: int) -> bool:
    """Whether this process said that it was about to open the cache."""
    return any(note.pid == pid and _ticks(pid) in (note.ticks, None) for note in _read(cache))


def starting(cache: str) -> Starting | None:
    """Who is about to open the cache, another process than this one; None when nobody is. Blocking: reads `/proc`."""
    awaited = [note for note in _read(cache) if note.pid != os.getpid() and _is_on_its_way(note)]
    if not awaited:
        return None
    holders = {holder.pid for holder in lock_holders(real_path(cache))}
    return next((note for note in awaited if note.pid not in holders), None)


def _is_on_its_way(note: Starting) -> bool:
    """Whether its time is not over and it still runs."""
    return 0 < note.until - time.time() <= MOST_S and _ticks(note.pid) == note.ticks


def _read(cache: str) -> Sequence[Starting]:
    """A note that cannot be read says nothing."""
    try:
        fields = json.loads(read_small(starting_path(cache), 4096))
        return [_note(one) for one in (fields, *fields.get("others", ()))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def _note(fields: Mapping[str, Any]) -> Starting:
    return Starting(int(fields["pid"]), int(fields["ticks"]), float(fields["until"]))


def _ticks(pid: int) -> int | None:
    """When the process started; None when there is none of this number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[_TICKS_FIELD])
    except (OSError, ValueError, IndexError):
        return None
