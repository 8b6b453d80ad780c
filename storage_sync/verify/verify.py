"""`verify`, `diff` and `status --check`: the same comparison as a sync, and nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.checks.checks import all_checks
from storage_sync.primary.errors import PrimaryChanged, TextTooLong
from storage_sync.reports.sentences import failed_checks, next_step, plural, rejected_rows
from storage_sync.sync.audit import audit_again
from storage_sync.sync.compare import Compared, compared, looking, project, refusal_of
from storage_sync.sync.context import PAGE, Context
from storage_sync.sync.decide import difference
from storage_sync.sync.inspection import looked, marked_file_facts
from storage_sync.sync.prove import check_scope, keep_known, make_proof, tell_unwritten
from storage_sync.sync.table_counts import equal, table_changes
from storage_sync.values.errors import StorageSyncError, exit_code_of
from storage_sync.values.extra import Column, Difference
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.part import Part

ROWS_COMPARED = 1_000
"""So many rows `diff` compares column by column; the counts are of all rows."""


async def run_verify(context: Context, *, deep: bool) -> Outcome:
    """All checks over a private copy and one instant of the primary, or over a part of its rows.

    The primary being unreachable leaves the checks that need it `unknown`, and their cause decides the exit code.
    """
    draft = context.draft
    context = replace(context, options=replace(context.options, audits=deep or context.options.audits))
    async with looked(context.session, context.tracker, draft, writing=False, deep=deep) as look:
        file = await context.session.on_cache_thread(marked_file_facts, context.session, look)
        try:
            projection = await project(context, look)
            async with compared(looking(context, look), look, projection) as comparison:
                refusal = await refusal_of(context, comparison)
                draft.plan = table_changes(comparison.changes)
                await tell_unwritten(context, comparison, look, file)
                if context.options.part is not None:
                    _tell_part(context, comparison, context.options.part)
                if refusal is None and context.options.part is None:
                    _judge(context, comparison)
                    if comparison.staged.whole and not _equal(comparison):
                        await audit_again(context)
                    await keep_known(context, look)
                elif refusal is None:
                    _judge_part(context, comparison)
        except StorageSyncError as error:
            draft.checks = all_checks(check_scope(context), file, None, error.message)
            if isinstance(error, (PrimaryChanged, TextTooLong)):
                # another try asks otherwise
                raise
            draft.exit_code = exit_code_of(error)
            return draft.outcome(error)
    if refusal is not None:
        return draft.outcome(refusal)
    outcome = draft.outcome()
    failed = failed_checks(outcome)
    step = draft.next_action or next_step(failed, rejected_rows(outcome))
    return replace(outcome, exit_code=1 if failed else outcome.exit_code, next_action=step)


def _judge(context: Context, comparison: Compared) -> None:
    """Verdict and proof of a comparison that changed nothing."""
    draft, look = context.draft, comparison.look
    if _equal(comparison):
        draft.verdict = Word.IN_SYNC
        draft.proof = make_proof(context, comparison, look.generation, look.identity)
        if any(one.refused for one in comparison.changes.values()):
            draft.exit_code = 7
    else:
        draft.verdict = difference(comparison)
        draft.next_action = "storage-sync sync"


def _equal(comparison: Compared) -> bool:
    return comparison.look.scan is not None and equal(comparison.changes)


def _tell_part(context: Context, comparison: Compared, part: Part) -> None:
    """Which rows were compared, as `extra["subset"]`. How many are expected in all, and refused, is not known then."""
    draft, changes = context.draft, comparison.changes.values()
    draft.extra["subset"] = {
        "part": part.number,
        "of": part.of,
        "rows": sum(one.expected for one in changes),
        "equal": sum(one.same + one.relist for one in changes),
        "refused": sum(one.refused for one in changes),
    }
    draft.counts = {name: replace(one, expected=None, refused=None) for name, one in draft.counts.items()}


def _judge_part(context: Context, comparison: Compared) -> None:
    """Verdict of a comparison of some rows: a difference is one of the whole, but equal rows say nothing of the others.

    It is never a proof, so `IN_SYNC` is never said; what an earlier proof says stays as it is.
    """
    draft = context.draft
    if not _equal(comparison):
        draft.verdict = difference(comparison)
        draft.next_action = "storage-sync sync"
        return
    draft.plan = {}
    draft.exit_code = 7 if any(one.refused for one in comparison.changes.values()) else 0
    scan = comparison.look.scan
    if scan is not None and not scan.clean:
        draft.warn(
            "the cache has changed since its last proof; only a complete verify can tell whether it is still equal"
        )
        draft.next_action = "storage-sync verify"


async def run_diff(context: Context, *, keys_only: bool) -> Outcome:
    """Which rows differ, by column. Exit 1 when any does; `extra["differences"]` names them."""
    draft = context.draft
    async with looked(context.session, context.tracker, draft, writing=False) as look:
        projection = await project(context, look)
        async with compared(looking(context, look), look, projection) as comparison:
            refusal = await refusal_of(context, comparison)
            draft.plan = table_changes(comparison.changes)
            differences = await _differences(context, comparison, keys_only=keys_only)
            draft.extra["differences"] = differences
            if refusal is None:
                _judge(context, comparison)
    if refusal is not None:
        return draft.outcome(refusal)
    if draft.verdict is not Word.IN_SYNC:
        draft.exit_code = 1
    return draft.outcome()


async def _differences(context: Context, comparison: Compared, *, keys_only: bool) -> list[Difference]:
    found: list[Difference] = []
    for table in comparison.changes:
        left = ROWS_COMPARED - len(found)
        if left <= 0:
            context.draft.warn(
                f"only the first {ROWS_COMPARED:,} differing rows are named; the counts include all of them"
            )
            break
        found += await context.session.on_cache_thread(_of_table, comparison, table, left, keys_only)
    return found


def _of_table(comparison: Compared, table: str, limit: int, keys_only: bool) -> list[Difference]:
    """Blocking: reads staged and cached rows."""
    staging, look = comparison.staged.staging, comparison.look
    found: list[Difference] = []
    after: str | None = None
    while len(found) < limit and (page := staging.staged(table, after, min(PAGE, limit - len(found)))):
        after = page[-1][0]
        cached = look.values(table, [key for key, _ in page])
        for (key, new), old in zip(page, cached, strict=True):
            entry: Difference = {"table": table, "key": key, "kind": "missing" if old is None else "differs"}
            if old is not None and not keys_only:
                entry["columns"] = columns_that_differ(table, old, new)
            found.append(entry)
    gone = staging.removals(table, None, limit - len(found)) if len(found) < limit else []
    return found + [{"table": table, "key": key, "kind": "surplus"} for key in gone]


def columns_that_differ(table: str, cached: bytes, wanted: bytes) -> list[Column]:
    """Fields of two cached values that differ: name, cache, primary. A value that does not decode differs whole."""
    try:
        have, want = (orjson.loads(_native.decode_value(table, data)) for data in (cached, wanted))
    except ValueError as error:
        return [{"column": "*", "cache": f"not decodable: {error}", "primary": None}]
    if not isinstance(have, Mapping) or not isinstance(want, Mapping):
        return [] if have == want else [{"column": "value", "cache": _short(have), "primary": _short(want)}]
    names = list(dict.fromkeys([*want, *have]))
    return [
        {"column": name, "cache": have.get(name), "primary": want.get(name)}
        for name in names
        if have.get(name) != want.get(name)
    ]


def _short(value: Any) -> str:
    return plural(len(value), "value") if isinstance(value, list) else str(value)


async def run_check(context: Context) -> Outcome:
    """`status --check`: one manifest, compared with the ledger and the bytes of the file; changes nothing."""
    started = time.monotonic()
    outcome = await run_verify(context, deep=False)
    context.draft.extra["check_seconds"] = round(time.monotonic() - started, 3)
    return outcome
