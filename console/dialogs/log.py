"""All log lines that are kept, newest last."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from console.journal import LEVELS, Journal, draw
from widgets.glyphs import Look
from widgets.line import Line
from widgets.virtual_table import VirtualTable


class LogDialog(ModalScreen[None]):
    AUTO_FOCUS = "#all-lines"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,L,q", "close", "Close", show=False),
        Binding("l", "level", "Level", show=False),
    ]

    def __init__(self, look: Look, journal: Journal) -> None:
        super().__init__()
        self.look = look
        self._journal = journal
        self._level = LEVELS[0]
        self.frame = Vertical(classes="dialog tall")
        self.table = VirtualTable(look, id="all-lines", cursor=False, follow=True, empty="nothing was logged yet")

    def compose(self) -> ComposeResult:
        self.frame.border_subtitle = "l level   g G first, last   esc close"
        with self.frame:
            yield self.table

    def on_mount(self) -> None:
        self.refresh_lines()

    def refresh_lines(self) -> None:
        """Show what has come since."""
        lines = self._journal.lines(self._level)

        def row(index: int, _width: int) -> Line:
            return draw(lines[index], self.look.glyphs)

        self.table.show(len(lines), row, (self._journal.revision, self._level))
        self.frame.border_title = f"Log: {self._level}{'+' if self._level != LEVELS[-1] else ''}, {len(lines):,} lines"

    def action_level(self) -> None:
        self._level = LEVELS[(LEVELS.index(self._level) + 1) % len(LEVELS)]
        self.refresh_lines()

    def action_close(self) -> None:
        self.dismiss(None)
