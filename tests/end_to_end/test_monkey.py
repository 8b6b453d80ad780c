"""Random keys, resizes and a primary that comes and goes, seeded: no traceback, and memory stays flat."""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import hrana, size, stores
from tests.support.command import Tool
from tests.support.relay import Relay
from tests.support.sqld import Sqld
from tests.support.terminal import Terminal

ROUNDS = size.of(240, 240, 3_000)
"""A round is a handful of keys and a short look: ten minutes at full size."""
WARM = 180
"""Rounds in which memory still grows: figures of the graphs, lines and rendered text are kept up to their bounds."""
LOOK_S = size.of(0.1, 0.1, 0.2)
KEYS = (
    *"12345?/svVrRxuPfzLWTptlAnNgGjkaAoObydiewD+-",
    *(" ", "\t", "\r", "\x1b", "\x7f", "\x04", "\x15", "\x13"),
    *("\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F", "\x1b[Z"),
    *("[red]x", "名前", "key:ep", "prod", "\x1b[200~pasted \x1b[31m text\x1b[201~"),
)
"""Everything but the ways out (q, the palette, the demo); what they open may be typed into."""
SIZES = ((80, 24), (100, 30), (140, 45), (59, 17), (40, 10), (200, 60))
GROWTH_MIB = 8.0


@dataclass(frozen=True)
class Life:
    server: Sqld
    relay: Relay
    tool: Tool


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with Sqld(stores.primary("small", tmp_path)) as server, Relay(server.port) as relay:
        tool = Tool.at(tmp_path / "tool", relay.url, STORAGE_SYNC_POLL_S="0.5", STORAGE_SYNC_INTERVAL_S="30")
        tool.sync()
        yield Life(server, relay, tool)


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.timeout(size.of(360, 360, 3600))
def test_a_monkey_at_the_keys(life: Life) -> None:
    chance = random.Random(20_260_901)
    memory = []
    command = life.tool.line("tui")
    with Terminal(command, life.tool.variables, columns=100, lines=30, folder=life.tool.folder) as terminal:
        terminal.wait_for("IN SYNC")
        look_at_everything(terminal)
        for number in range(ROUNDS):
            for _ in range(chance.randint(1, 6)):
                terminal.press(chance.choice(KEYS))
            if chance.random() < 0.15:
                terminal.resize(*chance.choice(SIZES))
            if number % 20 == 10:
                life.server.stop()
            if number % 20 == 15:
                life.server.start()
            if number % 7 == 0 and number % 20 < 10:
                hrana.execute(life.server.url, ["UPDATE episodes SET outcome = outcome WHERE rowid = 1"])
            assert terminal.read_for(LOOK_S), f"the console ended after round {number}:\n{terminal.screen}"
            memory.append(resident_mib(terminal.pid))
        assert b"Traceback" not in terminal.raw
        terminal.resize(100, 30)
        terminal.press("\x11")
        leave(terminal)
        assert terminal.left_clean()
    measured = memory[WARM:]
    third = len(measured) // 3
    grown = statistics.median(measured[-third:]) - statistics.median(measured[:third])
    assert grown <= GROWTH_MIB, f"{grown:.1f} MiB more in the last third than in the first one, after the first rounds"


def look_at_everything(terminal: Terminal) -> None:
    """Each size and each key once: what is remembered of a first time is no growth."""
    for columns, lines in SIZES:
        terminal.resize(columns, lines)
        for screen in "12345":
            terminal.press(screen)
            terminal.read_for(0.1)
    for key in KEYS:
        terminal.press(key)
        assert terminal.read_for(0.1), f"the console ended after {key!r}:\n{terminal.screen}"
        terminal.press("\x1b")
        terminal.read_for(0.15)


def leave(terminal: Terminal) -> None:
    """Quit, whatever dialog the monkey left open: cancel what asks, and go."""
    for _ in range(20):
        if not terminal.read_for(1.0):
            break
        terminal.press("\x1b\x1b\x11\t\t\r")
    assert terminal.end() in (0, 143)
