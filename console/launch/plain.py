"""The console in lines of text, for screen readers: what has changed is said once, nothing is redrawn."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from typing import TextIO

from console.link.bridge import Bridge
from console.views.states import checks_of_file, failed_checks, holds
from console.views.verdict import verdict
from storage_sync.values import visible
from storage_sync.values.events import CoreDied, LogLine
from storage_sync.values.snapshot import Run, Snapshot
from widgets import fmt
from widgets.glyphs import choose

EVERY_S = 1.0
_COMMANDS = {
    "s": "sync",
    "u": "quarantine list",
    "r": "repair",
    "R": "rebuild",
    "2": "verify",
    "V": "verify --deep",
    "A": "sync --adopt",
    "p": "peek",
    "t": "ping",
    "5": "config check",
}
"""What to type where the console has a key: there are none here."""


def speak(bridge: Bridge, out: TextIO) -> int:
    """Say verdict, progress and log as lines until SIGINT or SIGTERM; the exit code."""
    try:
        return asyncio.run(_speak(bridge, out))
    except BrokenPipeError:
        # nobody is left to speak to; Python would complain again when it closes the stream at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return 0
    finally:
        bridge.stop(2.0)


async def _speak(bridge: Bridge, out: TextIO) -> int:
    bridge.start()
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    ascii_only = choose("auto", {}, out.encoding or "").is_ascii
    said: Mapping[str, str] = {}
    while not asked.is_set():
        lines, died = news(bridge)
        state = state_lines(bridge.latest(), time.time(), time.monotonic())
        fresh = [text for what, text in state.items() if what not in said]
        said = state
        out.writelines(f"{visible.clean(text, ascii_only=ascii_only)}\n" for text in (*lines, *fresh))
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


def state_lines(snapshot: Snapshot | None, now: float, moment: float) -> Mapping[str, str]:
    """What stands now, and how it is said; ages and each percent would be news in every second, so they are none."""
    if snapshot is None:
        return {"starting": "the sync core is starting"}
    found = verdict(snapshot, now=now, beat_age=moment - snapshot.beat.at)
    command = "config init" if found.word == "NO CONFIG" else _COMMANDS.get(found.key)
    following = f" Next: storage-sync {command}." if command else ""
    states = " ".join(state.value for state in snapshot.cache.states).lower().replace("_", " ")
    failed = failed_checks(snapshot, now)
    made = checks_of_file(snapshot)
    hold = all(holds(snapshot, result, now) for result in made)
    passed = "none failed" if hold else "not known now"
    checks = f"{', '.join(failed)} failed" if failed else passed if made else "none made yet"
    stands = (
        f"primary: {snapshot.primary.status.value}",
        f"cache: {states or 'not seen yet'}",
        f"running: {_progress(snapshot.run)}",
        f"checks: {checks}",
    )
    return {f"verdict: {found.word}": f"verdict: {found.word}. {found.sentence[0]}{following}"} | {
        text: text for text in stands
    }


def _progress(run: Run | None) -> str:
    """The running operation and its step, a fetch in steps of ten percent."""
    if run is None or run.ended_at is not None:
        return "nothing"
    share = f" {int(run.share * 10) * 10} %" if run.share is not None else ""
    return f"{run.word}, {run.step}{share}" if run.step else run.word
