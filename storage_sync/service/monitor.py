"""What the core sees of both stores between the runs: the primary's pulse and the cache file from outside."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from storage_sync.cache.holders import is_listed
from storage_sync.cache.identity import read_identity
from storage_sync.cache.lease import lease_holder
from storage_sync.cache.states import judge_file
from storage_sync.config.settings import Settings
from storage_sync.primary.source import Fingerprint
from storage_sync.service import health, snapshots
from storage_sync.service.publisher import Board
from storage_sync.service.triggers import Agenda
from storage_sync.sync.session import Session
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.events import FileChanged
from storage_sync.values.outcome import FileIdentity, Word, error_value
from storage_sync.values.snapshot import CacheHealth, LockState, PrimaryStatus

FORCED_POLL_MS = 2_000
LOOK_MS = 250
"""Time between two looks at what the system has told of the folders; each costs a little while nothing happens."""
LOCK_S = 0.5
"""Time between two looks at the kernel's list of locks while somebody else holds the file."""
HELD = (LockState.OTHER, LockState.SHARED)


@dataclass(frozen=True, slots=True)
class Ears:
    """Who wants to know, and what the pulse must know of the run that is active."""

    settings: Callable[[], Settings]
    pinged: Callable[[float | None], None]
    """Milliseconds of a ping, None for a failed one."""
    committing: Callable[[], bool]
    replacing: Callable[[], bool]
    """A run of ours is past its point of no return: a change of the file is its own."""
    reload: Callable[[], None]


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
        self._identity: FileIdentity | None = None
        self._now = asyncio.Event()
        self._held = asyncio.Event()
        """Somebody else holds the file."""

    # ------------------------------------------------------------------------------------------- primary

    async def ping(self) -> None:
        """The primary's pulse; also the cheap question whether it moved."""
        while True:
            await self._ping_once()
            await self.look_at_file()
            wait = self._ears.settings().poll_s
            self._board.update(primary=replace(self._board.snapshot.primary, next_at=time.time() + wait))
            self._now.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._now.wait()
            except TimeoutError:
                continue

    def ping_now(self) -> None:
        self._now.set()

    async def fingerprint(self) -> Fingerprint | None:
        """Taken before a run, so that what moves during it is seen as moved after it."""
        try:
            return await self._session.source.fingerprint()
        except StorageSyncError:
            return None

    def proven(self, at: Fingerprint | None) -> None:
        """A proof was made of the primary as it was at this fingerprint."""
        self._at_proof = at

    async def _ping_once(self) -> None:
        before = self._board.snapshot.primary
        try:
            source = self._session.source
            capabilities = await source.probe()
            started = time.perf_counter()
            fingerprint = await source.fingerprint()
            milliseconds = (time.perf_counter() - started) * 1000
        except StorageSyncError as error:
            after = health.failed(before, error, time.time())
            self._board.update(primary=after)
            if before.status is not after.status:
                self._board.log("fail", "primary", error.message)
            self._board.unproven("the primary does not answer")
            self._ears.pinged(None)
            return
        after = health.answered(before, milliseconds, time.time())
        after = replace(
            after,
            server=capabilities.server,
            digest_function=capabilities.digest,
            generation=capabilities.generation,
            source_id=source.source_id,
            url=source.url,
        )
        self._board.update(primary=after)
        self._ears.pinged(milliseconds)
        if before.status in (PrimaryStatus.UNREACHABLE, PrimaryStatus.REFUSED):
            self._board.log("info", "primary", f"answers again after {before.retries} failed tries")
            self._agenda.note(recovered_at=time.time())
        self._note_fingerprint(fingerprint)

    def _note_fingerprint(self, fingerprint: Fingerprint) -> None:
        if self._at_proof is None or fingerprint == self._at_proof or self._agenda.past.moved_at is not None:
            return
        self._board.log("info", "primary", "moved since the last proof")
        freshness = self._board.snapshot.freshness
        self._board.update(freshness=replace(freshness, exact=False, as_of=time.time()))
        if self._board.snapshot.verdict is Word.IN_SYNC:
            self._board.judge(Word.STALE, "the primary moved")
        self._agenda.note(moved_at=time.time())

    # ---------------------------------------------------------------------------------------------- file

    def identity(self) -> FileIdentity | None:
        """The cache file's as it is now; a change to anything else is news from here on."""
        self._identity = read_identity(self._session.cache_path)
        return self._identity

    async def watch(self) -> None:
        """The folders of cache and configuration: renames and new files are normal there."""
        from watchfiles import awatch

        cache = Path(self._session.cache_path)
        names = self._watched(cache)
        folders = sorted({name.parent for name in names if name.parent.is_dir()})
        if not folders:
            await asyncio.Event().wait()
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
        identity = read_identity(path)
        if identity == self._identity or self._ears.replacing():
            return
        self._identity = identity
        self._board.event(FileChanged(path))
        self._board.log("info", "watch", f"{cache.name} changed")
        self._board.unproven("the cache file changed")
        self._agenda.note(file_changed_at=time.time())

    async def locks(self) -> None:
        """Notice at once that a held file is free, without a lock of our own (docs/cache.md#locks)."""
        while True:
            await self._held.wait()
            await asyncio.sleep(LOCK_S)
            if not await asyncio.to_thread(is_listed, self._session.cache_path):
                await self.look_at_file()

    def _note_lock(self, before: CacheHealth, after: CacheHealth) -> None:
        """What failed because of the lock is tried again when it is gone."""
        if before.lock in HELD and after.lock is LockState.FREE:
            self._board.log("info", "cache", "nobody else holds the file any more")
            if self._agenda.past.failures:
                self._agenda.note(recovered_at=time.time())

    async def look_at_file(self) -> None:
        """States, size, lock and space of the file, from outside."""
        try:
            witnessed = self._board.snapshot.cache.acked is not None
            judgement = await self._session.on_cache_thread(judge_file, self._session.cache_path, witnessed=witnessed)
        except StorageSyncError as error:
            self._board.update(cache=replace(self._board.snapshot.cache, error=error_value(error)))
            return
        lease = lease_holder(self._session.cache_path)
        before = self._board.snapshot.cache
        after = snapshots.from_outside(
            self._board.snapshot,
            judgement,
            ours=self._ears.committing(),
            lease=lease if lease is not None and lease.pid != os.getpid() else None,
            now=time.time(),
        )
        self._board.update(cache=after)
        if after.lock in HELD:
            self._held.set()
        else:
            self._held.clear()
        self._note_lock(before, after)
