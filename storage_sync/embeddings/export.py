"""Embeddings as JSON lines, for whoever asks a question that no screen answers (docs/console.md#orphans)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import orjson

from storage_sync.cache.cancelled import Cancelled
from storage_sync.embeddings.detail import neighbours
from storage_sync.embeddings.index import OrphanIndex
from storage_sync.files.writing import new_file
from storage_sync.reports.row_lines import Tell, put_lines
from storage_sync.values.answers import Exported
from storage_sync.values.errors import LocalIO, UsageError

WITH_NEIGHBOURS = 100
"""Rows up to which each line names the nearest ones too: every row costs a walk over all vectors."""


def export(
    index: OrphanIndex,
    rows: Sequence[int],
    path: str,
    *,
    vectors: bool,
    tell: Tell = lambda _done, _total: None,
    cancelled: Cancelled | None = None,
) -> Exported:
    """Write one line a row to a new file, mode 0600. UsageError when something is there, LocalIO, Interrupted; then
    there is no file. Blocking."""
    target = Path(path).expanduser()
    if not path.strip() or target.is_dir():
        raise UsageError("no file was named", hint="type a path")
    near = len(rows) <= WITH_NEIGHBOURS
    try:
        with new_file(target) as out:
            written = lines(index, rows, vectors=vectors, near=near)
            size = put_lines(out, written, len(rows), tell, cancelled or threading.Event())
    except FileExistsError:
        raise UsageError(f"{target} exists already; nothing was overwritten", hint="name another file") from None
    except OSError as error:
        raise LocalIO(f"{target} cannot be written: {error.strerror or error}") from error
    return Exported(str(target), len(rows), size)


def lines(index: OrphanIndex, rows: Sequence[int], *, vectors: bool, near: bool) -> Iterator[bytes]:
    """A JSON document and a newline for each row; `nearest` is null unless `near`."""
    for number in rows:
        row = index.row(number)
        yield orjson.dumps(
            {
                "v": 1,
                "key": row.key,
                "reason": row.reason.value,
                "owner": {
                    "kind": row.owner_kind,
                    "id": row.owner_id,
                    "text": row.title,
                    "domain": row.label[0] if row.label is not None else None,
                    "tags": row.label[1] if row.label is not None else None,
                    "in_cache": row.owner_in_cache,
                    "in_primary": row.owner_in_primary,
                },
                "in_cache": row.in_cache,
                "in_primary": row.in_primary,
                "dim": row.dimension,
                "norm": row.norm,
                "bytes": row.bytes,
                "first_seen": row.first_seen,
                "expected": row.expected,
                "generation": index.generation,
                "nearest": _near(index, number) if near else None,
                "vector": _vector(index, number) if vectors else None,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )


def _near(index: OrphanIndex, number: int) -> list[dict[str, object]]:
    found = neighbours(index, number).nearest
    return [{"key": one.key, "cosine": one.cosine, "text": one.title, "reason": one.reason.value} for one in found]


def _vector(index: OrphanIndex, number: int) -> list[float | None] | None:
    """A number that is not finite is null: JSON has no other word for it."""
    row = index.row(number)
    if index.vectors is None or not row.in_cache or row.dimension is None:
        return None
    numbers = np.frombuffer(index.vectors.value(number), "<f4")
    values: list[float | None] = numbers.tolist()
    for place in np.flatnonzero(~np.isfinite(numbers)).tolist():
        values[place] = None
    return values
