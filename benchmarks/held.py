"""Looking at a cache that another process holds: what a verify costs, and what copies under a writer are."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from benchmarks.cases import Bench, Figure
from console.views.states import changed_since, rows_behind
from storage_sync import _native
from storage_sync.demo.demo import Demo
from storage_sync.service.schedule import PROOF_GAP_S
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import Snapshot
from tests.faults.test_peek import judge, versions
from tests.faults.writers import writing
from tests.service.test_service import proven, running, settings_of
from tests.support import stores
from tests.support.command import Tool
from tests.support.processes import HOLD_LOCK, holding, written_by_holder
from tests.support.processes import running as process

REPEATS = 5
COMMITS_A_SECOND = 50
IN_TIME_S = 1.0
POLL_S, WRITES, MOVES = 1.0, 20, 2
FILLER_BYTES = 3 << 20
"""Of rows that do not change, so that the file that is copied under a writer has 10 MB."""


def verify(bench: Bench, episodes: int) -> None:
    """A held file against the same at rest; both are other files than the proven one, with the same rows."""
    tool = Tool.at(bench.fresh("held"), f"file:{bench.primary(episodes)}")
    tool.sync("--window", str(episodes))
    _native.CacheFile.open(str(tool.cache), "write").close()
    size = tool.cache.stat().st_size / (1 << 20)
    rest = _fastest(tool, episodes)
    with holding(tool.cache):
        held = _fastest(tool, episodes)
    bench.add(Figure(f"verify of a held cache, {size:.0f} MiB", "against at rest", held, "s", rest, 1.3))


def _fastest(tool: Tool, episodes: int) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        assert tool.json("verify", "--window", str(episodes)).document["verdict"] == "IN_SYNC"
        times.append(time.perf_counter() - started)
    return min(times)


def copies(bench: Bench, wanted: int) -> None:
    """Copies under a writer that commits 50 times a second: each is one committed state, and soon there."""
    folder = bench.fresh("copies")
    cache, copy = stores.cache("v47-small", folder / "cache"), folder / "copy.redb"
    late = inconsistent = 0
    with writing("held", cache, folder, pause_s=1 / COMMITS_A_SECOND, filler=FILLER_BYTES) as counter:
        size = cache.stat().st_size / (1 << 20)
        for _ in range(wanted):
            before, started = counter.value, time.perf_counter()
            late += not _copied(cache, copy, started)
            try:
                judge("held", versions(copy), before, counter.value)
            except (AssertionError, _native.NativeError):
                inconsistent += 1
    case = f"{wanted:,} copies, {size:.0f} MiB, {COMMITS_A_SECOND} commits/s"
    bench.add(Figure(case, "inconsistent", inconsistent, "", limit=0))
    bench.add(Figure(case, "later than 1 s", 100 * late / wanted, "%", limit=1))


def latencies(bench: Bench) -> None:
    """What a running core says of a held cache, and how long after it was so."""
    asyncio.run(_latencies(bench))


async def _latencies(bench: Bench) -> None:
    demo = Demo.create(bench.fresh("latencies"), episodes=1_000)
    settings = settings_of(demo, poll_s=POLL_S)
    async with running(settings) as (_, watcher):
        await watcher.until(proven)
    seen, judged, counted = list[float](), list[float](), list[float]()
    with process(HOLD_LOCK, demo.cache):
        async with running(settings) as (_, watcher):
            await watcher.until(lambda now: proven(now) and _looked(now) is not None)
            for _ in range(WRITES):
                written_by_holder(demo.cache, lambda copy: None)
                began = time.time()
                await watcher.until(changed_since)
                seen.append(time.time() - began)
                await watcher.until(lambda now, began=began: (_looked(now) or 0.0) > began and proven(now))  # type: ignore[misc]
                judged.append(time.time() - began)
                await asyncio.sleep(random.uniform(0.5, 2.0))
            for _ in range(MOVES):
                await asyncio.sleep(PROOF_GAP_S + 1)
                before, began = rows_behind(watcher.snapshots[-1]), time.time()
                demo.grow(3, began)
                await watcher.until(lambda now, before=before: now.verdict is Word.STALE and rows_behind(now) > before)  # type: ignore[misc]
                counted.append(time.time() - began)
    case = "beside a held cache of 1,000 episodes"
    bench.add(Figure(case, "a holder's write seen, longest", max(seen), "s", limit=1.0, note=f"{WRITES} writes"))
    bench.add(Figure(case, "and judged, longest", max(judged), "s", limit=2.0))
    note = f"{MOVES} changes, poll_s {POLL_S:g}"
    bench.add(Figure(case, "STALE with rows, longest", max(counted), "s", limit=POLL_S + 1, note=note))


def _looked(now: Snapshot) -> float | None:
    return now.cache.look.at if now.cache.look is not None and not changed_since(now) else None


def _copied(cache: Path, copy: Path, started: float) -> bool:
    """Copy until it succeeds; whether that was in time."""
    while True:
        try:
            _native.copy_file(str(cache), str(copy), 5)
        except BlockingIOError:
            continue
        return time.perf_counter() - started <= IN_TIME_S


def run_all(bench: Bench, *, largest: int) -> None:
    """All of it; as many copies as the largest size, at most 5,000."""
    verify(bench, min(largest, 1_500))
    latencies(bench)
    copies(bench, min(largest, 5_000))
