"""What all dialogs share."""

from __future__ import annotations

from typing import ClassVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, ScreenResultType


class Dialog(ModalScreen[ScreenResultType]):
    """Leaves once, and only from the top: a key that was on its way when something else opened or closed is dropped."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f3", "app.guide", show=False, id="guide")]

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_active else AwaitComplete()
