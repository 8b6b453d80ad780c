"""What a front end asks about embeddings (docs/architecture.md#threads): scan, query, detail, marks, export.

The index is a frozen value that the asker holds and gives along; nothing here remembers one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_sync.embeddings.words import Marks, Wanted
from storage_sync.values.errors import StorageSyncError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage_sync.embeddings.detail import Detail, Neighbours
    from storage_sync.embeddings.index import OrphanIndex, Tally
    from storage_sync.embeddings.query import View
    from storage_sync.service.question import Asked
    from storage_sync.sync.context import Context
    from storage_sync.values.answers import Exported
    from storage_sync.values.outcome import Outcome


REST_S = 0.1
"""So long a cursor rests on a row before what lies near it is computed (docs/console.md#orphans)."""


@dataclass(frozen=True, slots=True)
class Marked:
    """What marks mean on one index. `numbers` and `keys` go together, in the order of the index."""

    revision: int
    numbers: tuple[int, ...]
    keys: tuple[str, ...]
    bytes: int
    reasons: Mapping[str, Tally]


async def scan(asked: Asked) -> OrphanIndex | None:
    """A new index; None when there is no cache file. StorageSyncError with what stopped it."""
    from storage_sync.verify.orphans import scan_embeddings

    found: list[OrphanIndex | None] = []

    async def work(context: Context) -> Outcome:
        found.append(await scan_embeddings(context))
        return context.draft.outcome()

    outcome = await asked.look("orphans", work)
    if outcome.error is not None:
        raise StorageSyncError(outcome.error.message, hint=outcome.error.hint)
    return found[0]


async def query(asked: Asked) -> View:
    """Rows of `index` for `wanted`; UsageError for a filter that cannot be understood."""
    from storage_sync.embeddings.query import select

    return await asked.aside(select, _index(asked), _wanted(asked), time.time())


async def detail(asked: Asked) -> Detail:
    """Facts of the row `number`."""
    from storage_sync.embeddings.detail import detail as facts

    return await asked.aside(facts, _index(asked), _number(asked))


async def neighbours(asked: Asked) -> Neighbours:
    """The nearest of the row `number`, once nothing else is asked for `REST_S`: every vector is read for it."""
    from storage_sync.embeddings.detail import neighbours as nearest

    index, number = _index(asked), _number(asked)
    await asyncio.sleep(REST_S)
    return await asked.aside(nearest, index, number)


async def marked(asked: Asked) -> Marked:
    """What `marks` mean on `index` now."""
    return await asked.aside(resolve, _index(asked), _marks(asked), time.time())


async def export(asked: Asked) -> Exported:
    """Write to `path` what is marked, or without marks all that `wanted` shows; `vectors`: with their numbers.

    On a thread of its own: other questions do not wait for it. Given up with the question.
    """
    from storage_sync.embeddings.export import export as write

    index, marks, with_vectors = _index(asked), _marks(asked), bool(asked.arguments.get("vectors"))
    rows: Callable[[], list[int]]
    if marks == Marks():
        wanted = _wanted(asked)
        rows = lambda: _shown(index, wanted)  # noqa: E731
    else:
        rows = lambda: list(resolve(index, marks, time.time()).numbers)  # noqa: E731
    path, cancelled = str(asked.arguments.get("path", "")), threading.Event()
    try:
        return await asyncio.to_thread(
            lambda: write(index, rows(), path, vectors=with_vectors, tell=asked.tell, cancelled=cancelled)
        )
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
    from dataclasses import replace

    from storage_sync.embeddings.query import select

    view = select(index, replace(wanted, folded=frozenset()), time.time())
    return [row for row in view.order.tolist() if row >= 0]


def _index(asked: Asked) -> OrphanIndex:
    from storage_sync.embeddings.index import OrphanIndex

    index = asked.arguments.get("index")
    if not isinstance(index, OrphanIndex):
        raise UsageError("nothing was scanned yet", hint="r scans the embeddings")
    return index


def _wanted(asked: Asked) -> Wanted:
    wanted = asked.arguments.get("wanted")
    return wanted if isinstance(wanted, Wanted) else Wanted()


def _marks(asked: Asked) -> Marks:
    marks = asked.arguments.get("marks")
    return marks if isinstance(marks, Marks) else Marks()


def _number(asked: Asked) -> int:
    number = asked.arguments.get("number")
    if not isinstance(number, int) or not 0 <= number < len(_index(asked)):
        raise UsageError("there is no such row", hint="r scans the embeddings")
    return number
