"""The imprint of a manifest as a value; `state/imprint.py` keeps it."""

from __future__ import annotations

from msgspec import Struct


class KnownSchema(Struct, frozen=True):
    """What a primary said of its schema, so that another process need not ask for more than whether it is the same."""

    source_id: str
    digest: str
    """Digest function of `made_of`."""
    made_of: str
    """Digest of the schema, and the server's version."""
    answer: str
    """Its answer to `capabilities.SCHEMA_PROBE`."""


class KnownImprint(Struct, frozen=True):
    """What the primary gave as the imprint of the manifest with this root (docs/protocol.md#what-a-proof-reads)."""

    path: str
    source_id: str
    config_hash: str
    root: str
    imprint: str
    """'' where the primary makes none."""
    audited_at: float
    """When every row of the primary was looked at that may be expected, in UTC epoch seconds; 0: an audit is due."""
    schema: KnownSchema | None = None
