"""What is longer than its room can be read anyway."""

from __future__ import annotations

from console.dialogs.log import LogDialog
from tests.console.app import console, live, screen_text, settle


async def test_a_long_line_of_the_log_goes_on_below() -> None:
    app, _ = console("running")
    async with live(app) as pilot:
        await pilot.press("L")
        await settle(app, pilot)
        rows = [row.rpartition("│")[0] for row in screen_text(app).splitlines()]
        first = next(place for place, row in enumerate(rows) if "1 row changed meanwhile" in row)
        assert rows[first].endswith("1 row changed meanwhile: episode               ")
        assert rows[first + 1].rstrip().endswith(" " * 24 + "7f3a91c2…4d18, fetched again")
        assert "Log: all lines, 5" in screen_text(app)


async def test_help_says_that_there_is_more() -> None:
    app, _ = console("running")
    async with live(app) as pilot:
        await pilot.press("question_mark")
        await settle(app, pilot)
        assert "PgDn more" in screen_text(app)
        await pilot.press("end")
        await settle(app, pilot)
        assert "PgDn more" not in screen_text(app)


async def test_the_log_is_searched_and_escape_gives_all_of_it_back() -> None:
    app, _ = console("running")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("L")
        await settle(app, pilot)
        await pilot.press("slash", *"warn meanwhile")
        await settle(app, pilot)
        text = screen_text(app)
        assert "Log: all lines with warn meanwhile, 1" in text
        await pilot.press("enter", "l")
        await settle(app, pilot)
        assert "Log: warnings and failures with warn meanwhile, 1" in screen_text(app)
        await pilot.press("escape")
        await settle(app, pilot)
        assert isinstance(app.screen, LogDialog)
        assert "with warn" not in screen_text(app)
        await pilot.press("slash", *"qqq")
        await settle(app, pilot)
        assert "no line has these words" in screen_text(app)
        await pilot.press("escape", "escape")
        await settle(app, pilot)
        assert not isinstance(app.screen, LogDialog)
