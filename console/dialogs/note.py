"""One line of text from a person: a note, the name of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from console.dialogs.dialog import Dialog
from console.views.entry import Entry
from widgets.glyphs import Look
from widgets.line import Line, to_content


class NoteDialog(Dialog[str | None]):
    """Result: what was typed, or None. `value` stands in the box at the start; Cancel has the focus without one."""

    AUTO_FOCUS = "#note"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", show=False)]

    def __init__(
        self, look: Look, title: str, lines: Sequence[Line], label: str, button: str, *, value: str = ""
    ) -> None:
        super().__init__()
        self.look = look
        self._title = title
        self._lines = tuple(lines)
        self._label = label
        self._button = button
        self._value = value

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog small") as frame:
            frame.border_title = self.look.glyphs.plain(self._title)
            frame.border_subtitle = "tab choose   enter press   esc close"
            yield Static(to_content(self._lines, self.look), classes="dialog-text")
            yield Entry(self._value, placeholder=self._label, compact=True, id="note", max_length=1000)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(self._button, id="ok", compact=True)

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Enter goes on to the button, and only the button does it."""
        self.query_one("#ok", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(self.query_one("#note", Input).value.strip() if event.button.id == "ok" else None)

    def action_close(self) -> None:
        self.dismiss(None)
