"""Pictures of the real application on made-up snapshots: SVG, and PNG beside it where a converter is installed."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from console.app.app import Console
from console.link.bridge import ScriptedBridge
from console.views.ui_settings import Clock, UiSettings
from storage_sync.values.answers import SetupForm
from storage_sync.values.commands import Command
from storage_sync.values.events import Answer
from tests.support.scenes import answers, orphans, plans, snapshots
from widgets.glyphs import ASCII, UNICODE, GlyphSet

MAIN_STATES = ("running", "primary_down", "locked", "in_sync", "damaged", "empty")
"""States that are drawn at every size; the others at 100x30 only."""
SIZES = ((80, 24), (100, 30), (120, 40))


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: a scene, the keys that are pressed, theme and size in cells (columns, rows)."""

    name: str
    scene: str
    size: tuple[int, int]
    keys: tuple[str, ...] = ()
    theme: str = "calm-dark"
    glyphs: GlyphSet = UNICODE
    ends: bool = False
    """Whether the run that the keys start ends before the picture is taken."""
    form: bool = False
    """Whether the first start asks for its settings."""


def shots() -> tuple[Shot, ...]:
    """Every picture: Overview of each state, the other screens, the dialogs and the other themes."""
    states = tuple(name for name in snapshots.NAMES if name != "hostile")
    overviews = tuple(
        Shot(f"overview-{state.replace('_', '-')}-{width}x{height}", state, (width, height))
        for state in states
        for width, height in SIZES
        if state in MAIN_STATES or (width, height) == (100, 30)
    )
    others = (
        ("validation", "stale", ("2", "j", "enter", "j", "enter")),
        ("orphans", "stale", ("3",)),
        ("history", "in_sync", ("4", "j", "j", "j")),
        ("config", "in_sync", ("5",)),
        ("sync-plan", "stale", ("s",)),
        ("repair-plan", "damaged", ("r",)),
        ("repair-running", "damaged", ("r", "right", "enter")),
        ("rebuild-plan", "damaged", ("R",)),
        ("quarantine", "quarantined", ("u",)),
        ("locked-sync", "locked", ("s",)),
        ("help", "in_sync", ("question_mark",)),
        ("quit", "running", ("q",)),
        ("palette", "running", ("ctrl+p",)),
        ("log", "running", ("L",)),
    )
    more = (
        Shot("repair-result-100x30", "damaged", (100, 30), ("r", "right", "enter"), ends=True),
        Shot("first-run-100x30", "no_config", (100, 30), form=True),
    )
    screens = tuple(Shot(f"{name}-100x30", scene, (100, 30), keys) for name, scene, keys in others)
    themed = tuple(
        Shot(f"overview-{theme.removeprefix('calm-')}-100x30", "running", (100, 30), theme=theme)
        for theme in ("calm-light", "calm-cvd")
    )
    plain = (Shot("overview-ascii-100x30", "running", (100, 30), glyphs=ASCII),)
    return (*overviews, *screens, *more, *themed, *plain)


def write_screenshots(directory: Path, names: Iterable[str] | None = None) -> list[Path]:
    """Write the pictures of `names` (all without) into `directory`; the files that were written."""
    wanted = None if names is None else set(names)
    chosen = [shot for shot in shots() if wanted is None or shot.name in wanted]
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for shot in chosen:
        path = directory / f"{shot.name}.svg"
        path.write_text(asyncio.run(picture(shot)), encoding="utf-8")
        written.append(path)
        png = _png(path)
        if png is not None:
            written.append(png)
    return written


async def picture(shot: Shot) -> str:
    """The SVG of one shot. The same shot gives the same bytes."""
    scene = snapshots.scene(shot.scene)
    stage = _Stage(shot, ScriptedBridge([scene.snapshot], scene.events))
    moment = snapshots.BEAT + scene.beat_age
    # keys are pressed a little earlier: when the picture is taken the cursor has rested
    now = [moment - RESTED_S]
    app = Console(
        stage.bridge,
        UiSettings(theme=shot.theme),
        clock=Clock(lambda: snapshots.NOW, lambda: now[0]),
        glyphs=shot.glyphs,
        environment={},
        setup=(_FORM, "~/.config/storage-sync/config.toml") if shot.form else None,
    )
    async with app.run_test(size=shot.size) as pilot:
        await stage.settle(app, pilot)
        for key in shot.keys:
            await pilot.press(key)
            await app.workers.wait_for_complete()
            await stage.settle(app, pilot)
        now[0] = moment
        await stage.settle(app, pilot)
        app.paint(panels=True)
        await pilot.pause()
        svg = app.export_screenshot(title="Storage Sync", simplify=True)
    return _stable(svg)


RESTED_S = 0.3
_FORM = SetupForm("libsql://memory-prod.turso.io", "TURSO_AUTH_TOKEN", "", "/var/lib/do-memory/cache.redb", "prod-eu")


class _Stage:
    """A made-up core that answers what the console asks, each question once."""

    def __init__(self, shot: Shot, bridge: ScriptedBridge) -> None:
        self.bridge = bridge
        self._shot = shot
        self._answered = 0

    async def settle(self, app: Console, pilot: Pilot[int]) -> None:
        """Until nothing is open: an answer may be the reason of the next question."""
        await pilot.pause()
        app.tick()
        await pilot.pause()
        while self._answered < len(self.bridge.asked):
            command = self.bridge.asked[self._answered]
            self._answered += 1
            self._answer(command)
            app.tick()
            await pilot.pause()

    def _answer(self, command: Command) -> None:
        kind, arguments = command.kind, command.arguments
        if kind == "execute" and not self._shot.ends:
            self.bridge.show(plans.repairing())
        elif kind == "execute":
            self.bridge.show(plans.repaired())
            self.bridge.post(Answer(command.id, answers.outcome()))
        elif kind == "make_plan":
            self.bridge.post(Answer(command.id, plans.plan_of(str(arguments.get("kind", "sync")))))
        elif kind in orphans.KINDS:
            self.bridge.post(Answer(command.id, orphans.answer(kind, arguments)))
        elif (value := answers.answer(kind, arguments)) is not None:
            self.bridge.post(Answer(command.id, value))


def _stable(svg: str) -> str:
    """Without the number that Rich makes up for each export; blanks are kept by every reader."""
    named = re.sub(r"terminal-\d+-", "storage-sync-", svg)
    return named.replace("<text ", '<text xml:space="preserve" ')


def _png(svg: Path) -> Path | None:
    converter = shutil.which("rsvg-convert")
    if converter is None:
        return None
    target = svg.with_suffix(".png")
    done = subprocess.run([converter, str(svg), "-o", str(target)], check=False, capture_output=True)
    return target if done.returncode == 0 else None


if __name__ == "__main__":
    for written in write_screenshots(Path(sys.argv[1])):
        print(written)
