"""The proven rows between the runs of one process, so that each follow run need not read them out of the cache again.

They are of one file at one moment, as a scan of it found it: identity, generation, root and what was to be proven.
Where one of them is another, or the scan finds a row that is not what was proven, they are read again.
"""

from __future__ import annotations

from collections import defaultdict

from msgspec import Struct

from storage_sync import _native
from storage_sync.sync.look import Look
from storage_sync.sync.overlay import Known, Overlay, known_of, taken_in
from storage_sync.values.outcome import FileIdentity

MOST_KEPT = 100_000
"""Rows; each takes some hundred octets of memory. Of a larger cache they are read again for each follow run."""


class Stand(Struct, frozen=True):
    """What the rows are of."""

    identity: FileIdentity
    base: tuple[int, str]
    """Generation and root."""
    config_hash: str
    digest: str


class ProvenRows(Struct, frozen=True):
    stand: Stand
    known: Known


def known_rows(
    kept: ProvenRows | None, look: Look, scan: _native.Scan, scope: _native.Scope
) -> tuple[Known, ProvenRows | None]:
    """The proven rows of what was looked at, and what to keep of them. Blocking; FollowEnded as by `known_of`."""
    stand = _stand(look, scope)
    if kept is not None and kept.stand == stand:
        return kept.known, kept
    known = known_of(_native.belongings(scan, scope))
    return known, _kept(stand, known)


def rows_taken_in(overlay: Overlay, look: Look, scope: _native.Scope, *, patterns: bool) -> ProvenRows | None:
    """What to keep when the file that was looked at holds what was found; None where that is not plain. Blocking."""
    stand, scan = _stand(look, scope), look.scan
    # without patterns, whether an embedding is expected may change with a row that names its owner
    if stand is None or scan is None or not patterns:
        return None
    asked: dict[str, list[str]] = defaultdict(list)
    try:
        for table, key in overlay.found:
            asked[table].append(key.decode())
    except UnicodeDecodeError:
        return None
    return _kept(stand, taken_in(overlay, _native.belongings(scan, scope, asked)))


def _stand(look: Look, scope: _native.Scope) -> Stand | None:
    """None for a file that changed while it was copied, or that does not hold what its checkpoint says."""
    if look.scan is None or look.identity is None or not look.scan.clean:
        return None
    if not look.base[1] or _native.root_of(look.scan, scope) != look.base[1]:
        return None
    return Stand(look.identity, look.base, scope.config_hash, scope.digest)


def _kept(stand: Stand | None, known: Known | None) -> ProvenRows | None:
    if stand is None or known is None or len(known.states) > MOST_KEPT:
        return None
    return ProvenRows(stand, known)
