"""From a wish to its end: plan, consent, run with live progress, result (docs/console.md#plans).

One at a time. The run outlives its dialog: `esc` hides it, and the key that opened it shows it again.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from console.dialogs.plan import DONE, QUARANTINE, UNDO, PlanDialog, Step
from console.dialogs.quarantine import QuarantineDialog
from console.flows.stage import Stage
from console.link.requests import CORE_ENDED
from console.views.frame import Frame
from console.views.hints import reason_and_hint
from storage_sync.reports import sentences
from storage_sync.service.commands import Cancel, DropPlan, Execute, ExportRows, MakePlan
from storage_sync.service.operations import Operation, Undo
from storage_sync.values.answers import Exported
from storage_sync.values.events import Refused
from storage_sync.values.next_step import NextStep
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Outcome, Plan
from widgets import fmt

Ended = Callable[[Outcome], None]
MANUAL = "manual"
"""Trigger of a run that an operator started."""


class Option(Struct, frozen=True):
    """One of several ways to do it: another operation, or the wish's with another consent."""

    label: str
    operation: Operation | None = None
    allow_shrink: bool = False


class Wish(Struct, frozen=True):
    """What a person wants to be done; `name`: as the dialog and its button say it."""

    operation: Operation
    name: str
    options: Options = USUAL
    ended: Ended | None = None
    """Called with the outcome when it was done, dialog or not."""


class Plans:
    """All plans of one application. `quarantine`: opens the list of rejected and quarantined rows."""

    def __init__(self, stage: Stage, quarantine: Callable[[], None]) -> None:
        self._stage = stage
        self._quarantine = quarantine
        self._open: _Flow | None = None

    def open(self, wish: Wish, *, follows: bool = False) -> _Flow | None:
        """Ask for the plan and show it; or show the run that is hidden. None when an operator's run is active.

        A timer's run is short and is waited for by the core. `follows`: on the run that has just ended, whatever the
        newest picture says.
        """
        if self._open is not None and self._open.running:
            self._open.reopen()
            return None
        run = self._stage.snapshot.run
        if not follows and self._stage.running and run is not None and run.trigger == MANUAL:
            self._stage.say("a run is active; x cancels it")
            return None
        self._open = _Flow(self._stage, wish, self._next)
        self._open.start()
        return self._open

    def _next(self, step: str, outcome: Outcome | None) -> None:
        if step == QUARANTINE:
            self._quarantine()
        elif step == UNDO and outcome is not None:
            self.open(undo_of(outcome.run_id), follows=True)


def undo_of(run_id: str | None) -> Wish:
    """Undo a run, or the newest one that changed the cache."""
    return Wish(Undo(run_id), "Undo")


class _Flow:
    """One wish on its way. `then` is told what was chosen beside its end."""

    def __init__(self, stage: Stage, wish: Wish, then: Callable[[str, Outcome | None], None]) -> None:
        self._stage = stage
        self._wish = wish
        self._then = then
        self._options: tuple[Option, ...] = ()
        self._consent: Option | None = None
        self._chosen = 0
        self._dialog: PlanDialog | None = None
        self._asked: int | None = None
        self._outcome: Outcome | None = None
        self.running = False

    # ------------------------------------------------------------------------------------------ dialog

    def start(self) -> None:
        dialog = self._shown()
        dialog.call_after_refresh(self._ask)
        dialog.call_after_refresh(self._offer)

    def reopen(self) -> None:
        """Show the progress of the run again."""
        if self._dialog is None:
            dialog = self._shown()
            dialog.call_after_refresh(dialog.show_run)

    def offer(self, options: tuple[Option, ...]) -> None:
        """Other ways to do it, known only now; nothing once it runs."""
        if self._dialog is not None and not self.running and self._outcome is None and self._consent is None:
            self._options = options
            self._offer()

    def _offer(self) -> None:
        if self._dialog is not None:
            self._dialog.show_options(tuple(option.label for option in self._options), self._chosen)

    def _offer_consent(self, plan: Plan) -> None:
        """What passes the guard that stops this plan: never in effect before it is chosen, and typed then."""
        if plan.refusal is not None and plan.consent is NextStep.ALLOW_SHRINK and self._consent is None:
            self._consent = Option(f"remove {fmt.plural(plan.gone, 'row')} anyway", allow_shrink=True)
            self._options = (*(self._options or (Option("keep them, no sync"),)), self._consent)
            self._offer()

    def _shown(self) -> PlanDialog:
        snapshot = self._stage.snapshot
        dialog = PlanDialog(self._stage.look, self._stage.journal, self, self._wish.name, snapshot)
        self._dialog = dialog
        self._stage.show(dialog, self._closed)
        return dialog

    def _closed(self, step: str | None) -> None:
        waited = self._dialog is not None and self._dialog.step is Step.WAITING
        self._dialog = None
        if not self.running and self._asked is not None:
            self._stage.desk.forget(self._asked)
            if self._outcome is None:
                self._stage.desk.ask(DropPlan())
                if waited:
                    self._stage.say("stopping the plan; nothing has been changed")
        self._then(step or DONE, self._outcome)

    # -------------------------------------------------------------------------------------------- plan

    def _ask(self) -> None:
        chosen = self._options[self._chosen] if self._options else Option("")
        options = replace(self._wish.options, allow_shrink=chosen.allow_shrink)
        wanted = MakePlan(chosen.operation or self._wish.operation, options)
        self._asked = self._stage.desk.ask(wanted, self._planned, self._no_plan)

    def _planned(self, value: Plan | Outcome) -> None:
        if self._dialog is None:
            return
        if isinstance(value, Plan):
            self._dialog.show_plan(value)
            self._offer_consent(value)
        else:
            self._outcome = value
            self._dialog.show_result(value)

    def _no_plan(self, refused: Refused) -> None:
        if self._dialog is not None:
            self._dialog.show_refusal(refused, "no plan")

    def choose(self, index: int) -> None:
        """Another way to do it: that is another plan."""
        if self._asked is not None:
            self._stage.desk.forget(self._asked)
        self._chosen = index
        if self._dialog is not None:
            self._dialog.show_waiting()
        self._ask()

    def save(self, plan: Plan) -> None:
        """Write the plan to a file, for somebody who decides later."""
        self._stage.desk.ask(ExportRows(f"plan-{plan.id}", (to_builtins(plan),)), self._saved)

    def _saved(self, file: Exported) -> None:
        self._stage.say(f"the plan is saved as {file.path}")

    # --------------------------------------------------------------------------------------------- run

    def execute(self, plan: Plan, phrase: str) -> None:
        """Run the plan. The core looks again at access, phrase and what the plan was made for."""
        self.running = True
        self._asked = self._stage.desk.ask(Execute(plan.id, phrase), self._ended, self._failed)

    def stop(self) -> None:
        self._stage.desk.ask(Cancel())

    def _ended(self, value: Outcome) -> None:
        self.running = False
        self._outcome = value
        if self._wish.ended is not None:
            self._wish.ended(value)
        if self._dialog is not None:
            self._dialog.show_result(value)
        elif value.error is None:
            self._stage.say(f"{self._wish.name}: {sentences.line(value)}")

    def _failed(self, refused: Refused) -> None:
        self.running = False
        if self._dialog is not None:
            self._dialog.show_refusal(refused, "no answer" if refused.reason == CORE_ENDED else "not done")
        else:
            self._stage.say(f"{self._wish.name}: {reason_and_hint(refused)}", failed=True)


def live_part(dialog: object, frame: Frame) -> None:
    """Let a dialog that is open draw the newest picture, if it shows one."""
    if isinstance(dialog, PlanDialog):
        dialog.show_frame(frame)
    elif isinstance(dialog, QuarantineDialog):
        dialog.show_ages()
