"""What a process remembers of the proven rows, beside what the file itself says."""

from __future__ import annotations

from pathlib import Path

from storage_sync import _native
from storage_sync.cache.copy import private_copy
from storage_sync.cache.identity import read_identity
from storage_sync.sync.overlay import known_of
from storage_sync.sync.proven_rows import ProvenRows


def is_true(kept: ProvenRows | None, cache: Path, scope: _native.Scope) -> bool:
    """Whether nothing is remembered that would be used of the file as it is, or just what it says."""
    if kept is None or kept.stand.identity != read_identity(str(cache)) or kept.stand.config_hash != scope.config_hash:
        return True
    with private_copy(str(cache), None) as copy:
        return kept.known == known_of(_native.belongings(copy.scan(), scope))
