"""The checkpoint: what a commit says of itself, inside the cache (docs/protocol.md#invariants).

It lies as JSON under `storage_sync_meta["checkpoint"]` and is committed in the transaction that it describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

META_KEY = "checkpoint"


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table at the proof: rows of the source table, rows that the projection expects, rows that were refused."""

    primary: int
    expected: int
    refused: int = 0
    root: str = ""
    """Hex of the table's root, '' when it was not kept."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`root` was proven with `digest` at `proved_at` (UTC epoch seconds) for source, epoch and settings named here."""

    source_id: str
    epoch: int
    generation: int
    root: str
    digest: str
    enc: int
    window: int
    patterns: bool
    embeddings: bool
    config_hash: str
    proved_at: float
    primary_url: str = ""
    """Without user, password and token."""
    tool: str = ""
    """Version of this tool that wrote it."""
    replication_index: int | None = None
    """Of the primary when the rows were read, where the server sends one; a later smaller one is a new epoch."""
    tables: Mapping[str, TableFacts] = field(default_factory=dict)


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The bytes that go under `META_KEY`."""
    return msgspec.json.encode(checkpoint)


def decode_checkpoint(data: bytes | None) -> tuple[Checkpoint | None, str]:
    """The checkpoint, or None and why. Fields of newer versions are left out, missing ones make it unreadable."""
    if data is None:
        return None, "there is no checkpoint"
    try:
        return msgspec.json.decode(data, type=Checkpoint), ""
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return None, f"the checkpoint cannot be read: {error}"


def stamped_generation(meta: Mapping[str, bytes]) -> int | None:
    """Of the file with this meta table; None where nobody stamped it, or the stamp cannot be read."""
    checkpoint, _ = decode_checkpoint(meta.get(META_KEY))
    return checkpoint.generation if checkpoint is not None else None
