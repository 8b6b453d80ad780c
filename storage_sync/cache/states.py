"""What a cache path holds, told from its status, its first 320 bytes and the kernel's list of locks.

Nothing is locked, opened by redb or changed here. What needs redb (damage inside, rows) is judged on a private
copy: `copy.py`, `content.py`.

See docs/cache.md#states.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from storage_sync import _native
from storage_sync.cache.holders import advice_for, describe
from storage_sync.cache.identity import identity_of, real_path
from storage_sync.cache.lease import cache_holders
from storage_sync.cache.space import free_space
from storage_sync.files.kinds import kind_of
from storage_sync.values.errors import (
    CacheDamaged,
    CacheForeign,
    CacheLocked,
    LocalIO,
    StorageSyncError,
    VersionMismatch,
)
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import CacheState, FileIdentity, LockHolder

FORMAT = 3
"""The file format that redb 3 and 4 write."""
PAGE_BYTES = 4096
HEADER_BYTES = 320
MAGIC = b"redb\x1a\x0a\xa9\x0d\x0a"

_VERSIONS_TO_COME = 8
_SLOTS = (64, 192)
"""Where the two commit slots begin: the version, then what is there or not, an octet each."""
_SEARCH_BYTES = 1 << 20
_FOREIGN = {
    "sqlite": "a SQLite database",
    "gzip": "a gzip archive",
    "text": "a text file",
    "zeros": "a file that begins with zeros",
}


_ERRORS: Mapping[CacheState, type[StorageSyncError]] = {
    CacheState.FOREIGN: CacheForeign,
    CacheState.NOT_A_FILE: LocalIO,
    CacheState.UNREADABLE: LocalIO,
    CacheState.READ_ONLY: LocalIO,
    CacheState.DISK_LOW: LocalIO,
    CacheState.IO_ERROR: LocalIO,
    CacheState.TRUNCATED: CacheDamaged,
    CacheState.CORRUPT: CacheDamaged,
    CacheState.FORMAT_OLD: VersionMismatch,
    CacheState.FORMAT_NEW: VersionMismatch,
    CacheState.LOCKED_EXCLUSIVE: CacheLocked,
    CacheState.LOCKED_SHARED: CacheLocked,
}
"""States that stop a command, with what each then ends as."""


class Finding(Struct, frozen=True):
    """One state with the sentence that shows it and what to do next ('' when nothing needs to be done)."""

    state: CacheState
    evidence: str
    next_step: str | NextStep = ""


class FileJudgement(Struct, frozen=True):
    """Findings by group: access, identity, ownership, then what the header says of the last close."""

    path: str
    real_path: str
    findings: tuple[Finding, ...]
    identity: FileIdentity | None = None
    holders: tuple[LockHolder, ...] = ()
    free_bytes: int | None = None
    """Room on the file system, for this user."""

    @property
    def states(self) -> tuple[CacheState, ...]:
        return tuple(finding.state for finding in self.findings)

    @property
    def size(self) -> int | None:
        return None if self.identity is None else self.identity.size

    @property
    def openable(self) -> bool:
        """Whether a private copy of it can be expected to open."""
        found = any(state in (CacheState.CLEAN, CacheState.UNCLEAN) or state.locked for state in self.states)
        return (
            found
            and not self.buildable
            and not any(
                error_of(finding)
                for finding in self.findings
                if not finding.state.unwritable and not finding.state.locked
            )
        )

    @property
    def buildable(self) -> bool:
        """Whether a sync makes the file without asking."""
        return any(state.absent for state in self.states)

    @property
    def locked(self) -> bool:
        """Whether another process holds it."""
        return any(state.locked for state in self.states)

    def finding(self, *states: CacheState) -> Finding | None:
        return next((finding for finding in self.findings if finding.state in states), None)


def judge_file(path: str, *, witnessed: bool = False, window_bytes: int = 0) -> FileJudgement:
    """Judge the file at `path` from outside; changes nothing and takes no lock.

    `witnessed`: a proof was made of a file at this path, so that anything but redb there is damage, not a stranger.
    `window_bytes`: what a full sync may add; with twice the file it is the room that a run needs (DISK_LOW).
    """
    if "\0" in path:
        return FileJudgement(path, path, (_not_a_file(path, "a name that no file can have"),))
    real = real_path(path)
    access, status = _judge_access(path)
    free = free_space(real)
    if status is None:
        return FileJudgement(path, real, (access,) if access is not None else (), free_bytes=free)
    if access is None and free is not None and free < 2 * status.st_size + window_bytes:
        access = _disk_low(status.st_size, window_bytes, free)
    holders = cache_holders(real)
    findings = [] if access is None else [access]
    try:
        findings += _judge_inside(real, witnessed, holders)
    except OSError as error:
        findings = [_unreadable(path, error)]
    return FileJudgement(path, real, tuple(findings), identity_of(status), holders, free)


def error_for(judgement: FileJudgement, *, writing: bool = True, held_ok: bool = False) -> StorageSyncError | None:
    """The error that ends a command on this file, or None; `writing`: the command wants to change it. `held_ok`: it
    may be held by another process for now."""
    for finding in judgement.findings:
        if not writing and (finding.state.unwritable or finding.state.locked):
            continue
        if held_ok and finding.state.locked:
            continue
        error = error_of(finding)
        if error is not None:
            return error
    return None


def error_of(finding: Finding) -> StorageSyncError | None:
    """The error that one finding of this module stands for, or None for states that stop nothing."""
    kind = _ERRORS.get(finding.state)
    return kind(finding.evidence, hint=finding.next_step) if kind is not None else None


# Access


def _judge_access(path: str) -> tuple[Finding | None, os.stat_result | None]:
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return _absent(path), None
    except OSError as error:
        return _unreadable(path, error), None
    if not stat.S_ISREG(status.st_mode):
        return _not_a_file(path, kind_of(status.st_mode)), None
    if not os.access(path, os.R_OK, effective_ids=True):
        return Finding(CacheState.UNREADABLE, f"{path} cannot be read by this user", "give this user read access"), None
    if not os.access(path, os.W_OK, effective_ids=True):
        return _read_only(path), status
    return None, status


def _absent(path: str) -> Finding:
    if Path(path).is_symlink():
        return Finding(CacheState.ABSENT, f"{path} is a link to {real_path(path)}, which does not exist", NextStep.SYNC)
    return Finding(CacheState.ABSENT, f"{path} does not exist yet", NextStep.SYNC)


def _not_a_file(path: str, kind: str) -> Finding:
    return Finding(CacheState.NOT_A_FILE, f"{path} is {kind}, not a file", "give another path with --cache")


def _read_only(path: str) -> Finding:
    mounted = os.statvfs(path).f_flag & os.ST_RDONLY
    why = "is on a file system that is mounted read-only" if mounted else "cannot be written by this user"
    return Finding(CacheState.READ_ONLY, f"{path} {why}", "give this user write access, or use --read-only")


def _disk_low(size: int, window_bytes: int, free: int) -> Finding:
    return Finding(
        CacheState.DISK_LOW,
        f"{free:,} bytes are free; a run may need {2 * size + window_bytes:,}: twice the file's size, and the window",
        "free some space, or lower max_episodes_cache",
    )


def _unreadable(path: str, error: OSError) -> Finding:
    if error.errno == errno.EIO:
        return Finding(CacheState.IO_ERROR, f"{path}: input/output error", "check the disk (dmesg, smartctl)")
    if error.errno == errno.ELOOP:
        return _not_a_file(path, "a link that leads back to itself")
    if error.errno == errno.ENOTDIR:
        return _not_a_file(path, "below a path that is not a folder")
    return Finding(CacheState.UNREADABLE, f"{path}: {error.strerror}", "check the path and its owner")


# Identity, ownership and the last close


def _judge_inside(path: str, witnessed: bool, holders: tuple[LockHolder, ...]) -> list[Finding]:
    header = _native.read_header(path)
    exclusive = any(holder.exclusive for holder in holders)
    owned = _judge_ownership(path, holders)
    identity = _judge_identity(path, header, witnessed, exclusive)
    if identity is not None:
        return [identity, *owned]
    return owned if exclusive else [*owned, _judge_close(header)]


def _judge_ownership(path: str, holders: tuple[LockHolder, ...]) -> list[Finding]:
    if not holders:
        return []
    names = ", ".join(describe(holder) for holder in holders)
    if holders[0].exclusive:
        return [Finding(CacheState.LOCKED_EXCLUSIVE, f"{path} is in use by {names}", advice_for(holders[0]))]
    return [Finding(CacheState.LOCKED_SHARED, f"{path} is being read by {names}", advice_for(holders[0]))]


def _judge_close(header: _native.Header) -> Finding:
    if header.recovery_required:
        return Finding(
            CacheState.UNCLEAN, "the program that wrote it last did not close it; redb repairs that by itself"
        )
    return Finding(CacheState.CLEAN, "it was closed cleanly")


def _judge_identity(path: str, header: _native.Header, witnessed: bool, in_use: bool) -> Finding | None:
    if header.length == 0:
        return Finding(CacheState.EMPTY_FILE, f"{path} has 0 bytes", NextStep.SYNC)
    if header.magic != "redb":
        return _judge_stranger(path, header, witnessed)
    return _judge_format(header) or _judge_slots(header) or (None if in_use else _judge_length(path, header))


def _judge_stranger(path: str, header: _native.Header, witnessed: bool) -> Finding | None:
    name = _FOREIGN.get(header.magic)
    if header.magic == "short" and MAGIC.startswith(header.raw[: len(MAGIC)]):
        return Finding(
            CacheState.TRUNCATED,
            f"{path} begins like a redb file and ends after {header.length} bytes",
            NextStep.REPAIR,
        )
    if not witnessed and _never_finished(path, header):
        return Finding(CacheState.INTERRUPTED_CREATE, f"{path} was being created when its program died", NextStep.SYNC)
    if header.magic == "near" and any(header.slot_checksums_ok):
        return _corrupt(
            f"{path}: the first bytes of a redb file are damaged ({header.raw[:9].hex()}), its commit slots are not"
        )
    if witnessed:
        return _corrupt(f"{path} held a proven cache and now begins like {name or 'no known kind of file'}")
    return Finding(
        CacheState.FOREIGN,
        f"{path} is {name or 'not a redb file (' + header.raw[:8].hex(' ') + ' …)'}; it is never touched",
        "give another path with --cache",
    )


def _never_finished(path: str, header: _native.Header) -> bool:
    """redb sets the size and writes the header first, then the magic number: nothing lies behind the first page yet.

    A file of nothing but zeros may be anybody's; a header with a sound commit slot is redb's.
    """
    return (
        any(header.slot_checksums_ok)
        and not any(header.raw[: len(MAGIC)])
        and _is_hollow(path, min(header.length, PAGE_BYTES), header)
    )


def _is_hollow(path: str, start: int, header: _native.Header) -> bool:
    """Whether all bytes from `start` on are zero, and the bytes before it a header or zero too."""
    if any(header.raw) and not any(header.slot_checksums_ok):
        return False
    with Path(path).open("rb") as file:
        file.seek(start)
        while block := file.read(_SEARCH_BYTES):
            if block.strip(b"\0"):
                return False
    return True


def _judge_format(header: _native.Header) -> Finding | None:
    """The version byte of both commit slots; a flipped bit shows in the slot's checksum or in the other slot."""
    versions = header.format_versions
    for version, sound in zip(versions, header.slot_checksums_ok, strict=True):
        if version == FORMAT or version == 0:
            continue
        if not sound and (versions[0] != versions[1] or not _is_plausible(header, version)):
            continue
        if version < FORMAT:
            return Finding(
                CacheState.FORMAT_OLD,
                f"the file is of redb's format {version}; this tool and do-memory use {FORMAT}",
                NextStep.REBUILD,
            )
        return Finding(
            CacheState.FORMAT_NEW,
            f"the file is of redb's format {version}; this tool knows {FORMAT}",
            NextStep.REBUILD_OR_UPGRADE,
        )
    return None


def _is_plausible(header: _native.Header, version: int) -> bool:
    """Whether a header that we cannot check may be that of another redb: bytes that were overwritten say anything."""
    size = header.page_size
    switches = b"".join(header.raw[slot + 1 : slot + 4] for slot in _SLOTS)
    if set(switches) - {0, 1}:
        return False
    return version <= FORMAT + _VERSIONS_TO_COME and size >= HEADER_BYTES and size & (size - 1) == 0


def _judge_slots(header: _native.Header) -> Finding | None:
    if header.page_size != PAGE_BYTES:
        return _corrupt(f"the header says that a page has {header.page_size} bytes; redb's have {PAGE_BYTES}")
    if any(version != FORMAT for version in header.format_versions):
        return _corrupt(
            f"a commit slot says format {header.format_versions} and does not match its checksum: flipped bits"
        )
    if not any(header.slot_checksums_ok):
        return _corrupt("neither of the two commit slots matches its checksum")
    return None


def _judge_length(path: str, header: _native.Header) -> Finding | None:
    if header.length < header.layout_length:
        return Finding(
            CacheState.TRUNCATED,
            f"{path} has {header.length:,} bytes; its header says {header.layout_length:,}",
            NextStep.REPAIR,
        )
    if header.length % PAGE_BYTES:
        return _corrupt(f"{path} has {header.length:,} bytes, which is not a whole number of pages")
    return None


def _corrupt(evidence: str) -> Finding:
    return Finding(CacheState.CORRUPT, evidence, NextStep.REPAIR)


def corrupt_inside(evidence: str) -> Finding:
    """What only redb found, or the walk through its tables."""
    return _corrupt(f"the cache is damaged: {evidence}")
