"""What the core sees of both stores between the runs: the primary's pulse and the cache file from outside."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from storage_sync.cache import servers
from storage_sync.cache.holders import describe, is_listed
from storage_sync.cache.identity import read_identity
from storage_sync.cache.lease import lease_holder
from storage_sync.cache.states import FileJudgement, judge_file
from storage_sync.cache.waiting_rows import Found, read_waiting
from storage_sync.config.settings import Settings
from storage_sync.primary.source import Fingerprint
from storage_sync.reports.sentences import plural, rows
from storage_sync.service import health, snapshots
from storage_sync.service.publisher import Board
from storage_sync.service.schedule import backoff_s
from storage_sync.service.triggers import Agenda
from storage_sync.sync.session import Session
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.events import FileChanged
from storage_sync.values.found import PrimaryStand, still
from storage_sync.values.outcome import FileIdentity, LockHolder, Word, error_value
from storage_sync.values.snapshot import Budget, CacheHealth, Hold, LockState, PrimaryHealth, WaitingRows

FORCED_POLL_MS = 2_000
LOOK_MS = 250
"""Time between two looks at what the system has told of the folders; each costs a little while nothing happens."""
LOCK_S = 0.1
"""Time between two looks at the kernel's list of locks while somebody else holds the file."""
HELD = (LockState.OTHER, LockState.SHARED)
LOOKS = 5
"""At most so many looks at a file that becomes another one during each."""
UNLISTED_S = 10.0
"""How long a file whose lock was refused counts as held although no holder is listed; then it is tried again."""


class Ears(Struct, frozen=True):
    """The listeners, and what the pulse must know about the active run."""

    settings: Callable[[], Settings]
    budget: Callable[[], Budget | None]
    pinged: Callable[[float | None], None]
    """Milliseconds of a ping, None for a failed one."""
    committing: Callable[[], bool]
    replacing: Callable[[], bool]
    """A run of ours has begun its commit and cannot be stopped: a change of the file is its own."""
    reload: Callable[[], None]
    explained: Callable[[str, Exception], StorageSyncError]
    """Turns an unexpected error into one of our own."""
    taken: Callable[[LockHolder], None]
    """Another process has taken the file."""


class Pulse:
    """Three loops that belong to the core's: `ping`, `watch` and `locks`."""

    def __init__(
        self,
        session: Session,
        board: Board,
        agenda: Agenda,
        ears: Ears,
        config_file: Path | None,
        stop: asyncio.Event,
    ) -> None:
        self._session = session
        self._board = board
        self._agenda = agenda
        self._ears = ears
        self._config_file = config_file
        self._stop = stop
        self._at_proof: Fingerprint | None = None
        self._latest: Fingerprint | None = None
        """By the last answer, whoever asked."""
        self._identity: FileIdentity | None = None
        self._now = asyncio.Event()
        self._touched = asyncio.Event()
        """The file or its lock may be another one than at the last look."""
        self._without_cache: frozenset[int] = frozenset()
        """Processes of do-memory that were told to run in memory only."""
        self._refused_at: float | None = None
        """When the lock was refused to a commit of ours, by the monotonic clock."""
        self.free_since: float | None = None
        """When the last holder was seen to go, in epoch seconds."""

    # ------------------------------------------------------------------------------------------- primary

    async def ping(self) -> None:
        """The primary's pulse; also the cheap question whether it changed."""
        loop = asyncio.get_running_loop()
        while True:
            await self._ping_once()
            self._now.clear()
            asked, pause = loop.time(), self._pause()
            await self._look()
            while (left := self._left(pause, loop.time() - asked)) > 0 and not self._now.is_set():
                primary = replace(self._board.snapshot.primary, next_at=time.time() + left, poll_s=max(pause, left))
                self._board.update(primary=primary)
                # the file is looked at as often as ever, however rarely the primary may be asked
                poll_s = self._ears.settings().poll_s
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, poll_s)):
                        await self._now.wait()
                if left > poll_s:
                    await self._look()

    def _left(self, pause: float, passed: float) -> float:
        """Seconds until the next ping, so many after the last one."""
        return max(pause - passed, self._held_back(passed))

    async def _look(self) -> None:
        try:
            await self.look_at_file()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this look and not the service
            told = self._ears.explained("a look at the cache file", error)
            self._board.log("fail", "core", told.message)
            self._board.update(cache=replace(self._board.snapshot.cache, error=error_value(told)))

    def _held_back(self, passed: float) -> float:
        """Seconds for which `rows_read_per_day` still holds the next ping back, so many after the last one."""
        budget = self._ears.budget()
        if budget is None:
            return 0.0
        return budget.until - time.time() if budget.hold is Hold.USED_UP else budget.poll_s - passed

    def _pause(self) -> float:
        """Seconds until the next ping: a primary that does not answer is asked less and less often."""
        poll_s, primary = self._ears.settings().poll_s, self._board.snapshot.primary
        if not primary.retries:
            return poll_s
        asked = primary.error.retry_after if primary.error is not None else None
        pause = max(poll_s, backoff_s(primary.retries, random.random(), asked))  # noqa: S311  (no secret)
        self._board.update(primary=replace(primary, backoff_s=pause))
        return pause

    def ping_now(self) -> None:
        self._now.set()

    async def fingerprint(self) -> Fingerprint | None:
        """Taken before a run, so that a change during it is seen as a change after it."""
        try:
            found = await self._session.source.fingerprint()
        except StorageSyncError:
            return None
        self._note_fingerprint(found)
        self._board.update(primary=replace(self._board.snapshot.primary, stand=self._stood(found)))
        return found

    def stand(self, at: Fingerprint | None) -> PrimaryStand | None:
        """Where the primary stood at this fingerprint, or at that of the last proof."""
        found = at if at is not None else self._at_proof
        return self._stand_of(found) if found is not None else None

    def _stood(self, found: Fingerprint) -> PrimaryStand:
        self._latest = found
        return self._stand_of(found)

    def _stand_of(self, found: Fingerprint) -> PrimaryStand:
        source = self._session.source
        return PrimaryStand(source.source_id, source.log.steps_back, found.schema, found.token)

    async def has_moved(self) -> bool | None:
        """Whether the primary is another one than at the last proof or comparison; None when that cannot be told."""
        budget = self._ears.budget()
        used_up = budget is not None and budget.hold is Hold.USED_UP
        fingerprint = await self.fingerprint() if not used_up else None
        if self._agenda.past.moved_at is not None:
            return True
        return None if fingerprint is None or self._at_proof is None else False

    def delivered(self) -> None:
        """A proof was made of the primary as it was when the rows that waited were fetched."""
        if self._at_proof is None:
            # by an earlier process of ours: only the primary can tell whether it moved since
            self._agenda.note(moved_at=time.time())

    def moved_since(self, at: Fingerprint | None) -> bool:
        """Whether the primary was seen to be another one than at this fingerprint."""
        return at is not None and self._latest is not None and self._latest != at

    def proven(self, at: Fingerprint | None) -> None:
        """A proof was made of the primary as it was at this fingerprint; it may be another one by now."""
        self._at_proof = at
        if self._latest is not None:
            self._note_fingerprint(self._latest)

    def reached(self, at: float) -> None:
        """A run proved something against the primary at this moment."""
        before = self._board.snapshot.primary
        after = health.proven(before, at)
        if after is not before:
            self._board.update(primary=after)
            self._log_answer(before)
            self.ping_now()

    async def _ping_once(self) -> None:
        began = time.time()
        try:
            source = self._session.source
            capabilities = await source.probe()
            started = time.perf_counter()
            fingerprint = await source.fingerprint()
            milliseconds = (time.perf_counter() - started) * 1000
            # the fingerprint may have found that it is another one
            capabilities = await source.probe()
        except StorageSyncError as error:
            self._not_answered(error, began)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this ping and not the service
            self._not_answered(self._ears.explained("a ping of the primary", error), began)
            return
        # no picture is told in which the primary is another one and the cache in sync with it
        self._note_fingerprint(fingerprint)
        # only now: a run may have told of the primary meanwhile
        before = self._board.snapshot.primary
        after = health.answered(before, milliseconds, time.time())
        after = replace(
            after,
            server=capabilities.server,
            digest_function=capabilities.digest,
            generation=capabilities.generation,
            source_id=source.source_id,
            url=source.url,
            stand=self._stood(fingerprint),
        )
        self._board.update(primary=after)
        self._ears.pinged(milliseconds)
        if before.status.failed:
            self._log_answer(before)
            self._agenda.note(recovered_at=time.time())

    def _log_answer(self, before: PrimaryHealth) -> None:
        tries = plural(before.retries, "failed try", "failed tries")
        self._board.log("info", "primary", f"answers again after {tries}")

    def _not_answered(self, error: StorageSyncError, began: float) -> None:
        """`began`: when it was asked. A run that ended since then knows better."""
        before, proof = self._board.snapshot.primary, self._board.snapshot.freshness.proof
        proven = proof is not None and proof.source_id == self._session.source.source_id
        known = before.auth_at is not None or proven
        after = health.failed(before, error, began, known=known)
        self._board.update(primary=after)
        if before.status is not after.status:
            self._board.log("fail", "primary", error.message)
        self._board.unproven("the primary does not answer")
        self._ears.pinged(None)

    def _note_fingerprint(self, fingerprint: Fingerprint) -> None:
        if self._at_proof is None or fingerprint == self._at_proof:
            return
        if self._agenda.past.moved_at is not None:
            if fingerprint != self._latest:
                self._agenda.note(uncounted_at=time.time())
            return
        self._board.log("info", "primary", "changed since the last proof")
        snapshot = self._board.snapshot
        moved_at = time.time()
        self._board.update(freshness=replace(snapshot.freshness, moved_at=moved_at))
        # rows that differ from the earlier primary may be what it has now
        rewritten = still(snapshot.cache.rewritten, snapshot.present)
        if snapshot.verdict is Word.IN_SYNC or (snapshot.verdict is Word.DRIFT and rewritten):
            self._board.judge(Word.STALE, "the primary has changed")
        self._agenda.note(moved_at=moved_at, uncounted_at=moved_at)

    # ---------------------------------------------------------------------------------------------- file

    def identity(self) -> FileIdentity | None:
        """The cache file's as it is now; a change to anything else is news from here on."""
        self._identity = read_identity(self._session.cache_path)
        return self._identity

    async def watch(self) -> None:
        """The folders of cache and configuration: renames and new files are normal there.

        Where the system tells nothing of them (no watch is left, the folder is not there) they are looked at by time.
        """
        cache = Path(self._session.cache_path)
        names = self._watched(cache)
        known = {os.fspath(name): read_identity(os.fspath(name)) for name in names if name.name != cache.name}
        try:
            await self._told_by_system(names, cache)
            why = "the folder of the cache is not there"
        except (OSError, RuntimeError) as error:
            # watchfiles has an error of its own, which is a RuntimeError
            why = f"the system cannot watch files ({error})"
        if self._stop.is_set():
            return
        self._board.log("warn", "watch", f"{why}: they are looked at every {FORCED_POLL_MS / 1000:g} s instead")
        own = next(os.fspath(name) for name in names if name.name == cache.name)
        await self._by_time(own, known, cache)

    async def _by_time(self, own: str, known: dict[str, FileIdentity | None], cache: Path) -> None:
        while True:
            await asyncio.sleep(FORCED_POLL_MS / 1000)
            # the cache is compared with what a run left, which may be younger than the last look
            self._file_event(own, cache)
            for name, before in known.items():
                known[name] = read_identity(name)
                if known[name] != before:
                    self._file_event(name, cache)

    async def _told_by_system(self, names: set[Path], cache: Path) -> None:
        """Until the core stops; at once where there is no folder to be told of. OSError, RuntimeError."""
        from watchfiles import awatch

        folders = sorted({name.parent for name in names if name.parent.is_dir()})
        if not any(name.parent in folders and name.name == cache.name for name in names):
            return
        wanted = {os.fspath(name) for name in names}
        async for changes in awatch(
            *folders,
            watch_filter=lambda _, path: path in wanted,
            recursive=False,
            debounce=400,
            step=LOOK_MS,
            stop_event=self._stop,
            poll_delay_ms=FORCED_POLL_MS,
        ):
            for _, path in changes:
                self._file_event(path, cache)

    def _watched(self, cache: Path) -> set[Path]:
        files = [cache, Path(f"{cache}.lock"), *([self._config_file] if self._config_file is not None else [])]
        return {file.absolute() for file in files}

    def _file_event(self, path: str, cache: Path) -> None:
        if path != os.fspath(cache.absolute()):
            self._board.event(FileChanged(path))
            if self._config_file is not None and path == os.fspath(self._config_file.absolute()):
                self._ears.reload()
            return
        self._note_file()

    def _note_file(self) -> FileIdentity | None:
        """Look whether the cache is another file, and tell it before anything else is told of that one: which it is."""
        cache = Path(self._session.cache_path)
        identity = read_identity(os.fspath(cache))
        if identity == self._identity or self._ears.replacing():
            return identity
        self._identity = identity
        self._touched.set()
        self._board.event(FileChanged(os.fspath(cache.absolute())))
        self._board.unproven("the cache file changed")
        self._board.update(cache=replace(self._board.snapshot.cache, identity=identity))
        if identity is None:
            self._board.log("warn", "watch", self._removed(cache.name))
        else:
            self._board.log("info", "watch", f"{cache.name} changed")
        self._agenda.note(file_changed_at=time.time())
        return identity

    def _removed(self, name: str) -> str:
        """What is lost with the file, as far as the last proof told."""
        found = self._board.snapshot.freshness.cache_only
        only = sum(found.was.values()) if found is not None else 0
        lost = f"{rows(only)} that only it had cannot be restored" if only else "it had no row that cannot be fetched"
        return f"{name} was removed; {lost}"

    async def locks(self) -> None:
        """Notice at once that a file was taken or is free, without a lock of our own (`docs/cache.md` 2.5)."""
        while True:
            held = self._board.snapshot.cache.lock in HELD
            try:
                async with asyncio.timeout(LOCK_S if held else None):
                    await self._touched.wait()
            except TimeoutError:
                if await asyncio.to_thread(is_listed, self._session.cache_path):
                    continue
            self._touched.clear()
            await self.look_at_file()

    def lock_refused(self) -> None:
        """Another process had the lock when a commit of ours asked for it: look up at once which one."""
        self._refused_at = time.monotonic()
        self._touched.set()

    def _note_lock(self, before: CacheHealth, after: CacheHealth) -> None:
        """While the file is held nothing is written; what waited is done when it is free."""
        held = after.lock in HELD
        if held is not self._agenda.past.held:
            self._agenda.note(held=held)
        if held and before.holder != after.holder and after.holder is not None:
            self._board.log("info", "cache", f"held by {describe(after.holder)}; only copies of it are read meanwhile")
            self._ears.taken(after.holder)
        if before.lock in HELD and after.lock is LockState.FREE:
            self._board.log("info", "cache", "nobody else holds the file any more")
            self.free_since = time.time()
            self._agenda.note(recovered_at=time.time())

    async def _look_for_servers(self, holders: tuple[LockHolder, ...]) -> None:
        """Each do-memory that runs without its cache is told once."""
        found = await asyncio.to_thread(servers.in_memory_only, self._session.cache_path, holders)
        for server in found:
            if server.pid not in self._without_cache:
                self._board.log("warn", "cache", servers.warning(server))
        self._without_cache = frozenset(server.pid for server in found)
        self._board.update(cache=replace(self._board.snapshot.cache, memory_only=found))

    async def _judged(self) -> FileJudgement:
        """The file from outside; of one that became another meanwhile, as a run of ours makes it, again."""
        for _ in range(LOOKS):
            witnessed = self._board.snapshot.cache.acked is not None
            judgement = await self._session.on_cache_thread(judge_file, self._session.cache_path, witnessed=witnessed)
            if judgement.identity == read_identity(self._session.cache_path):
                break
        return judgement

    async def look_at_file(self) -> None:
        """States, size, lock and space of the file, from outside; a copy of another file is given up."""
        try:
            await self._session.on_cache_thread(self._session.copies.drop_changed)
            found = await self._session.on_cache_thread(read_waiting, self._session.cache_path)
            judgement = await self._judged()
        except StorageSyncError as error:
            self._board.update(cache=replace(self._board.snapshot.cache, error=error_value(error)))
            return
        if judgement.holders:
            # it was one that is listed: once it is gone nobody has the lock
            self._refused_at = None
        lease = lease_holder(self._session.cache_path)
        identity = self._note_file()
        before = self._board.snapshot.cache
        after = snapshots.from_outside(
            self._board.snapshot,
            judgement,
            ours=self._ears.committing(),
            refused=self._refused_at is not None and time.monotonic() - self._refused_at < UNLISTED_S,
            lease=lease if lease is not None and lease.pid != os.getpid() else None,
            now=time.time(),
        )
        copied = self._session.copies.bytes_last_hour()
        self._board.update(cache=replace(after, identity=identity, waiting=_waiting(found), copied_bytes=copied))
        await self._look_for_servers(judgement.holders)
        if after.lock in HELD and before.lock not in HELD:
            # from now on it is waited for
            self._touched.set()
        self._note_lock(before, after)


def _waiting(found: Found) -> WaitingRows | None:
    """Rows that wait; a note without any is only of our own ledger."""
    note = found.kept.note if found.kept is not None else None
    return WaitingRows(note.rows, note.since, note.at) if note is not None and note.rows else None
