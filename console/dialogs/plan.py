"""The plan before a run: what would change, the safe button in focus, and a typed name for what is large."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from console.views import plan as words
from storage_sync.model import Plan
from widgets.glyphs import Look
from widgets.line import muted, plain, to_content


class PlanDialog(ModalScreen[tuple[str, str] | None]):
    """Result: the id of the plan to run and what was typed, or None.

    Opens at once and is filled when the core has made the plan.
    """

    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, look: Look, kind: str, profile: str, access: str, counts: Mapping[str, int]) -> None:
        super().__init__()
        self.look = look
        self._kind = kind
        self._profile = profile
        self._access = access
        self._counts = counts
        self._plan: Plan | None = None
        self._phrase = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="plan-frame") as frame:
            frame.border_title = f"{self._kind.capitalize()}: making the plan"
            yield Static(id="plan-text", classes="dialog-text")
            yield Static(id="phrase-label")
            yield Input(id="phrase", compact=True)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Run", id="run", compact=True, disabled=True)

    def on_mount(self) -> None:
        self.query_one("#phrase", Input).display = False
        self.query_one("#phrase-label", Static).display = False
        self._say("The core compares the cache with the primary. Nothing has been changed.")

    def show_plan(self, plan: Plan) -> None:
        """Fill the dialog."""
        self._plan = plan
        blocked = words.blocked_by(plan, self._access)
        self._phrase = "" if blocked else words.phrase_of(plan, self._profile, self._counts)
        self.query_one("#plan-frame", Vertical).border_title = Text(words.title(plan, self._profile, self.look))
        label = self.query_one("#phrase-label", Static)
        asked = (
            *muted(" confirm   "),
            *plain(f"type  {self._phrase}"),
            *muted("   over 100 rows or 10 % of a table go"),
        )
        label.update(to_content([(), asked], self.look))
        label.display = bool(self._phrase)
        box = self.query_one("#phrase", Input)
        box.display = bool(self._phrase)
        button = self.query_one("#run", Button)
        button.label = Content(words.run_label(plan))
        self._enable()
        self._paint()

    def show_refusal(self, reason: str, hint: str) -> None:
        """The core would not make the plan."""
        self.query_one("#plan-frame", Vertical).border_title = f"{self._kind.capitalize()}: no plan"
        self._say(reason, hint)

    def _say(self, *texts: str) -> None:
        lines = [plain(texts[0]), *((), *(muted(text) for text in texts[1:] if text))]
        self.query_one("#plan-text", Static).update(to_content(lines, self.look))

    def _paint(self) -> None:
        text = self.query_one("#plan-text", Static)
        if self._plan is not None and text.size.width > 0:
            text.update(to_content(words.lines(self._plan, text.size.width, self._access, self.look), self.look))

    def _enable(self) -> None:
        if self._plan is None:
            return
        right = self.query_one("#phrase", Input).value == self._phrase
        self.query_one("#run", Button).disabled = bool(words.blocked_by(self._plan, self._access)) or not right

    def on_resize(self, _event: Resize) -> None:
        self.call_after_refresh(self._paint)

    def on_input_changed(self, _event: Input.Changed) -> None:
        self._enable()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        button = self.query_one("#run", Button)
        if not button.disabled:
            button.focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "run" and self._plan is not None:
            self.dismiss((self._plan.id, self._phrase))
        else:
            self.dismiss(None)

    def action_close(self) -> None:
        self.dismiss(None)
