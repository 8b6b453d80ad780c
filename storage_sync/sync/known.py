"""What the last comparison with the primary found, so that a new copy can be judged by it without another request.

The ledger inside the cache lists every row of the last proven manifest with the digest of its bytes, and do-memory
never writes it. While it is the same ledger, the rows of a new copy speak of the same manifest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.content import ledger_root
from storage_sync.sync.last_comparison import Facts, LastComparison, Rows
from storage_sync.sync.look import Look
from storage_sync.values.outcome import DERIVED_TABLES, Proof, TableChange, Word


class Judged(Struct, frozen=True):
    """What is true of a new copy by what was known. UNKNOWN: only the primary can tell."""

    verdict: Word
    proof: Proof | None = None
    plan: Mapping[str, TableChange] | None = None
    """None: as it was."""


def known_of(look: Look, verdict: Word, proof: Proof | None, plan: Mapping[str, TableChange]) -> LastComparison | None:
    """None for a cache without our ledger. Blocking."""
    root = ledger_root_of(look)
    if root is None or look.scan is None:
        return None
    return LastComparison(look.base, root, verdict, proof, plan, _facts(look.scan), _unproven(look))


def ledger_root_of(look: Look) -> str | None:
    """`ledger_root` of what was looked at; None without a ledger. Blocking."""
    if look.checkpoint is None or look.scan is None:
        return None
    return ledger_root(look.checkpoint, look.scan)


def judged_by(known: LastComparison | None, look: Look) -> Judged:
    """Judge the copy of `look`. A row whose bytes changed since is a difference from what was compared, whatever it was
    changed to; rows that only the cache has touch no proof. Blocking."""
    scan = look.scan
    if known is None or scan is None or known.stamp != look.base:
        return Judged(Word.UNKNOWN)
    unproven = _unproven(look)
    if unproven is None or known.unproven is None:
        # of so many rows it is not known which are the ones that were compared
        return Judged(Word.UNKNOWN) if known.unproven != {} else Judged(Word.DRIFT, plan=_counted(scan))
    changed = {row for row in unproven.keys() | known.unproven.keys() if unproven.get(row) != known.unproven.get(row)}
    if changed:
        return Judged(Word.DRIFT, plan=_changes(changed, unproven))
    if known.root != ledger_root_of(look):
        return Judged(Word.UNKNOWN)
    if known.verdict is Word.IN_SYNC and known.proof is not None:
        return Judged(Word.IN_SYNC, replace(known.proof, identity=look.identity))
    if known.verdict is Word.STALE or known.facts == _facts(scan):
        # what the primary has more is still not what was proven here
        return Judged(known.verdict)
    return Judged(Word.UNKNOWN)


def _unproven(look: Look) -> Rows | None:
    """None where a scan does not name them all."""
    scan, found = look.scan, dict[tuple[str, str], str]()
    if scan is None or look.copy is None:
        return None
    if scan.clean:
        return found
    for name, table in scan.tables.items():
        if name in DERIVED_TABLES or not (table.drifted or table.rotten or table.absent):
            continue
        # the keys of rows that are not listed and changed are among them
        if table.altered or len(table.differing_keys) != table.drifted + table.rotten + table.absent:
            return None
        for key, value in zip(table.differing_keys, look.copy.file.get(name, table.differing_keys), strict=True):
            found[name, key] = _native.digest("blake3", value).hex() if value is not None else ""
    return found


def _counted(scan: _native.Scan) -> dict[str, TableChange]:
    return {
        name: TableChange(insert=table.absent, update=table.drifted + table.rotten)
        for name, table in scan.tables.items()
        if table.absent or table.drifted or table.rotten
    }


def _changes(rows: Collection[tuple[str, str]], now: Rows) -> dict[str, TableChange]:
    """Rows that are not what was compared, by table: those that are gone would be inserted again."""
    changes: dict[str, TableChange] = {}
    for table, key in rows:
        before, gone = changes.get(table, TableChange()), now.get((table, key)) == ""
        changes[table] = replace(before, insert=before.insert + gone, update=before.update + (not gone))
    return changes


def _facts(scan: _native.Scan) -> Facts:
    return {
        name: (
            table.rows,
            table.listed,
            table.cache_only,
            table.drifted,
            table.rotten,
            table.absent,
            table.altered,
        )
        for name, table in scan.tables.items()
    }
