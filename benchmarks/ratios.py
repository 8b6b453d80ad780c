"""What a look at the cache takes beside what must be done for it, and how large the file is beside its rows.

Processor time of this process and of the server: on a busy machine it says more than the clock does.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from benchmarks import floors
from benchmarks.cases import Bench, Figure, served, touch
from benchmarks.instead import spending
from storage_sync._native import CacheFile
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.primary.manifest import imprint
from storage_sync.primary.schema import Projection
from storage_sync.service.operations import Operation, Rebuild, Sync, Verify
from storage_sync.service.performing import perform, quiet
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Session
from storage_sync.values.outcome import Outcome, Word
from tests.support import hrana
from tests.support.sqld import Sqld

ROUNDS = 10
"""Their mean counts: the system tells what a server spent in hundredths of a second."""


def payload(cache: Path) -> int:
    """Octets of all keys and values."""
    file = CacheFile.open(str(cache), "read")
    octets = 0
    try:
        for table in file.tables():
            after: str | None = None
            while table.value_type == "&[u8]" and (page := file.page(table.name, after, floors.PAGE)):
                octets += sum(len(key.encode()) + len(value) for key, value in page)
                after = page[-1][0]
    finally:
        file.close()
    return octets


class _Cache:
    """A cache of one primary, worked on in this process."""

    def __init__(self, server: Sqld, folder: Path, episodes: int) -> None:
        self.path = folder / "cache.redb"
        self.settings = Settings(
            primary=server.url, cache=self.path, state_dir=folder / "state", max_episodes_cache=episodes
        )
        self.session = Session(self.settings, None)

    async def do(self, operation: Operation) -> Outcome:
        outcome = await perform(self.session, operation, Request(self.settings, None), quiet, Cancel())
        assert outcome.verdict is Word.IN_SYNC, outcome.error
        return outcome


async def _looks(bench: Bench, server: Sqld, cache: _Cache, episodes: int) -> None:
    case = f"verify, {episodes:,} episodes"
    capabilities = await cache.session.source.probe()
    statement = imprint(Projection(episodes), capabilities.schema, capabilities.digest or "", whole=True)
    spent: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        copied = bench.folder / "copied.redb"
        shutil.copyfile(cache.path, copied)
        with spending(server) as around:
            hrana.execute(server.url, [statement.replace(":beside", "'[]'")])
        spent.setdefault("statement", []).append(around.cpu)
        for name, floor in (("scan", floors.scan), ("check", floors.check)):
            with spending() as around:
                floor(bench.program, copied)
            spent.setdefault(name, []).append(around.cpu)
        with spending(server) as around:
            await cache.do(Verify())
        spent.setdefault("verify", []).append(around.cpu)
        # redb's own check is made once of a copy, and each time is to count
        cache.session.copies.close()
        with spending(server) as around, spending() as ours:
            await cache.do(Verify(deep=True))
        spent.setdefault("deep", []).append(ours.cpu)
        spent.setdefault("deep with the server", []).append(around.cpu)
    taken = {name: statistics.mean(times) for name, times in spent.items()}
    note = ", ".join(f"{name} {1000 * taken[name]:.0f} ms" for name in ("scan", "statement", "check"))
    floor_s = taken["scan"] + taken["statement"]
    bench.add(Figure(case, "quick, processor", taken["verify"], "s", floor_s, 1.5, note))
    floor_s = taken["scan"] + taken["check"]
    # its floor asks the server for nothing, so what the server does is left out of both
    note = f"{note}; with the server {1000 * taken['deep with the server']:.0f} ms"
    bench.add(Figure(case, "deep, processor without the server", taken["deep"], "s", floor_s, 3, note))


async def _sizes(bench: Bench, server: Sqld, cache: _Cache, episodes: int, syncs: int) -> None:
    case = f"file, {episodes:,} episodes"
    changed = max(episodes // 100, 1)
    await cache.do(Rebuild())
    bench.add(Figure(case, "after a rebuild", cache.path.stat().st_size, "B", payload(cache.path), 1.8))
    largest = 0
    for number in range(syncs):
        touch(server, changed, chr(ord("a") + number % 26))
        outcome = await cache.do(Sync())
        assert outcome.applied["episodes"].update == changed
        largest = max(largest, cache.path.stat().st_size)
    note = f"largest {largest:,}; {changed} changed each time"
    size = cache.path.stat().st_size
    bench.add(Figure(case, f"after {syncs:,} syncs", size, "B", payload(cache.path), 2.3, note))


async def _with_cache(
    bench: Bench, episodes: int, measure: Callable[[Bench, Sqld, _Cache, int], Awaitable[None]]
) -> None:
    with served(bench.primary(episodes)) as server:
        cache = _Cache(server, bench.fresh("ratios"), episodes)
        try:
            await cache.do(Sync())
            await measure(bench, server, cache, episodes)
        finally:
            await cache.session.close()


def looks(bench: Bench, episodes: int) -> None:
    asyncio.run(_with_cache(bench, episodes, _looks))


def sizes(bench: Bench, episodes: int, syncs: int = 1_000) -> None:
    asyncio.run(_with_cache(bench, episodes, partial(_sizes, syncs=syncs)))
