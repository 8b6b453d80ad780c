"""The checkpoint: what a commit says of itself, inside the cache (docs/protocol.md#invariants).

It lies as JSON under `storage_sync_meta["checkpoint"]` and is committed in the transaction that it describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from storage_sync.values.marks import Marks

META_KEY = "checkpoint"

Number = Annotated[int, Meta(ge=0, lt=1 << 62)]
"""A count that has room to grow in every place that keeps it."""
Moment = Annotated[float, Meta(ge=0, lt=253_402_300_800)]
"""UTC epoch seconds up to the end of the year 9999, which is as far as dates are written."""
Text = Annotated[str, Meta(max_length=2000)]


class TableFacts(Struct, frozen=True):
    """One table at the proof: rows of the source table, rows that the projection expects, rows that were refused."""

    primary: Number
    expected: Number
    refused: Number = 0
    root: Text = ""
    """Hex of the table's root, '' when it was not kept."""


class Checkpoint(Struct, frozen=True):
    """`root` was proven with `digest` at `proved_at` (UTC epoch seconds) for source, epoch and settings named here.

    After a follow run it is the root of what was proven and what was followed since (`followed_at`)."""

    source_id: Text
    epoch: Number
    generation: Number
    root: Text
    digest: Text
    enc: Number
    window: Annotated[int, Meta(ge=1, lt=1 << 62)]
    patterns: bool
    embeddings: bool
    config_hash: Text
    proved_at: Moment
    primary_url: Text = ""
    """Without user, password and token."""
    tool: Text = ""
    """Version of this tool that wrote it."""
    replication_index: Number | None = None
    """Of the primary when the rows were read, where the server sends one; a later smaller one is a new epoch."""
    tables: Mapping[str, TableFacts] = field(default_factory=dict)
    marks: Marks | None = None
    """Where the primary's tables ended, not later than its rows were read."""
    imprint: Text = ""
    """What the primary gave as the imprint of the manifest with this root; '' where it gave none."""
    followed_at: Moment | None = None
    """When what the rows hold beyond the proof was read; `root` and `generation` are then of that moment."""


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The bytes that go under `META_KEY`."""
    return msgspec.json.encode(checkpoint)


def decode_checkpoint(data: bytes | None) -> tuple[Checkpoint | None, str]:
    """The checkpoint, or None and why. Fields of newer versions are left out, missing ones make it unreadable."""
    if data is None:
        return None, "there is no checkpoint"
    try:
        return msgspec.json.decode(data, type=Checkpoint), ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return None, f"the checkpoint cannot be read: {error}"


def stamped_generation(meta: Mapping[str, bytes]) -> int | None:
    """Of the file with this meta table; None where nobody stamped it, or the stamp cannot be read."""
    checkpoint, _ = decode_checkpoint(meta.get(META_KEY))
    return checkpoint.generation if checkpoint is not None else None
