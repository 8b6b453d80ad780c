"""do-memory's processes that should hold a cache and do not: they are about to open it, or found it locked and go on in
memory only."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

from storage_sync.cache.holders import describe, is_do_memory, lock_holders, name_of, process, process_ids
from storage_sync.cache.identity import real_path
from storage_sync.config.do_memory import NAMES, USUAL_CACHE
from storage_sync.values.outcome import LockHolder

SETTLE_S = 5.0
"""A server that started less long ago may still be about to open the file."""
OPENS_S = 2.0
"""do-memory opens its cache in the first tenths of a second of its life; so long it is waited for."""
_STARTED_FIELD = 19
"""Of `/proc/<pid>/stat`, counted behind the name: clock ticks from the machine's start to the process'."""


def in_memory_only(cache: str, holders: tuple[LockHolder, ...]) -> tuple[LockHolder, ...]:
    """Servers of ours to see whose environment names this cache, and that are not among its `holders`."""
    wanted, holding = real_path(cache), {holder.pid for holder in holders}
    found = []
    for pid in _servers():
        if pid not in holding and _cache_of(pid) == wanted:
            server = process(pid, exclusive=False)
            if server.since is not None and time.time() - server.since >= SETTLE_S:
                found.append(server)
    return tuple(found)


def opening(cache: str) -> int | None:
    """A do-memory that has just started and does not hold the cache yet, another process than this one; None when there
    is none. Blocking: walks `/proc`.

    It tries the lock once, so a commit at this moment would send it on without its cache. One whose environment names
    another cache is not meant; one that cannot be looked at may be.
    """
    wanted = real_path(cache)
    young = [pid for pid in process_ids() if is_do_memory(name_of(pid)) and _age_s(pid) < OPENS_S]
    meant = [pid for pid in young if pid != os.getpid() and _cache_of(pid) in (wanted, None)]
    if not meant:
        return None
    holding = {holder.pid for holder in lock_holders(wanted)}
    return next((pid for pid in meant if pid not in holding), None)


def warning(server: LockHolder) -> str:
    """What such a server means, and what to do."""
    return (
        f"{describe(server)} runs in memory only: its cache was locked when it started, so what its session learns is "
        "lost when it ends; restart it"
    )


def _servers() -> list[int]:
    """Processes by do-memory's names that serve, and do not only run a command."""
    return [pid for pid in process_ids() if is_do_memory(name := name_of(pid)) and "mcp" in name]


def _age_s(pid: int) -> float:
    """Seconds since the process started; endless where that cannot be told, as for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        started = int(fields[_STARTED_FIELD]) / os.sysconf("SC_CLK_TCK")
        return max(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 0.0)
    except (OSError, ValueError, IndexError, AttributeError):
        return math.inf


def _cache_of(pid: int) -> str | None:
    """The real path that its environment names, or the usual one; None where we may not look."""
    try:
        told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        folder = Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None
    values = dict(os.fsdecode(one).partition("=")[::2] for one in told)
    named = next((values[name] for name in NAMES["cache"] if values.get(name)), USUAL_CACHE)
    return real_path(os.fspath(folder / named))
