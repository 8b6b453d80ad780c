"""All log lines that are kept, newest last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from msgspec.structs import replace
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize
from textual.widgets import Input

from console.dialogs.dialog import Dialog
from console.views.entry import Entry
from console.views.log_buffer import HEAD, LEVEL_WORDS, LEVELS, NO_RUN, Journal, draw
from storage_sync.values.events import LogLine
from storage_sync.values.visible import LONGEST
from widgets.glyphs import Look
from widgets.line import Line, Piece
from widgets.virtual_table import Ids, VirtualTable


class LogDialog(Dialog[str]):
    """Ends with the id of the run whose line was chosen."""

    AUTO_FOCUS = "#all-lines"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,L", "close", "Close", show=False),
        Binding("l", "level", "Level", show=False),
        Binding("slash", "filter", "Filter", show=False, priority=True),
    ]

    def __init__(self, look: Look, journal: Journal) -> None:
        super().__init__()
        self.look = look
        self._journal = journal
        self._level = LEVELS[0]
        self._text = ""
        self._shown: object = None
        self._lines: list[LogLine] = []
        """The line of each row."""
        self.box = Entry(placeholder="words that a line has", id="log-filter", compact=True)
        self.frame = Vertical(classes="dialog tall")
        self.table = VirtualTable(look, id="all-lines", follow=True, empty="nothing was logged yet")

    def compose(self) -> ComposeResult:
        self.frame.border_subtitle = "/ filter   l level   enter its run   g G first, last   esc close"
        self.box.display = False
        with self.frame:
            yield self.box
            yield self.table

    def on_resize(self, _event: Resize) -> None:
        """Also before it is drawn first."""
        self.call_after_refresh(self.refresh_lines)

    def refresh_lines(self) -> None:
        """Show what has come since; what is too long for one row goes on below it."""
        width = self.table.size.width
        wanted = (self._journal.revision, self._level, self._text, width)
        if wanted == self._shown:
            return
        self._shown = wanted
        lines = [line for line in self._journal.lines(self._level) if self._fits(line)]
        room = width - HEAD if width > HEAD else LONGEST
        rows = [(line, place, part) for line in lines for place, part in enumerate(_parts(line.text, room))]

        self._lines = [line for line, _, _ in rows]

        def row(index: int, _width: int) -> Line:
            line, place, part = rows[index]
            drawn = draw(replace(line, text=part), self.look.glyphs)
            return (Piece(" " * HEAD), *drawn[-1:]) if place else drawn

        ids: list[object] = [(line, place) for line, place, _ in rows]
        self.table.show(len(rows), row, wanted, Ids(ids.__getitem__, ids.index))
        told = f" with {self._text}" if self._text else ""
        self.frame.border_title = Text(f"Log: {LEVEL_WORDS[self._level]}{told}, {len(lines):,}")

    def _fits(self, line: LogLine) -> bool:
        """Whether the line has each of the words that are looked for."""
        said = f"{line.level} {line.area} {line.text}".lower()
        return all(word in said for word in self._text.lower().split())

    def on_input_changed(self, event: Input.Changed) -> None:
        self._text = event.value
        self.table.empty = "no line has these words" if self._text else "nothing was logged yet"
        self.refresh_lines()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.table.focus()

    def on_virtual_table_chosen(self, _event: VirtualTable.Chosen) -> None:
        place = self.table.cursor
        line = self._lines[place] if place < len(self._lines) else None
        if line is None or not line.run_id:
            self.notify(NO_RUN, markup=False)
        else:
            self.dismiss(line.run_id)

    def action_filter(self) -> None:
        """Show the box; what is typed next belongs into it."""
        self.box.display = True
        self.set_focus(self.box)

    def action_level(self) -> None:
        self._level = LEVELS[(LEVELS.index(self._level) + 1) % len(LEVELS)]
        self.refresh_lines()

    def action_close(self) -> None:
        """First the filter goes, then the dialog."""
        if self.box.display:
            self.box.display = False
            self.box.value = ""
            self.set_focus(self.table)
        else:
            self.dismiss(None)


_UNIT = re.compile(r" (?:/|ms|s|min|h|d|B|KiB|MiB|GiB|%)(?!\w)")
_BEFORE_UNIT = frozenset("0123456789/")


def _parts(text: str, room: int) -> Iterator[str]:
    """The text in parts of at most `room` characters, cut between words where there are any."""
    while len(text) > room:
        cut = text.rfind(" ", 1, room + 1)
        while cut > 0 and _UNIT.match(text, cut) and text[:cut].rpartition(" ")[2][-1:] in _BEFORE_UNIT:
            # a number stays with its unit: `0.25 / s`
            cut = text.rfind(" ", 1, cut)
        cut = cut if cut > 0 else room
        yield text[:cut]
        text = text[cut:].removeprefix(" ")
    yield text
