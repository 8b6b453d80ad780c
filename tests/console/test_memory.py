"""What is gone from the screen is gone from memory."""

from __future__ import annotations

import gc

from textual._styles_cache import StylesCache

from console.app import Console
from console.memory import forget_gone_widgets
from tests.console.app import console, live


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
