"""The console in a real terminal, each figure beside that of an application which only draws.

A key press is measured from the write to the pseudo-terminal until the output arrives that puts the text which it
asks for on the emulated screen; the emulator's own time, pure Python, is not in it. The floor does the same with five
screens of fixed text and no core.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import REPOSITORY, Tool
from tests.support.terminal import Terminal

COLUMNS, LINES = 100, 30
SCREENS = (("2", "─ Checks"), ("3", "─ Embeddings"), ("4", "─ Runs"), ("5", "─ Configuration"), ("1", "─ Activity"))
"""A key and words that only its screen shows."""
FLOOR = [sys.executable, "-m", "benchmarks.empty"]
TICKS = os.sysconf("SC_CLK_TCK")
START_S = 120.0


@dataclass(frozen=True)
class Presses:
    """Milliseconds from key to text."""

    times: Sequence[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.times)

    @property
    def p99(self) -> float:
        return sorted(self.times)[int(len(self.times) * 0.99)]


def console(tool: Tool) -> list[str]:
    return [sys.executable, "-m", "console", "tui", *tool.arguments]


def environment(folder: Path) -> dict[str, str]:
    return {**Tool.at(folder, "").variables, "PYTHONPATH": str(REPOSITORY)}


def presses(
    terminal: Terminal,
    screens: Sequence[tuple[str, str]],
    count: int,
    going_on: Callable[[str], bool] = lambda screen: True,
) -> Presses:
    """Go around the screens while it goes on; each must show its words before the next key."""
    times: list[float] = []
    while len(times) < count and going_on(terminal.screen):
        key, words = screens[len(times) % len(screens)]
        started = time.perf_counter()
        terminal.press(key)
        terminal.wait_for(words)
        times.append((terminal.read_at - started) * 1000)
    return Presses(times)


def presses_during_a_sync(tool: Tool, count: int) -> Presses:
    """While a first sync runs: the header says so on every screen."""
    with Terminal(console(tool), tool.variables, columns=COLUMNS, lines=LINES) as terminal:
        terminal.wait(syncing, START_S)
        return presses(terminal, SCREENS, count, syncing)


def syncing(screen: str) -> bool:
    """Whether the header names a running sync: `sync fetch 66 %`, and without a share where none is counted."""
    return re.search(r"\bsync\b", screen.partition("\n")[0]) is not None


def presses_of_nothing(folder: Path, count: int) -> Presses:
    screens = [(key, f"screen {key}") for key, _ in SCREENS]
    with Terminal(FLOOR, environment(folder), columns=COLUMNS, lines=LINES) as terminal:
        terminal.wait_for("screen 1", START_S)
        taken = presses(terminal, screens, count)
        terminal.press("q")
        terminal.end()
    return taken


def first_paint(command: Sequence[str], variables: dict[str, str], words: str, times: int) -> float:
    """Median milliseconds from the program's start until these words can be read."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        with Terminal(command, variables, columns=COLUMNS, lines=LINES) as terminal:
            terminal.wait_for(words, START_S)
            taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def idle_share(terminal: Terminal, seconds: float) -> float:
    """Percent of a core that the process took while nobody pressed a key."""
    before, started = _ticks(terminal.pid), time.monotonic()
    terminal.read_for(seconds)
    return (_ticks(terminal.pid) - before) / TICKS / (time.monotonic() - started) * 100


def _ticks(pid: int) -> int:
    """User and system time of a process, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
