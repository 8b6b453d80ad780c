"""The application over a scripted bridge, with a clock that stands still."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from textual.pilot import Pilot

from console.app.app import Console
from console.keys.table import SCREENS
from console.views.themes import Colors
from console.views.ui_settings import Clock, UiSettings
from storage_sync.demo.troubles import Caused
from storage_sync.embeddings.index import OrphanIndex
from storage_sync.service.commands import Command
from storage_sync.values.events import Answer
from tests.support.scenes import orphans, snapshots
from tests.support.scenes.snapshots import Scene
from tests.support.scripted_bridge import ScriptedBridge
from widgets.glyphs import UNICODE, GlyphSet

PAUSES = 200


class FakeClock:
    """Moves only when it is told to."""

    def __init__(self, beat_age: float) -> None:
        self.moment = snapshots.BEAT + beat_age
        self.wall = snapshots.NOW

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.moment

    def move(self, seconds: float) -> None:
        self.moment += seconds
        self.wall += seconds

    @property
    def clock(self) -> Clock:
        return Clock(self.now, self.monotonic)


@dataclass
class NoTroubles:
    """The demo's troubles, of which each happens or ends at once and changes nothing. `standing`: those that are there.
    `prevented`: why none happens."""

    standing: set[str] = field(default_factory=set)
    caused: list[str] = field(default_factory=list)
    prevented: str = ""

    async def cause(self, name: str, *, ends: bool = False) -> Caused:
        if self.prevented:
            return Caused(prevented=self.prevented)
        self.caused.append(name)
        (self.standing.discard if ends else self.standing.add)(name)
        return Caused(ends)

    def stands(self, name: str) -> bool:
        return name in self.standing


def console(
    shown: str | Scene = "in_sync",
    *,
    theme: str = "calm-dark",
    glyphs: GlyphSet = UNICODE,
    clock: FakeClock | None = None,
    environment: Mapping[str, str] | None = None,
    keymap: Mapping[str, str] | None = None,
    colors: Colors | None = None,
) -> tuple[Console, ScriptedBridge]:
    """The application on a scene, and its bridge."""
    scene = snapshots.scene(shown) if isinstance(shown, str) else shown
    bridge = ScriptedBridge([scene.snapshot], scene.events)
    app = Console(
        bridge,
        UiSettings(theme=theme, keymap=keymap or {}),
        clock=(clock or FakeClock(scene.beat_age)).clock,
        glyphs=glyphs,
        environment=environment or {},
        colors=colors,
    )
    return app, bridge


@asynccontextmanager
async def live(
    app: Console, *, size: tuple[int, int] = (80, 24), notifications: bool = False, behind: bool = False
) -> AsyncIterator[Pilot[int]]:
    """The running application, once it has drawn the first snapshot.

    `behind`: the other screens are laid out too, as an operator's are, which takes most of the time of a small test.
    """
    with nullcontext() if behind else patch.object(app, "lay_out_behind"):
        async with app.run_test(size=size, notifications=notifications) as pilot:
            # on a busy machine the pilot does not wait for the screens that are laid out behind the first one
            for _ in range(PAUSES if behind else 0):
                if len(app._laid_out) == len(SCREENS):
                    break
                await pilot.pause()
            await settle(app, pilot)
            yield pilot


async def settle(app: Console, pilot: Pilot[int]) -> None:
    """Hear and draw once, and let it be painted."""
    await pilot.pause()
    app.tick()
    await pilot.pause()
    while app.laying_out:
        # another screen is laid out behind this one, and nothing is drawn meanwhile
        await pilot.pause()


async def answer_orphans(
    app: Console, bridge: ScriptedBridge, pilot: Pilot[int], made: OrphanIndex | None = None
) -> None:
    """Answer what is asked about embeddings, and what is asked because of it, until nothing is open."""
    await settle(app, pilot)
    told: set[int] = getattr(bridge, "told", set())
    bridge.told = told  # type: ignore[attr-defined]
    while open_ := [one for one in bridge.asked if one.kind in orphans.KINDS and one.id not in told]:
        for command in open_:
            told.add(command.id)
            bridge.post(Answer(command.id, orphans.answer(command.command, made)))
        await settle(app, pilot)


def asked(bridge: ScriptedBridge) -> list[Command[Any]]:
    """Commands that were sent."""
    return [one.command for one in bridge.asked]


def screen_text(app: Console) -> str:
    """What the terminal shows, by its rows."""
    width, height = app.size
    rows = app.export_screenshot(simplify=False)
    return "\n".join(_rows_of(rows, width, height))


def _rows_of(svg: str, width: int, height: int) -> list[str]:
    rows: dict[int, list[tuple[float, str]]] = {}
    for match in re.finditer(r'<text class="[^"]*-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', svg):
        x, y = float(match[1]), float(match[2])
        rows.setdefault(round((y - 20) / 24.4), []).append((x, html.unescape(match[3]).replace("\xa0", " ")))
    lines = []
    for number in range(height):
        line = ""
        for x, text in sorted(rows.get(number, [])):
            line = line.ljust(round(x / 12.2)) + text
        lines.append(line[:width].rstrip())
    return lines
