"""Pictures of Validation, History and Config in each of their states; a changed cell fails. The clock stands still."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from console.app import Console
from console.bridge import ScriptedBridge
from tests.console.app import console, settle
from tests.console.rooms import answer_all
from widgets.glyphs import ASCII, UNICODE, GlyphSet

Compare = Callable[..., bool]
SIZES = [(80, 24), (100, 30), (140, 45)]
STATES: dict[str, tuple[str, tuple[str, ...]]] = {
    "checks": ("stale", ("2", "j")),
    "rows": ("stale", ("2", "j", "enter", "j")),
    "sides": ("stale", ("2", "j", "enter", "j", "enter")),
    "checking": ("running", ("2",)),
    "runs": ("in_sync", ("4",)),
    "stopped-run": ("in_sync", ("4", "j", "j", "j")),
    "settings": ("in_sync", ("5",)),
    "editing": ("in_sync", ("5", *"jjjjjj", "enter", "0", "enter")),
    "writing": ("in_sync", ("5", *"jjjjjj", "enter", "7", "5", "enter", "w")),
}
"""Scene and keys of each state."""


def pressed(app: Console, bridge: ScriptedBridge, keys: tuple[str, ...]) -> Callable[[Pilot[int]], object]:
    async def press(pilot: Pilot[int]) -> None:
        done = 0
        await settle(app, pilot)
        for key in keys:
            await pilot.press(key)
            await settle(app, pilot)
            while done != len(bridge.asked):
                done = answer_all(bridge, done)
                await settle(app, pilot)
        app.paint(panels=True)
        await pilot.pause()

    return press


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
def test_states(state: str, size: tuple[int, int], snap_compare: Compare) -> None:
    scene, keys = STATES[state]
    app, bridge = console(scene)
    assert snap_compare(app, terminal_size=size, run_before=pressed(app, bridge, keys))


@pytest.mark.parametrize("state", ["sides", "stopped-run", "writing"])
@pytest.mark.parametrize(
    ("theme", "glyphs", "colour"),
    [
        ("calm-light", UNICODE, True),
        ("calm-cvd", UNICODE, True),
        ("calm-dark", ASCII, True),
        ("calm-dark", UNICODE, False),
    ],
    ids=["light", "cvd", "ascii", "no-colour"],
)
def test_looks(
    state: str, theme: str, glyphs: GlyphSet, colour: bool, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    scene, keys = STATES[state]
    app, bridge = console(scene, theme=theme, glyphs=glyphs)
    assert snap_compare(app, terminal_size=(100, 30), run_before=pressed(app, bridge, keys))
