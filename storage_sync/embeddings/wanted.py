"""What a person asks of the embeddings: the fields of filter, order and groups (docs/console.md#orphans)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from storage_sync.embeddings.reason import Reason
from storage_sync.values.errors import UsageError
from storage_sync.values.filters import AGE, NUMBER, TEXT, Field, Fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage_sync.embeddings.index import Tally

FIELDS: Fields = {
    "key": TEXT,
    "owner": TEXT,
    "reason": Field(known=tuple(Reason)),
    "domain": TEXT,
    "tag": TEXT,
    "dim": NUMBER,
    "norm": NUMBER,
    "bytes": NUMBER,
    "seen": AGE,
    "expected": TEXT,
}
"""What a filter may name; a bare word is looked for in the first three."""

SORTS = ("key", "owner", "reason", "seen", "dim", "norm", "bytes")
LABELS = ("domain", "tags")
GROUPS = ("reason", "owner", *LABELS, "none")


class Wanted(Struct, frozen=True):
    """What a person asked for. `sort` is one of `SORTS`, `group` one of `GROUPS`; `folded`: names of closed groups."""

    filter: str = ""
    sort: str = "key"
    reverse: bool = False
    group: str = "reason"
    folded: frozenset[str] = frozenset()


class Marks(Struct, frozen=True):
    """Marked rows: all that fit a filter when `filter` is not None, those of `groups` (filter, grouping, name), and
    those of `keys` turned round."""

    filter: str | None = None
    keys: frozenset[str] = frozenset()
    groups: frozenset[tuple[str, str, str]] = frozenset()


class Marked(Struct, frozen=True):
    """What marks mean on one index. `numbers` and `keys` go together, in the order of the index."""

    revision: int
    numbers: tuple[int, ...]
    keys: tuple[str, ...]
    bytes: int
    reasons: Mapping[str, Tally]


def reason_named(name: str) -> Reason:
    """UsageError with the list for any other word."""
    try:
        return Reason(name.strip().lower())
    except ValueError:
        raise UsageError(f"there is no reason {name!r}", hint=f"reasons: {', '.join(Reason)}") from None
