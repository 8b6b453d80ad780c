"""No configuration yet: the form, its tests, and what is done once it is saved."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from console.dialogs.setup import SetupDialog
from console.flows.stage import Stage
from console.views.hints import reason_and_hint
from storage_sync.service.commands import SaveSettings, TrySettings
from storage_sync.values.answers import SetupForm, SetupSaved, SetupTried
from storage_sync.values.events import Refused


class Setup(Struct, frozen=True):
    """`form`: what is known already. `place`: where the configuration is written; `there`: whether it exists."""

    form: SetupForm
    place: str
    there: bool = False


class FirstRun:
    """`saved`: starts with the new configuration; `demo`: opens the demo instead."""

    def __init__(self, stage: Stage, setup: Setup, saved: Callable[[], None], demo: Callable[[], None]) -> None:
        self._stage = stage
        self._setup = setup
        self._saved = saved
        self._demo = demo
        self._dialog: SetupDialog | None = None
        self._waiting: int | None = None

    def open(self) -> None:
        """Show the form; what was typed earlier is still there."""
        if self._dialog is None:
            self._dialog = SetupDialog(
                self._stage.look, self, self._setup.form, self._setup.place, there=self._setup.there
            )
            self._stage.show(self._dialog, self._closed)

    def _closed(self, _: None) -> None:
        if self._dialog is not None:
            self._setup = replace(self._setup, form=self._dialog.form)
        self._dialog = None

    def test(self, form: SetupForm) -> None:
        """Try each entry; only the newest test counts."""
        if self._waiting is not None:
            self._stage.desk.forget(self._waiting)

        self._waiting = self._stage.desk.ask(TrySettings(form), self._tried, self._refused)

    def _tried(self, tried: SetupTried) -> None:
        if self._dialog is not None:
            self._dialog.show_tried(tried)

    def save(self, form: SetupForm) -> None:
        """Write the file, and start with it."""

        def answered(value: SetupSaved | SetupTried) -> None:
            if isinstance(value, SetupSaved):
                self._saved()
            elif self._dialog is not None:
                self._dialog.show_tried(value)

        self._stage.desk.ask(SaveSettings(form), answered, self._refused)

    def demo(self) -> None:
        self._demo()

    def _refused(self, refused: Refused) -> None:
        if self._dialog is not None:
            self._dialog.show_refusal(reason_and_hint(refused))
