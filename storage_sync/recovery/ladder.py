"""`repair`: climb the ladder until the cache is proven again, or say why not (docs/protocol.md#recovery).

Rung 1 lets redb repair the file when it is opened, rung 2 fetches rotten rows again in place, rung 3 builds the
cache again. Each ends with the proof of a sync.
"""

from __future__ import annotations

from dataclasses import replace

from storage_sync import _native
from storage_sync.cache.identity import real_path
from storage_sync.recovery.diagnosis import Rung, Situation, examined
from storage_sync.recovery.plans import climbed, planned
from storage_sync.recovery.rebuild import bring_new, rebuild_facts, rescue_json
from storage_sync.sync.apply import held
from storage_sync.sync.context import Context
from storage_sync.sync.run import in_rounds, leased, run_sync, synced
from storage_sync.values.errors import CacheDamaged
from storage_sync.values.outcome import Outcome, Word

TRIES = 3
"""How often the cache is examined again after a rung: opening it may show more than its copy did."""


async def run_repair(context: Context, *, no_rebuild: bool = False) -> Outcome:
    """Heal the cache and prove it, or with `plan_only` say which rung applies and what it would do.

    Raises the StorageSyncError that stopped it: CacheDamaged when only a rebuild helps and `no_rebuild` forbids it.
    """
    with leased(context):
        return await in_rounds(context, lambda: _healed(context, no_rebuild))


async def _healed(context: Context, no_rebuild: bool) -> Outcome:
    for _ in range(TRIES):
        outcome = await _climb(context, no_rebuild)
        if outcome is not None:
            return outcome
    raise CacheDamaged("the cache was damaged again each time it was opened; is the disk sound?")


async def run_sync_repairing(context: Context) -> Outcome:
    """`sync --repair`: a plain sync, and when the cache is damaged the ladder, which ends with the same proof."""
    try:
        return await run_sync(context)
    except CacheDamaged:
        return await run_repair(context)


async def _climb(context: Context, no_rebuild: bool) -> Outcome | None:
    """One examination and the rung that it names; None when the cache must be looked at again."""
    draft = context.draft
    async with examined(context, "repair") as situation:
        climbed(draft.extra, situation)
        if situation.rung is Rung.REBUILD:
            return await _rebuild(context, situation, no_rebuild)
        if context.options.plan_only and situation.rung is not Rung.NONE:
            return await _planned(context, situation)
        if situation.rung is Rung.OPEN and "opened" not in draft.extra:
            await _let_redb_repair(context)
            return None
    outcome = await synced(replace(context, options=replace(context.options, heals=situation.rung is Rung.REFETCH)))
    if outcome.proposal is None or situation.rung is not Rung.NONE:
        return outcome
    told = (f"{situation.why}; this is what a sync would do", *outcome.proposal.lost)
    return replace(outcome, proposal=replace(outcome.proposal, lost=told))


async def _rebuild(context: Context, situation: Situation, no_rebuild: bool) -> Outcome:
    if no_rebuild and not context.options.plan_only:
        raise CacheDamaged(
            f"only a rebuild heals it, and --no-rebuild forbids that: {situation.why}",
            hint="storage-sync repair --yes",
        )
    if context.options.plan_only:
        return await _planned(context, situation)
    return await bring_new(context, situation)


async def _planned(context: Context, situation: Situation) -> Outcome:
    """What the rung would do; the cache keeps every byte."""
    look = situation.look
    outcome = await bring_new(context, situation) if situation.rung is Rung.REBUILD else await _compared(context)
    facts = rebuild_facts(context, look, outcome) if situation.rung is Rung.REBUILD else {}
    if situation.rescue is not None:
        facts["rescued"] = rescue_json(situation)
    outcome = planned(situation, replace(outcome, proof=None), facts)
    return outcome if situation.rung is Rung.OPEN else replace(outcome, verdict=Word.DAMAGED)


async def _compared(context: Context) -> Outcome:
    return await synced(replace(context, options=replace(context.options, heals=True)))


async def _let_redb_repair(context: Context) -> None:
    """Open the live file read-write and close it: redb mends what its writer left undone."""
    session = context.session
    path = real_path(session.cache_path)

    def open_and_close() -> bool:
        file = _native.CacheFile.open(path, "write")
        repaired = file.repaired
        file.close()
        return repaired

    async def once() -> bool:
        return await session.on_cache_thread(open_and_close)

    try:
        repaired = await context.cancel.uncancellable(once)
    except _native.DatabaseAlreadyOpen as error:
        raise held(path) from error
    context.draft.extra["opened"] = {"repaired_by_redb": repaired}
