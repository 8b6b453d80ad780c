"""One private copy of a cache for all of a process who look at it, until the file changes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct, field

from storage_sync.cache.cancelled import Cancelled
from storage_sync.cache.copy import PrivateCopy, is_suspect, private_copy
from storage_sync.cache.identity import read_identity, real_path
from storage_sync.values.outcome import FileIdentity

HOUR_S = 3600.0
DEEP_AGE_S = 60.0
"""redb's own check of a copy that is older is made again of a new one: a disk may have gone bad without a write."""


class _Kept(Struct):
    copy: PrivateCopy
    stack: ExitStack
    borrowers: int = 0
    outdated: bool = False


class Copies(Struct):
    """Lends the newest copy of the cache at `cache` and makes one where there is none, in `folder`
    (`StateDir.copies`; None: a temporary one). All methods may be called in any thread; making a copy blocks."""

    cache: str
    folder: Path | None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _kept: _Kept | None = None
    _made: deque[tuple[float, int]] = field(default_factory=deque)
    """When, by the monotonic clock, and how many bytes were written for it."""

    @contextmanager
    def lend(
        self, *, proven: FileIdentity | None = None, deep: bool = False, cancelled: Cancelled | None = None
    ) -> Iterator[PrivateCopy]:
        """A copy of the file as it is now; arguments and errors as those of `private_copy`. Who asks while one is
        being made waits for it."""
        with self._lock:
            kept = self._fitting(proven, deep)
            if kept is None:
                kept = self._new(proven, deep, cancelled)
            kept.borrowers += 1
        try:
            yield kept.copy
        finally:
            with self._lock:
                kept.borrowers -= 1
                if kept.outdated:
                    _close_unused(kept)

    def drop_changed(self) -> None:
        """Give up the copy if the file is another one by now. Blocking for a moment."""
        with self._lock:
            if self._kept is not None and not self._is_current(self._kept):
                self._forget()

    def close(self) -> None:
        """Give up the copy; one that is still lent goes when it comes back."""
        with self._lock:
            self._forget()

    def bytes_last_hour(self) -> int:
        """What was written for copies; one that shares its blocks with the file costs nothing."""
        with self._lock:
            self._age()
            return sum(octets for _, octets in self._made)

    def wait_for(self, octets: int, limit: int) -> float:
        """Seconds until a copy of so many bytes stays within `limit` bytes an hour; one that never would waits until it
        is the only one of its hour."""
        with self._lock:
            self._age()
            spent = sum(made for _, made in self._made)
            wait = 0.0
            for at, made in self._made:
                if spent + octets <= limit:
                    break
                spent -= made
                wait = max(at + HOUR_S - time.monotonic(), 0.0)
            return wait

    def has(self, identity: FileIdentity | None) -> bool:
        """Whether a copy of the file of this identity is there."""
        with self._lock:
            return self._kept is not None and identity is not None and self._kept.copy.identity == identity

    def _age(self) -> None:
        oldest = time.monotonic() - HOUR_S
        while self._made and self._made[0][0] <= oldest:
            self._made.popleft()

    def _fitting(self, proven: FileIdentity | None, deep: bool) -> _Kept | None:
        kept = self._kept
        if kept is None or not self._is_current(kept):
            return None
        if kept.copy.probe is None:
            return None if deep or is_suspect(kept.copy.identity, proven) else kept
        return kept if not deep or time.time() - kept.copy.at < DEEP_AGE_S else None

    def _is_current(self, kept: _Kept) -> bool:
        return kept.copy.identity is not None and kept.copy.identity == read_identity(real_path(self.cache))

    def _new(self, proven: FileIdentity | None, deep: bool, cancelled: Cancelled | None) -> _Kept:
        self._forget()
        stack = ExitStack()
        copy = stack.enter_context(private_copy(self.cache, self.folder, proven=proven, deep=deep, cancelled=cancelled))
        if copy.info.method == "copy":
            self._made.append((time.monotonic(), copy.info.bytes))
        self._kept = _Kept(copy, stack)
        return self._kept

    def _forget(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.outdated = True
            _close_unused(kept)


def _close_unused(kept: _Kept) -> None:
    if kept.borrowers == 0:
        kept.stack.close()
