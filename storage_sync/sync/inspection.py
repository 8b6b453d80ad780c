"""The first steps of every command that reads the cache: judge the file, copy it, hash what is in it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager

from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.content import ContentJudgement, content_error, judge_content
from storage_sync.cache.copy import PrivateCopy
from storage_sync.cache.states import FileJudgement, error_of, judge_file
from storage_sync.checks.facts import KEYS_SHOWN, FileFacts
from storage_sync.state.directory import StateDir
from storage_sync.state.history import History
from storage_sync.state.witness import read_witness
from storage_sync.sync.look import Look
from storage_sync.sync.outcome_builder import Draft
from storage_sync.sync.progress import Tracker
from storage_sync.sync.session import Session
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.outcome import CacheState, FileIdentity
from storage_sync.values.snapshot import Phase
from storage_sync.values.witness import Witness

ALL_KEYS = 1_000_000


@asynccontextmanager
async def looked(
    session: Session,
    tracker: Tracker,
    draft: Draft,
    *,
    writing: bool,
    wait_s: float = 0.0,
    deep: bool = False,
    proven: FileIdentity | None = None,
    follows: bool = False,
    tolerated: frozenset[CacheState] = frozenset(),
) -> AsyncIterator[Look]:
    """Judge the file and scan a private copy of it, for the body of an `async with`.

    `writing`: the command means to change the file, so that another process that holds it and a read-only or full
    disk stop it; `wait_s`: how long it waits for that process. `deep`: with redb's own check of the same copy.
    `proven`: identity of a file that needs no probe in a child. `follows`: it is the look after a commit, so the shown
    steps do not go back. `tolerated`: states of the content that do not stop this command.
    Raises what stops a plain sync: CacheLocked, CacheForeign, CacheDamaged, VersionMismatch, LocalIO.
    """
    witness, why = read_witness(session.state.folder, session.cache_path)
    if why:
        draft.warn(why)
    judgement = await unlocked(session, draft, witness, wait_s if writing else 0.0)
    draft.states = judgement.states
    _raise_for(judgement, writing=writing)
    if not judgement.openable:
        yield Look(judgement, witness)
        return
    if proven is None and witness is not None:
        proven = witness.identity
    stack = ExitStack()
    given_up = threading.Event()

    async def lend(deep: bool) -> PrivateCopy:
        await session.on_cache_thread(stack.close)
        lent = session.copies.lend(proven=proven, deep=deep, cancelled=given_up)
        return await session.on_cache_thread(stack.enter_context, lent)

    try:
        if not follows:
            tracker.step(Phase.COPY)
        copy = await lend(deep)
        if not follows:
            tracker.step(Phase.HASH)
        scan = await session.on_cache_thread(copy.scan)
        content = await _judged(session, witness, copy, scan)
        if copy.probe is None and (scan.altered or not scan.clean or content_error(content, tolerated) is not None):
            # differing bytes are do-memory's work, and another version is its upgrade, only where the pages are sound
            copy = await lend(True)
            scan = await session.on_cache_thread(copy.scan)
            content = await _judged(session, witness, copy, scan)
        if copy.repaired and not judgement.locked:
            # somebody may have opened the file between the two looks
            judgement = await session.on_cache_thread(judge_file, session.cache_path, witnessed=witness is not None)
        integrity = copy.probe.integrity if copy.probe is not None else None
        look = Look(judgement, witness, copy, content, scan, integrity)
        draft.states = look.states
        draft.look = look.looked_at
        if not follows:
            draft.drift = drift_of(scan)
            draft.rolled_back = content.finding(CacheState.ROLLED_BACK) is not None
        for warning in content.warnings:
            draft.warn(warning)
        error = content_error(content, tolerated)
        if error is not None:
            raise error
        yield look
    finally:
        given_up.set()
        await asyncio.shield(session.on_cache_thread(stack.close))


def drift_of(scan: _native.Scan) -> dict[str, dict[str, int]]:
    """Rows that are not what was proven, by table and kind."""
    counted = {
        name: {kind: count for kind in ("drifted", "rotten", "absent") if (count := int(getattr(table, kind)))}
        for name, table in scan.tables.items()
    }
    return {name: kinds for name, kinds in counted.items() if kinds}


async def _judged(session: Session, witness: Witness | None, copy: PrivateCopy, scan: _native.Scan) -> ContentJudgement:
    sound = copy.probe is None or copy.probe.integrity is not False
    return await session.on_cache_thread(judge_content, copy.file, witness, scan, identity=copy.identity, sound=sound)


async def unlocked(session: Session, draft: Draft, witness: Witness | None, wait_s: float) -> FileJudgement:
    """Judge the file once nobody holds it, or as it is after `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    while True:
        judgement = await session.on_cache_thread(judge_file, session.cache_path, witnessed=witness is not None)
        if not judgement.locked or time.monotonic() >= deadline:
            return judgement
        await draft.wait_for_lock()


def _raise_for(judgement: FileJudgement, *, writing: bool) -> None:
    for finding in judgement.findings:
        if not writing and (finding.state.unwritable or finding.state.locked):
            continue
        error: StorageSyncError | None = error_of(finding)
        if error is not None:
            raise error


def marked_file_facts(session: Session, look: Look) -> FileFacts:
    """`file_facts` by the session's settings and its operator's marks. Blocking."""
    return file_facts(look, session.settings.embedding_dimension, expected_orphans(session.state))


def expected_orphans(state: StateDir) -> frozenset[str]:
    """Keys of broken vectors that an operator marked as expected; none where no history can be read. Blocking."""
    if not state.history.exists():
        return frozenset()
    with History.open(state.history, lambda _: None, read_only=True) as history:
        return frozenset(key for key, mark in history.orphan_marks().items() if mark.expected_reason is not None)


def file_facts(look: Look, dimension: int | None, expected: Collection[str] = ()) -> FileFacts:
    """What the file alone says, for the checks; `expected`: keys of orphans that are no finding. Blocking: walks the
    embeddings."""
    started = time.monotonic()
    # all keys are needed to tell the expected ones from the others
    named = ALL_KEYS if expected else KEYS_SHOWN
    orphans, orphan_keys = look.scan.orphaned_embeddings(named) if look.scan is not None else (0, [])
    unexpected = [key for key in orphan_keys if key not in expected]
    between = time.monotonic()
    bad, bad_keys = look.scan.bad_vectors(dimension) if look.scan is not None else (0, [])
    ended = time.monotonic()
    tables = look.scan.tables if look.scan is not None else {}
    wrong = look.content.finding(CacheState.WRONG_TYPES) if look.content is not None else None
    probe = look.copy.probe if look.copy is not None else None
    return FileFacts(
        schema=look.schema,
        integrity=look.integrity,
        integrity_detail=probe.integrity_detail if probe is not None else "",
        wrong_tables=(wrong.evidence,) if wrong is not None else (),
        orphans=orphans,
        orphan_keys=tuple(unexpected[:KEYS_SHOWN]),
        orphans_expected=len(orphan_keys) - len(unexpected),
        vectors=tables["embeddings"].rows if "embeddings" in tables else 0,
        bad_vectors=bad,
        bad_vector_keys=tuple(bad_keys),
        seconds={"orphaned_embeddings": between - started, "embedding_vectors": ended - between},
    )


def rows_of(look: Look) -> dict[str, int]:
    """Rows of each table that was found; nothing where there is no file to scan."""
    return {name: table.rows for name, table in look.scan.tables.items()} if look.scan is not None else {}


def without_rows(look: Look) -> Look:
    """As if there were no file: for a new cache from another primary."""
    return replace(look, copy=None, content=None, scan=None, replaces="old")
