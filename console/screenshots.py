"""Pictures of the real application on made-up snapshots: SVG, and PNG beside it where a converter is installed."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from console import orphan_scene, scene_answers, scenes
from console.app import Console
from console.bridge import ScriptedBridge
from console.ui import Clock, UiSettings
from storage_sync.model import Answer, Command
from widgets.glyphs import UNICODE, GlyphSet

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


def shots() -> tuple[Shot, ...]:
    """Every picture: Overview of each state, the other screens, the dialogs and the other themes."""
    states = tuple(name for name in scenes.NAMES if name != "hostile")
    overviews = tuple(
        Shot(f"overview-{state.replace('_', '-')}-{width}x{height}", state, (width, height))
        for state in states
        for width, height in SIZES
        if state in MAIN_STATES or (width, height) == (100, 30)
    )
    others = (
        ("validation", "stale", ("2", "j", "enter", "j", "enter")),
        ("orphans", "running", ("3",)),
        ("history", "in_sync", ("4", "j", "j", "j")),
        ("config", "in_sync", ("5",)),
        ("sync-plan", "stale", ("s",)),
        ("quarantine", "quarantined", ("u",)),
        ("locked-sync", "locked", ("s",)),
        ("help", "in_sync", ("question_mark",)),
        ("quit", "running", ("q",)),
        ("log", "running", ("L",)),
    )
    screens = tuple(Shot(f"{name}-100x30", scene, (100, 30), keys) for name, scene, keys in others)
    themed = tuple(
        Shot(f"overview-{theme.removeprefix('calm-')}-100x30", "running", (100, 30), theme=theme)
        for theme in ("calm-light", "calm-cvd")
    )
    return (*overviews, *screens, *themed)


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
    scene = scenes.scene(shot.scene)
    bridge = ScriptedBridge([scene.snapshot], scene.events)
    clock = Clock(lambda: scenes.NOW, lambda: scenes.BEAT + scene.beat_age)
    app = Console(bridge, UiSettings(theme=shot.theme), clock=clock, glyphs=shot.glyphs, environment={})
    async with app.run_test(size=shot.size) as pilot:
        await pilot.pause()
        for key in shot.keys:
            await pilot.press(key)
            await pilot.pause()
        answered = 0
        while answered < len(bridge.asked):
            # an answer may be the reason of the next question
            for command in bridge.asked[answered:]:
                answered += 1
                _answer(bridge, command)
            app.tick()
            await pilot.pause()
        svg = app.export_screenshot(title="Storage Sync", simplify=True)
    return _stable(svg)


def _answer(bridge: ScriptedBridge, command: Command) -> None:
    if command.kind == "make_plan":
        bridge.post(Answer(command.id, scenes.plan()))
    elif command.kind in orphan_scene.KINDS:
        bridge.post(Answer(command.id, orphan_scene.answer(command.kind, command.arguments)))
    elif (value := scene_answers.answer(command.kind, command.arguments)) is not None:
        bridge.post(Answer(command.id, value))


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
