"""How far an export is that takes long."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Button

from console.dialogs.dialog import CHOOSE
from console.dialogs.scrolled import ScrolledDialog
from storage_sync.values.events import Progressed
from widgets import fmt
from widgets.glyphs import Look
from widgets.line import Line, muted, plain, to_content


class ExportDialog(ScrolledDialog[bool]):
    """Result: whether the export is to be given up."""

    topic = "export"
    AUTO_FOCUS = "#hide"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "hide", "Hide", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, look: Look, far: Progressed) -> None:
        super().__init__(look, "export", CHOOSE, classes="dialog small")
        self._ended = False
        self.entitle("Export")
        self.show_far(far)

    def offered(self) -> tuple[Button, ...]:
        return (
            Button("Hide", id="hide", compact=True),
            Button("Cancel, keep nothing", id="give-up", compact=True),
        )

    def show_far(self, far: Progressed) -> None:
        self.text.update(to_content(_lines(far), self.look))

    def end(self) -> None:
        """The export has ended; leaves at once, or when what is above it has left."""
        self._ended = True
        self.dismiss(False)

    def on_screen_resume(self) -> None:
        if self._ended:
            self.dismiss(False)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "give-up")

    def action_hide(self) -> None:
        self.dismiss(False)


def _lines(far: Progressed) -> tuple[Line, ...]:
    return (
        plain(f"{far.done:,} of {fmt.plural(far.total, 'row')} written, {fmt.percent(far.done, far.total)}"),
        muted("If you hide this, the export goes on, and tells you at the end where the file is."),
    )
