"""All log lines that are kept, newest last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize

from console.dialogs.dialog import Dialog
from console.views.log_buffer import HEAD, LEVEL_WORDS, LEVELS, Journal, draw
from storage_sync.values.visible import LONGEST
from widgets.glyphs import Look
from widgets.line import Line, Piece
from widgets.virtual_table import VirtualTable


class LogDialog(Dialog[None]):
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

    def on_resize(self, _event: Resize) -> None:
        """Also before it is drawn first."""
        self.call_after_refresh(self.refresh_lines)

    def refresh_lines(self) -> None:
        """Show what has come since; what is too long for one row goes on below it."""
        lines = self._journal.lines(self._level)
        width = self.table.size.width
        room = width - HEAD if width > HEAD else LONGEST
        rows = [(line, place, part) for line in lines for place, part in enumerate(_parts(line.text, room))]

        def row(index: int, _width: int) -> Line:
            line, place, part = rows[index]
            drawn = draw(replace(line, text=part), self.look.glyphs)
            return (Piece(" " * HEAD), *drawn[-1:]) if place else drawn

        self.table.show(len(rows), row, (self._journal.revision, self._level, room))
        self.frame.border_title = f"Log: {LEVEL_WORDS[self._level]}, {len(lines):,}"

    def action_level(self) -> None:
        self._level = LEVELS[(LEVELS.index(self._level) + 1) % len(LEVELS)]
        self.refresh_lines()

    def action_close(self) -> None:
        self.dismiss(None)


def _parts(text: str, room: int) -> Iterator[str]:
    """The text in parts of at most `room` characters, cut between words where there are any."""
    while len(text) > room:
        cut = text.rfind(" ", 1, room + 1)
        cut = cut if cut > 0 else room
        yield text[:cut]
        text = text[cut:].removeprefix(" ")
    yield text
