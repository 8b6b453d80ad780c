"""The one write transaction and what must be durable around it (docs/protocol.md#steps, docs/protocol.md#rebuild)."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from storage_sync import __version__, _native
from storage_sync.cache.builds import remove_undo_builds
from storage_sync.cache.checkpoint import META_KEY, Checkpoint, TableFacts, encode_checkpoint, stamped_generation
from storage_sync.cache.copy import private_copy
from storage_sync.cache.holders import advice_for, describe, open_elsewhere, unlisted
from storage_sync.cache.identity import await_tick, read_identity, real_path
from storage_sync.cache.kept import Why, keep_file, prune_kept
from storage_sync.cache.lease import cache_holders
from storage_sync.cache.servers import opening
from storage_sync.cache.space import require_space
from storage_sync.cache.starting import starting
from storage_sync.files.writing import put_in_place
from storage_sync.state.quarantine import Removed, SetAside
from storage_sync.state.witness import next_generation, read_witness
from storage_sync.sync import undo
from storage_sync.sync.compare import Compared
from storage_sync.sync.context import PAGE, Context
from storage_sync.sync.look import Look
from storage_sync.values.errors import CacheDamaged, CacheLocked, LocalIO, StorageSyncError
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import FileIdentity
from storage_sync.values.snapshot import Phase

LET_GO_S, LET_GO_POLL_S = 2.0, 0.01
"""How long a swap waits for those that opened the old file; a reader without a lock may keep it for good."""
QUIET_POLL_S = 0.05
Written = TypeVar("Written")


class Published(Struct, frozen=True):
    """A sibling that has the cache's name: the scan that proved it, and which file it was when it got the name."""

    scan: _native.Scan
    identity: FileIdentity | None


async def apply(context: Context, compared: Compared) -> tuple[int, _native.Applied, Published | None]:
    """Commit the staged rows; gives the new generation, what was done, and for a sibling how it was published.

    Errors: CacheLocked after `wait_s`, LocalIO, CacheDamaged for a sibling that does not hold what was staged;
    `_native.Conflict` when the live file is no longer what was compared. The cache keeps its old state with each.
    """
    session, look = context.session, compared.look
    witnessed = look.witness.generation if look.witness is not None else None
    generation = next_generation(look.generation, witnessed)
    now = time.time()
    meta = {META_KEY: encode_checkpoint(_checkpoint(context, compared, generation, now))}
    aside = await session.on_cache_thread(_set_aside, context, compared, generation, now)
    if not look.sibling:
        await session.on_cache_thread(
            undo.remember,
            context,
            look.generation,
            generation,
            now,
            undo.of_staging(compared),
            undo.rejected_of_staging(compared),
        )
    context.tracker.step(Phase.COMMIT)
    if look.sibling:
        applied, published = await _publish(context, compared, meta, generation, now)
    else:
        applied, published = await _in_place(context, compared, meta, generation, now), None
    if aside:
        await session.on_cache_thread(confirm_aside, context, generation)
    return generation, applied, published


def settle(context: Context, live_generation: int) -> None:
    """What an earlier run left pending: kept when its commit came, else dropped. Blocking; the lease is held."""
    remove_undo_builds(context.session.cache_path)
    state = context.session.state
    if state.usable and state.set_aside.is_dir():
        with SetAside.open(state.set_aside) as store:
            store.settle(live_generation)


# ---------------------------------------------------------------------------------------------- in place


async def _in_place(
    context: Context, compared: Compared, meta: Mapping[str, bytes], generation: int, now: float
) -> _native.Applied:
    path = real_path(context.session.cache_path)
    staging = compared.staged.staging
    require_space(path, 2 * staging.staged_bytes)
    return await on_live_file(
        context,
        path,
        generation,
        lambda: _native.apply(path, staging, meta, generation, int(now * 1000), partial(_refuse_awaited, path)),
    )


async def on_live_file(context: Context, path: str, generation: int | None, write: Callable[[], Written]) -> Written:
    """Do the blocking `write` on the cache thread, past cancellation, waiting up to `wait_s` for the file's lock.

    `generation`: what the commit stamps, None when it stamps nothing. Errors: CacheLocked, LocalIO, CacheDamaged;
    `_native.Conflict`. The cache keeps its old state with each.
    """
    session = context.session

    def alone() -> Written:
        _refuse_awaited(path)
        return write()

    async def commit() -> Written:
        return await session.on_cache_thread(alone)

    deadline = time.monotonic() + context.options.wait_s
    while True:
        await left_alone(context, path)
        try:
            return await context.cancel.uncancellable(commit)
        except _Awaited:
            continue
        except _native.DatabaseAlreadyOpen as error:
            if time.monotonic() >= deadline:
                raise held(path) from error
            await context.draft.wait_for_lock()
        except _native.CommitUnknown as error:
            raise await session.on_cache_thread(_after_unknown, context, path, generation, error) from error
        except _native.Corrupted as error:
            raise CacheDamaged(
                f"redb found damage while the cache was written ({error}); nothing was committed"
            ) from error
        except _native.StorageError as error:
            raise LocalIO(f"the cache could not be written ({error}); it keeps its old state") from error


async def left_alone(context: Context, path: str) -> None:
    """Wait until the file has been left alone for `quiet_s` and nobody is about to open it.

    do-memory tries the lock once, when it starts, and one that restarts comes back at once. What we wrote last
    ourselves is no sign of it. A stamp from the future tells nothing.
    """
    session, options = context.session, context.options
    while True:
        since = await session.on_cache_thread(_touched, session.state.folder, path, options.free_since)
        left = 0.0 if since is None else options.quiet_s - max(time.time() - since, 0.0)
        if left <= 0 and not await session.on_cache_thread(_is_awaited, path):
            return
        await asyncio.sleep(min(max(left, 0.0), QUIET_POLL_S) or QUIET_POLL_S)


class _Awaited(Exception):
    """Somebody is about to open the file."""


def _is_awaited(path: str) -> bool:
    """Whether a program has said that it is about to open the file, or has just started and will. Blocking."""
    return starting(path) is not None or opening(path) is not None


def _refuse_awaited(path: str) -> None:
    """_Awaited; called last before the lock is taken, since a program starts within milliseconds."""
    if _is_awaited(path):
        raise _Awaited


def _touched(state: Path, path: str, free_since: float | None) -> float | None:
    """When somebody else last had the file, as far as it can be seen; epoch seconds. Blocking."""
    identity = read_identity(path)
    witness, _ = read_witness(state, path)
    ours = identity is None or (witness is not None and witness.identity == identity)
    written = None if ours or identity is None else identity.mtime_ns / 1e9
    seen = [at for at in (written, free_since) if at is not None and at <= time.time()]
    return max(seen, default=None)


def _after_unknown(
    context: Context, path: str, generation: int | None, error: _native.CommitUnknown
) -> StorageSyncError:
    """A commit that returned an error may be durable anyway (docs/cache.md#commits): the generation tells.

    It is read from a copy, since another process may have the file by now.
    """
    if generation is None:
        return LocalIO(f"the commit returned an error ({error})", hint="check the disk, then run it again")
    try:
        with private_copy(path, context.session.state.copies) as copy:
            durable = stamped_generation(copy.file.meta()) == generation
    except (StorageSyncError, _native.NativeError) as unreadable:
        return LocalIO(
            f"the commit returned an error ({error}), and the file cannot be read to see if it is durable: "
            f"{unreadable}",
            hint=NextStep.CHECK_DISK,
        )
    state = "it is durable anyway" if durable else "the cache keeps its old state"
    return LocalIO(f"the commit returned an error ({error}); {state}", hint="check the disk, then sync again")


def held(path: str) -> CacheLocked:
    """Who holds the file, as far as the kernel tells."""
    holders = cache_holders(path) or (unlisted(),)
    who = ", ".join(describe(holder) for holder in holders)
    return CacheLocked(f"the cache is held by {who}; nothing was changed", hint=advice_for(holders[0]))


# --------------------------------------------------------------------------------------------- beside it


async def _publish(
    context: Context, compared: Compared, meta: Mapping[str, bytes], generation: int, now: float
) -> tuple[_native.Applied, Published]:
    """Complete the sibling, prove it by reading it back, then give it the cache's name."""
    session, staged = context.session, compared.staged
    applied = await session.on_cache_thread(_native.finish_sibling, staged.staging, meta, generation, int(now * 1000))
    context.tracker.step(Phase.READ_BACK)
    scan, sound = await session.on_cache_thread(_scan_of_copy, context, staged.path)
    root = await session.on_cache_thread(_native.root_of, scan, compared.projection.scope)
    if root != staged.root or not scan.clean or not sound:
        raise CacheDamaged(
            "the new file does not hold what was written into it; it was not put in place",
            hint=f"check the disk; {staged.path} is kept so that you can look at it",
        )

    identity = await swap_cache(
        context,
        staged.path,
        compared.look,
        generation,
        now,
        why=compared.look.replaces or "old",
        keep=compared.look.replaces is not None,
    )
    return applied, Published(scan, identity)


def _scan_of_copy(context: Context, built: str) -> tuple[_native.Scan, bool]:
    """Of a private copy, which the scan outlives: one of the file itself would go on locking it as the cache. And
    whether redb's own check of that copy passed; it reads pages that no scan looks at."""
    with private_copy(built, context.session.state.copies, proven=read_identity(built)) as copy:
        sound = copy.is_sound()
        return copy.scan(), sound


async def swap_cache(
    context: Context, built: str, look: Look, generation: int, now: float, *, keep: bool, why: Why = "old"
) -> FileIdentity | None:
    """Give the finished file `built` the cache's name, under the lock of the file that has it (docs/cache.md#locks).

    `look`: what `built` was made of. The identity is the one that the file had before anybody else could open it.
    `keep`: the one that it replaces stays beside it as `.<why>-<utc>`, and undo knows of it. CacheLocked after
    `wait_s`, LocalIO; `_native.Conflict` when the file is no longer the one that was looked at.
    """
    session = context.session

    async def rename() -> tuple[str | None, FileIdentity | None]:
        return await session.on_cache_thread(_swap, built, session.cache_path, look, why if keep else None, now)

    deadline = time.monotonic() + context.options.wait_s
    while True:
        await left_alone(context, real_path(session.cache_path))
        try:
            kept, identity = await context.cancel.uncancellable(rename)
            break
        except _Awaited:
            continue
        except CacheLocked:
            if time.monotonic() >= deadline:
                raise
            await context.draft.wait_for_lock()
    if kept is not None:
        context.draft.extra["kept"] = kept
        await session.on_cache_thread(undo.remember_file, context, generation, now, kept)
    return identity


def _swap(built: str, cache: str, look: Look, why: Why | None, now: float) -> tuple[str | None, FileIdentity | None]:
    """Name of the old file where it is kept, and the identity of the new one, read while nobody can write to it."""
    real = real_path(cache)
    kept = None
    _refuse_awaited(real)
    try:
        with _locked(real) as old:
            with _locked(built):
                if not _is_what_was_seen(real, look):
                    raise _native.Conflict(f"{real} is no longer what the new file was made of")
                if why is not None and Path(real).exists():
                    kept = keep_file(cache, why, now)
                    prune_kept(cache, why)
                put_in_place(Path(built), Path(real))
                identity = read_identity(real)
                if identity is not None:
                    await_tick(identity)
            if old is not None:
                _until_let_go(old)
    except BlockingIOError as error:
        raise held(real) from error
    except OSError as error:
        raise LocalIO(f"{real} cannot be put in place: {error.strerror}") from error
    return kept, identity


def _is_what_was_seen(real: str, look: Look) -> bool:
    """Whether nobody wrote to the file since; each commit and each close of redb moves its header."""
    if look.copy is None:
        return read_identity(real) == look.judgement.identity
    try:
        return _native.read_header(real).raw == look.copy.header.raw
    except FileNotFoundError:
        return False


def _until_let_go(old: int) -> None:
    """Keep the lock of the replaced file until all who opened it under its old name were refused.

    redb opens first and locks then: whoever was put to sleep in between would live on in a file that is not the cache.
    """
    deadline = time.monotonic() + LET_GO_S
    waiting = threading.Event()
    while open_elsewhere(old) and time.monotonic() < deadline:
        waiting.wait(LET_GO_POLL_S)


@contextmanager
def _locked(path: str) -> Iterator[int | None]:
    """Hold redb's lock of the file at `path`, if there is one; BlockingIOError when another has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino != Path(path).stat().st_ino:
            raise BlockingIOError(0, "another file was put in its place")
        yield descriptor
    finally:
        os.close(descriptor)


# --------------------------------------------------------------------------------------------- quarantine


def _set_aside(context: Context, compared: Compared, generation: int, now: float) -> bool:
    leftover = compared.look.leftover
    rows = chain(_replaced(compared.staged.staging), leftover() if leftover is not None else ())
    return put_aside(context, rows, generation, now)


def put_aside(context: Context, rows: Iterable[Removed], generation: int, now: float) -> bool:
    """Durable before the commit, pending until after it. True when there was anything. Blocking; LocalIO."""
    source = iter(rows)
    first = next(source, None)
    if first is None:
        return False
    state = context.session.state
    if not state.usable:
        raise LocalIO(state.problem, hint="rows that only the cache holds would be lost; give --state-dir")
    with SetAside.open(state.set_aside) as store:
        count = store.put(chain([first], source), context.tracker.run.id, generation, now)
    context.draft.extra["set_aside"] = count
    return True


def _replaced(staging: _native.Staging) -> Iterator[Removed]:
    after: str | None = None
    while page := staging.replaced(after, PAGE):
        for table, key, value, reason in page:
            yield Removed(table, key, value, reason)
        after = f"{page[-1][0]}\0{page[-1][1]}"


def confirm_aside(context: Context, generation: int) -> None:
    """The commit of this generation is durable: what was quarantined for it counts from now on. Blocking."""
    with SetAside.open(context.session.state.set_aside) as store:
        store.confirm(context.tracker.run.id, generation)


def _checkpoint(context: Context, compared: Compared, generation: int, now: float) -> Checkpoint:
    settings, source, waited = context.session.settings, context.session.source, compared.waited
    primary, since = compared.primary, compared.since
    proved_at = since.proof.at if since is not None else now if waited is None else waited.at
    return Checkpoint(
        source_id=source.source_id,
        epoch=compared.projection.epoch,
        generation=generation,
        root=compared.staged.root,
        digest=compared.projection.digest,
        enc=_native.ENCODING,
        window=settings.max_episodes_cache,
        patterns=settings.sync_patterns,
        embeddings=settings.sync_embeddings,
        config_hash=compared.projection.scope.config_hash,
        proved_at=proved_at,
        primary_url=source.url,
        tool=__version__,
        replication_index=source.replication_index if waited is None else waited.replication_index,
        tables={
            table: TableFacts(primary.get(table, one.expected), one.expected, one.refused)
            for table, one in compared.changes.items()
        },
        marks=compared.projection.marks,
        imprint=compared.staged.imprint or "",
        followed_at=now if since is not None else None,
    )
