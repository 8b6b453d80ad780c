"""Where the tables of a primary ended when its rows were read: what a follow run goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

Rowid = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Hex = Annotated[str, Meta(max_length=8000)]


class Anchor(Struct, frozen=True):
    """A row near the end of a table. `key`, `parents`: hex of its key, and of the rows that take it with them when they
    are rewritten."""

    rowid: Rowid
    key: Hex
    parents: tuple[Hex, ...] = ()


class Marks(Struct, frozen=True):
    """The end of each table that a follow run reads, all of one statement."""

    schema: int
    """`schema_version` of the primary."""
    tables: Mapping[str, tuple[Anchor, ...]] = field(default_factory=dict)
    """By the source table's name, highest rowid first; none of an empty table."""
    index: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None = None
    """Replication index, not later than the rest; None where the server sends none."""
    beside: Annotated[str, Meta(max_length=2000)] = ""
    """What moves the index and is no row of ours, as a text that is compared."""
