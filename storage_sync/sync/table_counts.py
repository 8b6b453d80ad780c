"""Rows per table, as the document and the checks speak of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from storage_sync.checks.facts import TableFacts
from storage_sync.values.outcome import DERIVED_TABLES, TableChange, TableCounts


class Changes(Protocol):
    """The fields of `_native.Changes` that are counted here."""

    @property
    def insert(self) -> int: ...
    @property
    def update(self) -> int: ...
    @property
    def remove(self) -> int: ...
    @property
    def withdrawn(self) -> int: ...
    @property
    def relist(self) -> int: ...
    @property
    def same(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def expected(self) -> int: ...
    @property
    def keys(self) -> list[str]: ...


def table_changes(changes: Mapping[str, Changes]) -> dict[str, TableChange]:
    """All rows that leave the cache are removed: those that the primary lost, and those that it made unreadable."""
    return {table: TableChange(one.insert, one.update, one.remove + one.withdrawn) for table, one in changes.items()}


def pending_facts(changes: Mapping[str, Changes], primary: Mapping[str, int]) -> dict[str, TableFacts]:
    """What is true of the cache before the staged rows are applied."""
    return {
        table: TableFacts(
            primary=primary.get(table),
            expected=one.expected,
            missing=one.insert,
            differing=one.update,
            equal=one.same + one.relist,
            refused=one.refused,
            surplus=one.remove + one.withdrawn,
            keys=tuple(one.keys),
        )
        for table, one in changes.items()
    }


def proven_facts(changes: Mapping[str, Changes], primary: Mapping[str, int]) -> dict[str, TableFacts]:
    """What is true after they were applied and the root was proven."""
    return {
        table: TableFacts(
            primary=primary.get(table),
            expected=one.expected,
            missing=0,
            differing=0,
            equal=one.expected - one.refused,
            refused=one.refused,
            surplus=0,
        )
        for table, one in changes.items()
    }


def table_counts(
    facts: Mapping[str, TableFacts],
    cached: Mapping[str, int],
    unlisted: Mapping[str, int],
    beyond: Mapping[str, int],
    audited_at: float | None = None,
) -> dict[str, TableCounts]:
    """`cached`: rows in the file; `unlisted`: those that our ledger does not list; `beyond`: those of them that the
    primary has outside the window; `audited_at`: when source tables were last counted. A derived table is in no primary
    and refuses nothing."""
    return {
        table: TableCounts(
            primary=facts[table].primary if table in facts else None,
            expected=facts[table].expected if table in facts else None,
            cache=rows,
            cache_only=max(unlisted.get(table, 0) - beyond.get(table, 0), 0) if table in unlisted else None,
            refused=facts[table].refused if table in facts else 0 if table in DERIVED_TABLES else None,
            beyond=beyond.get(table, 0),
            as_of=audited_at if table in facts and facts[table].primary is None else None,
        )
        for table, rows in cached.items()
    }


def writes(changes: Mapping[str, Changes]) -> bool:
    """Whether a transaction has anything to say about these rows."""
    return any(one.insert or one.update or one.remove or one.relist for one in changes.values())


def equal(changes: Mapping[str, Changes]) -> bool:
    """Whether the cache holds every expected row, and none that should have left it."""
    return not any(one.insert or one.update or one.remove or one.withdrawn for one in changes.values())
