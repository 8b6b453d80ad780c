"""Rows of the quarantine: restore quarantined rows, fetch rejected rows again, forget old ones."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from storage_sync.edits.change import Intent, RowChange, plan_of, propose, proved_by_ledger, run_change
from storage_sync.state.quarantine import DAY_S, FILE_NAME, AsideValue, SetAside
from storage_sync.sync.context import PAGE, Context
from storage_sync.sync.inspection import looked
from storage_sync.sync.look import Look
from storage_sync.sync.run import run_sync
from storage_sync.values.errors import CacheDamaged, GuardStopped, UsageError
from storage_sync.values.extra import Retried
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import Outcome, PlanRow

REPLACED = "replaced by a restore"
_NONE = "nothing in quarantine has the id {}"


async def run_restore(context: Context, ids: Sequence[int]) -> Outcome:
    """Write the same bytes back under the same keys. A row that the ledger does not list becomes cache-only.

    UsageError for an unknown id, CacheDamaged for bytes that changed where they lay, GuardStopped when two of the ids
    are of one key; the others of `run_change`.
    """

    async def prepare(look: Look) -> Intent:
        return await context.session.on_cache_thread(_restore, context, look, ids)

    return await run_change(context, prepare)


def _restore(context: Context, look: Look, ids: Sequence[int]) -> Intent:
    taken = _take(context, ids)
    changes, same = [], 0
    for one in taken:
        (now,) = look.values(one.row.table, [one.row.key])
        if now == one.value:
            same += 1
        else:
            kept = now is not None and not proved_by_ledger(look, one.row.table, {one.row.key: now})
            changes.append(RowChange(one.row.table, one.row.key, now, one.value, REPLACED if kept else ""))
    absent = [change for change in changes if change.before is None]
    conflicts = [change for change in changes if change.before is not None]
    rows = [
        PlanRow("restore", text, len(found), sum(len(one.after or b"") for one in found), "undo")
        for text, found in (("restore the same bytes", absent), ("replace the row that has this key now", conflicts))
        if found
    ]
    if same:
        rows.append(PlanRow("same", "already in the cache", same, None, "not needed"))
    lost = ("the next sync brings back a replaced row that the primary still has",) if conflicts else ()
    return Intent("quarantine", tuple(changes), tuple(rows), lost=lost, spent=tuple(one.row.id for one in taken))


def _take(context: Context, ids: Sequence[int]) -> list[AsideValue]:
    wanted = sorted(set(ids))
    folder = context.session.state.set_aside
    taken: list[AsideValue] = []
    if (folder / FILE_NAME).exists():
        with SetAside.open(folder, create=False) as store:
            taken = store.take(wanted)
    missing = set(wanted) - {one.row.id for one in taken}
    if missing:
        raise UsageError(_NONE.format(min(missing)), hint=NextStep.LIST_QUARANTINE)
    for one in taken:
        if not one.intact:
            raise CacheDamaged(
                f"{one.row.id} ({one.row.table} {one.row.key}) is no longer what was quarantined; nothing was restored",
                hint="leave that id out",
            )
    keys = [(one.row.table, one.row.key) for one in taken]
    double = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
    if double is not None:
        raise GuardStopped(
            f"more than one of the ids belongs to {double[0]} {double[1]}; nothing was restored",
            hint="give only one of these ids",
        )
    return taken


async def run_retry(context: Context, ids: Sequence[str]) -> Outcome:
    """Fetch rejected rows again, by a sync that takes nothing for known; `ids` are `table/key`.

    The document says of each whether it is still refused. UsageError for an unknown id; the errors of `run_sync`.
    """
    session = context.session
    async with looked(session, context.tracker, context.draft, writing=False) as look:
        known = await session.on_cache_thread(_refused, look)
    strange = sorted(set(ids) - known)
    if strange:
        raise UsageError(_NONE.format(repr(strange[0])), hint=NextStep.LIST_QUARANTINE)
    outcome = await run_sync(replace(context, options=replace(context.options, full=True)))
    async with looked(session, context.tracker, context.draft, writing=False, follows=True) as look:
        still = await session.on_cache_thread(_refused, look)
    wanted = sorted(set(ids))
    told: Retried = {
        "accepted": [one for one in wanted if one not in still],
        "refused": [one for one in wanted if one in still],
    }
    return replace(outcome, extra={**outcome.extra, "retried": told})


def _refused(look: Look) -> set[str]:
    """`table/key` of each rejected row of the ledger."""
    found: set[str] = set()
    after: str | None = None
    while look.copy is not None and (page := look.copy.file.quarantine(after, PAGE)):
        after = page[-1][0]
        found |= {name.replace("\0", "/", 1) for name, _ in page}
    return found


async def run_purge(context: Context) -> Outcome:
    """Forget rows that were quarantined more than `quarantine_days` ago. The cache is not touched; there is no undo."""
    return await context.session.on_cache_thread(_purge, context)


def _purge(context: Context) -> Outcome:
    days = context.session.settings.quarantine_days
    folder, draft, now = context.session.state.set_aside, context.draft, time.time()
    old, size, gone = 0, 0, 0
    if (folder / FILE_NAME).exists():
        with SetAside.open(folder, create=False) as store:
            after = 0
            while page := store.rows(after, PAGE):
                after = page[-1].id
                rows = [row for row in page if row.at < now - days * DAY_S]
                old, size = old + len(rows), size + sum(row.bytes for row in rows)
            row = PlanRow("purge", f"delete rows quarantined more than {days:g} days ago", old, size, "no")
            propose(context, plan_of("quarantine", 0, "", (row,) if old else (), content=str(old)))
            if old and not context.options.plan_only:
                gone = store.purge(days, now)
    draft.extra["purge"] = {"rows": old, "bytes": size, "removed": gone}
    return draft.outcome()
