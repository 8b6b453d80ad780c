"""One sync from lease to witness (docs/protocol.md#steps): look, compare, guard, apply, prove."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.holders import is_listed
from storage_sync.cache.identity import read_identity, real_path
from storage_sync.cache.lease import Lease
from storage_sync.cache.waiting_rows import Kept
from storage_sync.files.writing import sweep
from storage_sync.reports.sentences import next_step
from storage_sync.sync import guard
from storage_sync.sync.apply import apply, settle
from storage_sync.sync.compare import (
    Compared,
    compared,
    guard_first_contact,
    looking,
    merged,
    project,
    source_guard,
)
from storage_sync.sync.context import Context, Projection
from storage_sync.sync.decide import difference, differs, judged, must_write
from storage_sync.sync.estimates import estimated
from storage_sync.sync.follow import followed, marked
from storage_sync.sync.inspection import looked, rows_of, without_rows
from storage_sync.sync.look import Look
from storage_sync.sync.plan import adoption, make_plan, require_base, require_current
from storage_sync.sync.prove import count, keep_known, make_proof, not_proven, outside, proven
from storage_sync.sync.renewal import renewed
from storage_sync.sync.table_counts import pending_facts, table_changes
from storage_sync.sync.waiting import fitting, nothing_waits, staged, still_waiting, wait_beside
from storage_sync.values.errors import (
    CacheDamaged,
    CacheLocked,
    GuardStopped,
    PrimaryRefused,
    PrimarySchema,
    PrimaryUnavailable,
)
from storage_sync.values.followed import Ending, FollowEnded
from storage_sync.values.outcome import CacheState, CacheWrites, Outcome, Plan, Word
from storage_sync.values.snapshot import Phase

REPAIRED_IN_PLACE = frozenset({CacheState.BIT_ROT})
"""Damage of rows alone: they are fetched again, in place."""
AWAY = (PrimaryUnavailable, PrimaryRefused, PrimarySchema)
"""The primary cannot be asked."""
ROUNDS = 5
"""How often a merge is done again because the live file changed meanwhile."""


T = TypeVar("T")


class _Moved(Exception):
    """The live file is not the one that was looked at any more."""


async def run_sync(context: Context) -> Outcome:
    """Bring the cache to the primary's state and prove it, or with `plan_only` say what would change.

    Raises the StorageSyncError that stopped it; the context's draft then holds what was learned until then.
    """
    with leased(context):
        try:
            return await synced(context)
        except CacheLocked as error:
            if context.options.plan_only:
                raise
            return await wait_beside(context, error)
        except GuardStopped:
            await nothing_waits(context)
            raise
        except AWAY:
            if not context.options.plan_only:
                failed = Phase(context.tracker.run.step)
                await _without_primary(context)
                context.tracker.step(failed)
            raise


async def run_staging(context: Context) -> Outcome:
    """Compare a held cache, and let wait what it lacks. One that is free, or held by a process that nobody lists, is
    synced, which finds out."""
    if not await context.session.on_cache_thread(is_listed, real_path(context.session.cache_path)):
        return await run_sync(context)
    with leased(context):
        return await staged(context)


async def run_waiting(context: Context) -> Outcome:
    """Commit what waits beside the cache, asking the primary for nothing that is there already; else a plain sync.

    As `run_sync`; the proof is of the moment of the rows' manifest.
    """
    with leased(context):
        try:
            return await in_rounds(context, lambda: _attempt_waiting(context))
        except GuardStopped:
            await nothing_waits(context)
            raise
        except CacheLocked as error:
            raise await still_waiting(context, error) from error


@contextmanager
def leased(context: Context) -> Iterator[None]:
    """Hold the lease for a run that may write; GuardStopped when the cache may not be written. A plan needs neither."""
    require_write_access(context)
    session = context.session
    with ExitStack() as held:
        context.tracker.step(Phase.LEASE)
        if not context.options.plan_only:
            lock_ok = session.settings.lock_ok
            held.enter_context(Lease.acquire(session.cache_path, context.tracker.run.id, lock_ok=lock_ok))
            # what a killed run left half written beside the cache
            sweep(Path(real_path(session.cache_path)).parent)
        yield


def require_write_access(context: Context) -> None:
    """GuardStopped when the cache may not be written and more than a plan is asked for."""
    if context.session.settings.access == "read-only" and not context.options.plan_only:
        raise GuardStopped(
            "the cache may not be written (read-only)",
            hint=f"leave out --read-only; {context.draft.command} --plan works with it",
        )


async def synced(context: Context) -> Outcome:
    """The sync itself; the lease is held unless it is a plan."""
    return await in_rounds(context, lambda: _attempt(context))


async def in_rounds(context: Context, attempt: Callable[[], Awaitable[T]]) -> T:
    """`attempt` again whenever somebody wrote to the cache meanwhile; CacheLocked when that does not end."""
    for _ in range(ROUNDS):
        try:
            return await attempt()
        except (_native.Conflict, _Moved):
            context.draft.warn("the cache was written to meanwhile, so it was compared again")
    raise CacheLocked(
        f"the cache changed during each of {ROUNDS} tries: another process keeps writing to it",
        hint="stop the writer for a moment, or try again later",
    )


@asynccontextmanager
async def free(context: Context) -> AsyncIterator[Look]:
    """A look at a cache that this run may write to; CacheLocked while another process holds it after `wait_s`."""
    options = context.options
    async with looked(
        context.session,
        context.tracker,
        context.draft,
        writing=not options.plan_only,
        wait_s=options.wait_s,
        tolerated=REPAIRED_IN_PLACE if options.refetch_rotten else frozenset(),
    ) as look:
        if look.integrity is False:
            raise CacheDamaged("redb's own check of a copy does not pass")
        yield look


async def _attempt(context: Context) -> Outcome:
    options = context.options
    async with free(context) as look:
        projection = await project(context, look)
        if not options.plan_only:
            await context.session.on_cache_thread(settle, context, look.generation)
        if options.follows:
            taken = await _follow(context, look, projection)
            if taken is not None:
                return taken
        again = await renewed(context, look, projection)
        if again is not None:
            return again
        if not _adopts(context, look, projection):
            return await bring(context, look, projection)
        if options.plan_only:
            # told as what differs from the cache, since that is what an operator has to decide about
            return _adoption(context, look, await bring(context, look, projection))
        require_base(context.options.expected_plan, look.base)
        return await bring(context, without_rows(look), projection)


async def _follow(context: Context, look: Look, projection: Projection) -> Outcome | None:
    """The outcome of a follow run; None where a proof is to be made instead.

    Why it ended is told. Where no proof may be made now that is the end, and the last one does not speak of the change.
    """
    draft = context.draft
    try:
        comparison = await followed(context, look, projection)
    except FollowEnded as ended:
        draft.extra["follow"] = {"ended": ended.why.value, "detail": str(ended)}
        if context.options.proves or ended.why is Ending.TOO_OLD:
            return None
        draft.states, draft.verdict = look.states, Word.STALE
        draft.next_action = "storage-sync sync"
        return draft.outcome()
    try:
        return await _decide(context, comparison)
    finally:
        await context.session.on_cache_thread(comparison.staged.staging.discard)


def _adopts(context: Context, look: Look, projection: Projection) -> bool:
    """Whether the operator takes on another primary: a new cache is then built from it."""
    if not context.options.adopt:
        return False
    strict = replace(context, options=replace(context.options, adopt=False))
    return source_guard(strict, look, projection, root="") is not None


async def _attempt_waiting(context: Context) -> Outcome:
    async with free(context) as look:
        kept = await fitting(context, look)
        if kept is not None:
            await context.session.on_cache_thread(settle, context, look.generation)
            outcome = await _deliver(context, look, kept)
            if outcome is not None:
                return outcome
    return await _attempt(context)


async def _deliver(context: Context, look: Look, kept: Kept) -> Outcome | None:
    """Merge what waits, commit and prove it; None when the cache lacks more than that by now."""
    await guard_first_contact(context, look)
    try:
        async with merged(context, look, kept) as comparison:
            if comparison is None:
                return None
            outcome = await _decide(context, comparison)
    except _native.StreamError as error:
        if error.code != "waiting":
            raise
        context.draft.warn(f"{error}; they are fetched again")
        await nothing_waits(context)
        return None
    context.draft.extra["waited"] = {"rows": kept.note.rows, "since": kept.note.since, "as_of": kept.note.at}
    return outcome


async def _without_primary(context: Context) -> None:
    """The primary is away: what waits need not wait for it. What stops that is said and leaves the rows there."""
    try:
        outcome = await in_rounds(context, lambda: _attempt_delivery(context))
    except (CacheLocked, *AWAY) as error:
        context.draft.warn(f"the rows that wait stay where they are: {error.message}")
        return
    if outcome is not None:
        context.draft.warn(
            "the rows that waited are in the cache now; it equals the primary as it was when they were fetched"
        )


async def _attempt_delivery(context: Context) -> Outcome | None:
    async with free(context) as look:
        kept = await fitting(context, look)
        return await _deliver(context, look, kept) if kept is not None else None


async def bring(context: Context, look: Look, projection: Projection) -> Outcome:
    """From a look at the cache to the proof, or to the plan; the lease is held unless it is one."""
    await guard_first_contact(context, look)
    if not context.options.plan_only and context.options.part is None:
        projection = await marked(context, look, projection)
    waiting = await fitting(context, look, projection) if not context.options.plan_only else None
    async with (
        estimated(context, look, projection) as costs_told,
        compared(
            looking(context, look) if context.options.plan_only else context, look, projection, waiting=waiting
        ) as comparison,
    ):
        await costs_told()
        return await _decide(context, comparison)


async def _decide(context: Context, comparison: Compared) -> Outcome:
    look, draft = comparison.look, context.draft
    draft.plan = table_changes(comparison.changes)
    context.tracker.compared(_writes(comparison))
    context.tracker.step(Phase.GUARD)
    guards = await judged(context, comparison)
    if context.options.plan_only:
        proposal = _proposal(context, comparison, guards.refusal, guards.facts)
        draft.proposal = replace(proposal, consent=None) if guards.stepped_back is not None else proposal
    if guards.refusal is not None:
        raise guards.refusal
    require_current(context.options.expected_plan, look.base, comparison.staged.root, guards.facts.lost)
    if context.options.plan_only:
        return await _planned(context, comparison)
    if must_write(context, comparison):
        return _left_staged(context, comparison) if context.options.stage_only else await _write(context, comparison)
    if look.identity is None or look.identity != read_identity(context.session.cache_path):
        raise _Moved
    await nothing_waits(context)
    return await proven(context, comparison, look, look.generation)


def _writes(comparison: Compared) -> int:
    """Rows that are written or removed: all of them where the file becomes another one."""
    if comparison.look.sibling:
        return sum(one.expected - one.refused for one in comparison.changes.values())
    return sum(one.rows for one in table_changes(comparison.changes).values())


def _left_staged(context: Context, comparison: Compared) -> Outcome:
    """The new file is ready beside the cache, which stays as it is."""
    draft, staged = context.draft, comparison.staged
    draft.extra["staged"] = {
        "path": staged.path,
        "root": staged.root,
        "rows": sum(one.expected for one in comparison.changes.values()),
        "bytes": staged.staging.staged_bytes,
    }
    draft.next_action = "storage-sync rebuild --swap"
    return draft.outcome()


async def _write(context: Context, comparison: Compared) -> Outcome:
    draft, session = context.draft, context.session
    started = time.monotonic()
    generation, applied, published = await apply(context, comparison)
    # they were for the generation before this one
    await nothing_waits(context)
    draft.seconds = replace(draft.seconds, apply=time.monotonic() - started, lock=applied.lock_seconds)
    draft.cache_writes = CacheWrites(applied.commits, applied.bytes_written)
    draft.applied = table_changes(comparison.changes)
    context.tracker.step(Phase.READ_BACK)
    if published is not None:
        # the new file was read back before it got its name; nobody could write to it until then
        after = comparison.look.published(published.scan, published.identity)
        return await proven(context, comparison, after, generation)
    identity = read_identity(session.cache_path)
    async with looked(session, context.tracker, draft, writing=False, proven=identity, follows=True) as after:
        if after.scan is None or after.generation != generation or after.identity is None:
            return not_proven(context, comparison, after)
        root = await session.on_cache_thread(_native.root_of, after.scan, comparison.projection.scope)
        if root != comparison.staged.root:
            return not_proven(context, comparison, after)
        return await proven(context, comparison, after, generation)


def _adoption(context: Context, look: Look, outcome: Outcome) -> Outcome:
    """The plan of a sync that builds a new cache, from what differs between the cache and its new primary."""
    plan = outcome.proposal
    if plan is None:
        return outcome
    tables = look.scan.tables.values() if look.scan is not None else ()
    adopted = adoption(
        plan,
        rows=sum((count.expected or 0) - (count.refused or 0) for count in outcome.counts.values()),
        cache_only=sum(table.cache_only for table in tables),
        size=look.judgement.size,
    )
    return replace(outcome, proposal=adopted, next_action="storage-sync sync --adopt")


def _proposal(context: Context, comparison: Compared, refusal: GuardStopped | None, facts: guard.Facts) -> Plan:
    look = comparison.look
    generation, base_root = look.base
    return make_plan(
        changes=table_changes(comparison.changes),
        cached=rows_of(look),
        generation=generation,
        base_root=base_root,
        root=comparison.staged.root,
        staged_bytes=comparison.staged.staging.staged_bytes,
        removes_ratio=guard.largest_share(facts),
        compared=sum(one.expected for one in comparison.changes.values()),
        reads=comparison.staged.staging.rows,
        profile=context.session.settings.profile,
        refusal=refusal,
        refused_rows=sum(one.refused for one in comparison.changes.values()),
        gone=facts.lost,
    )


async def _planned(context: Context, comparison: Compared) -> Outcome:
    look, draft = comparison.look, context.draft
    facts = pending_facts(comparison.changes, comparison.primary)
    draft.counts = count(look.scan, facts, *await outside(context, look), comparison.audited_at)
    if look.replaces != "corrupt" and not differs(context, comparison):
        draft.verdict = Word.IN_SYNC
        draft.proof = make_proof(context, comparison, look.generation, look.identity)
        draft.exit_code = 7 if draft.proof.refused else 0
        draft.next_action = next_step((), draft.proof.refused or 0)
        await keep_known(context, look)
        return draft.outcome()
    draft.verdict = difference(comparison)
    draft.next_action = "storage-sync sync"
    return draft.outcome()
