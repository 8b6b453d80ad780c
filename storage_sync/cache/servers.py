"""do-memory servers that should hold a cache and do not: they found it locked, and go on in memory only."""

from __future__ import annotations

import os
import time
from pathlib import Path

from storage_sync.cache.holders import describe, is_do_memory, process
from storage_sync.cache.identity import real_path
from storage_sync.values.outcome import LockHolder

SETTLE_S = 5.0
"""A server that started less long ago may still be about to open the file."""
_NAMES = ("REDB_CACHE_PATH", "REDB_PATH")


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


def warning(server: LockHolder) -> str:
    """What such a server means, and what to do."""
    return (
        f"{describe(server)} runs in memory only: its cache was locked when it started, so what its session learns is "
        "lost when it ends; start it again"
    )


def _servers() -> list[int]:
    """Processes by do-memory's names that serve, and do not only run a command."""
    try:
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []
    return [pid for pid in pids if is_do_memory(name := _name(pid)) and "mcp" in name]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _cache_of(pid: int) -> str | None:
    """The real path that its environment names, None where we may not look or none is named."""
    try:
        told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        folder = Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None
    values = dict(os.fsdecode(one).partition("=")[::2] for one in told)
    named = next((values[name] for name in _NAMES if values.get(name)), None)
    return real_path(os.fspath(folder / named)) if named is not None else None
