"""At 80x24 each button of a dialog is inside the screen and nothing covers it, and its text can be read to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Button
from textual.widgets._toast import Toast

from console.app.app import Console
from console.dialogs.ask import AskDialog, Choice
from console.dialogs.dialog import Dialog
from console.dialogs.export import ExportDialog
from console.dialogs.note import NoteDialog
from console.dialogs.plan import PlanDialog
from storage_sync.service.commands import MakePlan
from storage_sync.values.events import Answer, Progressed
from storage_sync.values.outcome import PlanRow
from tests.console.app import NoTroubles, console, live, screen_text, settle
from tests.support.scenes.plans import plan_of
from widgets.glyphs import UNICODE, Look
from widgets.guide_line import GuideLine
from widgets.line import Line, plain

LOOK = Look(UNICODE)
LAST = "Automatic syncs wait while this is open, at most 2 min"


async def check_buttons(app: Console, pilot: Pilot[int], *, guide: bool) -> None:
    app.say("said " * 60)
    await settle(app, pilot)
    buttons = [one for one in app.screen.query(Button) if one.display]
    toasts = list(app.screen.query(Toast))
    assert buttons
    assert toasts
    lines = list(app.screen.query(GuideLine))
    assert len(lines) == guide
    for button in buttons:
        assert app.screen.region.contains_region(button.region), button
        assert all(not one.region.overlaps(button.region) for one in (*toasts, *lines)), button
        row = screen_text(app).splitlines()[button.region.y]
        assert str(button.label) in row, button


@pytest.mark.parametrize("guide", [False, True])
@pytest.mark.parametrize("steps", [1, 4, 8, 10, 14, 30])
async def test_a_plan_of_any_height(steps: int, guide: bool) -> None:
    app, bridge = console("in_sync")
    if guide:
        app.trouble = NoTroubles()
    async with live(app, size=(80, 24), notifications=True) as pilot:
        await pilot.press("s")
        await settle(app, pilot)
        rows = tuple(PlanRow("fetch", f"fetch rows of the table {number}", 5, 6_246, "undo") for number in range(steps))
        asked = next(one for one in bridge.asked if one.kind is MakePlan)
        bridge.post(Answer(asked.id, replace(plan_of("sync"), rows=rows)))
        await settle(app, pilot)
        assert isinstance(app.screen, PlanDialog)
        assert "←→ choose   enter press" in screen_text(app)
        await check_buttons(app, pilot, guide=guide)
        for _ in range(steps):
            await pilot.press("pagedown")
        await settle(app, pilot)
        assert LAST in screen_text(app)
        assert "PgDn more" not in screen_text(app)


@pytest.mark.parametrize("guide", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: AskDialog(LOOK, "Ask", [plain("a line")] * 12, [Choice("no", "No"), Choice("yes", "Yes")]),
        lambda: NoteDialog(LOOK, "Note", [plain("a line")] * 12, "label", "Save"),
        lambda: ExportDialog(LOOK, Progressed(1, 5, 10)),
    ],
    ids=["ask", "note", "export"],
)
async def test_the_small_dialogs(make: Callable[[], Dialog[object]], guide: bool) -> None:
    app, _ = console("in_sync")
    if guide:
        app.trouble = NoTroubles()
    async with live(app, size=(80, 24), notifications=True) as pilot:
        app.push_screen(make())
        await settle(app, pilot)
        await check_buttons(app, pilot, guide=guide)


@pytest.mark.parametrize("guide", [False, True])
@pytest.mark.parametrize("lines", [3, 12, 14, 15, 16, 17, 18, 40])
@pytest.mark.parametrize(
    "make",
    [
        lambda said: AskDialog(LOOK, "Ask", said, [Choice("no", "No"), Choice("yes", "Yes")]),
        lambda said: NoteDialog(LOOK, "Note", said, "label", "Save"),
    ],
    ids=["ask", "note"],
)
async def test_a_small_dialog_of_any_height(
    make: Callable[[Sequence[Line]], Dialog[object]], lines: int, guide: bool
) -> None:
    app, _ = console("in_sync")
    if guide:
        app.trouble = NoTroubles()
    async with live(app, size=(80, 24), notifications=True) as pilot:
        app.push_screen(make([*[plain("a line")] * (lines - 1), plain("the last line")]))
        await settle(app, pilot)
        assert "enter press" in screen_text(app)
        await check_buttons(app, pilot, guide=guide)
        for _ in range(lines):
            await pilot.press("pagedown")
        await settle(app, pilot)
        assert "the last line" in screen_text(app)
        assert "PgDn more" not in screen_text(app)
