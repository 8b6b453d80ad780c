"""What is wrong with a cache, and which step of repair it gets (docs/protocol.md#recovery)."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from enum import StrEnum
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.checkpoint import META_KEY, Checkpoint, decode_checkpoint
from storage_sync.cache.content import ContentJudgement, unknown
from storage_sync.cache.states import FileJudgement, Finding, error_of
from storage_sync.recovery.salvage import Rescued, rescued
from storage_sync.state.witness import read_witness
from storage_sync.sync.context import Context
from storage_sync.sync.inspection import looked, unlocked
from storage_sync.sync.look import Look
from storage_sync.values.errors import CacheDamaged, GuardStopped, VersionMismatch
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import CacheState
from storage_sync.values.snapshot import Phase
from storage_sync.values.witness import Witness

Purpose = Literal["repair", "rebuild"]

_REPAIRABLE = frozenset({CacheState.BIT_ROT, CacheState.ROLLED_BACK, CacheState.WRONG_SCHEMA, CacheState.WRONG_TYPES})
"""Content states that the examination looks at itself."""


class RepairStep(StrEnum):
    """How a cache is repaired, mildest first."""

    NONE = "none"
    OPEN = "open"
    REFETCH = "refetch"
    REBUILD = "rebuild"


class Situation(Struct, frozen=True):
    """`why` is a sentence. `look` is what a rebuild starts from: the file itself, or the rows rescued out of it."""

    step: RepairStep
    why: str
    look: Look
    rotten: int = 0
    """Rows whose bytes are not what was proven."""
    rescue: Rescued | None = None

    @property
    def strangers(self) -> tuple[str, ...]:
        """Tables with rows in a sound file that nobody but their writer knows."""
        copy = self.look.copy
        return tuple(table.name for table in copy.file.tables() if unknown(table.name) and table.rows) if copy else ()

    @property
    def damaged(self) -> bool:
        return self.look.replaces == "corrupt"


@asynccontextmanager
async def examined(context: Context, purpose: Purpose, *, looks: bool = False) -> AsyncIterator[Situation]:
    """Judge the cache as deep as it goes, for the body of an `async with`; nothing of it is changed.

    `looks`: the file is only read, so another process may hold it; a plan always does. Raises what nothing here
    repairs: CacheForeign, CacheLocked, LocalIO, GuardStopped, VersionMismatch.
    """
    session, options, draft = context.session, context.options, context.draft
    looks = looks or options.plan_only
    witness, why = read_witness(session.state.folder, session.cache_path)
    if why:
        draft.warn(why)
    judgement = await unlocked(session, draft, witness, 0.0 if looks else options.wait_s)
    draft.states = judgement.states
    for finding in judgement.findings:
        state = finding.state
        if state.damaged or state.other_version or (looks and state.locked) or (options.plan_only and state.unwritable):
            continue
        error = error_of(finding)
        if error is not None:
            raise error
    damage = next((finding for finding in judgement.findings if finding.state.damaged), None)
    other = next((finding for finding in judgement.findings if finding.state.other_version), None)
    if damage is None and other is not None:
        if purpose == "repair":
            raise VersionMismatch(other.evidence, hint=other.next_step or None)
        yield Situation(RepairStep.REBUILD, other.evidence, Look(judgement, witness, replaces="old"))
        return
    async with AsyncExitStack() as stack:
        situation = None
        if damage is None:
            try:
                look = await stack.enter_async_context(_sound_look(context, looks))
                situation = _of_content(look, purpose)
            except CacheDamaged as error:
                damage = Finding(CacheState.CORRUPT, error.message)
        if situation is None:
            await stack.aclose()
            evidence = damage.evidence if damage is not None else ""
            situation = await stack.enter_async_context(_rescuing(context, judgement, witness, evidence))
            state = damage.state if damage is not None else CacheState.CORRUPT
            draft.states = (*(known for known in judgement.states if not known.damaged), state)
        yield situation


@asynccontextmanager
async def _sound_look(context: Context, looks: bool) -> AsyncIterator[Look]:
    """A look at a file whose pages are sound. CacheDamaged when they are not."""
    async with looked(
        context.session,
        context.tracker,
        context.draft,
        writing=not looks,
        wait_s=context.options.wait_s,
        deep=True,
        tolerated=_REPAIRABLE,
    ) as look:
        if look.integrity is False:
            findings = look.content.findings if look.content is not None else ()
            told = next((finding.evidence for finding in findings), "redb's own check of a copy does not pass")
            raise CacheDamaged(told)
        wrong = look.content.finding(CacheState.WRONG_TYPES) if look.content is not None else None
        if wrong is not None:
            raise CacheDamaged(wrong.evidence)
        yield look


def _of_content(look: Look, purpose: Purpose) -> Situation:
    """A file with sound pages: the step by what is in it."""
    content = look.content
    if content is None:
        return Situation(RepairStep.NONE, "there is no cache yet; a sync makes one", look)
    schema = content.finding(CacheState.WRONG_SCHEMA)
    if schema is not None:
        newer = (content.schema_version or 0) > _native.CACHE_SCHEMA_VERSION
        if newer or purpose == "repair":
            raise VersionMismatch(schema.evidence, hint=schema.next_step or None)
        return Situation(RepairStep.REBUILD, schema.evidence, replace(look, replaces="old"))
    rolled = content.finding(CacheState.ROLLED_BACK)
    if rolled is not None:
        return Situation(RepairStep.REBUILD, rolled.evidence, replace(look, replaces="corrupt"))
    rot = content.finding(CacheState.BIT_ROT)
    if rot is not None:
        rows = sum(table.rotten for table in look.scan.tables.values()) if look.scan is not None else 0
        return Situation(RepairStep.REFETCH, rot.evidence, look, rotten=rows)
    if look.held:
        return Situation(RepairStep.NONE, "the cache is held by another process, and needs no repair", look)
    unclean = look.judgement.finding(CacheState.UNCLEAN)
    if unclean is not None:
        return Situation(RepairStep.OPEN, unclean.evidence, look)
    if look.copy is not None and look.copy.repaired:
        why = "its header is not that of a closed file: redb repairs it whenever it is opened"
        return Situation(RepairStep.OPEN, why, look)
    header = look.copy.header if look.copy is not None else None
    if header is not None and header.length > header.layout_length:
        longer = f"the file has {header.length - header.layout_length:,} bytes more than its layout"
        return Situation(RepairStep.OPEN, longer, look)
    return Situation(RepairStep.NONE, "there is nothing to repair", look)


@asynccontextmanager
async def _rescuing(
    context: Context, judgement: FileJudgement, witness: Witness | None, evidence: str
) -> AsyncIterator[Situation]:
    """The rows that a damaged file still gives, as a look that a rebuild starts from."""
    session = context.session
    context.tracker.step(Phase.COPY)
    stack = ExitStack()
    given_up = threading.Event()
    try:
        rescue = await session.on_cache_thread(
            stack.enter_context, rescued(session.cache_path, session.state.copies, given_up)
        )
        context.tracker.step(Phase.HASH)
        file = await session.on_cache_thread(_native.CacheFile.open, rescue.path, "private")
        stack.callback(file.close)
        scan = await session.on_cache_thread(file.scan)
        checkpoint = _checkpoint(file.meta().get(META_KEY), witness)
        _guard_origin(context, checkpoint, witness)
        content = ContentJudgement((), checkpoint, _native.CACHE_SCHEMA_VERSION)
        look = Look(judgement, witness, None, content, scan, replaces="corrupt", leftover=rescue.leftover)
        yield Situation(RepairStep.REBUILD, evidence, look, rescue=rescue)
    finally:
        given_up.set()
        await session.on_cache_thread(stack.close)


def _checkpoint(data: bytes | None, witness: Witness | None) -> Checkpoint | None:
    """What the damaged file says of itself, corrected by the witness, which lies in another file."""
    checkpoint, _ = decode_checkpoint(data)
    if checkpoint is None or witness is None:
        return checkpoint
    epoch = witness.proof.epoch if witness.proof is not None else checkpoint.epoch
    generation = min(checkpoint.generation, witness.generation + 1)
    return replace(checkpoint, source_id=witness.source_id, epoch=epoch, generation=generation)


def _guard_origin(context: Context, checkpoint: Checkpoint | None, witness: Witness | None) -> None:
    """Without a stamp the witness tells which primary the rows are of: those of another one are not mixed in."""
    if checkpoint is not None or witness is None or context.options.adopt:
        return
    if witness.source_id != context.session.source.source_id:
        raise GuardStopped(
            "the damaged cache was built from another primary; nothing was changed",
            hint=NextStep.CHECK_URL,
        )
