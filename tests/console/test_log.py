"""From a line of the log to its run."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from console.app.app import Console
from console.dialogs.log import LogDialog
from console.screens.history import HistoryScreen
from console.views.log_buffer import HEAD, folded
from storage_sync.service.commands import ListRuns
from storage_sync.values.answers import PastRun, Runs
from storage_sync.values.events import Answer, LogLine
from tests.console.app import FakeClock, console, live, screen_text, settle
from tests.support.scenes import snapshots
from tests.support.scripted_bridge import ScriptedBridge
from widgets.virtual_table import VirtualTable

OLD = "s-4118"


async def _answer_runs(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> None:
    await settle(app, pilot)
    for one in bridge.asked:
        if one.kind is ListRuns:
            bridge.post(Answer(one.id, Runs(tuple(PastRun(run) for run in app.snapshot.history.last))))
    await settle(app, pilot)


async def _heard(app: Console, bridge: ScriptedBridge, pilot: Pilot[int], *lines: LogLine) -> None:
    """The lines are in the log and drawn, whatever the interval of the pictures is."""
    for line in lines:
        bridge.post(line)
    await settle(app, pilot)
    app.paint(panels=True)
    await pilot.pause()


def _line(text: str, run_id: str = "") -> LogLine:
    return LogLine(snapshots.NOW, "info", "sync", text, run_id)


@pytest.mark.parametrize("keys", [("enter",), ("L", "enter"), ("4", "1", "enter")])
async def test_enter_on_a_line_opens_its_run(keys: tuple[str, ...]) -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await _heard(app, bridge, pilot, _line("in sync; +9 ~1 -9", OLD))
        for key in keys:
            await pilot.press(key)
            await settle(app, pilot)
        await _answer_runs(app, bridge, pilot)
        assert isinstance(app.screen, HistoryScreen)
        assert app.screen.copied() == OLD
        assert app.focused is app.screen.table


async def test_a_filter_does_not_hide_the_run() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        bridge.post(_line("in sync", OLD))
        await pilot.press("4")
        await _answer_runs(app, bridge, pilot)
        await pilot.press("slash", *"interrupted", "enter", "1")
        await settle(app, pilot)
        await pilot.press("enter")
        await settle(app, pilot)
        assert isinstance(app.screen, HistoryScreen)
        assert app.screen.copied() == OLD


async def test_a_line_of_no_run_says_so_and_stays() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        bridge.post(_line("access is now ro"))
        await pilot.press("L")
        await settle(app, pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, LogDialog)
        assert [note.message for note in app._notifications] == ["this line belongs to no run"]


async def test_a_run_that_is_not_remembered_is_said_to_be_gone() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await _heard(app, bridge, pilot, _line("compared", "s-0"))
        await pilot.press("enter")
        await _answer_runs(app, bridge, pilot)
        assert ["no run s-0 is remembered" in note.message for note in app._notifications] == [True]


async def test_the_log_follows_until_a_line_is_chosen_and_again_from_the_last() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        log = app.screen.query_one("#log", VirtualTable)
        await pilot.press("k")
        chosen = log.cursor
        await _heard(app, bridge, pilot, _line("one more"))
        assert (log.cursor, log.following) == (chosen, False)
        assert "held, G follows" in screen_text(app)
        await pilot.press("G")
        await _heard(app, bridge, pilot, _line("and one more"))
        assert (log.cursor, log.following) == (log.rows - 1, True)


async def test_a_held_line_stays_under_the_cursor_when_older_ones_are_dropped() -> None:
    app, bridge = console("in_sync")
    app.journal._limit = 10
    async with live(app, size=(100, 30)) as pilot:
        await _heard(app, bridge, pilot, *(_line(f"line {number}", OLD if number == 7 else "") for number in range(10)))
        log = app.screen.query_one("#log", VirtualTable)
        await pilot.press("k", "k")
        held = log.cursor
        await _heard(app, bridge, pilot, *(_line(f"later {number}") for number in range(4)))
        assert log.cursor < held, "older ones were dropped"
        await pilot.press("enter")
        await _answer_runs(app, bridge, pilot)
        assert isinstance(app.screen, HistoryScreen)
        assert app.screen.copied() == OLD


LONG = " ".join(f"word{number:03}" for number in range(40))


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
async def test_each_word_of_activity_can_be_read(size: tuple[int, int]) -> None:
    """It begins with the beginning of the newest line; the rest is below, and a newer line is followed from there."""
    app, bridge = console("in_sync")
    async with live(app, size=size) as pilot:
        await _heard(app, bridge, pilot, _line("before"), _line(LONG, OLD))
        log = app.screen.query_one("#log", VirtualTable)
        seen = screen_text(app)
        assert "word000" in seen
        while log.cursor < log.rows - 1:
            await pilot.press("j")
            await settle(app, pilot)
            seen += screen_text(app)
        assert [word for word in LONG.split() if word not in seen] == []
        await _heard(app, bridge, pilot, _line("later, and shorter", OLD))
        assert "later, and shorter" in screen_text(app)
        await pilot.press("k")
        assert not log.following
        await pilot.press("enter")
        await _answer_runs(app, bridge, pilot)
        assert isinstance(app.screen, HistoryScreen)
        assert app.screen.copied() == OLD


async def test_a_log_without_the_focus_marks_no_line() -> None:
    app, _ = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        assert app.look.glyphs.cursor in screen_text(app)
        await pilot.press("tab")
        await settle(app, pilot)
        assert app.look.glyphs.cursor not in screen_text(app)


@pytest.mark.parametrize("room", range(14, 30))
def test_a_number_of_the_log_stays_with_its_unit(room: int) -> None:
    text = "read 12 KiB in 3.5 s, rate 0.25 / s, exit 0"
    parts = [row.text for row in folded([_line(text)], HEAD + room)]
    assert " ".join(parts) == text
    assert all(len(part) <= room for part in parts)
    for part in parts[1:]:
        assert not part.startswith(("KiB", "s", "/"))


async def test_a_screen_that_stood_still_is_told() -> None:
    clock = FakeClock(0.4)
    app, _ = console("in_sync", clock=clock)
    async with live(app, size=(100, 30)) as pilot:
        clock.move(3.0)
        while not any(line.area == "screen" for line in app.journal.lines("info")):
            await pilot.pause()
        assert "overview stood still for 3.0 s" in [line.text for line in app.journal.lines("info")]
