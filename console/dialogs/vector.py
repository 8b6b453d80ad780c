"""Every number of one vector, in hex and decimal; what does not decode, as its octets."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize

from console.dialogs.dialog import Dialog
from widgets.glyphs import Look
from widgets.line import Line, muted, plain
from widgets.vector_view import number_head, number_line, number_rows
from widgets.virtual_table import VirtualTable

OCTETS = 16


class VectorDialog(Dialog[None]):
    """`title` is clean. `whole`: the octets are f32 numbers, little-endian."""

    topic = "vector"
    AUTO_FOCUS = "#numbers"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter", "close", "Close", show=False)]

    def __init__(self, look: Look, title: str, values: bytes, *, whole: bool) -> None:
        super().__init__()
        self.look = look
        self._title = title
        self._values = values
        self._whole = whole
        self.head = VirtualTable(look, id="numbers-head", cursor=False)
        self.table = VirtualTable(look, id="numbers", cursor=False, empty="there are no numbers in it")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog tall") as frame:
            frame.border_title = Text(self._title)
            said = f"{len(self._values) // 4:,} x f32" if self._whole else f"{len(self._values):,} B, no vector"
            frame.border_subtitle = f"{said}   g G first, last   ? help   esc close"
            self.head.can_focus = False
            yield self.head
            yield self.table

    def on_mount(self) -> None:
        self.call_after_refresh(self._show)

    def on_resize(self, _event: Resize) -> None:
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        width = self.table.size.width
        rows = number_rows(self._values, width) if self._whole else -(-len(self._values) // OCTETS)
        self.head.show(1, self._head, width)
        self.table.show(rows, self._line, (width, rows))

    def _head(self, _index: int, width: int) -> Line:
        return number_head(width) if self._whole else muted(f" {'place':>8}  octets")

    def _line(self, index: int, width: int) -> Line:
        if self._whole:
            return number_line(self._values, index, width)
        part = self._values[index * OCTETS : (index + 1) * OCTETS]
        return (*muted(f" {index * OCTETS:>8}  "), *plain(part.hex(" ")))

    def action_close(self) -> None:
        self.dismiss(None)
