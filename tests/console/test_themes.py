"""Another theme on a running console: every screen, visited before or not, is drawn as one that started with it."""

from __future__ import annotations

import pytest

from console.app.app import Console
from tests.console.app import console, live, settle

SIZE = (100, 30)


async def _picture(app: Console, theme: str, before: str, after: str) -> str:
    async with live(app, size=SIZE) as pilot:
        await pilot.press(*before)
        await settle(app, pilot)
        app.theme = theme
        await pilot.press(*after)
        await settle(app, pilot)  # draws the list, which says where its cursor is
        await settle(app, pilot)
        return app.export_screenshot(simplify=False)


@pytest.mark.parametrize("screen", ["1", "2", "5"])
@pytest.mark.parametrize("visited", ["", "2", "251"])
async def test_a_screen_is_drawn_in_the_theme_of_now(visited: str, screen: str) -> None:
    started, _ = console("stale", theme="calm-light")
    switched, _ = console("stale", theme="calm-dark")
    wanted = await _picture(started, "calm-light", "", screen)
    assert await _picture(switched, "calm-light", visited, screen) == wanted
