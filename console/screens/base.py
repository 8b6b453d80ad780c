"""What every screen has: header, tabs, verdict, a body of its own, and the keys."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen

from console.views import top
from console.views.frame import Frame
from widgets.glyphs import Look
from widgets.header import Header
from widgets.key_bar import KeyBar
from widgets.tab_row import TabRow
from widgets.verdict_line import VerdictLine


class BaseScreen(Screen[None]):
    """`name_id` is the screen's id in `console.keys.SCREENS`."""

    name_id: ClassVar[str] = ""
    AUTO_FOCUS = ".first"

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look

    def compose(self) -> ComposeResult:
        yield Header(self.look, id="header")
        yield TabRow(self.look, id="tabs")
        yield VerdictLine(self.look, id="verdict")
        with Vertical(id="body"):
            yield from self.compose_body()
        yield KeyBar(self.look, id="keys")

    def compose_body(self) -> ComposeResult:
        raise NotImplementedError

    def show_top(self, frame: Frame, live: Frame, disabled: frozenset[str]) -> None:
        """What is drawn at every tick, frozen or not: `live` is the newest frame."""
        self.query_one("#header", Header).value = top.header(live)
        self.query_one("#tabs", TabRow).value = top.tabs(frame.snapshot, self.name_id)
        self.query_one("#verdict", VerdictLine).value = top.verdict_text(live.verdict, self.look)
        self.query_one("#keys", KeyBar).value = top.keys(self.name_id, disabled)
        self.set_class(live.stalled, "-stalled")

    def show_body(self, frame: Frame) -> None:
        """The screen's own panels."""
        raise NotImplementedError
