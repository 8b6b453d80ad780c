"""Judge a new copy by what the primary was at the last comparison, without asking the primary."""

from __future__ import annotations

from storage_sync.checks.checks import all_checks
from storage_sync.sync.context import Context
from storage_sync.sync.inspection import looked, marked_file_facts
from storage_sync.sync.known import judged_by
from storage_sync.sync.prove import check_scope
from storage_sync.values.outcome import CheckStatus, Outcome, TableCounts, Word


async def run_recheck(context: Context) -> Outcome:
    """Verdict of the cache as it is now by the last comparison of this session, whose time its proof keeps, and the
    checks of the file alone.

    UNKNOWN where that says nothing of this file. The errors of `looked`.
    """
    session, draft = context.session, context.draft
    async with looked(session, context.tracker, draft, writing=False) as look:
        judged = await session.on_cache_thread(judged_by, session.known, look)
        file = await session.on_cache_thread(marked_file_facts, session, look)
        tables = look.scan.tables if look.scan is not None else {}
    draft.verdict, draft.proof = judged.verdict, judged.proof
    draft.plan = judged.plan or {}
    checks = all_checks(check_scope(context), file, None)
    draft.checks = tuple(check for check in checks if check.status in (CheckStatus.PASS, CheckStatus.FAIL))
    draft.counts = {
        name: TableCounts(cache=table.rows, cache_only=table.cache_only, refused=table.refused)
        for name, table in tables.items()
    }
    draft.next_action = None if judged.verdict is Word.IN_SYNC else "storage-sync verify"
    return draft.outcome()
