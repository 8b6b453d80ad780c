"""Broken vectors: quarantine them, or mark them as expected (docs/console.md#orphans)."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from storage_sync.edits.change import Intent, RowChange, proved_by_ledger, run_change
from storage_sync.state.directory import StateDir
from storage_sync.state.history import History
from storage_sync.sync.context import PAGE, Context
from storage_sync.sync.inspection import looked
from storage_sync.sync.look import Look
from storage_sync.values.errors import LocalIO, UsageError
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import Outcome, PlanRow
from storage_sync.verify.orphans import NAMED

TABLE = "embeddings"
REASON = "orphan"
BROKEN = "broken vector"
RAW = "vector without an owner"
_OWNED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


async def run_set_aside(context: Context, keys: Sequence[str]) -> Outcome:
    """Take these orphans, broken vectors and cache-only vectors without an owner out of the cache, and quarantine them.

    UsageError when a key is neither; the others of `run_change`.
    """

    async def prepare(look: Look) -> Intent:
        return await context.session.on_cache_thread(_intent, context, look, keys)

    return await run_change(context, prepare)


def _intent(context: Context, look: Look, keys: Sequence[str]) -> Intent:
    orphaned, broken = _broken(context, look)
    wanted = sorted(set(keys))
    _require_broken(wanted, orphaned | broken | _raw(look, wanted))
    changes = []
    for first in range(0, len(wanted), PAGE):
        page = wanted[first : first + PAGE]
        for key, value in zip(page, look.values(TABLE, page), strict=True):
            if value is not None:
                reason = REASON if key in orphaned else BROKEN if key in broken else RAW
                changes.append(RowChange(TABLE, key, value, None, reason))
    days = context.session.settings.quarantine_days
    rows = tuple(
        PlanRow(
            "set-aside",
            f"quarantine each {reason}",
            len(sizes),
            sum(sizes),
            f"restorable for {days:g} days (u)",
        )
        for reason in (REASON, BROKEN, RAW)
        if (sizes := [len(one.before or b"") for one in changes if one.reason == reason])
    )
    return Intent("orphans", tuple(changes), rows, lost=_returning(look, changes))


def _returning(look: Look, changes: Sequence[RowChange]) -> tuple[str, ...]:
    """What the next sync will restore, because the primary has it."""
    values = {change.key: change.before for change in changes if change.before is not None}
    many = len(proved_by_ledger(look, TABLE, values))
    if not many:
        return ()
    are, them = ("is", "it") if many == 1 else ("are", "them")
    return (
        f"{many:,} of them {are} in the primary too: the next sync brings {them} back; "
        f"to keep {them}, mark {them} as expected instead",
    )


def _broken(context: Context, look: Look) -> tuple[set[str], set[str]]:
    if look.scan is None:
        return set(), set()
    _, orphaned = look.scan.orphaned_embeddings(NAMED)
    _, broken = look.scan.bad_vectors(context.session.settings.embedding_dimension, NAMED)
    return set(orphaned), set(broken)


def _raw(look: Look, wanted: Sequence[str]) -> set[str]:
    """Those that no proven manifest gave us and whose key names no owner."""
    keys = [key for key in wanted if _OWNED.search(key) is None]
    values = zip(keys, look.values(TABLE, keys), strict=True)
    rows = {key: value for key, value in values if value is not None}
    return set(rows) - proved_by_ledger(look, TABLE, rows)


def _require_broken(wanted: Sequence[str], known: Collection[str]) -> None:
    strange = [key for key in wanted if key not in known]
    if strange:
        more = f" and {len(strange) - 1:,} more" if len(strange) > 1 else ""
        raise UsageError(
            f"{strange[0]}{more} is neither an orphan nor a broken vector of the cache; nothing was changed",
            hint=NextStep.LIST_ORPHANS,
        )


async def run_expect(context: Context, keys: Sequence[str], note: str) -> Outcome:
    """Mark these as expected: the check counts them apart from now on. The cache is not touched."""
    session = context.session
    async with looked(session, context.tracker, context.draft, writing=False) as look:
        orphaned, broken = await session.on_cache_thread(_broken, context, look)
        raw = await session.on_cache_thread(_raw, look, sorted(set(keys)))
        _require_broken(sorted(set(keys)), orphaned | broken | raw)
    await session.on_cache_thread(_mark, session.state, sorted(set(keys)), note)
    context.draft.extra["expected"] = sorted(set(keys))
    return context.draft.outcome()


async def run_unexpect(context: Context, keys: Sequence[str]) -> Outcome:
    """Take such marks back, whatever the rows are by now. The cache is not touched."""
    wanted = sorted(set(keys))
    await context.session.on_cache_thread(_unmark, context.session.state, wanted)
    context.draft.extra["unexpected"] = wanted
    return context.draft.outcome()


def _unmark(state: StateDir, keys: Sequence[str]) -> None:
    with _marks(state) as history:
        history.unexpect_orphans(keys)


def _mark(state: StateDir, keys: Sequence[str], note: str) -> None:
    with _marks(state) as history:
        history.expect_orphans(keys, note, time.time())


@contextmanager
def _marks(state: StateDir) -> Iterator[History]:
    """The history, where marks are kept; LocalIO when it cannot be written."""
    if not state.usable:
        raise LocalIO(state.problem, hint="give a folder that can be written with --state-dir")
    said: list[str] = []
    with History.open(state.history, said.append) as history:
        yield history
    if said:
        raise LocalIO(said[0])
