"""Which rows one run changed, field by field before and after, from the undo log (docs/console.md#screens)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from storage_sync.service.differences import sides
from storage_sync.state.undo_log import FILE_NAME, Rejected, Step, UndoLog
from storage_sync.state.undoable import why_not
from storage_sync.values.answers import ChangedRow, ChangedRows

if TYPE_CHECKING:
    from storage_sync.service.commands import ListChangedRows
    from storage_sync.service.question import Asked

ADDED, CHANGED, REMOVED, REJECTED = "added", "changed", "removed", "rejected"
WHOLE_FILE: Final = "this run replaced the whole file; its rows are not listed"
TOO_MANY: Final = "this run changed more bytes than are kept"


async def run_rows(question: ListChangedRows, asked: Asked) -> ChangedRows:
    """`run_id`: which run; `first`, `limit`: the page. LocalIO when the log cannot be read."""
    folder, cache = asked.state.folder, str(asked.settings.cache)
    return await asked.aside(lambda: changed_rows(folder, cache, question.run_id, question.first, question.limit))


def changed_rows(folder: Path, cache: str, run_id: str, first: int = 0, limit: int = sys.maxsize) -> ChangedRows:
    """The rows from `first` on, at most `limit`, by table and key, rejected ones last. Blocking; LocalIO.

    `folder`: of the state; `cache`: path of the cache, beside which old files are kept.
    """
    off = why_not(folder, cache, run_id)
    if not (folder / FILE_NAME).exists():
        return ChangedRows(run_id, said=off, undo_off=off)
    with UndoLog.open(folder, create=False) as log:
        # what is listed may be shown whether or not its commit came: the history says how the run ended
        run = log.run(run_id, sys.maxsize)
        if run is None:
            return ChangedRows(run_id, said=off, undo_off=off)
        steps, rejected = log.steps(run_id), log.rejected(run_id)
    said = WHOLE_FILE if run.file is not None else "" if run.whole else TOO_MANY
    listed: list[Step | Rejected] = [*steps, *rejected]
    page = listed[first : first + limit]
    return ChangedRows(
        run_id,
        tuple(_rejected(row) if isinstance(row, Rejected) else _changed(row) for row in page),
        len(listed),
        len(rejected),
        sum(step.cut for step in steps),
        said,
        off,
    )


def _changed(step: Step) -> ChangedRow:
    kind = ADDED if step.before is None else REMOVED if step.after is None else CHANGED
    return ChangedRow(step.table, step.key, kind, sides(step.table, step.before, step.left), step.cut)


def _rejected(row: Rejected) -> ChangedRow:
    return ChangedRow(row.table, row.key, REJECTED, reason=row.reason)


def rows_json(rows: Sequence[ChangedRow]) -> list[dict[str, object]]:
    """The rows as `history show --json` lists them: the fields that the run changed, before and after."""
    return [
        {
            "table": row.table,
            "key": row.key,
            "change": row.kind,
            "fields": [
                {"name": column.name, "before": column.primary, "after": column.cache}
                for column in row.columns
                if not column.equal
            ],
            "after_is_kept": not row.cut,
            "reason": row.reason or None,
        }
        for row in rows
    ]
