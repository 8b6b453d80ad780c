"""What a scan and a comparison found: all that the checks judge."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from storage_sync.values.outcome import PATTERN_TABLES
from storage_sync.values.part import Part

KEYS_SHOWN = 20


class TableFacts(Struct, frozen=True):
    """Expected rows of one table, each in exactly one of: missing, differing, equal, refused (rejected)."""

    primary: int | None
    """Rows of the source table; None where they were not counted."""
    expected: int
    missing: int
    differing: int
    equal: int
    refused: int
    surplus: int
    """Rows that our ledger lists and the primary no longer asks for, or has in a form that is rejected."""
    keys: tuple[str, ...] = ()
    """Some of the missing, differing and surplus ones."""


class FileFacts(Struct, frozen=True):
    """What the file alone says."""

    schema: int | None
    integrity: bool | None
    """redb's own check on a private copy; None: not run."""
    integrity_detail: str
    """What it said when it did not pass."""
    wrong_tables: tuple[str, ...]
    orphans: int
    orphan_keys: tuple[str, ...]
    orphans_expected: int
    vectors: int
    bad_vectors: int
    bad_vector_keys: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)


class CheckScope(Struct, frozen=True):
    window: int
    patterns: bool
    embeddings: bool
    part: Part | None = None
    """The only rows that were compared with the primary; what the file alone says is of all of it."""
    audited_at: float | None = None
    """When embeddings that nothing leads to were last looked for; None: in this comparison."""


def in_scope(table: str, scope: CheckScope) -> bool:
    """Whether the switches leave this table in the manifest."""
    if table in PATTERN_TABLES:
        return scope.patterns
    if table == "embeddings":
        return scope.embeddings
    return True
