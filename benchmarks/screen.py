"""The console itself, headless, with a probe in its loop while the core syncs in its thread."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from console.app.app import Console
from console.launch.start import make_bridge, ui_settings
from storage_sync.config.settings import Settings

TICK_S = 0.002
LIMIT_S = 300.0


async def longest_gaps(url: str, folder: Path, window: int) -> tuple[float, float]:
    """(longest, 99th percentile) time in ms between two turns of the loop, beyond the probe's own rest."""
    settings = Settings(primary=url, cache=folder / "cache.redb", state_dir=folder / "state", max_episodes_cache=window)
    bridge = make_bridge(settings, None, {})
    app = Console(bridge, ui_settings(settings))
    gaps: list[float] = []
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        deadline = time.monotonic() + LIMIT_S
        while not _ended(bridge.latest()):
            if time.monotonic() > deadline:
                raise TimeoutError("the sync in the console did not end")
            before = time.perf_counter()
            await asyncio.sleep(TICK_S)
            gaps.append((time.perf_counter() - before - TICK_S) * 1000)
        app.exit()
    gaps.sort()
    return gaps[-1], gaps[int(len(gaps) * 0.99)]


def _ended(snapshot: object) -> bool:
    run = getattr(snapshot, "run", None)
    return run is not None and run.ended_at is not None
