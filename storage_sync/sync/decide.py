"""What a comparison says to do: whether a guard stops it, whether there is anything to commit, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from storage_sync import _native
from storage_sync.sync import guard
from storage_sync.sync.compare import Compared, in_primary, refusal_of
from storage_sync.sync.context import PAGE, Context
from storage_sync.sync.look import Look
from storage_sync.sync.table_counts import writes
from storage_sync.values.errors import GuardStopped
from storage_sync.values.outcome import Word


class Judged(Struct, frozen=True):
    """What the guards say of a comparison; `stepped_back` stops it whatever was consented to."""

    facts: guard.Facts
    stepped_back: GuardStopped | None
    shrinks: GuardStopped | None

    @property
    def refusal(self) -> GuardStopped | None:
        return self.stepped_back or self.shrinks


async def judged(context: Context, comparison: Compared) -> Judged:
    """Ask the guards. Asks the primary which removed rows it has, unless they waited."""
    stepped_back = await refusal_of(context, comparison)
    facts = _shrink_facts(comparison, await _lost(context, comparison))
    shrinks = guard.shrink_error(facts, context.options.consent, context.session.settings.max_removal_ratio)
    return Judged(facts, stepped_back, shrinks)


def must_write(context: Context, comparison: Compared) -> bool:
    """Whether there is anything to commit: always so for a new file."""
    return comparison.look.replaces is not None or differs(context, comparison)


def differs(context: Context, comparison: Compared) -> bool:
    """Whether the file differs from what it should hold, stamp included."""
    look = comparison.look
    if look.scan is None or look.checkpoint is None or writes(comparison.changes):
        return True
    if look.scan.index_drifted:
        return True
    if look.checkpoint.source_id != context.session.source.source_id:
        context.draft.warn(
            "the primary's address changed but not its content: the cache is now stamped with the new address"
        )
        return True
    # whatever was counted, the root has the last word
    return _native.root_of(look.scan, comparison.projection.scope) != comparison.staged.root


async def _lost(context: Context, comparison: Compared) -> dict[str, int]:
    """Rows to be removed that the primary has no longer, or not what they belong to, by table: a longer window would
    not hold them either. Those that it has it can give back, so they need not be quarantined."""
    session, staging, waited = context.session, comparison.staged.staging, comparison.waited
    lost = dict.fromkeys(comparison.changes, 0)
    for table, changes in comparison.changes.items():
        after: str | None = None
        while changes.remove and (keys := await session.on_cache_thread(staging.removals, table, after, PAGE)):
            after = keys[-1]
            if waited is None:
                existing = await in_primary(context, table, keys)
            else:
                known = waited.still_there.get(table, {})
                existing = {key: known[key] for key in keys if key in known}
            await session.on_cache_thread(staging.keep_removed, table, list(existing))
            lost[table] += len(keys) - sum(existing.values())
    return lost


def _shrink_facts(comparison: Compared, lost: Mapping[str, int]) -> guard.Facts:
    tables = comparison.look.scan.tables if comparison.look.scan is not None else {}
    return guard.Facts(
        expected_episodes=comparison.changes["episodes"].expected,
        cached_episodes=_episodes_at_stake(comparison.look),
        tables={name: guard.Share(lost.get(name, 0), table.listed) for name, table in tables.items()},
    )


def _episodes_at_stake(look: Look) -> int:
    """Episodes that an empty primary would take away: ours in a stamped cache, all at first contact."""
    if look.scan is None:
        return 0
    episodes = look.scan.tables["episodes"]
    return episodes.rows if look.checkpoint is None else episodes.listed


def _unproven(scan: _native.Scan) -> int:
    """Listed rows that are not what was proven; those of them that equal the primary are only listed again."""
    return sum(table.drifted + table.rotten + table.absent for table in scan.tables.values())


def difference(comparison: Compared) -> Word:
    """EMPTY, DRIFT when the cache changed, STALE when the primary did, also if the cache has the same by now."""
    look = comparison.look
    if look.replaces is None and look.sibling:
        return Word.EMPTY
    drifted = look.scan is not None and _unproven(look.scan) > sum(one.relist for one in comparison.changes.values())
    same_primary = look.checkpoint is not None and look.checkpoint.root == comparison.staged.root
    return Word.DRIFT if drifted or same_primary else Word.STALE
