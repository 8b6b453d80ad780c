"""A dialog leaves once, and takes nothing with it that lies above or below: keys may be on their way when it goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from textual.pilot import Pilot

from console.app.app import Console
from console.dialogs.ask import AskDialog, Choice
from tests.console.app import console, live


@dataclass(frozen=True)
class Stack:
    """Two open dialogs; `told`: titles of those that were answered."""

    app: Console
    pilot: Pilot[int]
    lower: AskDialog
    upper: AskDialog
    told: list[str]


@asynccontextmanager
async def stacked() -> AsyncIterator[Stack]:
    app, _ = console()
    told: list[str] = []

    def opened(title: str) -> AskDialog:
        dialog = AskDialog(app.look, title, (), (Choice("no", "No"),))
        app.show(dialog, lambda _result: told.append(title))
        return dialog

    async with live(app) as pilot:
        stack = Stack(app, pilot, opened("lower"), opened("upper"), told)
        await pilot.pause()
        yield stack


async def test_a_second_answer_leaves_the_dialog_below_open() -> None:
    async with stacked() as stack:
        stack.upper.action_safe()
        stack.upper.action_safe()
        await stack.pilot.pause()
        assert stack.app.screen is stack.lower
        assert stack.told == ["upper"]


async def test_an_answer_to_a_dialog_that_is_covered_closes_neither() -> None:
    async with stacked() as stack:
        stack.lower.action_safe()
        await stack.pilot.pause()
        assert stack.app.screen is stack.upper
        assert stack.told == []
        await stack.pilot.press("escape")
        await stack.pilot.press("escape")
        assert stack.told == ["upper", "lower"]
