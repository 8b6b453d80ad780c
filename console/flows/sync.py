"""Sync and rebuild by an operator; where another process holds the file, what can be done (docs/console.md#screens)."""

from __future__ import annotations

from console.dialogs.ask import AskDialog, Choice
from console.flows.plans import Option, Plans, Wish
from console.flows.stage import Stage
from console.views.hints import in_keys
from console.views.states import is_held
from storage_sync.cache.holders import advice_for
from storage_sync.reports.sentences import check_names
from storage_sync.service.commands import Do, ListBuilds
from storage_sync.service.operations import Peek, Rebuild, Sync
from storage_sync.values import visible
from storage_sync.values.answers import UnfinishedBuild
from storage_sync.values.options import Options
from storage_sync.values.outcome import CheckStatus, HolderKind, LockHolder, Outcome
from widgets import fmt
from widgets.line import Line, muted, plain

WAIT, STAGE = "wait", "stage"
SYNC = Wish(Sync(), "Sync")
STAGED = Wish(Rebuild(), "Stage", Options(stage_only=True))


def is_locked(stage: Stage) -> bool:
    """Whether another process holds the file."""
    return is_held(stage.snapshot)


def sync(stage: Stage, plans: Plans) -> None:
    """Plan a sync; of a file that is held, ask first which way."""
    if is_locked(stage) and not stage.running:
        ask_way(stage, plans)
    else:
        plans.open(SYNC)


def rebuild(stage: Stage, plans: Plans) -> None:
    """Plan a new file. One that was begun is offered to be resumed; under a held file it is only staged."""
    if is_locked(stage):
        plans.open(STAGED)
        return
    flow = plans.open(Wish(Rebuild(), "Rebuild"))
    if flow is None:
        return

    def answered(found: tuple[UnfinishedBuild, ...]) -> None:
        if found:
            flow.offer(resume_options(found[0], stage.clock.now()))

    stage.desk.ask(ListBuilds(), answered)


def resume_options(build: UnfinishedBuild, now: float) -> tuple[Option, ...]:
    """Go on with what was built, or throw it away."""
    size = fmt.size(build.bytes)
    return (
        Option(f"resume {size}, {fmt.age(now - build.at)} old", Rebuild()),
        Option("start over instead", Rebuild(discard=True)),
    )


def ask_way(stage: Stage, plans: Plans) -> None:
    """Who holds the file, and the two ways to go on; taking the lock away is not one of them."""

    def answered(choice: str | None) -> None:
        if choice == WAIT:
            plans.open(SYNC)
        elif choice == STAGE:
            plans.open(STAGED)

    choices = (Choice("stay", "Cancel"), Choice(WAIT, "Sync when free"), Choice(STAGE, "Stage now"))
    stage.show(AskDialog(stage.look, "Locked", _who(stage), choices), answered)


def _who(stage: Stage) -> tuple[Line, ...]:
    holder, ascii_only = stage.snapshot.cache.holder, stage.look.glyphs.is_ascii
    if holder is None:
        held = "Another process holds the cache."
    else:
        command = visible.clean(holder.command, ascii_only=ascii_only)
        holds = "holds the cache"
        if holder.since is not None:
            holds = f"has held the cache for {fmt.age(stage.clock.now() - holder.since)}"
        held = f"{command}, pid {holder.pid}, {holds}."
    return (
        plain(held),
        *((plain(dialog_advice(holder)),) if holder is not None else ()),
        (),
        muted("Sync when free: plans a sync now; it waits 5 s for the lock, then the timer tries again."),
        muted("Stage now: builds the new file beside it. R puts it in place once the cache is free."),
        muted("To look at a copy, cancel and press p. The lock is never taken from another process."),
    )


def dialog_advice(holder: LockHolder) -> str:
    """The same as `doctor` says, by who it is."""
    if holder.kind is HolderKind.DO_MEMORY:
        return "That is normal: it is the application."
    told = in_keys(advice_for(holder))
    return f"{fmt.begin(told)}."


def peek(stage: Stage) -> None:
    """Look at the file through a verified private copy."""

    def answered(outcome: Outcome) -> None:
        failed = [check.name for check in outcome.checks if check.status is CheckStatus.FAIL]
        found = f"failed: {check_names(failed)}" if failed else f"{fmt.plural(len(outcome.checks), 'check')} pass"
        stage.say(f"on a copy: {found}; only a run can prove that the cache is in sync")

    stage.desk.ask(Do(Peek()), answered)
