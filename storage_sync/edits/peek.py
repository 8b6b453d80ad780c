"""Look at a cache that another process may hold, through a verified private copy (docs/cache.md#private-copies)."""

from __future__ import annotations

import time

from storage_sync.cache.copy import PrivateCopy
from storage_sync.cache.holders import describe
from storage_sync.checks.checks import all_checks
from storage_sync.reports.document import rfc3339
from storage_sync.sync.context import Context
from storage_sync.sync.inspection import looked, marked_file_facts
from storage_sync.sync.look import Look
from storage_sync.sync.prove import check_scope
from storage_sync.values.extra import Peek
from storage_sync.values.outcome import CheckStatus, Outcome, TableCounts, Word

UNASKED = "peek does not ask the primary"


async def run_peek(context: Context) -> Outcome:
    """Counts, states and the file's own checks, of a copy; takes no lock and never says IN_SYNC.

    Errors: CacheDamaged, CacheForeign, VersionMismatch, CacheLocked (it kept moving while it was copied), LocalIO.
    """
    draft, session = context.draft, context.session
    async with looked(session, context.tracker, draft, writing=False, deep=True) as look:
        if look.copy is None:
            draft.verdict = Word.EMPTY
            draft.next_action = "storage-sync sync"
            return draft.outcome()
        copied_at = time.time()
        file = await session.on_cache_thread(marked_file_facts, context.session, look)
        checks = all_checks(check_scope(context), file, None, UNASKED)
    draft.checks = tuple(check for check in checks if check.status is not CheckStatus.UNKNOWN)
    draft.counts = _counts(look)
    draft.verdict = Word.UNKNOWN
    for check in draft.checks:
        if check.status is CheckStatus.FAIL:
            draft.warn(f"{check.name}: {check.detail}")
    draft.extra["peek"] = _told(look, look.copy, copied_at)
    draft.next_action = "storage-sync status --check"
    return draft.outcome()


def _counts(look: Look) -> dict[str, TableCounts]:
    tables = look.scan.tables if look.scan is not None else {}
    return {
        name: TableCounts(cache=table.rows, cache_only=table.cache_only, refused=table.refused)
        for name, table in tables.items()
    }


def _told(look: Look, copy: PrivateCopy, copied_at: float) -> Peek:
    checkpoint = look.checkpoint
    return {
        "subject": "copy",
        "copied_at": rfc3339(copied_at),
        "copy_age_seconds": round(time.time() - copied_at, 3),
        "copy_seconds": round(copy.info.seconds, 4),
        "copy_bytes": copy.info.bytes,
        "attempts": copy.info.attempts,
        "method": copy.info.method,
        "held_by": [describe(holder) for holder in look.judgement.holders],
        "generation": checkpoint.generation if checkpoint is not None else None,
        "proved_at": rfc3339(checkpoint.proved_at) if checkpoint is not None else None,
        "followed_at": rfc3339(checkpoint.followed_at) if checkpoint is not None and checkpoint.followed_at else None,
        "findings": [{"state": str(finding.state), "evidence": finding.evidence} for finding in look.findings],
    }
