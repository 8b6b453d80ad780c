"""The screen stays alive while the core floods it: gaps of the loop are measured, not promised."""

from __future__ import annotations

import asyncio
import threading
import time

from msgspec.structs import replace

from console.app.app import Console
from console.link.bridge import EVENTS_KEPT, Emit, Publish, ThreadBridge
from console.views.ui_settings import UiSettings
from storage_sync.service.commands import Command
from storage_sync.values.events import LogLine
from tests.console.app import screen_text
from tests.support.scenes import snapshots

LINES = 20_000
PROBE_S = 0.01
GAP_S = 0.25
"""Generous for a loaded machine; the budget of 50 ms is measured by the benchmark."""


class FloodingCore:
    """Publishes and logs as fast as a loop can, yielding as the core does."""

    def __init__(self, publish: Publish, emit: Emit, done: threading.Event) -> None:
        self._publish = publish
        self._emit = emit
        self._done = done
        self._stop = asyncio.Event()

    async def run(self) -> None:
        base = snapshots.scene("running").snapshot
        assert base.run is not None
        for number in range(LINES):
            self._emit(LogLine(snapshots.NOW + number, "info", "flood", f"line {number} [/b]"))
            if number % 20 == 0:
                run = replace(base.run, done=number % 603, batch=number)
                beat = replace(base.beat, at=time.monotonic())
                self._publish(replace(base, seq=number + 1, run=run, beat=beat, taken_at=time.time()))
                await asyncio.sleep(0)
        self._done.set()
        await self._stop.wait()

    def submit(self, number: int, command: Command[object]) -> None:
        return None

    def request_stop(self) -> None:
        self._stop.set()


async def test_a_flood_does_not_hold_the_loop() -> None:
    done = threading.Event()
    bridge = ThreadBridge(lambda publish, emit: FloodingCore(publish, emit, done))
    app = Console(bridge, UiSettings(refresh_s=0.25), environment={})
    gaps: list[float] = []
    async with app.run_test(size=(100, 30)) as pilot:
        before = time.perf_counter()
        while not done.is_set() or len(gaps) < 20:
            await asyncio.sleep(PROBE_S)
            now = time.perf_counter()
            gaps.append(now - before - PROBE_S)
            before = now
        app.tick()
        await pilot.pause()
        text = screen_text(app)
        snapshot = bridge.latest()
    assert bridge.stop(20)
    assert snapshot is not None
    assert snapshot.beat.events_dropped >= LINES - EVENTS_KEPT - 50 * len(gaps)
    assert snapshot.beat.events_total == LINES
    assert "STALE" in text or "STALLED" in text
    assert sorted(gaps)[len(gaps) // 2] < GAP_S
