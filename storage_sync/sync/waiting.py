"""Beside a cache that another process holds: fetch what the primary has more, and let it wait (`<cache>.waiting`).

Rows wait as the primary has them. Whoever commits them later merges them with what the cache holds then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from storage_sync import _native
from storage_sync.cache.waiting_rows import (
    Kept,
    WaitingNote,
    clear_spool,
    discard,
    encode_note,
    publish,
    read_waiting,
    spool_path,
    waiting_json,
    waiting_text,
)
from storage_sync.sync.compare import Compared, compared, guard_first_contact, in_primary, known_log, project
from storage_sync.sync.context import PAGE, Context, Projection
from storage_sync.sync.decide import difference, judged, must_write
from storage_sync.sync.follow import marked
from storage_sync.sync.inspection import looked
from storage_sync.sync.look import Look
from storage_sync.sync.prove import keep_known, make_proof, proven, tell_unwritten
from storage_sync.sync.table_counts import equal, table_changes
from storage_sync.values.errors import CacheLocked, GuardStopped
from storage_sync.values.options import Consent
from storage_sync.values.outcome import Outcome, TableChange, Word


async def wait_beside(context: Context, held: CacheLocked) -> Outcome:
    """Fetch what a held cache lacks and let it wait; the lease is held.

    An Outcome only where there is nothing to commit. Raises CacheLocked that says how many rows wait, GuardStopped
    with nothing waiting, and what stops any comparison.
    """
    # what a person decided for this moment does not wait for another
    if context.options.consent != Consent() or context.options.expected_plan is not None:
        raise held
    outcome = await staged(context, held)
    note = outcome.extra.get("waiting")
    if note is None:
        return outcome
    raise await still_waiting(context, held)


async def staged(context: Context, held: CacheLocked | None = None) -> Outcome:
    """Compare a cache that another process holds, and let wait what it lacks; the lease is held.

    Where rows wait the exit code is that of a locked cache, and nothing failed. `held`: the error where none can wait.
    GuardStopped with nothing waiting, and what stops any comparison.
    """
    session = context.session
    try:
        async with looked(session, context.tracker, context.draft, writing=False) as look:
            if look.scan is None or look.integrity is False:
                raise held or CacheLocked("the cache is held by another process, and there is nothing to compare in it")
            # a proof that is made here leaves marks as any other does
            projection = await marked(context, look, await project(context, look))
            await guard_first_contact(context, look)
            return await _staged(context, look, projection, held)
    except GuardStopped:
        await nothing_waits(context)
        raise


async def _staged(context: Context, look: Look, projection: Projection, held: CacheLocked | None) -> Outcome:
    session, draft = context.session, context.draft
    cache = session.cache_path
    found = await session.on_cache_thread(read_waiting, cache)
    if not found.ours:
        draft.warn(found.problem)
        raise held or CacheLocked("the cache is held by another process, and its rows cannot wait beside it")
    before = _fits(context, look, found.kept, projection)
    await session.on_cache_thread(clear_spool, cache)
    asked_at = time.time()
    async with compared(context, look, projection, waiting=before, keep=spool_path(cache)) as comparison:
        guards = await judged(context, comparison)
        if guards.refusal is not None:
            raise guards.refusal
        draft.plan = table_changes(comparison.changes)
        if not must_write(context, comparison):
            await nothing_waits(context)
            return await proven(context, comparison, look, look.generation)
        if equal(comparison.changes) and look.checkpoint is not None:
            return await _equal_already(context, comparison, look)
        note = WaitingNote(
            source_id=session.source.source_id,
            epoch=projection.epoch,
            config_hash=projection.scope.config_hash,
            digest=projection.digest,
            enc=_native.ENCODING,
            generation=look.generation,
            root=comparison.staged.root,
            at=asked_at,
            since=before.note.since if before is not None and before.note.rows else asked_at,
            rows=_rows(draft.plan),
            replication_index=session.source.replication_index,
            still_there=await _still_there(context, comparison),
        )
        await session.on_cache_thread(comparison.staged.staging.keep, encode_note(note))
        await session.on_cache_thread(publish, cache)
        await tell_unwritten(context, comparison, look)
        draft.verdict = difference(comparison)
        draft.exit_code = CacheLocked.exit_code
        draft.extra["waiting"] = waiting_json(note)
        await keep_known(context, look)
        return draft.outcome()


async def _equal_already(context: Context, comparison: Compared, look: Look) -> Outcome:
    """The holder wrote what the primary has: all rows are equal, and only our ledger is behind, which nobody can write
    now. It is proven as `verify` proves it; the next run that finds the file free lists the rows."""
    draft = context.draft
    await nothing_waits(context)
    draft.verdict = Word.IN_SYNC
    draft.proof = make_proof(context, comparison, look.generation, look.identity)
    draft.exit_code = 7 if draft.proof.refused else 0
    await tell_unwritten(context, comparison, look)
    await keep_known(context, look)
    return draft.outcome()


def _waits(held: CacheLocked, note: WaitingNote) -> CacheLocked:
    if not note.rows:
        return held
    return CacheLocked(
        f"{held.message}; {waiting_text(note)} for the next run that finds it free", hint=held.step or held.hint
    )


async def still_waiting(context: Context, held: CacheLocked) -> CacheLocked:
    """The error of a run that could not deliver what waits: it says so."""
    found = await context.session.on_cache_thread(read_waiting, context.session.cache_path)
    if found.kept is None:
        return held
    context.draft.extra["waiting"] = waiting_json(found.kept.note)
    return _waits(held, found.kept.note)


async def fitting(context: Context, look: Look, projection: Projection | None = None) -> Kept | None:
    """What waits for the cache of `look`; what was fetched for another one is removed. The lease is held."""
    session = context.session
    found = await session.on_cache_thread(read_waiting, session.cache_path)
    if found.problem:
        context.draft.warn(found.problem)
    kept = _fits(context, look, found.kept, projection)
    if kept is None and found.ours and (found.kept is not None or found.problem):
        await nothing_waits(context)
    return kept


def _fits(context: Context, look: Look, kept: Kept | None, projection: Projection | None) -> Kept | None:
    """`kept` if it is of this source, epoch, configuration and generation.

    Without a projection, the epoch is the one of the last proof. A cache that is replaced takes nothing of it.
    """
    if kept is None or look.replaces is not None:
        return None
    session, note = context.session, kept.note
    source = session.source.source_id
    if projection is not None:
        epoch, config_hash = projection.epoch, projection.scope.config_hash
    else:
        epoch, _ = known_log(look, source)
        config_hash = session.scope(note.digest).config_hash
    wanted = (source, epoch, config_hash, _native.ENCODING, look.generation)
    return kept if wanted == (note.source_id, note.epoch, note.config_hash, note.enc, note.generation) else None


async def nothing_waits(context: Context) -> None:
    """Remove what waits, where it is ours. LocalIO."""
    if not context.options.plan_only:
        await context.session.on_cache_thread(discard, context.session.cache_path)


async def _still_there(context: Context, comparison: Compared) -> dict[str, dict[str, bool]]:
    """Rows to be removed that the primary still has, and whether what they belong to is there too: asked now, since it
    may be away when they are."""
    staging = comparison.staged.staging
    found: dict[str, dict[str, bool]] = {}
    for table, changes in comparison.changes.items():
        keys: dict[str, bool] = {}
        after: str | None = None
        while changes.remove and (page := await context.session.on_cache_thread(staging.removals, table, after, PAGE)):
            after = page[-1]
            keys |= await in_primary(context, table, page)
        if keys:
            found[table] = keys
    return found


def _rows(plan: Mapping[str, TableChange]) -> int:
    return sum(change.rows for change in plan.values())
