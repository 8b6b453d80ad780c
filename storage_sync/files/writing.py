"""The only place that makes, replaces, renames or opens a file for writing.

What is there keeps mode, owner, group, access list and attributes. What is written appears whole and outlasts a power
cut. Names in between are unguessable and exclusive, so nothing that somebody else has put there is followed or written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from storage_sync.files.kinds import NotUsable, descriptor_of, require_regular
from storage_sync.files.ownership import give_ownership, is_ours, why_not_kept

_TEMPORARY = re.compile(r"\.storage-sync-[0-9a-f]{16}\.tmp")
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
_PIECE = 1 << 20


def replace_file(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """`path` holds `data`: a crash leaves the old file or the new one, whole. `mode`: of one that was not there.
    `durable`: after a power cut too.

    A link is followed when it is ours, the file behind it is replaced. NotUsable for what is no regular file or could
    not keep its owner, OSError.
    """
    target = behind_links(path)
    present = _present(target)
    sweep(target.parent)
    with _temporary(target.parent, mode) as (beside, file):
        file.write(data)
        file.flush()
        if present is not None:
            try:
                give_ownership(present, file.fileno())
            finally:
                os.close(present)
        if durable:
            os.fsync(file.fileno())
        beside.replace(target)
    if durable:
        sync_folder(target.parent)


@contextmanager
def new_file(path: Path, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A file that gets its name, whole and durable, when the body ends; none is left of it when the body fails.

    FileExistsError when something is there by then: it stays. OSError.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path))
    sweep(path.parent)
    with _temporary(path.parent, mode) as (beside, file):
        yield file
        file.flush()
        os.fsync(file.fileno())
        _name_once(beside, path)
    sync_folder(path.parent)


def growing_file(path: Path, *, mode: int = 0o600) -> BinaryIO:
    """A new file under its name from its first byte on, for what is of use unfinished. FileExistsError, OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, mode), "wb")


def own_file(path: Path | str, *, mode: int = 0o600, flags: int = os.O_RDWR) -> int:
    """Descriptor of a regular file at `path`, made when there is none, never behind a link; what it holds stays.

    For locks, logs and databases. NotUsable, OSError.
    """
    return descriptor_of(path, flags | os.O_CREAT | os.O_NOFOLLOW, mode)


def try_folder(folder: Path) -> None:
    """Make a file in it, and remove it again. OSError when that cannot be done."""
    with _temporary(folder, 0o600):
        pass


def ensure_file(path: Path, *, mode: int = 0o600) -> None:
    """An empty regular file where there is none, so that a library that opens it makes none with a wider mode."""
    os.close(own_file(path, mode=mode))


def put_in_place(built: Path, target: Path) -> None:
    """Give the finished file `built` the name `target` and, where a file has that name, all that makes it its owner's.

    NotUsable before anything is changed, OSError; then `target` is what it was.
    """
    require_keepable(target)
    descriptor = descriptor_of(built)
    try:
        present = _present(target)
        if present is not None:
            try:
                give_ownership(present, descriptor)
            finally:
                os.close(present)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    built.replace(target)
    sync_folder(target.parent)


def require_keepable(target: Path) -> None:
    """NotUsable when a new file in the place of `target` could not get the owner of `target`."""
    why = why_not_kept(target)
    if why:
        raise NotUsable(why, target)


def second_name(path: Path, name: Path) -> None:
    """`path` gets the name `name` too, durably: a link, or where there are none a copy with all that it has."""
    try:
        os.link(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        copy_file(path, name)
    sync_folder(name.parent)


def copy_file(source: Path, target: Path) -> None:
    """A durable copy under a new name, of the same owner and mode. FileExistsError, NotUsable, OSError."""
    descriptor = descriptor_of(source)
    try:
        with new_file(target) as out:
            while piece := os.read(descriptor, _PIECE):
                out.write(piece)
            out.flush()
            give_ownership(descriptor, out.fileno())
    finally:
        os.close(descriptor)


def move_aside(path: Path, name: Path) -> None:
    """Rename, never over something. FileExistsError, OSError."""
    _name_once(path, name)
    path.unlink(missing_ok=True)
    sync_folder(name.parent)


def patch(path: Path, place: int, data: bytes) -> None:
    """Write `data` at `place` into a private copy. NotUsable, OSError."""
    descriptor = descriptor_of(path, os.O_WRONLY)
    try:
        while data:
            written = os.pwrite(descriptor, data, place)
            data, place = data[written:], place + written
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make it, and what is missing above it, with mode 0700 and names that outlast a power cut. OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sweep(folder: Path) -> None:
    """Remove what killed runs of this user left half written in `folder`; a living one holds a lock on its own."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_dead(Path(entry.path))


def _remove_dead(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        finally:
            os.close(descriptor)


def behind_links(path: Path) -> Path:
    """The file that `path` stands for. NotUsable when a link on the way is somebody else's."""
    for _ in range(40):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return path
        if not stat.S_ISLNK(status.st_mode):
            require_regular(status, path)
            return path
        if not is_ours(status):
            raise NotUsable("it is a link that somebody else made", path)
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))


def _present(target: Path) -> int | None:
    """Descriptor of the file that will be replaced; None when there is none. NotUsable, OSError."""
    require_keepable(target)
    try:
        return descriptor_of(target)
    except FileNotFoundError:
        return None


def _name_once(beside: Path, path: Path) -> None:
    """A link, not a rename: what has the name already stays."""
    try:
        os.link(beside, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path)) from None
        beside.replace(path)


@contextmanager
def _temporary(folder: Path, mode: int) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file that nobody can have foreseen, locked while it is written, gone at the end unless it was renamed."""
    beside, descriptor = _claim(folder, mode)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield beside, file
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _claim(folder: Path, mode: int) -> tuple[Path, int]:
    while True:
        beside = folder / f".storage-sync-{os.urandom(8).hex()}.tmp"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(beside, flags, mode)
        try:
            # whatever the umask takes away
            os.fchmod(descriptor, mode)
            if _hold(descriptor, beside):
                return beside, descriptor
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                return beside, descriptor
            os.close(descriptor)
            raise
        os.close(descriptor)


def _hold(descriptor: int, beside: Path) -> bool:
    """False when another run swept the file between its making and its lock; the next name will do."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), beside.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
