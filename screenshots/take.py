"""Pictures of the real console: each screen and state of a demo that was really brought there.

`python -m screenshots.take DIR [NAME ...]` writes SVG files, and PNG beside them where rsvg-convert is installed.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from msgspec import Struct
from textual.pilot import Pilot

from console.app.app import Console
from console.launch.start import make_bridge
from console.views.ui_settings import UiSettings
from console.views.verdict import verdict
from screenshots.situations import situation
from storage_sync.values.snapshot import Snapshot
from widgets.glyphs import ASCII, UNICODE, GlyphSet

WAIT_S = 60.0
SIZES = ((80, 24), (100, 30), (120, 40), (160, 50), (220, 60))
"""Columns and rows at which the Overview is pictured."""


class Shot(Struct, frozen=True):
    """One picture. `word`: the verdict that the console must show first. `steps`: a key that is then pressed, and the
    text that must be on the screen before the next one."""

    name: str
    situation: str
    word: str
    size: tuple[int, int] = (100, 30)
    steps: tuple[tuple[str, str], ...] = ()
    theme: str = "calm-dark"
    glyphs: GlyphSet = UNICODE


OVERVIEWS = (
    ("in-sync", "IN SYNC"),
    ("running", "EMPTY"),
    ("stale", "STALE"),
    ("held", "STALE"),
    ("damaged", "DAMAGED"),
    ("primary-down", "UNKNOWN"),
    ("empty", "EMPTY"),
    ("guarded", "REFUSED"),
    ("rejected", "IN SYNC"),
)
SHOTS: tuple[Shot, ...] = (
    *(
        Shot(f"overview-{state}-{width}x{height}", state, word, (width, height))
        for state, word in OVERVIEWS
        for width, height in SIZES
        if (width, height) == (100, 30) or state in {"in-sync", "damaged", "running"}
    ),
    Shot("validation-100x30", "in-sync", "IN SYNC", steps=(("2", "content digests"),)),
    Shot("orphans-100x30", "orphans", "IN SYNC", steps=(("3", "nowhere"), ("j", "nearest"))),
    Shot("history-100x30", "in-sync", "IN SYNC", steps=(("4", "sync"),)),
    Shot("config-100x30", "in-sync", "IN SYNC", steps=(("5", "max_episodes_cache"),)),
    Shot("sync-plan-100x30", "guarded", "REFUSED", steps=(("s", "never written"),)),
    Shot("repair-plan-100x30", "damaged", "DAMAGED", steps=(("r", "never written"),)),
    Shot("rebuild-plan-100x30", "damaged", "DAMAGED", steps=(("R", "never written"),)),
    Shot("quarantine-100x30", "rejected", "IN SYNC", steps=(("u", "episodes"),)),
    Shot("help-100x30", "in-sync", "IN SYNC", steps=(("question_mark", "Help"),)),
    Shot("palette-100x30", "in-sync", "IN SYNC", steps=(("ctrl+p", "Search"),)),
    Shot("log-100x30", "in-sync", "IN SYNC", steps=(("L", "Log"),)),
    Shot("overview-light-100x30", "in-sync", "IN SYNC", theme="calm-light"),
    Shot("overview-cvd-100x30", "damaged", "DAMAGED", theme="calm-cvd"),
    Shot("overview-ascii-100x30", "in-sync", "IN SYNC", glyphs=ASCII),
)


class Picture(Struct, frozen=True):
    """The SVG, and what the core had said at that moment."""

    svg: str
    snapshot: Snapshot


async def take(shot: Shot, folder: Path) -> Picture:
    """Open the console on its situation below `folder`, an empty folder, and picture it. TimeoutError."""
    with situation(shot.situation, folder) as loaded:
        bridge = make_bridge(loaded.settings, loaded, {})
        app = Console(bridge, UiSettings(theme=shot.theme), glyphs=shot.glyphs, environment={})
        try:
            async with app.run_test(size=shot.size) as pilot:
                await _until(app, pilot, lambda: _ready(shot, app.snapshot))
                for key, text in shot.steps:
                    await pilot.press(key)
                    await _until(app, pilot, partial(_shown, app, text))
                app.tick()
                app.paint(panels=True)
                if not shot.steps:
                    await _until(app, pilot, partial(_shown, app, shot.word))
                await pilot.pause()
                return Picture(_stable(app.export_screenshot(title="Storage Sync", simplify=True)), app.snapshot)
        finally:
            bridge.stop(10.0)


def _ready(shot: Shot, snapshot: Snapshot) -> bool:
    """Of what the screen was drawn from; before the core has looked at both that is of nothing."""
    if not snapshot.seq or not snapshot.cache.states:
        return False
    run = snapshot.run
    if shot.situation == "running":
        return run is not None and run.ended_at is None and run.done > 1_000
    found = verdict(snapshot, now=time.time(), beat_age=0.0)
    idle = run is None or run.ended_at is not None
    return idle and found.word == shot.word


def _shown(app: Console, text: str) -> bool:
    return text in text_of(app.export_screenshot())


async def _until(app: Console, pilot: Pilot[int], holds: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                await pilot.pause(0.05)
    except TimeoutError:
        raise TimeoutError(text_of(app.export_screenshot())) from None


def text_of(svg: str) -> str:
    """What a reader of the picture sees, one line of the terminal after the other."""
    return "\n".join(re.sub(r"<[^>]+>", "", line).replace("&#160;", " ") for line in svg.splitlines())


def _stable(svg: str) -> str:
    """Without the number that Rich makes up for each export; blanks are kept by every reader."""
    named = re.sub(r"terminal-\d+-", "storage-sync-", svg)
    return named.replace("<text ", '<text xml:space="preserve" ')


def write(directory: Path, names: Iterable[str]) -> list[Path]:
    """Write the pictures of `names`, all without, into `directory`; the files that were written."""
    wanted = set(names) or {shot.name for shot in SHOTS}
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for shot in SHOTS:
        if shot.name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as above:
            folder = Path(above) / "do-memory"
            folder.mkdir()
            try:
                picture = asyncio.run(take(shot, folder))
            except TimeoutError as error:
                raise SystemExit(f"{shot.name}: the screen never showed what was expected\n{error}") from None
            path = directory / f"{shot.name}.svg"
            path.write_text(picture.svg.replace(str(folder), "/var/lib/do-memory"), encoding="utf-8")
        written.append(path)
        if (converter := shutil.which("rsvg-convert")) is not None:
            target = path.with_suffix(".png")
            subprocess.run([converter, str(path), "-o", str(target)], check=True)
            written.append(target)
    return written


if __name__ == "__main__":
    for path in write(Path(sys.argv[1]), sys.argv[2:]):
        print(path)
