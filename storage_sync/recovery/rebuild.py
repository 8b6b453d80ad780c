"""`rebuild`: a new cache beside the old one, proven, then swapped (docs/protocol.md#rebuild).

The build is the staging file of a sync with another ending: rows of the old file that prove themselves are carried
over, the rest is fetched, and what an earlier, killed run staged is taken up again. The live file stays as it is
until the rename.
"""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from storage_sync.cache.builds import builds_beside
from storage_sync.cache.identity import real_path
from storage_sync.cache.space import free_space, require_space
from storage_sync.recovery.diagnosis import RepairStep, Situation, examined
from storage_sync.recovery.plans import noted, planned
from storage_sync.sync.apply import settle
from storage_sync.sync.compare import guard_first_contact, project, target_of
from storage_sync.sync.context import Context
from storage_sync.sync.look import Look
from storage_sync.sync.run import bring, in_rounds, leased
from storage_sync.values.errors import GuardStopped, LocalIO
from storage_sync.values.extra import Extra, Rebuild, RebuildPlan, Rescue
from storage_sync.values.outcome import Outcome, Word

SPARE_BYTES = 4 << 20
"""Room for a first batch where nothing tells how large the new file will be."""


async def run_rebuild(context: Context, *, discard: bool = False, swap: bool = False) -> Outcome:
    """Build a new cache and put it in place, or with `plan_only` say what that would do.

    `discard`: forget what an earlier run built. `swap`: only finish what `--staged` prepared; GuardStopped when there
    is no build of this primary and these settings. With `stage_only` the file may be held by another process.
    """
    with leased(context):
        return await in_rounds(context, lambda: _rebuilt(context, discard, swap))


async def _rebuilt(context: Context, discard: bool, swap: bool) -> Outcome:
    async with examined(context, "rebuild", looks=context.options.stage_only) as situation:
        noted(context.draft.extra, situation)
        fresh = replace(situation, step=RepairStep.REBUILD, look=_replacing(situation.look))
        if context.options.plan_only:
            return await _planned(context, fresh, swap)
        if discard:
            discard_builds(context)
        return await bring_new(context, fresh, swap=swap)


async def bring_new(context: Context, situation: Situation, *, swap: bool = False) -> Outcome:
    """From an examined cache to a new file with its name and the proof, or to the plan; the lease is held."""
    look = situation.look
    context = replace(context, options=replace(context.options, rebuilds=True))
    projection = await project(context, look)
    # a cache that nobody stamped is only replaced when it is one of this primary
    await guard_first_contact(context, replace(look, replaces=None))
    path = target_of(context, look, projection).path
    if swap:
        _require_build(context, path)
    if not context.options.plan_only:
        await context.session.on_cache_thread(settle, context, _reached(look))
        _require_space(context, look, path)
        if situation.rescue is not None:
            context.draft.extra["rescued"] = rescue_json(situation)
    outcome = await bring(context, look, projection)
    # a plan says more of it
    if context.options.plan_only:
        return outcome
    return replace(outcome, extra={**outcome.extra, "rebuild": _rows_of(look, outcome)})


def _reached(look: Look) -> int:
    """The generation that the cache certainly had, also where it cannot say so itself."""
    return max(look.generation, look.witness.generation if look.witness is not None else 0)


def rescue_json(situation: Situation) -> Rescue:
    """What became of the rows of a damaged file, table by table."""
    rescue = situation.rescue
    if rescue is None:
        return {}
    shape: Rescue = {"tables": {name: table.to_json() for name, table in rescue.tables.items()}}
    if rescue.how:
        shape["how"] = rescue.how
    if rescue.unopened:
        shape["unopened"] = rescue.unopened
    return shape


def rebuild_facts(context: Context, look: Look, outcome: Outcome) -> Extra:
    """Rows that a rebuild would carry over and fetch, the room that it takes, what could be resumed."""
    told: RebuildPlan = {
        **_rows_of(look, outcome),
        "disk_needed": _needed(look),
        "disk_free": free_space(context.session.cache_path),
        "resumable": [
            {"path": path, "bytes": Path(path).stat().st_size} for path in builds_beside(context.session.cache_path)
        ],
    }
    return {"rebuild": told}


def _rows_of(look: Look, outcome: Outcome) -> Rebuild:
    """Rows of the new file by where they come from, and those of the old one that it leaves out."""
    changes = outcome.plan.values()
    tables = look.scan.tables.values() if look.scan is not None else ()
    listed = sum(table.listed for table in tables)
    gone = sum(change.remove for change in changes)
    updated = sum(change.update for change in changes)
    return {
        "carried_rows": max(listed - gone - updated, 0),
        "cache_only_rows": sum(table.cache_only - table.undecodable for table in tables),
        "undecodable_rows": sum(table.undecodable for table in tables),
        "fetched_rows": sum(change.insert + change.update for change in changes),
        "left_out_rows": gone,
    }


def discard_builds(context: Context) -> None:
    """Forget what earlier runs built; only while the lease is held. LocalIO."""
    for path in builds_beside(context.session.cache_path):
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise LocalIO(f"{path} cannot be removed: {error.strerror}") from error


async def _planned(context: Context, situation: Situation, swap: bool) -> Outcome:
    outcome = await bring_new(context, situation, swap=swap)
    facts = rebuild_facts(context, situation.look, outcome)
    if situation.rescue is not None:
        facts["rescued"] = rescue_json(situation)
    outcome = planned(situation, outcome, facts)
    return replace(outcome, verdict=Word.DAMAGED, proof=None) if situation.damaged else outcome


def _replacing(look: Look) -> Look:
    """The look of a rebuild: where there is a file it is kept."""
    if look.replaces is not None:
        return look
    return look if look.judgement.buildable else replace(look, replaces="old")


def _require_build(context: Context, path: str) -> None:
    if not Path(path).exists():
        others = ", ".join(builds_beside(context.session.cache_path))
        known = f"; there is {others}, for another primary or other settings" if others else ""
        raise GuardStopped(
            f"no finished build for this primary and these settings is ready to be put in place{known}",
            hint="storage-sync rebuild --staged prepares one",
        )


def _needed(look: Look) -> int:
    return 2 * (look.judgement.size or 0) + SPARE_BYTES


def _require_space(context: Context, look: Look, path: str) -> None:
    """Before anything is written: room for the new file, less what an earlier run has already built."""
    built = Path(path).stat().st_size if Path(path).exists() else 0
    require_space(real_path(context.session.cache_path), max(_needed(look) - built, SPARE_BYTES))
