"""Which rows differ, page by page, and both sides of each, field by field (docs/console.md#screens)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import orjson
from msgspec import Struct

from storage_sync import _native
from storage_sync.reports.sentences import plural
from storage_sync.service.operations import Operation
from storage_sync.sync.compare import Compared, compared, looking, project, refusal_of
from storage_sync.sync.context import Context
from storage_sync.sync.inspection import looked
from storage_sync.values.answers import ColumnDifference, Difference, Differences
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.outcome import Outcome

if TYPE_CHECKING:
    from storage_sync.service.commands import CompareRows
    from storage_sync.service.question import Asked

COLUMNS_SHOWN: Final = 200
TEXT_SHOWN: Final = 1_000
"""Characters of one side of one field."""
NUMBERS_SHOWN: Final = 8
"""Longest list of numbers that is written out; a longer one is a vector."""
MISSING, DIFFERS, SURPLUS = "missing", "differs", "surplus"


class Place(Struct, frozen=True):
    """Where a page begins: after this row, surplus rows coming after the others of their table."""

    table: str = ""
    key: str | None = None
    surplus: bool = False


class _Compare(Operation, frozen=True):
    """Puts the page that is asked for into `found`."""

    command = "diff"
    question: CompareRows
    found: list[Differences]

    async def run(self, context: Context) -> Outcome:
        tables, after, limit = self.question.tables, self.question.after, self.question.limit
        place = Place(after.table, after.key, after.kind == SURPLUS) if after is not None else Place()
        async with looked(context.session, context.tracker, context.draft, writing=False) as look:
            projection = await project(context, look)
            async with compared(looking(context, look), look, projection) as comparison:
                await refusal_of(context, comparison)
                rows = await context.session.on_cache_thread(page, comparison, tables, place, limit + 1)
                total = sum(
                    change.insert + change.update + change.remove
                    for table, change in comparison.changes.items()
                    if table in tables
                )
                generation = look.generation if look.checkpoint is not None else None
                self.found.append(
                    Differences(tuple(rows[:limit]), total, len(rows) > limit, time.time(), generation, tables)
                )
        return context.draft.outcome()


async def differences(question: CompareRows, asked: Asked) -> Differences:
    """Compares again, through a private copy and one instant of the primary; the cache may be held by another process.

    StorageSyncError as `diff`.
    """
    comparison = _Compare(question, [])
    outcome = await asked.look(comparison)
    if outcome.error is not None:
        raise StorageSyncError(outcome.error.message, hint=outcome.error.step or outcome.error.hint)
    return comparison.found[-1]


def page(comparison: Compared, tables: Sequence[str], place: Place, limit: int) -> list[Difference]:
    """At most `limit` rows after `place`. Blocking: reads staged and cached rows."""
    found: list[Difference] = []
    known = tables.index(place.table) if place.table in tables else 0
    for table in tables[known:]:
        here = place if table == place.table else Place(table)
        if not here.surplus:
            found += _arriving(comparison, table, here.key, limit - len(found))
        if len(found) < limit:
            found += _leaving(comparison, table, here.key if here.surplus else None, limit - len(found))
        if len(found) >= limit:
            break
    return found


def _arriving(comparison: Compared, table: str, after: str | None, limit: int) -> Iterator[Difference]:
    staged = comparison.staged.staging.staged(table, after, limit)
    for (key, new), old in zip(staged, _cached(comparison, table, [key for key, _ in staged]), strict=True):
        kind = MISSING if old is None else DIFFERS
        yield Difference(table, key, kind, sides(table, new, old))


def _leaving(comparison: Compared, table: str, after: str | None, limit: int) -> Iterator[Difference]:
    keys = comparison.staged.staging.removals(table, after, limit)
    for key, old in zip(keys, _cached(comparison, table, keys), strict=True):
        yield Difference(table, key, SURPLUS, sides(table, None, old))


def _cached(comparison: Compared, table: str, keys: list[str]) -> list[bytes | None]:
    copy = comparison.look.copy
    return copy.file.get(table, keys) if copy is not None else [None] * len(keys)


# -------------------------------------------------------------------------------------------- fields


def sides(table: str, primary: bytes | None, cache: bytes | None) -> tuple[ColumnDifference, ...]:
    """Fields of a cached value on both sides; those that differ come first. None: that side has no such row."""
    want, have = _fields(table, primary), _fields(table, cache)
    names = dict.fromkeys([*want, *have])
    columns = [_side(name, want.get(name, _ABSENT), have.get(name, _ABSENT)) for name in names]
    columns.sort(key=lambda column: column.equal)
    return tuple(columns[:COLUMNS_SHOWN])


_ABSENT: Final = object()


def _side(name: str, want: object, have: object) -> ColumnDifference:
    if isinstance(want, list) and isinstance(have, list) and want != have:
        first = next((i for i, (a, b) in enumerate(zip(want, have, strict=False)) if a != b), min(len(want), len(have)))
        return ColumnDifference(name, _vector(want, first), _vector(have, first))
    return ColumnDifference(name, _text(want), _text(have), want == have)


def _vector(values: list[object], first: int) -> str:
    """A list that is too long to write out, with its first value that is other than on the other side."""
    at = f", [{first}] {_text(values[first])}" if first < len(values) else ""
    return f"{plural(len(values), 'value')}{at}"


def _text(value: object) -> str | None:
    if value is _ABSENT:
        return None
    if isinstance(value, list):
        return plural(len(value), "value")
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= TEXT_SHOWN else f"{text[:TEXT_SHOWN]}…"


def _fields(table: str, data: bytes | None) -> dict[str, object]:
    if data is None:
        return {}
    try:
        value: object = orjson.loads(_native.decode_value(table, data))
    except ValueError as error:
        return {"*": f"not decodable: {error}"}
    return dict(_leaves("", value))


def _leaves(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Names and values of the innermost fields; short lists are one text, lists of rows are numbered."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and any(isinstance(inner, Mapping) for inner in value):
        for number, inner in enumerate(value):
            yield from _leaves(f"{name}[{number}]", inner)
    elif isinstance(value, list) and (
        len(value) <= NUMBERS_SHOWN or not all(isinstance(inner, int | float) for inner in value)
    ):
        yield name or "value", orjson.dumps(value).decode()
    else:
        yield name or "value", value
