"""Private copies: how everything but the commit looks at a cache (docs/protocol.md#files).

Taking one needs no lock, so a running do-memory is not disturbed. A file that is not the one of the last proof
is suspect and is opened in a child process first.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from storage_sync import _native
from storage_sync.cache.cancelled import Cancelled
from storage_sync.cache.identity import await_tick, read_identity, real_path
from storage_sync.cache.probe import TIMEOUT_S, ProbeReport, probe_file
from storage_sync.cache.space import require_space
from storage_sync.cache.states import Finding, corrupt_inside
from storage_sync.files.writing import own_file
from storage_sync.values.errors import CacheDamaged, CacheLocked, LocalIO, VersionMismatch
from storage_sync.values.outcome import CacheState, FileIdentity, LockHolder, LookedAt

COPY_ATTEMPTS = 5
COPY_PAUSES_S = (0.01, 0.02, 0.04, 0.08)
"""Between so many attempts each: an open, a commit or a close writes the header several times within milliseconds."""


class DamagedCopy(CacheDamaged):
    """The copy cannot be read; `finding` is CORRUPT with its evidence."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.evidence, hint=finding.next_step or None)
        self.finding = finding


class PrivateCopy(Struct, frozen=True, dict=True):
    """An open private copy. `identity`: of the live file, before it was copied; None when it changed meanwhile."""

    file: _native.CacheFile
    path: str
    info: _native.CopyInfo
    identity: FileIdentity | None
    header: _native.Header
    repaired: bool
    """redb repaired the copy while opening it: nobody closed the live file."""
    probe: ProbeReport | None
    """What the child found, redb's own check included; None when it was not asked."""
    at: float
    """Epoch seconds at which the copy was complete."""

    @cached_property
    def scanned(self) -> _native.Scan:
        """Every value hashed and compared with the ledger, at the first question. DamagedCopy when that meets damage,
        LocalIO."""
        with _explained():
            return self.file.scan()

    def scan(self) -> _native.Scan:
        """`scanned`, as a blocking call."""
        return self.scanned

    def is_sound(self) -> bool:
        """redb's own check of its structure and bytes, before anything scans it. Blocking; DamagedCopy, LocalIO."""
        with _explained():
            return self.file.check_integrity()

    def looked_at(self, holders: tuple[LockHolder, ...]) -> LookedAt:
        """What a finding made of this copy speaks of, while `holders` have the file."""
        return LookedAt("copy" if holders or self.identity is None else "file", self.at, holders, self.identity)

    @property
    def finding(self) -> Finding:
        """Structure, as far as opening tells: REPAIRED, UNCLEAN or CLEAN."""
        if self.repaired:
            return Finding(
                CacheState.REPAIRED,
                "redb repaired the private copy: the file is in use, or its program did not close it",
            )
        if self.header.recovery_required:
            return Finding(CacheState.UNCLEAN, "the file is in use, or its program did not close it")
        return Finding(CacheState.CLEAN, "it was closed cleanly and its copy opens")


@contextmanager
def private_copy(
    cache: str,
    folder: Path | None,
    *,
    proven: FileIdentity | None = None,
    deep: bool = False,
    probe_timeout_s: float = TIMEOUT_S,
    cancelled: Cancelled | None = None,
) -> Iterator[PrivateCopy]:
    """Copy the file at `cache` into `folder` (`StateDir.copies`; None: a temporary one), open it, remove it at the end.

    `proven`: identity of the file at its last proof; another one, or none, makes it suspect and a child opens it first.
    `deep`: so it does in any case, for redb's own check of this copy.
    DamagedCopy, CacheLocked (it kept moving while it was copied), LocalIO.
    """
    real = real_path(cache)
    with _workplace(folder) as place:
        sweep(place)
        identity = read_identity(real)
        if identity is not None:
            require_space(str(place), identity.size)
            await_tick(identity)
        with _name(place) as target:
            info = _copy(real, target)
            at = time.time()
            if identity != read_identity(real):
                identity = None
            report = None
            if deep or is_suspect(identity, proven):
                report = probe_file(target, timeout_s=probe_timeout_s, cancelled=cancelled)
                if report.damage:
                    raise DamagedCopy(corrupt_inside(report.damage))
            header = _native.read_header(target)
            file = _open(target)
            try:
                yield PrivateCopy(
                    file,
                    target,
                    info,
                    identity,
                    header,
                    file.repaired,
                    report,
                    at,
                )
            finally:
                _close(file)


def is_suspect(identity: FileIdentity | None, proven: FileIdentity | None) -> bool:
    """Whether a child must open the file first: it is not, byte for byte as far as one can see, the proven one."""
    return identity is None or identity != proven


def sweep(folder: Path) -> list[str]:
    """Remove copies that dead runs left in `folder`; gives their names. A living run locks each of its own."""
    gone = []
    for lock in sorted(folder.glob("*.lock")):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            gone += _remove(folder, lock.stem)
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return gone


def _remove(folder: Path, stem: str) -> list[str]:
    """All that was made under a claimed name, its lock last; gives the names."""
    lock = folder / f"{stem}.lock"
    gone = []
    for left in folder.glob(f"{stem}*"):
        if left == lock:
            continue
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)
        gone.append(left.name)
    lock.unlink(missing_ok=True)
    return gone


@contextmanager
def private_folder(folder: Path | None) -> Iterator[Path]:
    """A folder of its own in `folder` (None: a temporary one), gone at the end; a later run sweeps a dead one's."""
    with _workplace(folder) as place:
        sweep(place)
        with _name(place) as target:
            made = Path(target).with_suffix(".folder")
            try:
                made.mkdir(mode=0o700)
            except OSError as error:
                raise LocalIO(f"{made} cannot be made: {error.strerror}") from error
            yield made


@contextmanager
def _workplace(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="storage-sync-") as name:
            yield Path(name)
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LocalIO(f"{folder} cannot be made: {error.strerror}") from error
    yield folder


@contextmanager
def _name(folder: Path) -> Iterator[str]:
    """A path for a copy that `sweep` of other runs leaves alone, and that is gone at the end with all beside it."""
    stem, descriptor = _claim(folder)
    try:
        yield str(folder / f"{stem}.redb")
    finally:
        os.close(descriptor)
        # What cannot be removed now, the next run sweeps: nobody holds its lock any more.
        with suppress(OSError):
            _remove(folder, stem)


def _claim(folder: Path) -> tuple[str, int]:
    try:
        while True:
            stem = f"{os.getpid()}-{secrets.token_hex(4)}"
            lock = folder / f"{stem}.lock"
            descriptor = own_file(lock)
            if _holds(descriptor, lock):
                return stem, descriptor
            os.close(descriptor)
    except OSError as error:
        raise LocalIO(f"a private copy in {folder} cannot be made: {error.strerror}") from error


def _holds(descriptor: int, lock: Path) -> bool:
    """False when another run swept the file between our two calls; the next name will do."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _copy(source: str, target: str) -> _native.CopyInfo:
    pauses = iter(COPY_PAUSES_S)
    while True:
        try:
            return _native.copy_file(source, target, COPY_ATTEMPTS)
        except BlockingIOError as error:
            pause = next(pauses, None)
            if pause is None:
                raise CacheLocked(
                    f"{source} changed each time it was copied: another process is writing to it"
                ) from error
            threading.Event().wait(pause)
        except OSError as error:
            raise LocalIO(f"{source} cannot be copied: {error.strerror or error}") from error


def _open(path: str) -> _native.CacheFile:
    with _explained():
        return _native.CacheFile.open(path, "private")


@contextmanager
def _explained() -> Iterator[None]:
    """What redb says of a copy, in the words of the error hierarchy."""
    try:
        yield
    except _native.UpgradeRequired as error:
        raise VersionMismatch(str(error)) from error
    except _native.StorageIo as error:
        # The system's own numbers speak of this machine; redb's words without one speak of the file.
        if error.errno is not None:
            raise LocalIO(f"a private copy of the cache cannot be read: {error}") from error
        raise DamagedCopy(corrupt_inside(str(error))) from error
    except _native.NativeError as error:
        raise DamagedCopy(corrupt_inside(f"redb cannot read it: {error}")) from error


def _close(file: _native.CacheFile) -> None:
    """Closing writes into a copy that goes away now: what it says is of no interest."""
    try:
        file.close()
    except _native.NativeError:
        return
