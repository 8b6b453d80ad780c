"""Which file a path is now, and what kind of file system it lies on."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from msgspec import Struct

from storage_sync.values.outcome import FileIdentity

_STAMPING_CLOCK = 5
"""CLOCK_REALTIME_COARSE of linux/time.h, which the module `time` does not name."""
_LONGEST_TICK_MS = 20
NETWORK_KINDS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "ncpfs", "beegfs", "virtiofs"}
)
"""File systems on which a lock taken here may not be seen by another machine."""

_NETWORK_FUSE = frozenset(
    {"sshfs", "s3fs", "glusterfs", "rclone", "gcsfuse", "cephfs", "davfs", "davfs2", "curlftpfs", "smbnetfs", "juicefs"}
)


class FileSystem(Struct, frozen=True):
    """`kind` as the kernel names it, '' when unknown; `network`: locks and renames may not mean what they say."""

    kind: str
    mount: str
    network: bool


def identity_of(status: os.stat_result) -> FileIdentity:
    """The five numbers of docs/cli.md#verdicts that must be unchanged for a proof to speak of the file."""
    return FileIdentity(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
    )


def read_identity(path: str) -> FileIdentity | None:
    """Identity of the file behind `path` (links followed), or None when there is none to be seen."""
    try:
        return identity_of(Path(path).stat())
    except (OSError, ValueError):
        return None


def await_tick(identity: FileIdentity) -> None:
    """Wait until a write would give the file another time stamp than `identity` has. Blocking, some milliseconds.

    Kernels before 6.13 stamp files by a clock that ticks a hundred to a thousand times a second: of two writes within a
    tick the second would not be seen. A stamp from the future is not waited for.
    """
    pause = threading.Event()
    for _ in range(_LONGEST_TICK_MS):
        if time.clock_gettime_ns(_STAMPING_CLOCK) > identity.mtime_ns:
            return
        pause.wait(0.001)


def real_path(path: str) -> str:
    """The one name under which leases and state folders know a cache; also for a file that is not there yet."""
    return os.path.realpath(path)


def file_system_of(path: str, mounts: str = "/proc/mounts") -> FileSystem:
    """File system that holds `path`, or that would hold it once it is created."""
    try:
        text = Path(mounts).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return FileSystem("", "", False)
    return match_mount(text, real_path(path))


def match_mount(text: str, path: str) -> FileSystem:
    """The mount of `/proc/mounts` text whose folder is the longest one above `path`; later mounts hide earlier ones."""
    best = FileSystem("", "", False)
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mount, kind = _unescape(fields[1]), fields[2]
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best.mount):
            best = FileSystem(kind, mount, is_network(kind))
    return best


def is_network(kind: str) -> bool:
    """Whether a file system of this kind is served by another machine."""
    return kind in NETWORK_KINDS or (kind.startswith("fuse.") and kind.removeprefix("fuse.") in _NETWORK_FUSE)


def _unescape(field: str) -> str:
    """`/proc/mounts` writes space, tab, newline and backslash as three octal digits."""
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, letter)
    return field
