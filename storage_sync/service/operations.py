"""The one-shot operations behind the command line: a request in, an Outcome out, never an exception of ours."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from storage_sync import _native
from storage_sync.cache.copies import Copies
from storage_sync.cache.explain import explain, explain_system
from storage_sync.config.request import Request
from storage_sync.primary.errors import PrimaryChanged
from storage_sync.reports.sentences import headline
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.context import Context, Options
from storage_sync.sync.outcome_builder import Draft
from storage_sync.sync.progress import Progress, Tracker
from storage_sync.sync.session import Session
from storage_sync.values.errors import (
    DeadlineReached,
    Interrupted,
    PrimarySchema,
    PrimaryUnavailable,
    StorageSyncError,
)
from storage_sync.values.outcome import Outcome
from storage_sync.values.snapshot import Phase, Run

__all__ = [
    "Cancel",
    "Progress",
    "Request",
    "diff",
    "doctor",
    "mend",
    "orphans",
    "perform",
    "ping",
    "rebuild",
    "repair",
    "status",
    "sync",
    "verify",
]

RETRY_MOST_S = 2.0
ASKING = (Phase.MANIFEST, Phase.FETCH, Phase.GUARD)
"""Steps in which the primary is asked."""
CHANGES = 3
"""How often a run probes the primary again because its schema or its server changed meanwhile."""
RECORDED = frozenset({"sync", "verify"})
"""Commands that the history remembers."""


def quiet(run: Run) -> None:
    """A progress that nobody watches."""


Work = Callable[[Context], Awaitable[Outcome]]


def new_run_id() -> str:
    """Short enough to read out, unlikely to meet again."""
    return f"s-{secrets.token_hex(3)}"


def options_of(request: Request) -> Options:
    flags = request.flags
    return Options(
        plan_only="plan" in flags,
        full="full" in flags,
        adopt="adopt" in flags,
        allow_shrink="allow_shrink" in flags,
        strict="strict" in flags,
        stage_only="staged" in flags,
        wait_s=request.wait_s,
        expected_plan=request.expected_plan,
        part=request.part,
        quiet_s=request.quiet_s,
        free_since=request.free_since,
        rows_per_second=request.rows_per_second,
        follows="follow" in flags,
        moved="moved" in flags,
        proves="defer" not in flags,
        renews="renew" in flags,
        estimates="estimate" in flags,
    )


async def sync(request: Request, progress: Progress = quiet, cancel: Cancel | None = None) -> Outcome:
    """Bring the cache to the primary's state and prove it, or with the flag `plan` say what would change."""
    from storage_sync.recovery.ladder import run_sync_repairing
    from storage_sync.sync.run import run_sync

    return await _one_shot(
        "sync", request, progress, cancel, run_sync_repairing if "repair" in request.flags else run_sync
    )


async def repair(request: Request, progress: Progress = quiet, cancel: Cancel | None = None) -> Outcome:
    """Climb the repair ladder, or with the flag `plan` say which rung applies; `no_rebuild` stops below the last."""
    from storage_sync.recovery.ladder import run_repair

    async def work(context: Context) -> Outcome:
        return await run_repair(context, no_rebuild="no_rebuild" in request.flags)

    return await mend("repair", request, work, progress, cancel)


async def rebuild(request: Request, progress: Progress = quiet, cancel: Cancel | None = None) -> Outcome:
    """A new cache beside the old one, proven, then swapped; flags `plan`, `discard`, `staged`, `swap`."""
    from storage_sync.recovery.rebuild import run_rebuild

    async def work(context: Context) -> Outcome:
        return await run_rebuild(context, discard="discard" in request.flags, swap="swap" in request.flags)

    return await mend("rebuild", request, work, progress, cancel)


async def verify(request: Request, progress: Progress = quiet, cancel: Cancel | None = None) -> Outcome:
    """The checks of docs/cli.md; the flag `deep` adds redb's own, `part` compares only those rows with the primary."""
    from storage_sync.verify.verify import run_verify

    async def work(context: Context) -> Outcome:
        return await run_verify(context, deep="deep" in request.flags)

    return await _one_shot("verify", _looking(request), progress, cancel, work)


async def diff(request: Request, progress: Progress = quiet, cancel: Cancel | None = None) -> Outcome:
    """Which rows differ, by column, or only their keys with the flag `keys`."""
    from storage_sync.verify.verify import run_diff

    async def work(context: Context) -> Outcome:
        return await run_diff(context, keys_only="keys" in request.flags)

    return await _one_shot("diff", _looking(request), progress, cancel, work)


async def status(request: Request, progress: Progress = quiet, cancel: Cancel | None = None) -> Outcome:
    """`status --check`: asks the primary. Without the flag see `storage_sync.reports.status.status_quick`."""
    from storage_sync.verify.verify import run_check

    return await _one_shot("status", _looking(request), progress, cancel, run_check)


async def ping(request: Request, progress: Progress = quiet, cancel: Cancel | None = None) -> Outcome:
    """Latency, authentication and capabilities of the primary."""
    from storage_sync.verify.ping import run_ping

    return await _one_shot("ping", _looking(request), progress, cancel, run_ping)


async def orphans(request: Request, progress: Progress = quiet, cancel: Cancel | None = None) -> Outcome:
    """Embeddings without their owner and other broken vectors, with what the primary says of them."""
    from storage_sync.verify.orphans import run_orphans

    return await _one_shot("orphans", _looking(request), progress, cancel, run_orphans)


def _looking(request: Request) -> Request:
    """The same request for a command that changes nothing: it compares as a plan does."""
    return replace(request, flags=request.flags | {"plan"})


async def doctor(request: Request, progress: Progress = quiet, cancel: Cancel | None = None) -> Outcome:
    """Each part by itself: configuration, state folder, cache file, primary; with the next step for each."""
    from storage_sync.verify.doctor import run_doctor

    return await _one_shot("doctor", _looking(request), progress, cancel, run_doctor)


async def mend(
    command: str,
    request: Request,
    work: Work,
    progress: Progress = quiet,
    cancel: Cancel | None = None,
    *,
    copies: Copies | None = None,
) -> Outcome:
    """What an operator does beside a sync (`storage_sync.mend`); remembered unless the flag `plan` is there. `copies`:
    those of the process that asks."""
    recorded = "plan" not in request.flags
    return await _one_shot(command, request, progress, cancel, work, recorded=recorded, copies=copies)


async def _one_shot(
    command: str,
    request: Request,
    progress: Progress,
    cancel: Cancel | None,
    work: Work,
    *,
    recorded: bool = False,
    copies: Copies | None = None,
) -> Outcome:
    session = Session(request.settings, request.token, copies)
    last: list[Run] = []

    def remember(run: Run) -> None:
        last[:] = [run]
        progress(run)

    try:
        outcome = await perform(session, command, request, remember, cancel or Cancel(), work)
        return in_history(session, outcome, last[-1]) if recorded or command in RECORDED else outcome
    finally:
        await session.close()


def in_history(session: Session, outcome: Outcome, run: Run) -> Outcome:
    """The outcome, remembered in the history; a history that cannot be written is a warning."""
    from storage_sync.reports.advice import to_json
    from storage_sync.service.journal import Journal

    if session.settings.cache is None or not session.state.usable:
        return outcome
    warnings: list[str] = []
    extra = dict(outcome.extra)
    with Journal.open(session.state, warnings.append) as journal:
        journal.record(outcome, run)
        if outcome.command == "sync" and outcome.error is None:
            extra["advice"] = to_json(journal.advice(session.settings))
    return replace(outcome, extra=extra, warnings=(*outcome.warnings, *warnings))


async def perform(
    session: Session,
    command: str,
    request: Request,
    progress: Progress,
    cancel: Cancel,
    work: Work,
    unforeseen: Callable[[Exception], StorageSyncError] | None = None,
) -> Outcome:
    """Run `work` with retries and deadline on an open session; every error of ours becomes part of the Outcome.

    `unforeseen`: makes one of every other; without it they are raised.
    """
    started = time.monotonic()
    draft = Draft(command)
    tracker = Tracker(new_run_id(), command, request.trigger, progress)
    draft.run_id = tracker.run.id
    context = Context(session, options_of(request), tracker, cancel, draft)
    earlier = session.counters()

    async def attempts() -> Outcome:
        attempt, changes = 1, 0
        while True:
            try:
                return await work(context)
            except (PrimaryChanged, PrimarySchema):
                # what was known of the primary was found out before it changed
                if changes == CHANGES or not session.source.forget():
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
    result = outcome.error.message if outcome.error is not None else headline(outcome)
    tracker.end(result, outcome.exit_code, failed=outcome.error is not None)
    return outcome


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
