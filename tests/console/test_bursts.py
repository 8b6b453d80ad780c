"""What is typed in one burst with the key that opens a prompt belongs to the prompt, and never to the list."""

from __future__ import annotations

import pytest
from textual import events
from textual.command import CommandList
from textual.pilot import Pilot
from textual.widgets import Input

from console.app.app import Console
from console.app.palette import Palette
from console.dialogs.note import NoteDialog
from console.dialogs.plan import PlanDialog
from storage_sync.service.commands import MakePlan, Pause, SetAccess
from storage_sync.service.operations import Verify
from tests.console.app import answer_orphans, console, live, settle
from tests.support.scripted_bridge import ScriptedBridge

COMMANDS = "sRvVPWq1dA"
"""Letters that are commands everywhere or on a list."""
NAMES = {"/": "slash", "-": "minus"}
"""Textual's names of signs that are not their own name."""


async def burst(app: Console, pilot: Pilot[int], signs: str) -> None:
    """As a terminal gives what it reads at once: all of it before any of it is handled."""
    for sign in signs:
        app.post_message(events.Key(NAMES.get(sign, sign), sign))
    await pilot.pause()
    await settle(app, pilot)


def commands(bridge: ScriptedBridge) -> list[type[object]]:
    return [one.kind for one in bridge.asked if one.kind in {MakePlan, Verify, Pause, SetAccess}]


@pytest.mark.parametrize("screen", ["2", "3", "4", "5"])
async def test_a_filter_typed_at_once_is_a_filter(screen: str) -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press(screen)
        await answer_orphans(app, bridge, pilot)
        await burst(app, pilot, f"/{COMMANDS}")
        assert app.screen.query_one("#filter", Input).value == COMMANDS
        assert app.current_mode == {"2": "validation", "3": "orphans", "4": "history", "5": "config"}[screen]
        assert commands(bridge) == []
        assert app.is_running


@pytest.mark.parametrize("screen", ["2", "3", "4", "5"])
async def test_a_filter_typed_at_once_with_its_screen_is_a_filter(screen: str) -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await burst(app, pilot, f"{screen}/{COMMANDS}")
        await answer_orphans(app, bridge, pilot)
        assert app.screen.query_one("#filter", Input).value == COMMANDS
        assert app.current_mode == {"2": "validation", "3": "orphans", "4": "history", "5": "config"}[screen]
        assert commands(bridge) == []
        assert app.is_running


@pytest.mark.parametrize(("key", "box"), [("u", "#filter"), ("question_mark", "#help-search")])
async def test_a_filter_of_a_dialog_typed_at_once_is_a_filter(key: str, box: str) -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press(key)
        await settle(app, pilot)
        dialog = app.screen
        await burst(app, pilot, "/DtqA")
        assert app.screen is dialog
        assert dialog.query_one(box, Input).value == "DtqA"
        assert commands(bridge) == []


async def test_a_note_typed_at_once_is_a_note() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("3")
        await answer_orphans(app, bridge, pilot)
        await pilot.press("j")
        await burst(app, pilot, f"i{COMMANDS}")
        assert isinstance(app.screen, NoteDialog)
        assert commands(bridge) == []
        assert app.screen.query_one("#note", Input).value == COMMANDS


async def test_a_name_typed_at_once_with_its_key_starts_nothing() -> None:
    app, bridge = console("damaged")
    async with live(app, size=(100, 30)) as pilot:
        await burst(app, pilot, "Rprod-eu")
        assert isinstance(app.screen, PlanDialog)
        assert commands(bridge) == [MakePlan]


@pytest.mark.parametrize(
    ("keys", "done"),
    [
        (("enter", "enter", "enter"), {1}),
        # escape may overtake what enter has chosen
        (("enter", "escape"), {0, 1}),
        (("escape", "enter"), {0}),
        (("escape", "escape"), {0}),
    ],
)
async def test_the_palette_is_left_once(keys: tuple[str, ...], done: set[int]) -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("colon")
        for letter in "pause":
            await pilot.press(letter)
        palette = app.screen
        found = palette.query_one(CommandList)
        while not found.option_count or found.get_option_at_index(0).disabled:
            await pilot.pause()
        for key in keys:
            app.post_message(events.Key(key, None))
        for _ in range(5):
            await settle(app, pilot)
        assert app.is_running
        assert app.failure is None
        assert app.screen is not palette
        assert len([one for one in bridge.asked if one.kind is Pause]) in done


async def test_a_page_of_a_palette_that_is_not_drawn_yet_is_no_error() -> None:
    app, _ = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("colon")
        found = app.screen.query_one(CommandList)
        while not found.option_count:
            await pilot.pause()
        found.styles.display = "none"
        while found.scrollable_content_region:
            await pilot.pause()
        assert found.highlighted is not None
        await pilot.press("pageup", "pagedown")
        assert app.is_running
        assert isinstance(app.screen, Palette)
