"""Pictures of the Overview and of every dialog; a changed cell fails. The clock stands still."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from console import scenes
from console.app import Console
from storage_sync.model import Answer
from tests.console.app import FakeClock, answer_orphans, console, settle
from widgets.glyphs import ASCII, UNICODE, GlyphSet

Compare = Callable[..., bool]
SIZES = [(80, 24), (100, 30), (140, 45)]
STATES = ["running", "primary_down", "locked", "in_sync", "damaged", "empty"]


async def _drawn(pilot: Pilot[int]) -> None:
    assert isinstance(pilot.app, Console)
    await settle(pilot.app, pilot)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
def test_overview(state: str, size: tuple[int, int], snap_compare: Compare) -> None:
    app, _ = console(state)
    assert snap_compare(app, terminal_size=size, run_before=_drawn)


@pytest.mark.parametrize("state", ["refused", "auth", "quarantined", "stalled", "no_config"])
def test_other_states(state: str, snap_compare: Compare) -> None:
    app, _ = console(state)
    assert snap_compare(app, terminal_size=(100, 30), run_before=_drawn)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("theme", ["calm-light", "calm-cvd"])
def test_themes(state: str, theme: str, snap_compare: Compare) -> None:
    app, _ = console(state, theme=theme)
    assert snap_compare(app, terminal_size=(100, 30), run_before=_drawn)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", ["running", "primary_down"])
def test_ascii(state: str, size: tuple[int, int], snap_compare: Compare) -> None:
    app, _ = console(state, glyphs=ASCII)
    assert snap_compare(app, terminal_size=size, run_before=_drawn)


@pytest.mark.parametrize("state", STATES)
def test_without_colour(state: str, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, _ = console(state)
    assert app.look.no_color
    assert snap_compare(app, terminal_size=(100, 30), run_before=_drawn)


@pytest.mark.parametrize("key", ["2", "3", "4", "5", "question_mark", "L", "q"])
@pytest.mark.parametrize("size", [(80, 24), (100, 30)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_screens_and_dialogs(key: str, size: tuple[int, int], snap_compare: Compare) -> None:
    app, bridge = console("running")

    async def open_it(pilot: Pilot[int]) -> None:
        await settle(app, pilot)
        await pilot.press(key)
        await settle(app, pilot)
        await answer_orphans(app, bridge, pilot)

    assert snap_compare(app, terminal_size=size, run_before=open_it)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_orphans(size: tuple[int, int], glyphs: GlyphSet, snap_compare: Compare) -> None:
    clock = FakeClock(0.4)
    app, bridge = console("in_sync", glyphs=glyphs, clock=clock)

    async def chosen(pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await answer_orphans(app, bridge, pilot)
        await pilot.press("space", "space", "k")
        await answer_orphans(app, bridge, pilot)
        clock.move(0.5)
        await answer_orphans(app, bridge, pilot)

    assert snap_compare(app, terminal_size=size, run_before=chosen)


@pytest.mark.parametrize("theme", ["calm-light", "calm-cvd"])
def test_orphans_in_other_colours(theme: str, snap_compare: Compare) -> None:
    app, bridge = console("in_sync", theme=theme)

    async def folded(pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await answer_orphans(app, bridge, pilot)
        await pilot.press("k", "enter", "slash", *"!reason:missing", "enter")
        await answer_orphans(app, bridge, pilot)

    assert snap_compare(app, terminal_size=(100, 30), run_before=folded)


@pytest.mark.parametrize("key", ["enter", "i", "e"])
@pytest.mark.parametrize("size", [(80, 24), (100, 30)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_dialogs_of_orphans(key: str, size: tuple[int, int], snap_compare: Compare) -> None:
    app, bridge = console("in_sync")

    async def open_it(pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await answer_orphans(app, bridge, pilot)
        await pilot.press(key)
        await settle(app, pilot)

    assert snap_compare(app, terminal_size=size, run_before=open_it)


@pytest.mark.parametrize("removed", [0, 424])
@pytest.mark.parametrize("size", [(80, 24), (100, 30)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_plan(removed: int, size: tuple[int, int], snap_compare: Compare) -> None:
    app, bridge = console("stale")

    async def open_it(pilot: Pilot[int]) -> None:
        await settle(app, pilot)
        await pilot.press("s")
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[-1].id, scenes.plan(removed=removed)))
        await settle(app, pilot)

    assert snap_compare(app, terminal_size=size, run_before=open_it)
