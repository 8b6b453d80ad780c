"""What `exec` does before a program opens the cache: bring it up to date within a deadline, and remember how far."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Sequence

from msgspec import Struct, field, to_builtins
from msgspec.structs import replace

from storage_sync.cache.holders import describe, lock_holders
from storage_sync.cache.lease import lease_holder
from storage_sync.config.request import Request
from storage_sync.service.journal import start_facts
from storage_sync.service.operations import Operation
from storage_sync.service.performing import ASKING, in_history, perform
from storage_sync.service.schedule import Trigger
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.context import Context
from storage_sync.sync.outcome_builder import LOCK_POLL_S
from storage_sync.sync.run import run_sync
from storage_sync.sync.session import Session
from storage_sync.values.errors import CacheDamaged, CacheLocked, DeadlineReached, LeaseHeld
from storage_sync.values.outcome import Outcome, Word, error_value
from storage_sync.values.snapshot import Run

COMMAND = "exec"
COMMIT_POLL_S = 0.005
UNWIND_S = 0.03
"""After the deadline, to end what was begun; then it is left as it is."""


class Start(Operation, frozen=True):
    """A sync before a program starts, at the latest until `ends` on the monotonic clock."""

    command = COMMAND
    planned = writes = judges = True
    ends: float

    async def run(self, context: Context) -> Outcome:
        _refuse_held(context)
        return await _when_alone(context, self.ends)


class Startup(Struct):
    """The update before one start of a program. `began`: on the monotonic clock, when the start was asked for.

    `left`: what still hangs when the deadline of the request is over. Whoever runs this is about to be another program,
    so it is not waited for, only kept from a noisy end.
    """

    request: Request
    cancel: Cancel
    began: float
    left: list[object] = field(default_factory=list)

    async def run(self) -> Outcome:
        """Bring the cache up to date, and remember it as the start of a program. Ends with the deadline."""
        session = Session(self.request.settings, self.request.token)
        runs: list[Run] = []

        def remember(run: Run) -> None:
            runs[:] = [run]

        options = replace(self.request.options, quiet_s=0.0)
        request = replace(self.request, options=options, trigger=Trigger.START)
        given = request.deadline if request.deadline is not None else math.inf
        start = Start(time.monotonic() + given)
        task = asyncio.ensure_future(perform(session, start, request, remember, self.cancel))
        self.left += [session, task]
        await asyncio.wait({task}, timeout=given + UNWIND_S if given < math.inf else None)
        while not task.done() and self.cancel.too_late:
            # a commit that has begun is finished
            await asyncio.wait({task}, timeout=LOCK_POLL_S)
        outcome = task.result() if task.done() else _gave_up(request, session, runs)
        told = to_builtins(start_facts(outcome, time.monotonic() - self.began))
        outcome = replace(outcome, extra={**outcome.extra, "start": told})
        return in_history(session, outcome, runs[-1]) if runs else outcome


async def _when_alone(context: Context, ends: float) -> Outcome:
    """The update, once no other run of ours uses the cache; LeaseHeld when that lasts until `ends`."""
    while True:
        try:
            return await _sync_repairing(context)
        except LeaseHeld:
            if time.monotonic() + LOCK_POLL_S >= ends:
                raise
            await context.draft.wait_for_lock()


async def _sync_repairing(context: Context) -> Outcome:
    try:
        return await run_sync(context)
    except CacheDamaged:
        if not context.session.settings.auto_repair:
            raise
        from storage_sync.recovery.repair import run_repair  # a tenth of a start, which few need

        return await run_repair(context)


def _refuse_held(context: Context) -> None:
    """CacheLocked while a program holds the cache; another run of ours lets go of it by itself."""
    path = context.session.cache_path
    ours = lease_holder(path)
    holders = [holder for holder in lock_holders(path) if ours is None or holder.pid != ours.pid]
    if holders:
        who = ", ".join(describe(holder) for holder in holders)
        raise CacheLocked(f"the cache is held by {who}; it stays as it is")


def await_commit(cache: str, ends: float) -> None:
    """Wait while another run of ours commits, at most until `ends` on the monotonic clock: a program that opened the
    cache now would find it locked. Blocking."""
    pause = threading.Event()
    while time.monotonic() < ends:
        ours = lease_holder(cache)
        if ours is None or all(holder.pid != ours.pid for holder in lock_holders(cache)):
            return
        pause.wait(COMMIT_POLL_S)


def _gave_up(request: Request, session: Session, runs: Sequence[Run]) -> Outcome:
    """Of a run that does not end."""
    asking = bool(runs) and runs[-1].step in ASKING
    where = f" while the primary was asked ({session.source.url})" if asking else ""
    error = DeadlineReached(f"gave up after {request.deadline or 0:.3g} s{where}; nothing was changed")
    run_id = runs[-1].id if runs else ""
    return Outcome(COMMAND, Word.UNKNOWN, error.exit_code, run_id=run_id, error=error_value(error))
