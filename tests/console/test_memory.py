"""What is gone from the screen is gone from memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from textual._styles_cache import StylesCache
from textual.strip import Strip

from console.app.app import Console
from console.app.memory import ENOUGH, MUCH, collect_when_calm, forget_drawings, forget_gone_widgets
from tests.console.app import console, live, screen_text


def drawn() -> int:
    """Widgets whose drawing is still held."""
    forget_gone_widgets()
    gc.collect()
    return sum(isinstance(one, StylesCache) for one in gc.get_objects())


async def test_dialogs_that_went_are_let_go() -> None:
    app: Console = console("stale")[0]
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("f1", "escape", "L", "escape")
        await pilot.pause()
        before = drawn()
        for _ in range(5):
            await pilot.press("f1", "escape", "L", "escape")
            await pilot.pause()
        assert drawn() <= before + 3


async def test_screens_that_nobody_sees_hold_no_lines() -> None:
    app = console("stale")[0]
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("2", "3", "4", "5")
        await pilot.pause()
        before = lines()
        forget_drawings(app.get_screen_stack("overview") + app.get_screen_stack("validation"))
        assert lines() < before - 30
        await pilot.press("1")
        await pilot.pause()
        assert "redb · cache" in screen_text(app), "drawn again"


def lines() -> int:
    """Drawn lines that somebody holds."""
    forget_gone_widgets()
    gc.collect()
    return sum(isinstance(one, Strip) for one in gc.get_objects())


@pytest.fixture
def whole() -> Iterator[list[int]]:
    """Whole collections from here on; Python makes none by itself."""
    seen: list[int] = []

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            seen.append(info["collected"])

    gc.collect()
    gc.disable()
    gc.callbacks.append(count)
    yield seen
    gc.callbacks.remove(count)
    gc.enable()


def garbage(collections: int) -> None:
    """So much that Python's own rule has made so many collections of the middle generation."""
    for _ in range(collections):
        gc.collect(1)


def test_a_whole_collection_waits_while_somebody_types(whole: list[int]) -> None:
    garbage(ENOUGH)
    collect_when_calm(False)
    assert whole == []
    collect_when_calm(True)
    assert len(whole) == 1


def test_a_whole_collection_does_not_wait_for_ever(whole: list[int]) -> None:
    garbage(MUCH)
    collect_when_calm(False)
    assert len(whole) == 1


def test_a_calm_console_collects_only_where_there_is_something(whole: list[int]) -> None:
    garbage(ENOUGH - 1)
    collect_when_calm(True)
    assert whole == []
