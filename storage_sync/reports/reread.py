"""Whether the rows of a file are still those of the last proof, told from a private copy and without the primary."""

from __future__ import annotations

import os

from msgspec import Struct

from storage_sync.cache.content import content_error, judge_content, ledger_root
from storage_sync.cache.copy import private_copy
from storage_sync.cache.states import FileJudgement
from storage_sync.state.directory import StateDir
from storage_sync.values.errors import CacheDamaged, StorageSyncError, VersionMismatch
from storage_sync.values.outcome import LookedAt, Proof
from storage_sync.values.witness import Witness

BYTES_MOST = 256 << 20
"""A larger file is not copied for a question that is asked often."""


class Reread(Struct, frozen=True):
    """`why`: the sentence that says why the proof does not speak of these rows, '' when it does."""

    why: str
    damaged: bool = False
    look: LookedAt | None = None


def reread(judgement: FileJudgement, state: StateDir, witness: Witness, proof: Proof) -> Reread:
    """Hash every row that the ledger lists and compare their root with the proof's; an error is a reason. Blocking."""
    if (judgement.size or 0) > BYTES_MOST:
        most = BYTES_MOST >> 20
        return Reread(f"the file changed since the last proof and is larger than {most} MiB, so it was not read")
    writable = state.copies is not None and os.access(state.folder, os.W_OK)
    try:
        with private_copy(judgement.path, state.copies if writable else None, proven=witness.identity) as copy:
            scan, look = copy.scan(), copy.looked_at(judgement.holders)
            sound = copy.probe is None or copy.probe.integrity is not False
            content = judge_content(copy.file, witness, scan, identity=copy.identity, sound=sound)
            error = content_error(content)
            if error is not None:
                return Reread(error.message, _is_damage(error), look)
            if copy.repaired and not judgement.holders:
                return Reread(
                    "the file was not closed cleanly, so only storage-sync verify can tell what it holds", look=look
                )
            changed = sum(table.drifted + table.rotten + table.absent for table in scan.tables.values())
            if changed:
                rows = f"{changed:,} row{'s of the cache are' if changed > 1 else ' of the cache is'}"
                return Reread(f"{rows} no longer what was proven", look=look)
            stamp = content.checkpoint
            if stamp is None or (stamp.generation, ledger_root(stamp, scan)) != witness.stand:
                return Reread(
                    "the list of rows that the cache should hold is no longer the one that was proven", look=look
                )
            return Reread("", look=look)
    except StorageSyncError as error:
        return Reread(f"the file changed since the last proof, and {error.message}", _is_damage(error))


def _is_damage(error: StorageSyncError) -> bool:
    return isinstance(error, CacheDamaged | VersionMismatch)
