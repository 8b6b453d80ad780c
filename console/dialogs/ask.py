"""A question with a few buttons: the first one is the safe one and has focus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

from console.dialogs.dialog import CHOOSE, Dialog
from widgets.glyphs import Look
from widgets.line import Line, to_content


@dataclass(frozen=True, slots=True)
class Choice:
    """`id` is the dialog's result when the button is pressed."""

    id: str
    label: str


class AskDialog(Dialog[str]):
    """Result: the id of the choice; `esc` gives the first one's."""

    AUTO_FOCUS = "Button"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "safe", "Close", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, look: Look, title: str, lines: Sequence[Line], choices: Sequence[Choice]) -> None:
        super().__init__()
        self.look = look
        self._title = title
        self._lines = tuple(lines)
        self._choices = tuple(choices)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog small") as frame:
            frame.border_title = self.look.glyphs.plain(self._title)
            frame.border_subtitle = self.look.glyphs.plain(CHOOSE)
            yield Static(to_content(self._lines, self.look), classes="dialog-text")
            with Horizontal(classes="buttons"):
                for choice in self._choices:
                    yield Button(self.look.glyphs.plain(choice.label), id=choice.id, compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id or self._choices[0].id)

    def action_safe(self) -> None:
        self.dismiss(self._choices[0].id)
