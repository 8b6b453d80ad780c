"""The cache file between the runs, from outside: whether it became another one, and who holds it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from storage_sync.cache import servers
from storage_sync.cache.holders import describe, is_listed
from storage_sync.cache.identity import read_identity
from storage_sync.cache.lease import lease_holder
from storage_sync.cache.states import FileJudgement, judge_file
from storage_sync.cache.waiting_rows import Found, read_waiting
from storage_sync.reports.sentences import rows
from storage_sync.service import snapshots
from storage_sync.service.parts import Parts
from storage_sync.state.witness import read_witness
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.events import FileChanged
from storage_sync.values.outcome import FileIdentity, LockHolder, error_value
from storage_sync.values.snapshot import CacheHealth, LockState, WaitingRows

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


class CacheMonitor:
    """Two loops that belong to the core's: `watch` and `locks`."""

    def __init__(self, parts: Parts, taken: Callable[[LockHolder], None], stop: asyncio.Event) -> None:
        """`taken`: another process has taken the file."""
        self._parts = parts
        self._effective = parts.effective
        self._session = parts.session
        self._board = parts.board
        self._agenda = parts.agenda
        self._active = parts.active
        self._taken = taken
        self._stop = stop
        self._identity: FileIdentity | None = None
        self._touched = asyncio.Event()
        """The file or its lock may be another one than at the last look."""
        self._without_cache: frozenset[int] = frozenset()
        """Processes of do-memory that were told to run in memory only."""
        self._refused_at: float | None = None
        """When the lock was refused to a commit of ours, by the monotonic clock."""
        self.free_since: float | None = None
        """When the last holder was seen to go, in epoch seconds."""

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
            why = "the folder of the cache does not exist"
        except (OSError, RuntimeError) as error:
            # watchfiles has an error of its own, which is a RuntimeError
            why = f"the system cannot watch files ({error})"
        if self._stop.is_set():
            return
        self._board.log("warn", "watch", f"{why}; the files are looked at every {FORCED_POLL_MS / 1000:g} s instead")
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
        files = [cache, Path(f"{cache}.lock"), *([self._effective.file] if self._effective.file is not None else [])]
        return {file.absolute() for file in files}

    def _file_event(self, path: str, cache: Path) -> None:
        if path != os.fspath(cache.absolute()):
            self._board.event(FileChanged(path))
            if self._effective.file is not None and path == os.fspath(self._effective.file.absolute()):
                self._effective.reload()
            return
        self._note_file()

    def _note_file(self) -> FileIdentity | None:
        """Look whether the cache is another file, and tell it before anything else is told of that one: which it is."""
        cache = Path(self._session.cache_path)
        identity = read_identity(os.fspath(cache))
        if identity == self._identity or self._active.replaces:
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
        lost = f"{rows(only)} that only it had are lost" if only else "all of its rows can be fetched again"
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
            self._taken(after.holder)
        if before.lock in HELD and after.lock is LockState.FREE:
            self._board.log("info", "cache", "the file is free again")
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

    async def look_at_witness(self) -> None:
        """Which commit was the last: an undo or a quarantine makes one, and no proof."""
        witness, _ = await self._session.on_cache_thread(
            read_witness, self._session.state.folder, self._session.cache_path
        )
        if witness is not None:
            self._board.update(cache=replace(self._board.snapshot.cache, acked=witness.generation))

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
            ours=self._active.commits,
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

    async def look(self) -> None:
        """The same, where nobody waits for it: an error that nobody foresaw is told."""
        try:
            await self.look_at_file()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this look and not the service
            told = self._parts.explained("a look at the cache file", error)
            self._board.log("fail", "core", told.message)
            self._board.update(cache=replace(self._board.snapshot.cache, error=error_value(told)))


def _waiting(found: Found) -> WaitingRows | None:
    """Rows that wait; a note without any is only of our own ledger."""
    note = found.kept.note if found.kept is not None else None
    return WaitingRows(note.rows, note.since, note.at) if note is not None and note.rows else None
