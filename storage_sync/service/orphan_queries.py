"""What a front end asks about embeddings (docs/architecture.md#threads): scan, query, detail, marks, export.

The index is a frozen value that the asker holds and gives along; nothing here remembers one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from storage_sync.embeddings.wanted import Marked, Marks, Wanted
from storage_sync.service.operations import Operation
from storage_sync.values.errors import StorageSyncError, UsageError

if TYPE_CHECKING:
    from storage_sync.embeddings.detail import Detail, Neighbours
    from storage_sync.embeddings.index import OrphanIndex
    from storage_sync.embeddings.query import View
    from storage_sync.service.commands import (
        ExportOrphans,
        FindNeighbours,
        QueryOrphans,
        ResolveMarks,
        ScanOrphans,
        ShowOrphan,
    )
    from storage_sync.service.question import Asked
    from storage_sync.sync.context import Context
    from storage_sync.values.answers import Exported
    from storage_sync.values.outcome import Outcome


REST_S = 0.1
"""How long a cursor rests on a row before its neighbours are computed (docs/console.md#orphans)."""


class _Scan(Operation, frozen=True):
    """Looks at every embedding, and puts the index into `found`."""

    command = "orphans"
    found: list[OrphanIndex | None]

    async def run(self, context: Context) -> Outcome:
        from storage_sync.verify.orphans import scan_embeddings

        self.found.append(await scan_embeddings(context))
        return context.draft.outcome()


async def scan(_: ScanOrphans, asked: Asked) -> OrphanIndex | None:
    """A new index; None when there is no cache file. StorageSyncError with what stopped it."""
    scanned = _Scan([])
    outcome = await asked.look(scanned)
    if outcome.error is not None:
        raise StorageSyncError(outcome.error.message, hint=outcome.error.step or outcome.error.hint)
    return scanned.found[0]


async def query(question: QueryOrphans, asked: Asked) -> View:
    """Rows of the index as wanted; UsageError for a filter that cannot be understood."""
    from storage_sync.embeddings.query import select

    return await asked.aside(select, question.index, question.wanted, time.time())


async def detail(question: ShowOrphan, asked: Asked) -> Detail:
    """Facts of one row."""
    from storage_sync.embeddings.detail import detail as facts

    return await asked.aside(facts, question.index, _row(question))


async def neighbours(question: FindNeighbours, asked: Asked) -> Neighbours:
    """The nearest of one row, once nothing else is asked for `REST_S`: every vector is read for it."""
    from storage_sync.embeddings.detail import neighbours as nearest

    number = _row(question)
    await asyncio.sleep(REST_S)
    return await asked.aside(nearest, question.index, number)


async def marked(question: ResolveMarks, asked: Asked) -> Marked:
    """What the marks mean now."""
    return await asked.aside(resolve, question.index, question.marks, time.time())


async def export(question: ExportOrphans, asked: Asked) -> Exported:
    """Write to a file what is marked, or without marks all that is shown.

    On a thread of its own: other questions do not wait for it. Given up with the question.
    """
    from storage_sync.embeddings.export import export as write

    index, cancelled = question.index, threading.Event()

    def work() -> Exported:
        if question.marks == Marks():
            rows = _shown(index, question.wanted)
        else:
            rows = list(resolve(index, question.marks, time.time()).numbers)
        return write(index, rows, question.path, vectors=question.vectors, tell=asked.tell, cancelled=cancelled)

    try:
        return await asyncio.to_thread(work)
    finally:
        cancelled.set()


def resolve(index: OrphanIndex, marks: Marks, now: float) -> Marked:
    """Marks as rows of an index; keys that it does not have are left out. Blocking for a moment."""
    import numpy as np

    from storage_sync.embeddings.index import Tally
    from storage_sync.embeddings.query import in_group, matching

    mask = matching(index, marks.filter, now) if marks.filter is not None else np.zeros(len(index), bool)
    for text, group, name in marks.groups:
        mask = mask | (matching(index, text, now) & in_group(index, group, name))
    if marks.keys:
        mask = mask ^ np.array([key in marks.keys for key in index.keys], bool)
    numbers = np.flatnonzero(mask)
    reasons = {
        index.reason(int(rows[0])).value: Tally(len(rows), int(index.sizes[rows].sum()))
        for code in np.unique(index.reasons[numbers]).tolist()
        if len(rows := numbers[index.reasons[numbers] == code])
    }
    return Marked(
        revision=index.revision,
        numbers=tuple(numbers.tolist()),
        keys=tuple(index.keys[number] for number in numbers.tolist()),
        bytes=int(index.sizes[numbers].sum()),
        reasons=reasons,
    )


def _shown(index: OrphanIndex, wanted: Wanted) -> list[int]:
    from storage_sync.embeddings.query import select

    view = select(index, replace(wanted, folded=frozenset()), time.time())
    return [row for row in view.order.tolist() if row >= 0]


def _row(question: ShowOrphan | FindNeighbours) -> int:
    """UsageError for a row that the index does not have."""
    if not 0 <= question.number < len(question.index):
        raise UsageError("there is no such row", hint="^r scans the embeddings again")
    return question.number
