"""`repair`: one step after the other until the cache is proven again, or say why not (docs/protocol.md#recovery).

RepairStep 1 lets redb repair the file when it is opened, rung 2 fetches rotten rows again in place, rung 3 builds the
cache again. Each ends with the proof of a sync.
"""

from __future__ import annotations

from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.identity import real_path
from storage_sync.recovery.diagnosis import RepairStep, Situation, examined
from storage_sync.recovery.plans import noted, planned
from storage_sync.recovery.rebuild import bring_new, rebuild_facts, rescue_json
from storage_sync.sync.apply import held
from storage_sync.sync.context import Context
from storage_sync.sync.run import in_rounds, leased, run_sync, synced
from storage_sync.values.errors import CacheDamaged
from storage_sync.values.extra import Extra
from storage_sync.values.outcome import Outcome, Word

TRIES = 3
"""How often the cache is examined again after a step: opening it may show more than its copy did."""


async def run_repair(context: Context, *, no_rebuild: bool = False) -> Outcome:
    """Repair the cache and prove it, or with `plan_only` say which step applies and what it would do.

    Raises the StorageSyncError that stopped it: CacheDamaged when only a rebuild helps and `no_rebuild` forbids it.
    """
    with leased(context):
        return await in_rounds(context, lambda: _examined_and_repaired(context, no_rebuild))


async def _examined_and_repaired(context: Context, no_rebuild: bool) -> Outcome:
    for _ in range(TRIES):
        outcome = await _next_step(context, no_rebuild)
        if outcome is not None:
            return outcome
    raise CacheDamaged("the cache was damaged again each time it was opened; is the disk sound?")


async def run_sync_repairing(context: Context) -> Outcome:
    """`sync --repair`: a plain sync, and when the cache is damaged a repair, which ends with the same proof."""
    try:
        return await run_sync(context)
    except CacheDamaged:
        return await run_repair(context)


async def _next_step(context: Context, no_rebuild: bool) -> Outcome | None:
    """One examination and the step that it names; None when the cache must be looked at again."""
    draft = context.draft
    async with examined(context, "repair") as situation:
        noted(draft.extra, situation)
        if situation.step is RepairStep.REBUILD:
            return await _rebuild(context, situation, no_rebuild)
        if context.options.plan_only and situation.step is not RepairStep.NONE:
            return await _planned(context, situation)
        if situation.step is RepairStep.OPEN and "opened" not in draft.extra:
            await _let_redb_repair(context)
            return None
    outcome = await synced(
        replace(context, options=replace(context.options, refetch_rotten=situation.step is RepairStep.REFETCH))
    )
    if outcome.proposal is None or situation.step is not RepairStep.NONE:
        return outcome
    told = (f"{situation.why}; this is what a sync would do", *outcome.proposal.lost)
    return replace(outcome, proposal=replace(outcome.proposal, lost=told))


async def _rebuild(context: Context, situation: Situation, no_rebuild: bool) -> Outcome:
    if no_rebuild and not context.options.plan_only:
        raise CacheDamaged(
            f"only a rebuild repairs it, and --no-rebuild forbids that: {situation.why}",
            hint="storage-sync repair --yes",
        )
    if context.options.plan_only:
        return await _planned(context, situation)
    return await bring_new(context, situation)


async def _planned(context: Context, situation: Situation) -> Outcome:
    """What the step would do; the cache keeps every byte."""
    look = situation.look
    outcome = await bring_new(context, situation) if situation.step is RepairStep.REBUILD else await _compared(context)
    facts = rebuild_facts(context, look, outcome) if situation.step is RepairStep.REBUILD else Extra()
    if situation.rescue is not None:
        facts["rescued"] = rescue_json(situation)
    outcome = planned(situation, replace(outcome, proof=None), facts)
    return outcome if situation.step is RepairStep.OPEN else replace(outcome, verdict=Word.DAMAGED)


async def _compared(context: Context) -> Outcome:
    return await synced(replace(context, options=replace(context.options, refetch_rotten=True)))


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
