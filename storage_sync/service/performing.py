"""Performing an operation: retries, deadline, cancellation, errors, and what is remembered of it."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.copies import Copies
from storage_sync.cache.explain import explain
from storage_sync.config.request import Request
from storage_sync.primary.errors import PrimaryChanged, TextTooLong
from storage_sync.primary.source import Source
from storage_sync.reports.sentences import CAUSED, NOT_PROVING, cause_of, headline, verdict
from storage_sync.service.operations import Operation, Sync
from storage_sync.state.history import History
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.context import Context
from storage_sync.sync.outcome_builder import Draft
from storage_sync.sync.progress import Progress, Tracker
from storage_sync.sync.session import Session
from storage_sync.values.errors import (
    DeadlineReached,
    Interrupted,
    PrimarySchema,
    PrimaryUnavailable,
    StorageSyncError,
    explain_system,
)
from storage_sync.values.extra import Extra
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import Phase, Promise, Run

RETRY_MOST_S = 2.0
ASKING = (Phase.MANIFEST, Phase.FETCH, Phase.GUARD)
"""Steps in which the primary is asked."""
CHANGES = 3
"""How often a run asks the primary otherwise: its schema or its server changed meanwhile, or a row is too long."""


def quiet(run: Run) -> None:
    """A progress that nobody watches."""


def new_run_id() -> str:
    """Short enough to read out, unlikely to meet again."""
    return f"s-{secrets.token_hex(3)}"


async def once(
    operation: Operation,
    request: Request,
    progress: Progress = quiet,
    cancel: Cancel | None = None,
    *,
    copies: Copies | None = None,
) -> Outcome:
    """One operation with stores of its own: a request in, an Outcome out, never an exception of ours.

    Remembered where the operation is, and a plan of a sync too. `copies`: those of the process that asks.
    """
    session = Session(request.settings, request.token, copies)
    last: list[Run] = []

    def remember(run: Run) -> None:
        last[:] = [run]
        progress(run)

    recorded = operation.remembered and (not request.options.plan_only or isinstance(operation, Sync))
    try:
        outcome = await perform(session, operation, request, remember, cancel or Cancel())
        return in_history(session, outcome, last[-1]) if recorded else outcome
    finally:
        await session.close()


def in_history(session: Session, outcome: Outcome, run: Run) -> Outcome:
    """The outcome, remembered in the history; a history that cannot be written is a warning."""
    from storage_sync.reports.advice import to_json
    from storage_sync.service.journal import Journal

    if session.settings.cache is None or not session.state.usable:
        return outcome
    warnings: list[str] = []
    extra = outcome.extra.copy()
    journal = Journal(session.state, warnings.append)
    with journal.open():
        journal.record(outcome, run)
        if outcome.command == "sync" and outcome.error is None:
            extra["advice"] = to_json(journal.advice(session.settings))
    return replace(outcome, extra=extra, warnings=(*outcome.warnings, *warnings))


def _promise(operation: Operation, options: Options) -> Promise:
    if options.plan_only:
        return Promise.PLAN
    if not (operation.planned and operation.judges) or options.stage_only:
        return Promise.NOTHING
    return Promise.FOLLOW if options.follows else Promise.PROOF


def _asks_otherwise(source: Source, error: StorageSyncError) -> bool:
    """Whether another try asks something else: what was known of the primary was found out before it changed, or
    before a row was met that is too long."""
    return source.expect_long_tags() if isinstance(error, TextTooLong) else source.forget()


async def perform(
    session: Session,
    operation: Operation,
    request: Request,
    progress: Progress,
    cancel: Cancel,
    *,
    first: Callable[[], Awaitable[None]] | None = None,
    unforeseen: Callable[[Exception], StorageSyncError] | None = None,
) -> Outcome:
    """Run it with retries and deadline on an open session; every error of ours becomes part of the Outcome.

    `first`: awaited before each try. `unforeseen`: turns every other error into one of our own; without it
    they are raised.
    """
    command = operation.command
    options = replace(request.options, plan_only=True) if operation.only_looks else request.options
    started = time.monotonic()
    extra: Extra = {"does": operation.does} if operation.does else {}
    draft = Draft(command, extra=extra)
    tracker = Tracker(
        new_run_id(),
        command,
        request.trigger,
        progress,
        does=operation.does,
        promise=_promise(operation, request.options),
    )
    draft.run_id = tracker.run.id
    context = Context(session, options, tracker, cancel, draft)
    earlier = session.counters()

    async def attempts() -> Outcome:
        attempt, changes = 1, 0
        while True:
            try:
                return await _try(operation, context, first)
            except (PrimaryChanged, PrimarySchema, TextTooLong) as error:
                if changes == CHANGES or not _asks_otherwise(session.source, error):
                    raise
                changes += 1
                draft.retries += 1
            except PrimaryUnavailable as error:
                pause = _pause(attempt, error.retry_after)
                if attempt >= request.max_attempts or pause > _patience(request.deadline, started):
                    raise
                draft.retries += 1
                await asyncio.sleep(pause)
                attempt += 1

    def where() -> str:
        asking = tracker.run.step in ASKING
        return f" while the primary was asked ({session.source.url})" if asking else ""

    try:
        async with _deadline(request.deadline, cancel, where):
            outcome = await cancel.run(attempts())
    except StorageSyncError as error:
        outcome = draft.outcome(error)
    except _native.NativeError as error:
        outcome = draft.outcome(explain(error))
    except OSError as error:
        local = explain_system(error) or (unforeseen(error) if unforeseen is not None else None)
        if local is None:
            raise
        outcome = draft.outcome(local)
    except Exception as error:
        if unforeseen is None:
            raise
        outcome = draft.outcome(unforeseen(error))
    outcome = replace(
        outcome,
        transfer=session.counters().since(earlier, draft.retries),
        seconds=replace(outcome.seconds, total=time.monotonic() - started),
    )
    outcome = await _with_cause(session, operation, await _with_undo(session, _timed(outcome, draft.retries)))
    result = outcome.error.message if outcome.error is not None else headline(outcome)
    tracker.end(result, outcome.exit_code, failed=outcome.error is not None)
    return outcome


def _timed(outcome: Outcome, retries: int) -> Outcome:
    """With how long its plan took, where no pause between two tries is part of that."""
    plan, seconds = outcome.proposal, outcome.seconds
    looked_s = seconds.total - seconds.lock_wait if not retries else None
    return replace(outcome, proposal=replace(plan, looked_s=looked_s)) if plan is not None else outcome


async def _with_undo(session: Session, outcome: Outcome) -> Outcome:
    """The outcome, saying whether the run can be undone; where that cannot be found out, it is not offered."""
    from storage_sync.state.undoable import why_not

    if not outcome.cache_writes.commits and "kept" not in outcome.extra:
        return outcome
    folder, cache = session.state.folder, session.cache_path
    try:
        off = await session.on_cache_thread(why_not, folder, cache, outcome.run_id)
    except StorageSyncError as error:
        return replace(outcome, warnings=(*outcome.warnings, f"this run cannot be undone now: {error.message}"))
    return replace(outcome, undoable=not off)


async def _with_cause(session: Session, operation: Operation, outcome: Outcome) -> Outcome:
    """With what this tool itself changed in the cache since the last proof, where the verdict comes of it."""
    word = verdict(outcome)
    # of a command that compares nothing UNKNOWN says nothing
    judged = word is Word.DRIFT or (word in CAUSED and operation.judges)
    if not judged or outcome.error is not None or operation.command in NOT_PROVING:
        return outcome

    def remembered() -> str:
        with History.open(session.state.history, lambda _: None, read_only=True) as book:
            return cause_of(book.runs())

    cause = await session.on_cache_thread(remembered)
    return replace(outcome, extra={**outcome.extra, "cause": cause}) if cause else outcome


async def _try(operation: Operation, context: Context, first: Callable[[], Awaitable[None]] | None) -> Outcome:
    if first is not None:
        await first()
    return await operation.run(context)


def _pause(attempt: int, retry_after: float | None) -> float:
    """Seconds before the next try: full jitter, at most two, and never before the server wants to be asked."""
    drawn = random.uniform(0, min(RETRY_MOST_S, 0.25 * 2.0**attempt))  # noqa: S311  (no secret)
    return max(drawn, retry_after or 0.0)


def _patience(deadline: float | None, started: float) -> float:
    """Longest pause that a run makes: two seconds, or what is left of the time that it was given."""
    return RETRY_MOST_S if deadline is None else max(RETRY_MOST_S, deadline - (time.monotonic() - started))


@asynccontextmanager
async def _deadline(seconds: float | None, cancel: Cancel, where: Callable[[], str]) -> AsyncIterator[None]:
    """DeadlineReached when the body takes longer; a commit that has begun is finished first. `where`: what it did."""
    if seconds is None:
        yield
        return
    reached = False

    def expire() -> None:
        nonlocal reached
        reached = True
        cancel.ask("the deadline was reached")

    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        yield
    except Interrupted as error:
        if reached:
            raise DeadlineReached(f"gave up after {seconds:g} s{where()}; nothing was changed") from error
        raise
    finally:
        timer.cancel()
