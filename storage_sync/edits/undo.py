"""Undo what a run changed, row by row or by its old file (docs/cli.md#undo).

A row is only changed back while it is what that run left: one that changed since is named in the plan and stays. A
row that comes back and that the ledger does not list is cache-only, so no sync takes it out again; one that differs
from what was proven is DRIFT, and the next sync decides. Undoing an undo does the run again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.builds import undo_build
from storage_sync.cache.checkpoint import META_KEY, Checkpoint, decode_checkpoint, encode_checkpoint
from storage_sync.cache.identity import real_path
from storage_sync.cache.probe import probe_file
from storage_sync.cache.space import require_space
from storage_sync.edits.change import (
    Intent,
    RowChange,
    acknowledge,
    digest,
    judged_after,
    looked_to_change,
    plan_of,
    propose,
    proved_by_ledger,
    require_state,
    run_change,
    stamped,
)
from storage_sync.files.writing import copy_file, require_keepable
from storage_sync.reports.sentences import coming_back
from storage_sync.reports.sentences import rows as counted
from storage_sync.state.quarantine import FILE_NAME as ASIDE_NAME
from storage_sync.state.quarantine import AsideValue, SetAside
from storage_sync.state.undo_log import Step, UndoLog, UndoRun
from storage_sync.state.undoable import standing, why_not
from storage_sync.state.witness import next_generation
from storage_sync.sync.apply import settle, swap_cache
from storage_sync.sync.context import PAGE, Context
from storage_sync.sync.inspection import looked
from storage_sync.sync.look import Look
from storage_sync.sync.plan import REPLACES
from storage_sync.sync.run import in_rounds, leased, require_write_access
from storage_sync.values.errors import GuardStopped, LocalIO, UsageError
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import TABLES, Outcome, PlanRow
from storage_sync.values.planned import FILE
from storage_sync.values.snapshot import Phase

REASON = "undone"


async def run_undo(context: Context, run_id: str | None) -> Outcome:
    """Undo the run of this id, or the newest one that changed the cache.

    UsageError when there is none, GuardStopped for a kept file that cannot be used; the others of `run_change`.
    """
    require_write_access(context)
    require_state(context)
    async with looked(context.session, context.tracker, context.draft, writing=False) as look:
        run = await context.session.on_cache_thread(_find, context, run_id, look.generation)
    if run.file is not None:
        return await _file_undone(context, run, run.file)

    async def prepare(look: Look) -> Intent:
        return await context.session.on_cache_thread(_intent, context, look, run)

    outcome = await run_change(context, prepare)
    if outcome.cache_writes.commits:
        await context.session.on_cache_thread(_forget, context, run.id)
    return outcome


def _find(context: Context, run_id: str | None, live: int) -> UndoRun:
    """UsageError for a run that cannot be undone, GuardStopped for one whose old file cannot be used."""
    folder, cache = context.session.state.folder, context.session.cache_path
    runs = standing(folder, cache, live)
    found = next((one for one in runs if run_id in (None, one.run.id)), None)
    if found is not None and not found.why_not:
        return found.run
    if found is None and run_id is None:
        raise UsageError("there is no run to undo", hint=NextStep.LIST_RUNS)
    others = ", ".join(one.run.id for one in runs if not one.why_not)
    hint = f"these can be undone: {others}" if others else "no other run can be undone"
    if found is not None:
        raise GuardStopped(f"run {found.run.id} cannot be undone: {found.why_not}; nothing was changed", hint=hint)
    raise UsageError(f"run {run_id} cannot be undone: {why_not(folder, cache, run_id or '', live)}", hint=hint)


def _forget(context: Context, run_id: str) -> None:
    with UndoLog.open(context.session.state.folder) as log:
        log.forget(run_id)


# ------------------------------------------------------------------------------------------------- rows


def _intent(context: Context, look: Look, run: UndoRun) -> Intent:
    aside = _aside_of(context, run.id)
    changes, moved, comes_back = _still_there(look, _steps(context, run, aside))
    back = {(change.table, change.key): change.after for change in changes}
    spent = tuple(one.row.id for one in aside if back.get((one.row.table, one.row.key)) == one.value)
    lost = []
    if moved:
        stays = "stays as it is" if moved == 1 else "stay as they are"
        lost.append(f"{counted(moved)} changed since that run and {stays}")
    if not run.whole:
        lost.append("that run changed more than is kept for undo: only the rows that it quarantined can be restored")
    if comes_back:
        lost.append(coming_back(comes_back))
    return Intent(
        "undo",
        tuple(changes),
        _plan_rows(changes),
        tuple(lost),
        spent,
        undone_run=run.id,
        undoes=_named(run),
        comes_back=comes_back,
    )


def _named(run: UndoRun) -> str:
    return f"{run.id} ({run.kind}, {time.strftime('%H:%M:%SZ', time.gmtime(run.at))})"


def _plan_rows(changes: Sequence[RowChange]) -> tuple[PlanRow, ...]:
    texts = {
        "insert": "restore removed rows",
        "update": "restore the earlier bytes",
        "remove": "remove the rows that were new",
    }
    found = []
    for kind, text in texts.items():
        some = [change for change in changes if change.kind == kind]
        if some:
            found.append(PlanRow(kind, text, len(some), sum(len(one.after or b"") for one in some), "undo"))
    return tuple(found)


def _steps(context: Context, run: UndoRun, aside: Sequence[AsideValue]) -> list[Step]:
    """What the run changed; of one that is not whole, what it quarantined and took out."""
    if not run.whole:
        return [Step(one.row.table, one.row.key, one.value, None) for one in aside]
    with UndoLog.open(context.session.state.folder) as log:
        return log.steps(run.id)


def _aside_of(context: Context, run_id: str) -> list[AsideValue]:
    folder = context.session.state.set_aside
    if not (folder / ASIDE_NAME).exists():
        return []
    with SetAside.open(folder) as store:
        return [one for one in store.take(store.of_run(run_id)) if one.intact]


def _still_there(look: Look, steps: Sequence[Step]) -> tuple[list[RowChange], int, int]:
    """The changes that undo the steps, how many rows are no longer what the run left, and how many of the changes the
    next sync takes back: the row is now what the primary had when it was last read.
    """
    changes: list[RowChange] = []
    moved = comes_back = 0
    for table, group in groupby(sorted(steps, key=lambda step: (step.table, step.key)), key=lambda step: step.table):
        for page in _pages(list(group)):
            values = look.values(table, [step.key for step in page])
            there = {step.key: value for step, value in zip(page, values, strict=True) if value is not None}
            proved = proved_by_ledger(look, table, there)
            for step in page:
                now = there.get(step.key)
                if now == step.before:
                    continue
                if digest(now) != step.after:
                    moved += 1
                    continue
                comes_back += step.key in proved
                reason = REASON if now is not None and step.key not in proved else ""
                changes.append(RowChange(table, step.key, now, step.before, reason))
    return changes, moved, comes_back


def _pages(steps: list[Step]) -> Iterator[list[Step]]:
    for first in range(0, len(steps), PAGE):
        yield steps[first : first + PAGE]


# ------------------------------------------------------------------------------------------------- file


async def _file_undone(context: Context, run: UndoRun, kept: str) -> Outcome:
    """The file that `run` replaced becomes the cache again, with a new generation; the one of now is kept."""
    with leased(context):
        return await in_rounds(context, lambda: _restore_file(context, run, kept))


async def _restore_file(context: Context, run: UndoRun, kept: str) -> Outcome:
    session, options, draft = context.session, context.options, context.draft
    async with looked_to_change(context) as look:
        now_in = stamped(look)
        if not options.plan_only:
            await session.on_cache_thread(settle, context, look.generation)
        with _copied(kept, real_path(session.cache_path)) as built:
            checkpoint, back = await session.on_cache_thread(_content_of, built, kept)
            rows = (
                back,
                PlanRow("keep", "keep the present file beside it", 0, look.judgement.size, "undo"),
            )
            draft.extra["undone_run"] = run.id
            plan = plan_of("undo", look.generation, now_in.root, rows, content=kept, level=REPLACES)
            propose(context, replace(plan, undoes=_named(run)))
            if options.plan_only:
                return draft.outcome()
            witnessed = look.witness.generation if look.witness is not None else None
            generation = next_generation(look.generation, witnessed)
            checkpoint = replace(checkpoint, generation=generation)
            await session.on_cache_thread(_stamp, built, checkpoint)
            context.tracker.step(Phase.COMMIT)
            await swap_cache(context, built, look, generation, time.time(), keep=True)
    await acknowledge(context, checkpoint, look.witness)
    await session.on_cache_thread(_forget, context, run.id)
    outcome = await judged_after(context)
    return replace(outcome, extra={**outcome.extra, "file_restored": kept})


@contextmanager
def _copied(kept: str, real: str) -> Iterator[str]:
    """A copy of the kept file beside the cache, gone at the end unless it was renamed. LocalIO."""
    built = undo_build(real)
    try:
        try:
            require_space(str(Path(real).parent), 2 * Path(kept).stat().st_size)
            require_keepable(Path(real))
            copy_file(Path(kept), Path(built))
        except OSError as error:
            raise LocalIO(f"{kept} cannot be restored: {error.strerror}") from error
        yield built
    finally:
        Path(built).unlink(missing_ok=True)


def _content_of(built: str, kept: str) -> tuple[Checkpoint, PlanRow]:
    """Of a copy that a child could walk, redb's own check included: its checkpoint, and what a plan says of it;
    GuardStopped for any other."""
    report = probe_file(built)
    if report.damage or report.integrity is False:
        raise _unusable(kept, report.damage or "it is damaged")
    try:
        file = _native.CacheFile.open(built, "write")
        try:
            checkpoint, why = decode_checkpoint(file.meta().get(META_KEY))
        finally:
            file.close()
    except _native.NativeError as error:
        raise _unusable(kept, str(error)) from error
    if checkpoint is None:
        raise _unusable(kept, why)
    rows = sum(table.rows or 0 for table in report.tables if table.name in TABLES)
    size = Path(kept).stat().st_size
    return checkpoint, PlanRow(FILE, f"{Path(kept).name} becomes the cache again", rows, size, "undo")


def _unusable(kept: str, why: str) -> GuardStopped:
    return GuardStopped(f"{kept} cannot be restored: {why}; nothing was changed", hint=NextStep.CHECK_CACHE)


def _stamp(built: str, checkpoint: Checkpoint) -> None:
    meta = {META_KEY: encode_checkpoint(checkpoint)}
    _native.edit(built, [], meta, checkpoint.generation, int(time.time() * 1000))
