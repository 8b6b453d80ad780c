"""Lines to read: a whole document, both sides of a row, what a file would say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from console.dialogs.dialog import Dialog
from widgets.glyphs import Look
from widgets.line import Line
from widgets.virtual_table import VirtualTable


class TextDialog(Dialog[None]):
    """`lines` are clean; `plain` is what `y` copies."""

    topic = "text"
    AUTO_FOCUS = "#text-lines"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "close", "Close", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]

    def __init__(
        self, look: Look, title: str, lines: Sequence[Line], plain: str, copied: Callable[[str], None]
    ) -> None:
        super().__init__()
        self.look = look
        self._title = title
        self._lines = tuple(lines)
        self._plain = plain
        self._copied = copied
        self.table = VirtualTable(look, id="text-lines", cursor=False, empty="there is nothing in it")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog tall") as frame:
            frame.border_title = Text(self._title)
            frame.border_subtitle = "y copy   g G first, last   esc close"
            yield self.table

    def on_mount(self) -> None:
        self.table.show(len(self._lines), lambda index, _width: self._lines[index], self._lines)

    def action_copy(self) -> None:
        self._copied(self._plain)

    def action_close(self) -> None:
        self.dismiss(None)
