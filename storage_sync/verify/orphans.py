"""Embeddings of the cache without their owner, and otherwise broken vectors (docs/console.md#orphans)."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping

import numpy as np
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.embeddings.index import (
    CODES,
    USABLE,
    Found,
    Label,
    OrphanIndex,
    Owner,
    Remembered,
    Told,
    build,
    commonest_dimension,
    found_in,
    judged,
)
from storage_sync.embeddings.reason import Reason
from storage_sync.primary.digests import CLIENT_DIGEST
from storage_sync.state.directory import StateDir
from storage_sync.state.history import History
from storage_sync.state.quarantine import FILE_NAME, SetAside
from storage_sync.sync.compare import in_primary
from storage_sync.sync.context import PAGE, Context
from storage_sync.sync.inspection import looked
from storage_sync.sync.look import Look
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.outcome import Orphan, Outcome, Word

NAMED = 100_000
"""Rows that one answer names at most."""
Warn = Callable[[str], None]


async def run_orphans(context: Context) -> Outcome:
    """All of them with owner, reason and norm. The primary is asked for the owners; without it the reason stays
    `owner unknown`."""
    draft = context.draft
    index = await scan_embeddings(context)
    draft.verdict = Word.UNKNOWN
    if index is None:
        return draft.outcome()
    gone = np.isin(index.owners, (Owner.EPISODE_GONE, Owner.PATTERN_GONE))
    broken = np.isin(index.reasons, (CODES[Reason.BAD_VALUES], CODES[Reason.WRONG_DIMENSION]))
    rows = [*np.flatnonzero(gone)[:NAMED].tolist(), *np.flatnonzero(broken & ~gone)[:NAMED].tolist()]
    draft.orphans = tuple(_orphan(index, row) for row in rows)
    draft.extra["orphan_counts"] = {
        "orphaned": int(gone.sum()),
        "broken": int(broken.sum()),
        "embeddings": index.total,
    }
    return draft.outcome()


async def scan_embeddings(context: Context) -> OrphanIndex | None:
    """The index of every embedding in the cache; None when there is no file. Since when each case is known is noted
    in the history. The errors of `looked`; what the primary does not answer stays unknown."""
    session, draft = context.session, context.draft
    async with looked(session, context.tracker, draft, writing=False) as look:
        if look.copy is None:
            return None
        at = time.time()
        found = await session.on_cache_thread(_read, look, session.state)
        generation = look.checkpoint.generation if look.checkpoint is not None else None
    told = await _told(context, found)
    dimension = session.settings.embedding_dimension
    remembered = await session.on_cache_thread(_remembered, session.state, found, told, dimension, at, draft.warn)
    return await session.on_cache_thread(
        build, found, told, remembered, dimension=dimension, generation=generation, at=at
    )


def _read(look: Look, state: StateDir) -> Found:
    if look.copy is None:
        raise ValueError("there is no copy to read")
    folder = os.fspath(state.copies) if state.copies is not None else tempfile.gettempdir()
    return found_in(look.copy.file.embeddings(folder))


# -------------------------------------------------------------------------------------------- the primary


async def _told(context: Context, found: Found) -> Told:
    """Everything that it takes to say a reason; what was answered before a failure is kept."""
    told = Told(patterns=context.session.settings.sync_patterns)
    try:
        owners = await _owners(context, found)
        told = replace(told, owners=owners, window=frozenset())
        told = replace(told, window=await _window(context, found, owners))
        told = replace(told, embeddings=await _embeddings(context, found))
    except StorageSyncError as error:
        context.draft.warn(f"the primary could not be asked for the owners: {error.message}")
        return replace(told, window=told.window or None, problem=error.message)
    try:
        return replace(told, newer=frozenset(await context.session.source.rewritten()))
    except StorageSyncError:
        # an old schema without the times; then it is not known which texts are newer
        return told


async def _owners(context: Context, found: Found) -> frozenset[str]:
    kinds = (
        ("episodes", found.owner_ids(Owner.EPISODE, Owner.EPISODE_GONE)),
        ("patterns", found.owner_ids(Owner.PATTERN, Owner.PATTERN_GONE)),
    )
    return frozenset([one for table, ids in kinds for one in await _existing(context, table, ids)])


async def _window(context: Context, found: Found, owners: frozenset[str]) -> frozenset[str]:
    """Of the episodes that only the primary has."""
    ids = [one for one in found.owner_ids(Owner.EPISODE_GONE) if one in owners]
    if not ids:
        return frozenset()
    scope = context.session.scope(CLIENT_DIGEST)
    return frozenset(await context.session.source.in_window(scope, ids))


async def _embeddings(context: Context, found: Found) -> dict[str, bool]:
    """Which of the rows that may be a case the primary has; healthy ones are not asked for."""
    attached = np.isin(found.owners, (Owner.EPISODE, Owner.PATTERN))
    well = attached & (found.flags == USABLE) & (found.dimensions == commonest_dimension(found)) & ~found.twins
    keys = [found.keys[row] for row in np.flatnonzero(~well).tolist()]
    there = set(await _existing(context, "embeddings", keys))
    return {key: key in there for key in keys}


async def _existing(context: Context, table: str, keys: list[str]) -> list[str]:
    there: list[str] = []
    for first in range(0, len(keys), PAGE):
        there += await in_primary(context, table, keys[first : first + PAGE])
    return there


# ---------------------------------------------------------------------------------------------- the state


def _remembered(state: StateDir, found: Found, told: Told, dimension: int | None, at: float, warn: Warn) -> Remembered:
    """First sights, expected marks, and titles of quarantined owners. Blocking."""
    cases = judged(found, told, dimension) != CODES[Reason.ATTACHED]
    keys = [found.keys[row] for row in np.flatnonzero(cases).tolist()]
    if not state.usable:
        return Remembered()
    with History.open(state.history, warn) as history:
        history.see_orphans(keys, at)
        marks = history.orphan_marks()
    expected = {key: mark.expected_reason for key, mark in marks.items() if mark.expected_reason is not None}
    return Remembered({key: mark.first_seen for key, mark in marks.items()}, expected, *_words(state, found))


def _words(state: StateDir, found: Found) -> tuple[Mapping[str, tuple[str, str]], Mapping[str, Label]]:
    """Titles, with generation and day, and labels of owners that are gone from the cache and whose row was set
    aside."""
    tables = {"episodes": Owner.EPISODE_GONE, "patterns": Owner.PATTERN_GONE}
    wanted = {table: set(found.owner_ids(code)) for table, code in tables.items()}
    titles: dict[str, tuple[str, str]] = {}
    labels: dict[str, Label] = {}
    if not any(wanted.values()) or not (state.set_aside / FILE_NAME).exists():
        return titles, labels
    with SetAside.open(state.set_aside, create=False) as store:
        after = 0
        while page := store.rows(after, PAGE):
            after = page[-1].id
            kept = {row.id: row for row in page if row.key in wanted.get(row.table, ())}
            for value in store.take(list(kept)) if kept else ():
                title = _native.title(value.row.table, value.value)
                if title is not None:
                    day = time.strftime("%d %b %H:%MZ", time.gmtime(value.row.at)).lstrip("0")
                    titles[value.row.key] = (title, f"quarantined from g-{value.row.generation}, {day}")
                label = _native.label(value.row.table, value.value)
                if label is not None:
                    labels[value.row.key] = (label[0], tuple(label[1]))
    return titles, labels


def _orphan(index: OrphanIndex, number: int) -> Orphan:
    row = index.row(number)
    return Orphan(
        key=row.key,
        reason=row.reason.value,
        owner_kind=row.owner_kind,
        owner_id=row.owner_id,
        in_primary=row.owner_in_primary,
        dimension=row.dimension,
        norm=row.norm,
        bytes=row.bytes,
    )
