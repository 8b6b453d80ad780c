"""What every screen has: header, tabs, verdict, a body of its own, and the keys."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.screen import Screen

from console.views import top
from console.views.frame import Frame
from widgets.glyphs import Look
from widgets.header import Header
from widgets.kept import Kept, KeptColumn
from widgets.key_bar import KeyBar
from widgets.tab_row import TabRow
from widgets.verdict_line import VerdictLine


class BaseScreen(Screen[None], Kept):
    """`name_id` is the screen's id in `console.keys.table.SCREENS`."""

    name_id: ClassVar[str] = ""
    AUTO_FOCUS = ".first"

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        # held, not looked up: a tick may come before the screen is composed and while it is taken down
        self.top_row = Header(look, id="header")
        self.tab_row = TabRow(look, id="tabs")
        self.verdict_line = VerdictLine(look, id="verdict")
        self.key_bar = KeyBar(look, id="keys")
        self._second = -1
        """The one that the clock shows."""

    def compose(self) -> ComposeResult:
        yield self.top_row
        yield self.tab_row
        yield self.verdict_line
        with KeptColumn(id="body"):
            yield from self.compose_body()
        yield self.key_bar

    def compose_body(self) -> ComposeResult:
        raise NotImplementedError

    def show_top(self, frame: Frame, live: Frame, disabled: frozenset[str]) -> None:
        """What is drawn at every tick, frozen or not: `live` is the newest frame."""
        self._second = -1
        self.show_clock(live)
        self.tab_row.value = top.tabs(frame, self.name_id)
        self.verdict_line.value = top.verdict_text(live.verdict, self.look, self.name_id, live.table)
        self.key_bar.value = top.keys(self.name_id, disabled, live.table, top.turned(live))
        self.set_class(live.stalled, "-stalled")

    def show_clock(self, live: Frame) -> None:
        """The header once a second: clock and heartbeat go on while nothing else is drawn."""
        if self.clock_goes_on(live):
            self._second = int(live.now)
            self.top_row.value = top.header(live)

    def clock_goes_on(self, live: Frame) -> bool:
        """Whether the clock shows another second now."""
        return int(live.now) != self._second

    def show_body(self, frame: Frame) -> None:
        """The screen's own panels."""
        raise NotImplementedError
