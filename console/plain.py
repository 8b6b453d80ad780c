"""The console in lines of text, for screen readers: what has changed is said once, nothing is redrawn."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TextIO

from console.bridge import Bridge
from console.verdict import verdict
from console.views.top import running_words
from storage_sync.model import CoreDied, LogLine, Snapshot
from widgets import fmt

EVERY_S = 1.0


def speak(bridge: Bridge, out: TextIO) -> int:
    """Say verdict, progress and log as lines until SIGINT or SIGTERM; the exit code."""
    try:
        return asyncio.run(_speak(bridge, out))
    finally:
        bridge.stop(2.0)


async def _speak(bridge: Bridge, out: TextIO) -> int:
    bridge.start()
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    said: tuple[str, ...] = ()
    while not asked.is_set():
        lines, died = news(bridge)
        state = state_lines(bridge.latest(), time.time(), time.monotonic())
        fresh = [text for text in state if text not in said]
        said = state
        out.writelines(f"{fmt.clean(text)}\n" for text in (*lines, *fresh))
        out.flush()
        if died:
            return 70
        try:
            async with asyncio.timeout(EVERY_S):
                await asked.wait()
        except TimeoutError:
            continue
    return 0


def news(bridge: Bridge) -> tuple[list[str], bool]:
    """Log lines since the last call, and whether the core has ended."""
    lines: list[str] = []
    died = False
    for event in bridge.drain():
        if isinstance(event, LogLine):
            lines.append(f"{fmt.clock(event.at)} {event.level} {event.area}: {event.text}")
        elif isinstance(event, CoreDied):
            lines.append(f"the sync core has ended: {event.report}")
            died = True
    return lines, died


def state_lines(snapshot: Snapshot | None, now: float, moment: float) -> tuple[str, ...]:
    """What stands now, without ages that would change every second."""
    if snapshot is None:
        return ("the sync core is starting",)
    found = verdict(snapshot, now=now, beat_age=moment - snapshot.beat.at)
    lines = [f"verdict: {found.word}", f"primary: {snapshot.primary.status.value}"]
    states = " ".join(state.value for state in snapshot.cache.states)
    lines.append(f"cache: {states.lower().replace('_', ' ') or 'not seen yet'}")
    running = running_words(snapshot.run)
    if running:
        lines.append(f"running: {running}")
    failed = [result.check.name for result in snapshot.checks if result.check.status == "fail"]
    lines.append(f"checks: {', '.join(failed)} failed" if failed else f"checks: {len(snapshot.checks)}, none failed")
    return tuple(lines)
