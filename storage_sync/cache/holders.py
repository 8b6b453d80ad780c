"""Who holds a lock on a file, without touching the lock (docs/cache.md#locks).

A do-memory that opens the file while anyone else holds even a shared lock on it, for an instant, fails at
once and without retry. So the kernel's list is read; only where there is none a lock is tried.
A process of another container is not in that list: then the file looks free and the commit finds out.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from io import FileIO
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from storage_sync.values.errors import LeaseHeld
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import HolderKind, LockHolder

_LOCKS = Path("/proc/locks")
_COMM_OCTETS = 15
_DO_MEMORY = ("do-memory", "memory-mcp", "memory-cli")
"""How the names of do-memory's programs begin, those of its older releases included."""


class LockLine(Struct, frozen=True):
    """One lock that is held, from `/proc/locks`; `pid` is -1 for one that belongs to an open file, not to a process."""

    pid: int
    exclusive: bool
    device: tuple[int, int]
    inode: int


def lock_holders(path: str) -> tuple[LockHolder, ...]:
    """Processes with a lock on the file behind `path`, those with an exclusive one first; () when there is none."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return ()
    try:
        lines_of_file = _listed(status.st_ino)
    except OSError:
        return _probe(path)
    return _merge(_resolve(lines_of_file, status))


def is_listed(path: str) -> bool:
    """Whether the kernel's list may name the file: one read, and no lock. True where that cannot be told."""
    try:
        return bool(_listed(Path(path).stat().st_ino))
    except (OSError, ValueError):
        return True


def _listed(inode: int) -> list[LockLine]:
    """Lines of the kernel's list for files of this number, of any device. OSError where there is no list."""
    return [line for line in parse_locks(_LOCKS.read_bytes().decode()) if line.inode == inode]


def parse_locks(text: str) -> list[LockLine]:
    """Held locks of `/proc/locks` text; lines of processes that only wait (`->`) and leases are left out."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 6 or fields[1] not in {"FLOCK", "POSIX", "OFDLCK"}:
            continue
        try:
            major, minor, inode = fields[5].split(":")
            found.append(LockLine(int(fields[4]), fields[3] == "WRITE", (int(major, 16), int(minor, 16)), int(inode)))
        except ValueError:
            continue
    return found


def open_elsewhere(descriptor: int) -> set[int]:
    """Other processes that have the file of this descriptor open, locked or not, as far as we may look."""
    return _openers(os.fstat(descriptor), (pid for pid in process_ids() if pid != os.getpid()))


def is_do_memory(command: str) -> bool:
    """Whether a program of this name is one of do-memory's."""
    return command.startswith(_DO_MEMORY)


def unlisted() -> LockHolder:
    """Whoever has a lock, and whose process is not in the kernel's list."""
    return LockHolder(pid=-1, command="", user="", since=None, exclusive=True, kind=HolderKind.UNLISTED)


def describe(holder: LockHolder) -> str:
    """`do-memory-mcp-server (pid 4711, alice, since 2026-11-23T06:00:00Z)`, with what is known."""
    if holder.kind is HolderKind.UNLISTED:
        return "a process that is not visible here, in another container or on another machine"
    if holder.pid <= 0:
        return "a process that cannot be named"
    known = [f"pid {holder.pid}"]
    if holder.user:
        known.append(holder.user)
    if holder.since is not None:
        known.append(f"since {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(holder.since))}")
    name = "another run of storage-sync" if holder.kind is HolderKind.OURS else holder.command or "a process"
    return f"{name} ({', '.join(known)})"


def advice_for(holder: LockHolder) -> str | NextStep:
    """What to do about a cache that this process holds."""
    return _ADVICE[holder.kind]


_ADVICE: Mapping[HolderKind, str | NextStep] = {
    HolderKind.DO_MEMORY: NextStep.WAIT_FOR_DO_MEMORY,
    HolderKind.OURS: LeaseHeld.default_hint,
    HolderKind.OTHER: NextStep.ASK_HOLDER,
    HolderKind.UNLISTED: "look on the host and in its other containers for a do-memory that uses this file",
}


def process(pid: int, exclusive: bool) -> LockHolder:
    """A holder by its process id; what `/proc` does not tell stays empty. `since` is when the process started."""
    command = _command(pid)
    return LockHolder(
        pid=pid,
        command=command,
        user=_user(pid),
        since=started_at(pid),
        exclusive=exclusive,
        kind=HolderKind.DO_MEMORY if is_do_memory(command) or is_do_memory(_program(pid)) else HolderKind.OTHER,
    )


def _resolve(lines: Sequence[LockLine], status: os.stat_result) -> Iterable[LockHolder]:
    device = (os.major(status.st_dev), os.minor(status.st_dev))
    named = False
    for line in lines:
        # btrfs and overlayfs number the device of a file differently in stat and here: then its open files decide.
        if line.pid > 0 and (line.device == device or _openers(status, [line.pid])):
            named = True
            yield process(line.pid, line.exclusive)
    if named:
        return  # redb takes locks of the open file (without a process) beside the one that names the process
    for line in lines:
        if line.pid <= 0 and line.device == device:
            pids = _openers(status, process_ids())
            for pid in pids:
                yield process(pid, line.exclusive)
            if not pids:
                # its process is in another pid namespace
                yield replace(unlisted(), exclusive=line.exclusive)


def _merge(holders: Iterable[LockHolder]) -> tuple[LockHolder, ...]:
    """One entry a process: redb takes several locks on one file."""
    merged: dict[int, LockHolder] = {}
    for holder in holders:
        known = merged.get(holder.pid)
        if known is None or (holder.exclusive and not known.exclusive):
            merged[holder.pid] = holder
    return tuple(sorted(merged.values(), key=lambda holder: (not holder.exclusive, holder.pid)))


def process_ids() -> list[int]:
    """Of all processes that can be seen."""
    try:
        with os.scandir("/proc") as entries:
            return [int(entry.name) for entry in entries if entry.name.isdigit()]
    except OSError:
        return []


def _openers(status: os.stat_result, pids: Iterable[int]) -> set[int]:
    """Those of `pids` that have the file open, as far as we may look."""
    found = set()
    for pid in pids:
        try:
            entries = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue
        if any(_is_file(entry, status) for entry in entries):
            found.add(pid)
    return found


def _is_file(entry: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(entry.stat(), status)
    except OSError:
        return False


def _read(path: str) -> str:
    try:
        with FileIO(path) as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def name_of(pid: int) -> str:
    """As the kernel keeps it, cut after 15 octets; '' when the process has ended."""
    return _read(f"/proc/{pid}/comm").strip()


def _command(pid: int) -> str:
    """The kernel cuts the name after 15 octets; where the first argument goes on from there it is the whole one."""
    cut = name_of(pid)
    whole = Path(_read(f"/proc/{pid}/cmdline").partition("\0")[0]).name
    return whole if len(cut.encode()) == _COMM_OCTETS and whole.startswith(cut) else cut


def _program(pid: int) -> str:
    """Name of the file that the process runs, '' when we may not look; a process can give itself another name."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def _user(pid: int) -> str:
    import pwd

    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def started_at(pid: int) -> float | None:
    """Epoch seconds; field 22 of `stat` counts clock ticks since the start of the machine."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    booted = next((line.split()[1] for line in _read("/proc/stat").splitlines() if line.startswith("btime ")), None)
    if booted is None or len(fields) < 20:
        return None
    return int(booted) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _probe(path: str) -> tuple[LockHolder, ...]:
    """Without `/proc/locks`: try a shared lock for an instant, then look who has the file open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return _openers_by_psutil(path) or (unlisted(),)
        return ()
    finally:
        os.close(descriptor)
    return ()


def _openers_by_psutil(path: str) -> tuple[LockHolder, ...]:
    psutil = importlib.import_module("psutil")  # only here: it is slow to import

    wanted = os.path.realpath(path)
    found = []
    for running in psutil.process_iter():
        try:
            if running.pid != os.getpid() and any(item.path == wanted for item in running.open_files()):
                found.append(
                    LockHolder(running.pid, running.name(), running.username(), running.create_time(), exclusive=True)
                )
        except (psutil.Error, OSError):
            continue
    return tuple(found)
