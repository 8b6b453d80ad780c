"""What a run writes down before its commit, so that it can be undone. Blocking; failing is a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from storage_sync import _native
from storage_sync.state.undo_log import Rejected, Step, UndoLog
from storage_sync.sync.compare import Compared
from storage_sync.sync.context import PAGE, Context
from storage_sync.values.errors import LocalIO

REFUSED_NOW = "refused by the primary's new row"
"""Reason of a row that leaves although it is no removal of the plan."""


def of_staging(compared: Compared) -> Iterator[Step]:
    """Each row that the transaction will write or remove, with the bytes that are there now."""
    staging, copy = compared.staged.staging, compared.look.copy
    if copy is None:
        return
    for table in compared.changes:
        after: str | None = None
        while page := staging.staged(table, after, PAGE):
            after = page[-1][0]
            for (key, new), old in zip(page, copy.file.get(table, [key for key, _ in page]), strict=True):
                yield Step(table, key, old, _native.digest("blake3", new), new)
        after = None
        while keys := staging.removals(table, after, PAGE):
            after = keys[-1]
            for key, old in zip(keys, copy.file.get(table, keys), strict=True):
                yield Step(table, key, old, None)
    after = None
    while replaced := staging.replaced(after, PAGE):
        after = f"{replaced[-1][0]}\0{replaced[-1][1]}"
        for table, key, value, reason in replaced:
            if reason == REFUSED_NOW:
                yield Step(table, key, value, None)


def rejected_of_staging(compared: Compared) -> Iterator[Rejected]:
    """Each row of the primary that the cache cannot take."""
    after = None
    while page := compared.staged.staging.refused(after, PAGE):
        after = f"{page[-1][0]}\0{page[-1][1]}"
        for table, key, column, reason in page:
            yield Rejected(table, key, f"{column}: {reason}" if column else reason)


def remember(
    context: Context,
    live: int,
    generation: int,
    now: float,
    steps: Iterable[Step],
    rejected: Iterable[Rejected] = (),
) -> None:
    """Before the commit of `generation` to a cache of generation `live`; `now` in UTC epoch seconds."""
    run = context.tracker.run
    _write(context, lambda log: log.put(run.id, run.word, generation, now, steps, live=live, rejected=rejected))


def remember_file(context: Context, generation: int, now: float, kept: str) -> None:
    """After a whole file was replaced; the old one is kept at `kept`."""
    run = context.tracker.run
    _write(context, lambda log: log.put(run.id, run.kind, generation, now, live=generation, file=kept))


def _write(context: Context, work: Callable[[UndoLog], object]) -> None:
    state = context.session.state
    if not state.usable:
        return
    try:
        with UndoLog.open(state.folder) as log:
            work(log)
    except LocalIO as error:
        context.draft.warn(f"this run cannot be undone: {error.message}")
