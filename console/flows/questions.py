"""Questions with a few buttons: to allow writes, to leave during a run, to leave after the core ended."""

from __future__ import annotations

from collections.abc import Callable

from console.dialogs.ask import AskDialog, Choice
from console.flows.stage import Stage
from console.views.text import clean_text
from storage_sync.service.commands import Cancel, SetAccess
from storage_sync.values.snapshot import Run
from widgets import fmt
from widgets.line import muted, plain


def ask_for_writes(stage: Stage) -> None:
    """Allow writes again, after an operator chose read-only."""
    lines = (
        plain("Allow this console to write the cache again?"),
        muted("Syncs start by themselves then: on a timer, and when the primary has changed."),
        muted("The primary is never written."),
    )
    choices = (Choice("stay", "Read only"), Choice("write", "Allow writes"))

    def answered(choice: str | None) -> None:
        if choice == "write":
            stage.desk.ask(SetAccess("rw"))

    stage.show(AskDialog(stage.look, "Allow writes", lines, choices), answered)


def ask_to_leave(stage: Stage, run: Run, leave: Callable[[], None], wait: Callable[[], None]) -> None:
    """During a run that an operator started. `leave`: at once; `wait`: when it ends."""
    name = clean_text(run.id, stage.look)
    lines = (
        plain(f"{name} is running: {fmt.percent(run.done, run.total)} of its rows."),
        muted("Cancelling keeps the proven rows staged; the cache stays as is."),
    )
    choices = (Choice("stay", "Stay"), Choice("wait", "Quit when it ends"), Choice("cancel", "Cancel and quit"))

    def answered(choice: str | None) -> None:
        if choice == "cancel":
            stage.desk.ask(Cancel())
            leave()
        elif choice == "wait":
            wait()
            stage.say(f"leaving when {run.id} ends")

    stage.show(AskDialog(stage.look, "Quit", lines, choices), answered)


def ask_after_death(stage: Stage, report: str, leave: Callable[[], None]) -> None:
    """The core has ended; `report` says where the evidence is."""
    safe = clean_text(report, stage.look)
    lines = (plain("The sync core has ended. Nothing is being synced."), muted(safe))
    choices = (Choice("stay", "Stay and look"), Choice("quit", "Quit"))

    def answered(choice: str | None) -> None:
        if choice == "quit":
            leave()

    stage.show(AskDialog(stage.look, "Core ended", lines, choices), answered)
