"""An export from the key to the file: how far it is where it takes long, and that it can be given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from textual.screen import Screen

from console.dialogs.export import ExportDialog
from console.link.requests import Desk
from console.views.hints import reason_and_hint
from storage_sync.service.commands import GiveUp, Question
from storage_sync.values.answers import Exported
from storage_sync.values.events import Progressed, Refused
from widgets import fmt
from widgets.glyphs import Look


class Say(Protocol):
    """A toast."""

    def __call__(self, text: str, *, failed: bool = False) -> None: ...


Show = Callable[[ExportDialog, Callable[[bool | None], None]], object]


class Exports:
    """One at a time: the core gives up an older one of the same kind."""

    def __init__(self, look: Look, desk: Desk, show: Show, say: Say) -> None:
        self._look = look
        self._desk = desk
        self._show = show
        self._say = say
        self._number: int | None = None
        self._dialog: ExportDialog | None = None
        self._shown = False

    def start(self, question: Question[Exported], here: Screen[Any]) -> None:
        """Ask for it; a dialog opens once it takes long, where `here` is still what the operator looks at."""
        if self._number is not None:
            self._desk.forget(self._number)
            self._close()
        number = self._desk.ask(question, self._exported, self._refused)
        self._number, self._shown = number, False
        self._desk.follow(number, lambda far: self._progressed(far, here))

    def _progressed(self, far: Progressed, here: Screen[Any]) -> None:
        if self._dialog is not None:
            self._dialog.show_far(far)
        elif not self._shown and here.is_active:
            self._shown = True
            self._dialog = ExportDialog(self._look, far)
            self._show(self._dialog, self._left)

    def _left(self, given_up: bool | None) -> None:
        self._dialog = None
        if given_up and self._number is not None:
            self._desk.ask(GiveUp(self._number))

    def _close(self) -> None:
        self._number = None
        if self._dialog is not None:
            self._dialog.end()

    def _exported(self, file: Exported) -> None:
        self._close()
        self._say(f"{fmt.plural(file.rows, 'row')}, {fmt.size(file.bytes)} in {file.path}")

    def _refused(self, refused: Refused) -> None:
        self._close()
        self._say(reason_and_hint(refused), failed=True)
