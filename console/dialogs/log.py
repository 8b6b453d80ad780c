"""All log lines that are kept, newest last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize
from textual.widgets import Input

from console.dialogs.dialog import Dialog
from console.views.entry import Entry
from console.views.log_buffer import LEVEL_WORDS, LEVELS, NO_RUN, Journal, Part, draw, folded, ids_of, last_line
from storage_sync.values.events import LogLine
from widgets.glyphs import Look
from widgets.line import Line
from widgets.virtual_table import VirtualTable


class LogDialog(Dialog[str]):
    """Ends with the id of the run whose line was chosen."""

    topic = "log"
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
        self._rows: Sequence[Part] = ()
        self.box = Entry(placeholder="words in a line", id="log-filter", compact=True)
        self.frame = Vertical(classes="dialog tall")
        self.table = VirtualTable(look, id="all-lines", follow=True)

    def compose(self) -> ComposeResult:
        self.frame.border_subtitle = "/ filter   l level   enter its run   g G first, last   ? help   esc close"
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
        self._rows = rows = folded(lines, width)
        self.table.empty = "no line has these words" if self._text else "nothing was logged yet"

        def row(index: int, _width: int) -> Line:
            return draw(rows[index], self.look.glyphs)

        self.table.show(len(rows), row, wanted, ids_of(rows), last=last_line(rows))
        told = f" with {self._text}" if self._text else ""
        self.frame.border_title = Text(f"Log: {LEVEL_WORDS[self._level]}{told}, {len(lines):,}")

    def _fits(self, line: LogLine) -> bool:
        """Whether the line has each of the words that are looked for."""
        said = f"{line.level} {line.area} {line.text}".lower()
        return all(word in said for word in self._text.lower().split())

    def on_input_changed(self, event: Input.Changed) -> None:
        self._text = event.value
        self.refresh_lines()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.table.focus()

    def on_virtual_table_chosen(self, _event: VirtualTable.Chosen) -> None:
        place = self.table.cursor
        line = self._rows[place].line if place < len(self._rows) else None
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
