"""Rejected and quarantined rows, and runs to undo: the list, and a plan for what is brought back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from console.dialogs.quarantine import QuarantineDialog
from console.flows.export import Exports
from console.flows.plans import Wish, undo_of
from console.flows.stage import Stage
from console.views.hints import reason_and_hint
from storage_sync.service.commands import Do, ExportQuarantine, ListQuarantine
from storage_sync.service.operations import Purge, Restore, Retry
from storage_sync.values.answers import QuarantinePage
from storage_sync.values.events import Refused
from storage_sync.values.outcome import Outcome


class Quarantine:
    """`plan`: opens the dialog of a plan."""

    def __init__(self, stage: Stage, plan: Callable[[Wish], object]) -> None:
        self._stage = stage
        self._plan = plan
        self._exports = Exports(stage.look, stage.desk, stage.show, stage.say)
        self._dialog: QuarantineDialog | None = None
        self._waiting: int | None = None

    def open(self) -> None:
        """Show the list; or nothing more, when it is open."""
        if self._dialog is None:
            self._dialog = QuarantineDialog(self._stage.look, self, self._stage.clock.now, self._stage.key_table)
            self._stage.show(self._dialog, self._closed)

    def _closed(self, _: None) -> None:
        self._dialog = None
        self._forget()

    def _forget(self) -> None:
        if self._waiting is not None:
            self._stage.desk.forget(self._waiting)
            self._waiting = None

    # ---------------------------------------------------------------------------------- what it asks for

    def ask(self, text: str, first: int, count: int) -> None:
        """A page; only the newest question is waited for."""
        self._forget()

        def answered(page: QuarantinePage) -> None:
            if self._dialog is not None:
                self._dialog.show_page(text, page)

        self._waiting = self._stage.desk.ask(ListQuarantine(text, first, count), answered, self._not_listed)

    def _not_listed(self, refused: Refused) -> None:
        if self._dialog is not None:
            self._dialog.show_refusal(reason_and_hint(refused))

    def restore(self, ids: Sequence[str]) -> None:
        self._plan(Wish(Restore(tuple(int(one) for one in ids)), "Restore", ended=self._changed))

    def undo(self, run_id: str) -> None:
        self._plan(replace(undo_of(run_id), ended=self._changed))

    def purge(self) -> None:
        self._plan(Wish(Purge(), "Purge", ended=self._changed))

    def _changed(self, _: Outcome) -> None:
        if self._dialog is not None:
            self._dialog.reload()

    def retry(self, ids: Sequence[str]) -> None:
        """Fetch rejected rows again: nothing is asked first, a sync does the same by itself."""
        self._stage.say(f"fetching {len(ids):,} rejected rows again")
        self._stage.desk.ask(Do(Retry(tuple(ids))), self._retried)

    def _retried(self, outcome: Outcome) -> None:
        told = outcome.extra.get("retried")
        if told is not None:
            accepted, still = len(told["accepted"]), len(told["refused"])
            self._stage.say(f"{accepted:,} accepted now, {still:,} still rejected")
        if self._dialog is not None:
            self._dialog.reload()

    def export(self, text: str) -> None:
        if self._dialog is not None:
            self._exports.start(ExportQuarantine(text), self._dialog)

    def say(self, text: str) -> None:
        self._stage.say(text)
