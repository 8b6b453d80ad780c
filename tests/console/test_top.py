"""What stands above every screen: badges that agree with their screens, and keys that work where they are named."""

from __future__ import annotations

import pytest

from benchmarks.console import COLUMNS, LINES, syncing
from tests.console.app import console, live, screen_text, settle


@pytest.mark.parametrize(
    ("state", "badges"),
    [("running", ("2 Validation ?2", "3 Orphans ?23")), ("primary_down", ("2 Validation ?7", "3 Orphans"))],
)
async def test_a_badge_counts_what_is_too_old_as_unknown(state: str, badges: tuple[str, str]) -> None:
    app, _ = console(state)
    async with live(app) as pilot:
        await pilot.pause()
        tabs = screen_text(app).splitlines()[1]
        assert f"{badges[0]}  {badges[1]}  4 History" in tabs


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("locked", "p looks at a copy"),
        ("primary_down", "next try in 21 s, or t tries now"),
        ("damaged", "r plans a repair"),
    ],
)
async def test_a_key_of_overview_is_named_with_the_way_to_it(state: str, said: str) -> None:
    app, _ = console(state)
    way = "" if state == "damaged" else "on 1: "
    async with live(app) as pilot:
        assert f"next       {said}" in screen_text(app)
        await pilot.press("5")
        await pilot.pause()
        assert f"next       {way}{said}" in screen_text(app)


@pytest.mark.parametrize("screen", ["2", "3", "4", "5"])
async def test_a_screen_is_whole_at_the_first_look(screen: str) -> None:
    app, _ = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press(screen)
        await pilot.pause()
        first = screen_text(app)
        await pilot.press("1", screen)
        await pilot.pause()
        assert screen_text(app) == first


@pytest.mark.parametrize(("state", "runs"), [("running", True), ("in_sync", False)])
async def test_the_benchmark_knows_a_running_sync_by_the_header(state: str, runs: bool) -> None:
    app, _ = console(state)
    async with live(app, size=(COLUMNS, LINES)) as pilot:
        await settle(app, pilot)
        assert syncing(screen_text(app)) is runs
