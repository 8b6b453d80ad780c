"""Which runs can be undone, and why one cannot: one answer for what lists, offers and does it (docs/cli.md#undo).

Blocking; LocalIO when the log cannot be read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from storage_sync.cache.kept import kept_files
from storage_sync.state import history
from storage_sync.state.history import History
from storage_sync.state.undo_log import FILE_NAME, UndoLog, UndoRun

DAMAGED: Final = "the file that it replaced was damaged; it is kept only for you to look at"
GONE: Final = "the file that it replaced no longer exists"
UNDONE: Final = "it was undone already"
NOT_COMMITTED: Final = "its changes are not in the cache"
NOT_REMEMBERED: Final = "nothing of it is kept, and the history does not mention it"
NO_ROW: Final = "it changed no row"
WHOLE_FILE: Final = "it built the whole file, and there was none to keep"
NO_ROOM: Final = "what it changed was dropped to make room for newer runs, or it built the whole file"


class Standing(Struct, frozen=True):
    """A run that was not undone. `why_not`: why it cannot be; '' where it can."""

    run: UndoRun
    why_not: str


def standing(folder: Path, cache: str, live: int) -> list[Standing]:
    """The runs of a cache of generation `live`, newest first; `folder`: of the state."""
    if not (folder / FILE_NAME).exists():
        return []
    with UndoLog.open(folder, create=False) as log:
        return _judged(log.runs(live), cache)


def _judged(runs: Sequence[UndoRun], cache: str) -> list[Standing]:
    kept = {file.path: file.why for file in kept_files(cache)} if any(run.file for run in runs) else {}
    return [Standing(run, _of_file(kept.get(run.file)) if run.file is not None else "") for run in runs]


def undoable(folder: Path, cache: str, live: int) -> list[UndoRun]:
    """Those that can be undone, newest first."""
    return [one.run for one in standing(folder, cache, live) if not one.why_not]


def why_not(folder: Path, cache: str, run_id: str, live: int = sys.maxsize) -> str:
    """Why the run of this id cannot be undone; '' when it can. Without `live` every run is taken as committed."""
    if not (folder / FILE_NAME).exists():
        return _nothing_kept(folder, run_id, dropped=False)
    with UndoLog.open(folder, create=False) as log:
        run, runs = log.run(run_id, sys.maxsize), [one for one in log.runs(live) if one.id == run_id]
        dropped = log.has_dropped()
    if runs:
        return _judged(runs, cache)[0].why_not
    if run is None:
        return _nothing_kept(folder, run_id, dropped=dropped)
    return NOT_COMMITTED if run.generation > live else UNDONE


def _nothing_kept(folder: Path, run_id: str, *, dropped: bool) -> str:
    """Why the log has nothing of a run, as far as the history tells. `dropped`: the log has made room at least once."""
    path = folder / history.FILE_NAME
    if not path.exists():
        return NOT_REMEMBERED
    with History.open(path, lambda _: None, read_only=True) as opened:
        document = opened.document(run_id)
    if document is None:
        return NOT_REMEMBERED
    applied = document.get("applied")
    changes = applied.values() if isinstance(applied, Mapping) else ()
    if not any(n for change in changes if isinstance(change, Mapping) for n in change.values()):
        return NO_ROW
    return NO_ROOM if dropped else WHOLE_FILE


def _of_file(why: str | None) -> str:
    """`why`: the file was kept; None when it is gone."""
    return GONE if why is None else DAMAGED if why == "corrupt" else ""
