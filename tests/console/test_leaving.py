"""A dialog leaves once, and takes nothing with it that lies above or below: keys may be on their way when it goes."""

from __future__ import annotations

from console.app import Console
from console.dialogs.ask import AskDialog, Choice
from tests.console.app import console, live


def opened(app: Console, title: str, told: list[str]) -> AskDialog:
    dialog = AskDialog(app.look, title, (), (Choice("no", "No"),))
    app.show(dialog, lambda _result: told.append(title))
    return dialog


async def test_a_second_answer_leaves_the_dialog_below_open() -> None:
    app, _ = console()
    told: list[str] = []
    async with live(app) as pilot:
        lower = opened(app, "lower", told)
        upper = opened(app, "upper", told)
        await pilot.pause()
        upper.action_safe()
        upper.action_safe()
        await pilot.pause()
        assert app.screen is lower
        assert told == ["upper"]


async def test_an_answer_to_a_dialog_that_is_covered_closes_neither() -> None:
    app, _ = console()
    told: list[str] = []
    async with live(app) as pilot:
        lower = opened(app, "lower", told)
        upper = opened(app, "upper", told)
        await pilot.pause()
        lower.action_safe()
        await pilot.pause()
        assert app.screen is upper
        assert told == []
        await pilot.press("escape")
        await pilot.press("escape")
        assert told == ["upper", "lower"]
