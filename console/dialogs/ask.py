"""A question with a few buttons: the first one is the safe one and has focus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct
from textual.binding import Binding, BindingType
from textual.widgets import Button

from console.dialogs.dialog import CHOOSE
from console.dialogs.scrolled import ScrolledDialog
from widgets.glyphs import Look
from widgets.line import Line, to_content


class Choice(Struct, frozen=True):
    """`id` is the dialog's result when the button is pressed."""

    id: str
    label: str


class AskDialog(ScrolledDialog[str]):
    """Result: the id of the choice; `esc` gives the first one's."""

    topic = "question"
    AUTO_FOCUS = "Button"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "safe", "Close", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, look: Look, title: str, lines: Sequence[Line], choices: Sequence[Choice]) -> None:
        super().__init__(look, "ask", CHOOSE, classes="dialog small")
        self._choices = tuple(choices)
        self.entitle(title)
        self.text.update(to_content(lines, look))

    def offered(self) -> tuple[Button, ...]:
        return tuple(
            Button(self.look.glyphs.plain(choice.label), id=choice.id, compact=True) for choice in self._choices
        )

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id or self._choices[0].id)

    def action_safe(self) -> None:
        self.dismiss(self._choices[0].id)
