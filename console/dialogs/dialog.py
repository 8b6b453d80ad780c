"""What all dialogs share."""

from __future__ import annotations

from typing import ClassVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import ModalScreen, ScreenResultType

from console.keys.table import KEYS

FIRST = "esc closes this; then {} {}"
"""A key of the screen below and its label."""
CLOSES = FIRST.format("q", "quits")
CHOOSE = "←→ choose   enter press   esc close"
"""The keys of a row of buttons."""
GUIDE_ROWS = 2
"""Below a dialog: the demo's guide, and a blank."""


def _of_the_screen() -> list[BindingType]:
    """The letters and digits of all screens: they do nothing in a dialog that has no use for them, and say so."""
    names = {name: key.label for key in KEYS if key.bound for name in key.keys.split(",") if len(name) == 1}
    return [
        Binding(name, f"say_what_comes_first('{name}', '{label}')", label, show=False)
        for name, label in names.items()
        if name.isalnum() and name != "q"
    ]


class Dialog(ModalScreen[ScreenResultType]):
    """Leaves once, and only from the top: a key that was on its way when something else opened or closed is dropped."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *_of_the_screen(),
        Binding("f3", "app.guide", "Guide", show=False, id="guide"),
        Binding("q,ctrl+q", "say_what_closes", "Quit", show=False, id="quit"),
    ]

    guided: reactive[bool] = reactive(False, repaint=False)
    """Whether the demo's guide is below the dialog."""

    @property
    def room(self) -> int:
        """Rows that the dialog may take."""
        return self.size.height - (GUIDE_ROWS if self.guided else 0)

    def action_say_what_closes(self) -> None:
        """`q` quits the console and closes nothing else: that is `esc`, on every dialog."""
        self.notify(CLOSES, markup=False)

    def action_say_what_comes_first(self, key: str, label: str) -> None:
        self.notify(FIRST.format(key, label.rstrip("…")), markup=False)

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_active else AwaitComplete()
