"""What a session keeps of its last comparison with the primary."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from storage_sync.values.outcome import Proof, TableChange, Word

Facts = Mapping[str, tuple[int, ...]]
"""By table: rows, listed, cache-only, drifted, rotten, absent, altered."""
Rows = Mapping[tuple[str, str], str]
"""Listed rows that are not what was proven: by table and key the digest of their bytes, '' for one that is gone."""


class LastComparison(Struct, frozen=True):
    """`verdict`, `proof` and `plan` of a comparison. `stamp`: generation and root that name the ledger which it was
    made with; `root`: over the rows that were there."""

    stamp: tuple[int, str]
    root: str
    verdict: Word
    proof: Proof | None
    plan: Mapping[str, TableChange]
    facts: Facts
    unproven: Rows | None
    """None where not all of those are named."""
