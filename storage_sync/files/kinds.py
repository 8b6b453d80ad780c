"""Regular files and all else: a pipe waits for ever, a device has no end, a link leads where others want."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LARGEST = 4 << 20
"""Bytes of a small file (configuration, token, witness) that are read; a longer one is something else."""


class NotUsable(OSError):
    """A file of a kind, size or owner that is not used; `strerror` says which, in the middle of a sentence."""

    def __init__(self, why: str, path: Path | str) -> None:
        super().__init__(errno.EINVAL, why, os.fspath(path))

    def __str__(self) -> str:
        return self.strerror or ""


def kind_of(mode: int) -> str:
    """A file's kind in words, '' for a regular one."""
    for test, name in (
        (stat.S_ISREG, ""),
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return name
    return "something else"


def require_regular(status: os.stat_result, path: Path | str) -> None:
    """NotUsable for anything but a regular file."""
    kind = kind_of(status.st_mode)
    if kind:
        raise NotUsable(f"it is {kind}, not a regular file", path)


def descriptor_of(path: Path | str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open a regular file; never waits, never takes a terminal. NotUsable, OSError."""
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NotUsable("it is a pipe or a socket, not a regular file", path) from None
        if error.errno == errno.ELOOP and flags & os.O_NOFOLLOW:
            raise NotUsable("it is a link, not a regular file", path) from None
        raise
    try:
        require_regular(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    os.set_blocking(descriptor, True)
    return descriptor


@contextmanager
def reading(path: Path | str) -> Iterator[BinaryIO]:
    """A regular file, for the body of a `with`. NotUsable, OSError."""
    with os.fdopen(descriptor_of(path), "rb") as file:
        yield file


def read_small(path: Path | str, largest: int = LARGEST) -> bytes:
    """All of a regular file of at most `largest` bytes. NotUsable, OSError."""
    with reading(path) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise NotUsable(f"it is larger than {largest:,} bytes", path)
    return data


def require_readable(path: Path | str) -> None:
    """NotUsable where a library that opens `path` by itself could wait for ever; a missing file passes."""
    try:
        require_regular(Path(path).stat(), path)
    except FileNotFoundError:
        return
