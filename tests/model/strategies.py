"""How changes are found: the protocol's own way, and the ways that docs/protocol.md#why-digests found wanting.

Each answers what the cache should hold next: the rows that had to be fetched, and for every expected key the mark
that the ledger keeps. All see the primary through `request()`, so that others write between two requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.model.primary_model import EPISODES, TABLES, Key, Primary, Row, Scope, project

ROUNDS = 5
PAGE = 3


@dataclass(frozen=True)
class Staged:
    """`marks`: what is expected, with the ledger's mark of each row. `rows`: those that were fetched."""

    marks: Mapping[Key, object]
    rows: Mapping[Key, Row]
    notes: Mapping[str, object]
    """What the strategy wants to find again next time."""


Current = Callable[[Key, object], bool]
"""Whether the cached bytes of a key are those that were written for this mark."""
Strategy = Callable[[Primary, Scope, Current, Mapping[str, object], Mapping[Key, object]], Staged]


def exact_digests(
    primary: Primary, scope: Scope, current: Current, notes: Mapping[str, object], listed: Mapping[Key, object]
) -> Staged:
    """Manifest in one statement, changed rows by key, each proved; new manifest while rows move; else one snapshot."""
    fetched: dict[Key, Row] = {}
    for _ in range(ROUNDS):
        manifest = {key: row.digest() for key, row in project(primary.request(), scope).items()}
        moved = False
        need = [
            key
            for key, digest in sorted(manifest.items())
            if not current(key, digest) and not (key in fetched and fetched[key].digest() == digest)
        ]
        for first in range(0, len(need), PAGE):
            state = primary.request()
            for key in need[first : first + PAGE]:
                row = state.get(key)
                if row is None or row.digest() != manifest[key]:
                    moved = True
                else:
                    fetched[key] = row
        if not moved:
            proved = {key: row for key, row in fetched.items() if manifest.get(key) == row.digest()}
            return Staged(manifest, proved, {})
    state = project(primary.request(), scope)
    return Staged({key: row.digest() for key, row in state.items()}, state, {})


def since_watermark(
    primary: Primary, scope: Scope, current: Current, notes: Mapping[str, object], listed: Mapping[Key, object]
) -> Staged:
    """a: what started since the last time; the other tables in full."""
    last = notes.get("start", -(10**9))
    assert isinstance(last, int)
    state = project(primary.request(), scope)
    fresh = {key: row for key, row in state.items() if key[0] != EPISODES or row.start >= last}
    kept = {key: mark for key, mark in listed.items() if key[0] == EPISODES and key not in fresh}
    newest = max((row.start for key, row in fresh.items() if key[0] == EPISODES), default=last)
    return Staged(kept | {key: row.digest() for key, row in fresh.items()}, fresh, {"start": newest})


def rowid_watermark(
    primary: Primary, scope: Scope, current: Current, notes: Mapping[str, object], listed: Mapping[Key, object]
) -> Staged:
    """b: rows with a higher rowid than ever seen, and the list of keys against deletes."""
    keys = project(primary.request(), scope)
    state = primary.request()
    fetched = {
        key: state[key]
        for key in keys
        if key in state and (state[key].rowid > _number(notes.get(key[0])) or key not in listed)
    }
    marks = {key: ("seen",) for key in keys if key in fetched or key in listed}
    highest = {table: max((row.rowid for key, row in state.items() if key[0] == table), default=0) for table in TABLES}
    return Staged(marks, fetched, highest)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def fingerprints(
    primary: Primary, scope: Scope, current: Current, notes: Mapping[str, object], listed: Mapping[Key, object]
) -> Staged:
    """c: rowid, length, stamp and number of tags of each row; fetched afterwards by key."""
    marks = {
        key: (row.rowid, len(row.text), row.stamp, row.start, len(row.tags))
        for key, row in project(primary.request(), scope).items()
    }
    need = sorted(key for key, mark in marks.items() if not current(key, mark))
    state = primary.request()
    fetched = {key: state[key] for key in need if key in state}
    return Staged({key: mark for key, mark in marks.items() if key not in need or key in fetched}, fetched, {})


def pages_without_snapshot(
    primary: Primary, scope: Scope, current: Current, notes: Mapping[str, object], listed: Mapping[Key, object]
) -> Staged:
    """d': everything again, page by page, each page of another instant."""
    fetched: dict[Key, Row] = {}
    for table in TABLES:
        after = ""
        while True:
            state = project(primary.request(), scope)
            page = sorted(key for key in state if key[0] == table and key[1] > after)[:PAGE]
            fetched |= {key: state[key] for key in page}
            if len(page) < PAGE:
                break
            after = page[-1][1]
    return Staged({key: row.digest() for key, row in fetched.items()}, fetched, {})


UNSOUND: Mapping[str, Strategy] = {
    "a since": since_watermark,
    "b rowid": rowid_watermark,
    "c fingerprint": fingerprints,
    "d' pages": pages_without_snapshot,
}
"""Each must be caught by the suite."""
