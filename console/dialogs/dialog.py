"""What all dialogs share."""

from __future__ import annotations

from typing import ClassVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import ModalScreen, ScreenResultType

CLOSES = "esc closes this; then q quits"
CHOOSE = "←→ choose   enter press   esc close"
"""The keys of a row of buttons."""
GUIDE_ROWS = 2
"""Below a dialog: the demo's guide, and a blank."""


class Dialog(ModalScreen[ScreenResultType]):
    """Leaves once, and only from the top: a key that was on its way when something else opened or closed is dropped."""

    BINDINGS: ClassVar[list[BindingType]] = [
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

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_active else AwaitComplete()
