"""One line of text from a person: a note, the name of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Button, Input

from console.dialogs.scrolled import ScrolledDialog
from console.views.entry import Entry
from widgets.glyphs import Look
from widgets.line import Line, to_content


class NoteDialog(ScrolledDialog[str | None]):
    """Result: what was typed, or None. `value` stands in the box at the start; Cancel has the focus without one."""

    topic = "note"
    AUTO_FOCUS = "#note"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", show=False)]

    def __init__(
        self, look: Look, title: str, lines: Sequence[Line], label: str, button: str, *, value: str = ""
    ) -> None:
        super().__init__(look, "note", "tab choose   enter press   esc close", classes="dialog small")
        self.entry = Entry(value, placeholder=label, compact=True, id="note", max_length=1000)
        self.ok = Button(button, id="ok", compact=True)
        self.entitle(title)
        self.text.update(to_content(lines, look))

    def parts(self) -> tuple[Widget, ...]:
        return (self.entry,)

    def offered(self) -> tuple[Button, ...]:
        return (Button("Cancel", id="cancel", compact=True), self.ok)

    def below(self) -> int:
        return 1 + self.entry.styles.margin.height

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Enter goes on to the button, and only the button does it."""
        self.ok.focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(self.entry.value.strip() if event.button.id == "ok" else None)

    def action_close(self) -> None:
        self.dismiss(None)
