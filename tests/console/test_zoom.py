"""A panel alone on the screen, and back; to the shell, and back."""

from __future__ import annotations

import pytest
from textual.widget import Widget

from tests.console.app import console, live, screen_text, settle


@pytest.mark.parametrize(("screen", "tabs"), [("1", 1), ("1", 2), ("1", 5), ("2", 0), ("4", 1), ("5", 0)])
async def test_the_panel_in_focus_takes_the_screen_and_gives_it_back(screen: str, tabs: int) -> None:
    app, _ = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press(screen, *["tab"] * tabs)
        await settle(app, pilot)
        focused = app.focused
        assert focused is not None
        before, shown = focused.size, visible(app.screen)
        await pilot.press("z")
        await settle(app, pilot)
        assert focused.size.height > before.height
        assert focused.size.width >= before.width
        text = screen_text(app)
        assert "STALE" in text, "the verdict stays"
        assert "1 Overview" in text
        await pilot.press("z")
        await settle(app, pilot)
        assert focused.size == before
        assert visible(app.screen) == shown


def visible(screen: Widget) -> list[str | None]:
    return [widget.id for widget in screen.query(Widget) if widget.display]


async def test_suspend_is_a_key_of_the_table() -> None:
    app, _ = console("in_sync")
    asked = []
    app.action_suspend_process = lambda: asked.append("suspend")  # type: ignore[method-assign]
    async with live(app, size=(80, 24)) as pilot:
        await pilot.press("ctrl+z")
        await settle(app, pilot)
    assert asked == ["suspend"]
