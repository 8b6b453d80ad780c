"""One planned change of single rows: plan, consent, quarantine, one transaction, witness (docs/cli.md#consent)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.checkpoint import META_KEY, Checkpoint, encode_checkpoint
from storage_sync.cache.identity import real_path
from storage_sync.cache.space import require_space
from storage_sync.state.quarantine import Removed, SetAside
from storage_sync.state.undo_log import Step
from storage_sync.state.witness import next_generation
from storage_sync.sync import undo
from storage_sync.sync.apply import confirm_aside, on_live_file, put_aside, settle
from storage_sync.sync.context import PAGE, Context
from storage_sync.sync.inspection import looked, rows_of
from storage_sync.sync.known import ledger_root_of
from storage_sync.sync.look import Look
from storage_sync.sync.plan import outdated, phrase_for
from storage_sync.sync.prove import acknowledged
from storage_sync.sync.run import in_rounds, leased
from storage_sync.values.errors import GuardStopped, LocalIO
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import CacheWrites, Outcome, Plan, PlanRow, TableChange, Word
from storage_sync.values.snapshot import Phase
from storage_sync.values.witness import Witness

LEDGER = "storage_sync_digest"
_PROVED, _VALUE = 1, slice(17, 33)


class RowChange(Struct, frozen=True):
    """`before`: bytes that are there now, `after`: those to put there; None: nothing. `reason`: why `before` is set
    aside, '' when it is not."""

    table: str
    key: str
    before: bytes | None
    after: bytes | None
    reason: str = ""

    @property
    def kind(self) -> str:
        return "insert" if self.before is None else "remove" if self.after is None else "update"


NAMED = 5
"""Rows of a change that its plan and its result name."""


class Intent(Struct, frozen=True):
    """What a command wants, made of one look. `rows`: the plan as an operator reads it."""

    kind: str
    changes: tuple[RowChange, ...]
    rows: tuple[PlanRow, ...]
    lost: tuple[str, ...] = ()
    spent: tuple[int, ...] = ()
    """Ids of quarantined rows that are back in the cache after the commit."""
    undone_run: str = ""
    undoes: str = ""
    """`undone_run` with its kind and time."""
    comes_back: int = 0
    """Changes that the next sync takes back."""

    @property
    def named(self) -> tuple[str, ...]:
        """The first rows that it changes, as `table/key`."""
        return tuple(f"{one.table}/{one.key}" for one in self.changes[:NAMED])


Prepare = Callable[[Look], Awaitable[Intent]]


async def run_change(context: Context, prepare: Prepare) -> Outcome:
    """Plan what `prepare` wants, and unless only the plan was asked for, do it.

    GuardStopped for read-only, an unstamped cache or an outdated plan; CacheLocked, LocalIO, CacheDamaged.
    """
    with leased(context):
        return await in_rounds(context, lambda: _attempt(context, prepare))


def looked_to_change(context: Context, *, deep: bool = False) -> AbstractAsyncContextManager[Look]:
    """A look at what is about to be changed, as `looked`; for a plan a locked or read-only file will do."""
    options = context.options
    return looked(
        context.session,
        context.tracker,
        context.draft,
        writing=not options.plan_only,
        wait_s=options.wait_s,
        deep=deep,
    )


def stamped(look: Look) -> Checkpoint:
    """The checkpoint of a cache that was proven once; GuardStopped for any other."""
    if look.checkpoint is None:
        raise GuardStopped("this cache was never synced, so nothing is known about its rows", hint=NextStep.SYNC)
    return look.checkpoint


async def _attempt(context: Context, prepare: Prepare) -> Outcome:
    options, draft, session = context.options, context.draft, context.session
    async with looked_to_change(context) as look:
        checkpoint = stamped(look)
        if not options.plan_only:
            await session.on_cache_thread(settle, context, look.generation)
        intent = await prepare(look)
        if intent.undone_run:
            draft.extra["undone_run"] = intent.undone_run
        if intent.comes_back:
            draft.extra["comes_back"] = intent.comes_back
        if intent.named:
            draft.extra["changed_rows"] = list(intent.named)
        draft.plan = table_changes(intent.changes)
        propose(context, make_plan(intent, look, checkpoint.root, context.session.settings.profile))
        if options.plan_only or not intent.changes:
            return draft.outcome()
        context.tracker.compared(len(intent.changes))
        generation = await _commit(context, look, checkpoint, intent)
    await acknowledge(context, replace(checkpoint, generation=generation), look.witness)
    draft.applied = table_changes(intent.changes)
    return await judged_after(context)


async def _commit(context: Context, look: Look, checkpoint: Checkpoint, intent: Intent) -> int:
    session, draft = context.session, context.draft
    path = real_path(session.cache_path)
    now = time.time()
    generation = next_generation(look.generation, look.witness.generation if look.witness is not None else None)
    require_space(path, 2 * sum(len(change.after or b"") for change in intent.changes))
    leaving = [
        Removed(change.table, change.key, change.before, change.reason)
        for change in intent.changes
        if change.before is not None and change.reason
    ]
    aside = await session.on_cache_thread(put_aside, context, leaving, generation, now)
    if intent.spent:
        await session.on_cache_thread(_spend, context, intent.spent, generation)
    steps = [Step(one.table, one.key, one.before, digest(one.after), one.after) for one in intent.changes]
    await session.on_cache_thread(undo.remember, context, look.generation, generation, now, steps)
    context.tracker.step(Phase.COMMIT)
    meta = {META_KEY: encode_checkpoint(replace(checkpoint, generation=generation))}
    changes = [(one.table, one.key, digest(one.before), one.after) for one in intent.changes]
    applied = await on_live_file(
        context, path, generation, lambda: _native.edit(path, changes, meta, generation, int(now * 1000))
    )
    draft.cache_writes = CacheWrites(applied.commits, applied.bytes_written)
    draft.seconds = replace(draft.seconds, apply=time.time() - now, lock=applied.lock_seconds)
    if aside:
        await session.on_cache_thread(confirm_aside, context, generation)
    if intent.spent:
        await session.on_cache_thread(_discard, context, intent.spent)
    return generation


def _spend(context: Context, ids: Sequence[int], generation: int) -> None:
    with SetAside.open(context.session.state.set_aside) as store:
        store.spend(ids, generation)


def _discard(context: Context, ids: Sequence[int]) -> None:
    with SetAside.open(context.session.state.set_aside) as store:
        store.discard(ids)


def digest(value: bytes | None) -> bytes | None:
    """Whole blake3, as the native edit compares it."""
    return None if value is None else _native.digest("blake3", value)


async def acknowledge(context: Context, checkpoint: Checkpoint, before: Witness | None) -> None:
    """Raise the witness to the generation of `checkpoint`; the last proof stays, it names the file that it was of."""
    witness = Witness(
        path=real_path(context.session.cache_path),
        generation=checkpoint.generation,
        root=checkpoint.root,
        source_id=checkpoint.source_id,
        at=time.time(),
        proof=before.proof if before is not None else None,
    )
    await acknowledged(context, witness)


async def judged_after(context: Context) -> Outcome:
    """Say what the file is now, without the primary: DRIFT when it is not what was proven, else UNKNOWN."""
    draft = context.draft
    async with looked(context.session, context.tracker, draft, writing=False, follows=True) as after:
        holds = after.scan is not None and after.scan.clean and ledger_root_of(after) == stamped(after).root
    draft.verdict = Word.UNKNOWN if holds else Word.DRIFT
    draft.next_action = "storage-sync status --check" if holds else "storage-sync sync"
    return draft.outcome()


# -------------------------------------------------------------------------------------------------- plan


def table_changes(changes: Sequence[RowChange]) -> dict[str, TableChange]:
    counts: dict[str, dict[str, int]] = {}
    for change in changes:
        kinds = counts.setdefault(change.table, {})
        kinds[change.kind] = kinds.get(change.kind, 0) + 1
    return {table: TableChange(**kinds) for table, kinds in counts.items()}


def make_plan(intent: Intent, look: Look, root: str, profile: str) -> Plan:
    """The plan's id names the file's generation and every row with what it is to become."""
    told = [(one.table, one.key, digest(one.before), digest(one.after)) for one in intent.changes]
    changes = table_changes(intent.changes)
    plan = plan_of(intent.kind, look.generation, root, intent.rows, intent.lost, changes, repr(told))
    return replace(
        plan,
        named=intent.named,
        undoes=intent.undoes,
        comes_back=intent.comes_back,
        phrase=phrase_for(plan.level, changes, rows_of(look), profile),
    )


def plan_of(
    kind: str,
    generation: int,
    root: str,
    rows: tuple[PlanRow, ...],
    lost: tuple[str, ...] = (),
    changes: Mapping[str, TableChange] | None = None,
    content: str = "",
    level: int = 2,
) -> Plan:
    identity = _native.digest("blake3", f"{kind}:{generation}:{root}:{content}".encode()).hex()[:8]
    return Plan(
        id=f"p-{identity}",
        kind=kind,
        base=(generation, root),
        root="",
        changes=changes or {},
        rows=(*rows, PlanRow("primary", "primary", 0, 0, "never written")),
        removes_ratio=0.0,
        lost=lost,
        level=level,
    )


def propose(context: Context, plan: Plan) -> None:
    """Show the plan; GuardStopped when another one was agreed to."""
    draft = context.draft
    draft.proposal = plan
    draft.extra["plan_id"] = plan.id
    draft.extra["steps"] = [to_builtins(row) for row in plan.rows]
    draft.extra["lost"] = list(plan.lost)
    agreed = context.options.expected_plan
    if agreed is not None and agreed.id != plan.id:
        raise outdated()


def proved_by_ledger(look: Look, table: str, rows: Mapping[str, bytes]) -> set[str]:
    """Keys of those rows whose bytes are what a proven manifest gave us. Blocking."""
    found = set()
    keys = list(rows)
    for first in range(0, len(keys), PAGE):
        page = keys[first : first + PAGE]
        for key, entry in zip(page, look.values(LEDGER, [f"{table}/{key}" for key in page]), strict=True):
            if entry and entry[0] == _PROVED and entry[_VALUE] == _native.digest("blake3", rows[key])[:16]:
                found.add(key)
    return found


def require_state(context: Context) -> None:
    """LocalIO when the state folder cannot be used: rows to be restored lie there."""
    state = context.session.state
    if not state.usable:
        raise LocalIO(state.problem, hint="give a folder that can be written with --state-dir")
