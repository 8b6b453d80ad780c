"""Leave a cache as if this tool had never been there, or give its empty room back (compact).

See docs/operations.md#undoing.
"""

from __future__ import annotations

from storage_sync import _native
from storage_sync.cache.identity import real_path
from storage_sync.cache.space import require_space
from storage_sync.edits.change import looked_to_change, plan_of, propose
from storage_sync.state.witness import forget_witness, write_witness
from storage_sync.sync.apply import on_live_file, settle
from storage_sync.sync.context import Context
from storage_sync.sync.look import Look
from storage_sync.sync.run import leased
from storage_sync.values.errors import CacheDamaged, GuardStopped
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import CacheState, CacheWrites, Outcome, PlanRow

OURS = ("storage_sync_meta", "storage_sync_digest", "storage_sync_quarantine")


async def run_detach(context: Context) -> Outcome:
    """Remove our tables and the witness; do-memory's rows stay, byte for byte. Quarantined rows stay too.

    GuardStopped for read-only, CacheLocked, LocalIO, CacheDamaged.
    """
    session, options, draft = context.session, context.options, context.draft
    path = real_path(session.cache_path)
    with leased(context):
        async with looked_to_change(context) as look:
            rows = await session.on_cache_thread(_ours, look)
            base = look.checkpoint.root if look.checkpoint is not None else ""
            lost = ("which rows came from the primary: the next sync takes the cache over again",) if rows else ()
            propose(context, plan_of("detach", look.generation, base, rows, lost, content=repr(rows)))
            if options.plan_only or not rows:
                return draft.outcome()
            await session.on_cache_thread(settle, context, look.generation)
        applied = await _without_witness(context, look, path)
        draft.cache_writes = CacheWrites(applied.commits, applied.bytes_written)
        draft.extra["detached"] = [row.text for row in rows]
        draft.states = (CacheState.UNSTAMPED,)
        return draft.outcome()


async def _without_witness(context: Context, look: Look, path: str) -> _native.Applied:
    """The witness goes first: one that outlives the ledger would call the file rolled back."""
    session, folder = context.session, context.session.state.folder
    await session.on_cache_thread(forget_witness, folder)
    try:
        return await on_live_file(context, path, None, lambda: _native.detach(path))
    except BaseException:
        # cancelled or failed, whatever it was: our tables are still in the cache, and what they prove still holds
        if look.witness is not None:
            write_witness(folder, look.witness)
        raise


def _ours(look: Look) -> tuple[PlanRow, ...]:
    tables = look.copy.file.tables() if look.copy is not None else []
    return tuple(
        PlanRow("detach", f"remove table {table.name}, which a sync makes again", table.rows or 0, None, "not needed")
        for table in tables
        if table.name in OURS
    )


async def run_compact(context: Context) -> Outcome:
    """redb's compaction, under the lease and the lock; the content stays the same. Errors as for `run_detach`."""
    session, options, draft = context.session, context.options, context.draft
    path = real_path(session.cache_path)
    with leased(context):
        async with looked_to_change(context, deep=True) as look:
            if look.scan is None:
                raise GuardStopped("there is no cache to compact", hint=NextStep.SYNC)
            if look.integrity is False:
                raise CacheDamaged("redb's own check of a copy does not pass; nothing was changed")
            size, payload = look.judgement.size or 0, look.scan.payload_bytes
            draft.extra["payload_bytes"] = payload
        row = PlanRow("compact", "move pages together, shorten the file", 0, max(size - payload, 0), "not needed")
        propose(context, plan_of("compact", look.generation, "", (row,)))
        if options.plan_only:
            draft.extra["compact"] = {"bytes_before": size, "bytes_after": None, "lock_seconds": None}
            return draft.outcome()
        require_space(path, size)
        before, after, seconds = await on_live_file(context, path, None, lambda: _native.compact(path))
    draft.extra["compact"] = {"bytes_before": before, "bytes_after": after, "lock_seconds": round(seconds, 4)}
    draft.next_action = "storage-sync sync"
    return draft.outcome()
