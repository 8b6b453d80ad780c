"""What is longer than its room can be read anyway."""

from __future__ import annotations

from tests.console.app import console, live, screen_text, settle


async def test_a_long_line_of_the_log_goes_on_below() -> None:
    app, _ = console("running")
    async with live(app) as pilot:
        await pilot.press("L")
        await settle(app, pilot)
        rows = [row.rpartition("│")[0] for row in screen_text(app).splitlines()]
        first = next(place for place, row in enumerate(rows) if "1 row changed meanwhile" in row)
        assert rows[first].endswith("1 row changed meanwhile: episode               ")
        assert rows[first + 1].rstrip().endswith(" " * 25 + "7f3a91c2…4d18, fetched again")
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
