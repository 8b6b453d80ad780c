"""Validation: from a check to its rows to their fields and back, and the keys on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from console.app.app import Console
from console.dialogs.text import TextDialog
from console.screens.validation import ValidationScreen
from storage_sync.service.commands import CompareRows, ExportRows
from storage_sync.values.answers import ColumnDifference, Difference, Differences
from storage_sync.values.events import Answer, Refused
from tests.console import rooms
from tests.console.app import asked, console, live, screen_text, settle
from tests.support.scenes import answers, snapshots
from tests.support.scripted_bridge import ScriptedBridge

NASTY = "[/b][red]x 名前 \x1b[31m\u202eabc"
SIZES = [(80, 24), (100, 30), (140, 45)]


async def opened(app: Console, pilot: Pilot[int], *keys: str) -> ValidationScreen:
    await pilot.press("2", *keys)
    await settle(app, pilot)
    assert isinstance(app.screen, ValidationScreen)
    return app.screen


async def answered(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> None:
    await rooms.answered(app, bridge, pilot)
    app.paint(panels=True)
    await pilot.pause()


def compares(bridge: ScriptedBridge) -> list[CompareRows]:
    return [command for command in asked(bridge) if isinstance(command, CompareRows)]


@pytest.mark.parametrize("size", SIZES)
async def test_enter_walks_in_and_escape_walks_out(size: tuple[int, int]) -> None:
    app, bridge = console("stale")
    async with live(app, size=size) as pilot:
        screen = await opened(app, pilot, "j")
        assert "newest by start_time" in screen_text(app)
        assert screen.table.has_focus
        await pilot.press("enter")
        await answered(app, bridge, pilot)
        assert screen.keys.has_focus
        assert compares(bridge) == [CompareRows(("episodes",))]
        text = screen_text(app)
        assert "Rows that differ · 3" in text
        assert "7f3a91c2…4d18" in text

        await pilot.press("j", "enter")
        await answered(app, bridge, pilot)
        assert screen.sides.has_focus
        text = screen_text(app)
        assert "episodes 0c41be77…91aa" in text
        for words in ("primary", "cache", "reward", "0.91", "0.74", "…config with"):
            assert words in text

        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, TextDialog)
        assert "Parse TOML config with comments" in screen_text(app)
        await pilot.press("escape", "escape")
        assert screen.keys.has_focus
        await pilot.press("escape")
        assert screen.table.has_focus
        await pilot.press("escape")
        assert screen.table.has_focus


async def test_missing_and_gone_rows_say_which_side_has_them() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        await opened(app, pilot, "j", "enter")
        await answered(app, bridge, pilot)
        assert "not in the cache" in screen_text(app)
        assert "absent" in screen_text(app)
        await pilot.press("j", "j")
        await answered(app, bridge, pilot)
        assert "not in the primary" in screen_text(app)


async def test_the_tables_of_a_check() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        screen = await opened(app, pilot, "j", "j", "enter")
        assert compares(bridge)[-1].tables == ("patterns", "heuristics")
        await pilot.press("escape", "j", "enter")
        assert len(compares(bridge)) == 1
        assert "3 Orphans shows these rows" in screen_text(app)
        await pilot.press("escape", "j", "enter")
        tables: Any = compares(bridge)[-1].tables
        assert len(tables) == 10
        assert screen.keys.has_focus


async def test_pages_are_asked_when_the_end_is_reached() -> None:
    app, bridge = console("stale")
    rows = tuple(Difference("episodes", f"key-{n}", "missing") for n in range(4))
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, pilot, "j", "enter")
        bridge.post(Answer(bridge.asked[-1].id, Differences(rows[:2], 4, True, snapshots.NOW, 4120, ("episodes",))))
        await settle(app, pilot)
        assert screen.keys.rows == 2
        assert "Rows that differ · 4" in screen_text(app)
        await pilot.press("j")
        await settle(app, pilot)
        assert compares(bridge)[-1] == CompareRows(("episodes",), rows[1])
        assert "comparing" in screen_text(app)
        bridge.post(Answer(bridge.asked[-1].id, Differences(rows[2:], 4, False, snapshots.NOW, 4120, ("episodes",))))
        await settle(app, pilot)
        assert screen.keys.rows == 4
        await pilot.press("G")
        await settle(app, pilot)
        assert len(compares(bridge)) == 2


async def test_a_refusal_is_said_where_the_rows_would_be() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        screen = await opened(app, pilot, "j", "enter")
        assert "comparing" in screen_text(app)
        bridge.post(Refused(bridge.asked[-1].id, "the primary does not answer [/b]", "t tries now"))
        await settle(app, pilot)
        assert "does not answer [/b]" in screen_text(app)
        assert "not compared" in screen_text(app)
        assert screen.keys.rows == 3, "the keys that the check named stay"


async def test_what_was_compared_is_forgotten_when_the_check_ran_again() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, pilot, "j", "enter")
        await answered(app, bridge, pilot)
        assert screen.keys.rows == 3
        snapshot = snapshots.scene("stale").snapshot
        fresh = tuple(
            replace(result, found=replace(result.found, was=replace(result.found.was, keys=()), at=snapshots.NOW))
            for result in snapshot.checks
        )
        bridge.show(replace(snapshot, seq=2, checks=fresh))
        await settle(app, pilot)
        app.paint(panels=True)
        assert screen.keys.rows == 0


async def test_what_was_compared_before_the_cache_changed_is_told_as_past() -> None:
    app, bridge = console("stale")
    async with live(app, size=(140, 45)) as pilot:
        await opened(app, pilot, "j", "enter")
        await answered(app, bridge, pilot)
        assert "Rows that differ ·" in screen_text(app)
        snapshot = snapshots.scene("stale").snapshot
        assert snapshot.cache.generation is not None
        later = replace(snapshot.cache.generation, was=snapshot.cache.generation.was + 1)
        bridge.show(replace(snapshot, seq=2, cache=replace(snapshot.cache, generation=later)))
        await settle(app, pilot)
        app.paint(panels=True)
        assert f"ago, at g-{snapshot.cache.generation.was}" in screen_text(app)
        assert "Rows that differed ·" in screen_text(app)


async def test_an_answer_to_another_check_is_dropped() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, pilot, "j", "enter")
        late = bridge.asked[-1].id
        await pilot.press("escape", "k")
        bridge.post(Answer(late, answers.differences()))
        await settle(app, pilot)
        assert screen.keys.rows == 0


@pytest.mark.parametrize(
    ("typed", "number"), [("kind:missing", 1), ("field:reward", 1), ("!surplus", 2), ("uploader", 1)]
)
async def test_slash_filters_the_rows(typed: str, number: int) -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, pilot, "j", "slash", *typed)
        await answered(app, bridge, pilot)
        assert screen.keys.rows == number
        await pilot.press("escape")
        await settle(app, pilot)
        assert screen.keys.rows == 3
        assert screen.keys.has_focus


async def test_y_copies_what_the_cursor_is_on_and_e_exports_the_rows() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        await opened(app, pilot, "j", "y")
        assert app.clipboard == "latest_episodes"
        await pilot.press("enter")
        await answered(app, bridge, pilot)
        await pilot.press("y")
        assert app.clipboard == "7f3a91c2-5b0e-4c11-9a77-2d10e0f34d18"
        await pilot.press("j", "enter", "j", "y")
        assert app.clipboard == "reward: 0.91 | 0.74"
        await pilot.press("e")
        export = asked(bridge)[-1]
        assert isinstance(export, ExportRows)
        assert export.name == "differences"
        rows: Any = export.rows
        assert [row["kind"] for row in rows] == ["missing", "differs", "surplus"]
        assert [column["name"] for column in rows[1]["columns"]] == ["task_description", "reward"]
        json.dumps(rows)


async def test_tables_identity_and_earlier_runs() -> None:
    app, bridge = console("stale")
    async with live(app, size=(140, 45)) as pilot:
        await opened(app, pilot)
        await answered(app, bridge, pilot)
        text = screen_text(app)
        for words in (
            "564 differ",
            "has the same commit, g-4120",
            "unchanged, log went back 12x",
            "episodes 7",
            "✓7 ✗1",
            "402 ms",
        ):
            assert words in text


async def test_a_running_check_says_where_it_is() -> None:
    app, _ = console("running")
    async with live(app, size=(140, 45)) as pilot:
        await opened(app, pilot)
        text = screen_text(app)
        assert "sync fetch 60 %, 4.1 s" in text
        assert "4 done" in text
        assert "362 of 603" in text


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_values_are_shown_as_they_are(size: tuple[int, int]) -> None:
    app, bridge = console("hostile")
    bad = Difference(NASTY, NASTY, NASTY, (ColumnDifference(NASTY, NASTY * 50, None),))
    async with live(app, size=size) as pilot:
        await opened(app, pilot, "enter")
        bridge.post(Answer(bridge.asked[-1].id, Differences((bad,), 1, False, snapshots.NOW, None, (NASTY,))))
        await settle(app, pilot)
        await pilot.press("enter", "enter")
        await pilot.pause()
        assert isinstance(app.screen, TextDialog)
        assert "\\e[31m" in screen_text(app)
        assert "\x1b" not in screen_text(app)


async def test_without_a_check_there_is_nothing_to_walk_into() -> None:
    app, bridge = console("empty")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        screen = await opened(app, pilot, "enter", "y", "e")
        assert compares(bridge) == []
        assert screen.table.has_focus
        assert "nothing to check; s builds the cache" in screen_text(app)
