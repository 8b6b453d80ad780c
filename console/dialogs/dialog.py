"""What all dialogs share."""

from __future__ import annotations

from typing import ClassVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import ModalScreen, ScreenResultType

from console.keys.table import IN_DIALOGS, KEYS

CLOSES = "esc closes this; then q quits"
CHOOSE = "←→ choose   enter press   esc close"
"""The keys of a row of buttons."""
GUIDE_ROWS = 2
"""Below a dialog: the demo's guide, and a blank."""


class Dialog(ModalScreen[ScreenResultType]):
    """Leaves once, and only from the top: a key that was on its way when something else opened or closed is dropped.

    A key that it has no use for does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key.keys, f"app.{key.action}", key.label, show=False, id=key.id)
            for key in KEYS
            if key.id in IN_DIALOGS
        ),
        Binding("q,ctrl+q", "say_what_closes", "Quit", show=False, id="quit"),
    ]
    topic: ClassVar[str]
    """What its help is about, as in `views.labels`."""

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
