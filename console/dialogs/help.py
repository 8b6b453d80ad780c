"""Help of one screen: the labels of the panel in focus, its keys, the keys everywhere, and the words. Searchable."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize
from textual.widgets import Input

from console.dialogs.dialog import Dialog
from console.keys.table import KEYS, SCREENS, Key, help_groups
from console.views.entry import Entry
from console.views.glossary import WORDS
from console.views.labels import LABELS
from widgets.glyphs import Look, Tone
from widgets.line import Line, Piece, cell, muted, plain
from widgets.virtual_table import VirtualTable

NAMES = 15
"""Cells of a key's name."""
BEFORE = NAMES + 3
"""Cells before an explanation."""
WIDE = 200


class HelpDialog(Dialog[None]):
    topic = "help"
    AUTO_FOCUS = "#help-list"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False),
        Binding("question_mark,f1", "close", "Close", show=False, id="help"),
        Binding("slash", "search", "Search", show=False, priority=True),
    ]

    def __init__(
        self, look: Look, screen: str, notes: tuple[str, ...] = (), table: tuple[Key, ...] = KEYS, panel: str = ""
    ) -> None:
        """`screen`: id of one, or topic of a dialog; `panel`: what has the focus there, whose labels are explained."""
        super().__init__()
        self.look = look
        self._screen_id = screen
        self._notes = notes
        self._table = table
        self._panel = panel
        self._text = ""
        self.frame = Vertical(classes="dialog tall")
        self.list = VirtualTable(look, id="help-list", cursor=False, empty="no key or word matches")

    def compose(self) -> ComposeResult:
        title = next((title for name, _, title in SCREENS if name == self._screen_id), self._screen_id.capitalize())
        with self.frame as frame:
            frame.border_title = self.look.glyphs.plain(f"Help · {title}")
            yield Entry(placeholder="search", id="help-search", compact=True)
            yield self.list

    def on_mount(self) -> None:
        self.query_one("#help-search", Input).display = False
        self._fill()
        self.watch(self.list, "scroll_y", self._hint)

    def on_resize(self, _event: Resize) -> None:
        self.call_after_refresh(self._fill)

    def _hint(self) -> None:
        more = "PgDn more   " if self.list.scroll_y < self.list.max_scroll_y else ""
        self.frame.border_subtitle = f"{more}/ search   esc close"

    def _fill(self) -> None:
        room = self.list.size.width - BEFORE if self.list.size.width else WIDE
        lines = help_lines(self._screen_id, self._notes, self._text, self.look, self._table, room, self._panel)

        def row(index: int, _width: int) -> Line:
            return lines[index]

        self.list.show(len(lines), row, (self._text, room))
        self.call_after_refresh(self._hint)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._text = event.value
        self._fill()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.list.focus()

    def action_search(self) -> None:
        box = self.query_one("#help-search", Input)
        box.display = True
        # at once: what is typed next belongs into the box
        self.set_focus(box)

    def action_close(self) -> None:
        """Leave the search, if there is one, else the help."""
        box = self.query_one("#help-search", Input)
        if not box.display:
            self.dismiss(None)
            return
        box.display = False
        box.value = ""
        self.list.focus()


def help_lines(
    screen: str,
    notes: tuple[str, ...],
    text: str,
    look: Look,
    table: tuple[Key, ...] = KEYS,
    room: int = WIDE,
    panel: str = "",
) -> list[Line]:
    """All lines that match `text`, under their headings; an explanation goes on below after `room` cells.

    The labels of `panel` come first; those of a dialog are under its topic.
    """
    glyphs = look.glyphs
    wanted = text.lower()
    lines: list[Line] = []
    groups: list[tuple[str, list[tuple[str, str]]]] = [
        (heading, [(glyphs.plain(key.shown), key.tooltip) for key in keys])
        for heading, keys in help_groups(screen, table)
    ]
    for heading, name in (("THIS PANEL", panel), ("THIS DIALOG", screen)):
        if name in LABELS:
            groups.insert(0, (heading, list(LABELS[name])))
    groups.append(("GLOSSARY", list(WORDS)))
    if notes:
        groups.append(("NOW", [("", note) for note in notes]))
    for heading, rows in groups:
        matching = [(name, said) for name, said in rows if wanted in f"{name} {said}".lower()]
        if matching:
            lines.extend(((), (Piece(f"  {heading}", Tone.STRONG),)))
            lines.extend(line for name, said in matching for line in _rows(name, said, look, room))
    return lines


def _rows(name: str, said: str, look: Look, room: int) -> list[Line]:
    first, *rest = textwrap.wrap(look.glyphs.plain(said), max(room, NAMES)) or [""]
    if cell_len(name) > NAMES:
        head: Line = (*muted("  "), Piece(name, Tone.ACCENT))
        return [head, *(plain(f"{' ' * BEFORE}{text}") for text in (first, *rest))]
    head = (*muted("  "), *cell(name, NAMES, look.glyphs, tone=Tone.ACCENT), *plain(f" {first}"))
    return [head, *(plain(f"{' ' * BEFORE}{text}") for text in rest)]
