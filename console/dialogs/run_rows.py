"""Rows that one run changed; below them the fields of the chosen one, before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from console.dialogs.dialog import Dialog
from console.views import run_rows as words
from console.views.columns import Column, table_head, table_row
from storage_sync.values.answers import ChangedRows
from widgets.glyphs import GlyphSet, Look
from widgets.line import Line, Piece, muted
from widgets.virtual_table import VirtualTable


class RunRowsDialog(Dialog[str]):
    """Gives the id of the run when it is to be undone. `copied`: called with what `y` copies."""

    topic = "rows of a run"
    AUTO_FOCUS = "#run-rows"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False),
        Binding("U", "undo", "Undo", show=False),
        Binding("y", "copy", "Copy", show=False),
        Binding("tab", "app.focus_next", show=False),
        Binding("shift+tab", "app.focus_previous", show=False),
    ]

    def __init__(self, look: Look, title: str, found: ChangedRows, copied: Callable[[str], None]) -> None:
        super().__init__()
        self.look = look
        self._title = title
        self._found = found
        self._copied = copied
        self.frame = Vertical(classes="dialog tall", id="run-rows-frame")
        self.head = VirtualTable(look, id="run-rows-head", cursor=False)
        self.table = VirtualTable(look, id="run-rows", empty=words.heading(found))
        self.fields_head = VirtualTable(look, id="run-fields-head", cursor=False)
        none = "no field of it is kept" if found.rows else ""
        self.fields = VirtualTable(look, id="run-fields", cursor=False, empty=none)

    def compose(self) -> ComposeResult:
        undo = "U undo   " if not self._found.undo_off else ""
        self.frame.border_title = Text(f"{self._title}: {words.heading(self._found)}")
        self.frame.border_subtitle = f"{undo}tab rows, fields   y copy key   ? help   esc close"
        for head in (self.head, self.fields_head):
            head.can_focus = False
        with self.frame:
            yield self.head
            yield self.table
            yield self.fields_head
            yield self.fields

    def on_mount(self) -> None:
        rows, look = self._found.rows, self.look

        def draw(index: int, width: int) -> Line:
            return table_row(words.ROW_COLUMNS, words.row(rows[index], look), width, look.glyphs)

        for head, columns in ((self.head, words.ROW_COLUMNS), (self.fields_head, words.FIELD_COLUMNS)):
            head.show(1, partial(_head, columns, look.glyphs), rows)
        self.table.show(len(rows), draw, rows)
        self._show_fields()

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        if event.table is self.table:
            self._show_fields()

    def _show_fields(self) -> None:
        rows, look = self._found.rows, self.look
        if not rows:
            return
        chosen = rows[min(self.table.cursor, len(rows) - 1)]

        def draw(index: int, width: int) -> Line:
            cells = words.field(chosen.columns[index], chosen.cut, look)
            return table_row(words.FIELD_COLUMNS, cells, width, look.glyphs)

        if chosen.columns:
            self.fields.show(len(chosen.columns), draw, chosen)
        else:
            self.fields.show(1, lambda _index, _width: muted(f" {words.field_note(chosen, look)}"), chosen)

    def action_undo(self) -> None:
        """Plan to undo the run; where that cannot be done, say why."""
        if self._found.undo_off:
            self.notify(words.cannot_be_undone(self._found.undo_off, self.look), markup=False)
        else:
            self.dismiss(self._found.run_id)

    def action_copy(self) -> None:
        rows = self._found.rows
        if rows:
            chosen = rows[min(self.table.cursor, len(rows) - 1)]
            self._copied(f"{chosen.table}/{chosen.key}")

    def action_close(self) -> None:
        self.dismiss(None)


def _head(columns: Sequence[Column], glyphs: GlyphSet, _index: int, width: int) -> Line:
    return (Piece(" "), *table_head(columns, width - 1, glyphs))
