"""What a program does to the files of one folder, call by call; and the same program killed or failed at one call.

The library of `tests/faults/recorder` is preloaded into the program and all that it starts. Numbers of operations
start at 1 and are the same in the next run of the same work, as far as the program itself is deterministic.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from tests.support.command import REPOSITORY, Result, Tool

SOURCE = REPOSITORY / "tests" / "faults" / "recorder"
TARGET = REPOSITORY / "target" / "recorder"
_HEAD = struct.Struct("<QIBiQQQQHH")
_LENGTH = struct.Struct("<I")


class Kind(enum.IntEnum):
    """The calls, as `record.rs` numbers them."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    ALLOCATE = 4
    SYNC = 5
    SYNC_FOLDER = 6
    RENAME = 7
    UNLINK = 8
    LINK = 9
    MAKE_FOLDER = 10
    REMOVE_FOLDER = 11


class Operation(Struct, frozen=True):
    """One call. Names are relative to the folder ('' is the folder itself); `file`: device and inode.

    `offset` and `length` are of bytes; `length` of a TRUNCATE is the new size. `data`: what a WRITE really wrote.
    `error`: errno of a call that was not done, else 0; with it nothing has changed.
    """

    number: int
    process: int
    kind: Kind
    error: int
    file: tuple[int, int]
    offset: int
    length: int
    name: str
    other: str
    data: bytes


Span = Literal["once", "onwards", "growing"]


class Fault(Struct, frozen=True):
    """What is to happen at operation `at`: the program dies there (`half` of a write done), or the call fails.

    `span`: this call alone, all that follow, or all that follow and need room on the disk.
    """

    at: int
    error: int | None = None
    span: Span = "once"
    half: bool = False


class Recording(Struct, frozen=True):
    """How the command ended, and all that it did below the folder."""

    result: Result
    operations: tuple[Operation, ...]


@cache
def library() -> Path:
    """The library, built when it is missing or old; one build at a time, whoever asks."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with (TARGET / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = ["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", str(SOURCE / "Cargo.toml")]
        subprocess.run(command, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(TARGET)})
    return TARGET / "release" / "librecorder.so"


def variables(root: Path, log: Path, fault: Fault | None = None) -> dict[str, str]:
    """The environment in which a program is recorded; `log` is outside `root` and does not exist yet."""
    values = {"LD_PRELOAD": str(library()), "RECORDER_ROOT": str(root.resolve()), "RECORDER_LOG": str(log)}
    if fault is None:
        return values
    if fault.error is None:
        return {**values, "RECORDER_KILL_AT": str(fault.at), "RECORDER_HALF": str(int(fault.half))}
    return {
        **values,
        "RECORDER_FAIL_AT": str(fault.at),
        "RECORDER_ERRNO": str(fault.error),
        "RECORDER_FAIL": fault.span,
    }


def record(tool: Tool, *words: str, fault: Fault | None = None, root: Path | None = None) -> Recording:
    """Run a command of the tool to its end; `root` is the tool's own folder unless said otherwise."""
    folder = root or tool.folder
    with _log() as log:
        watched = replace(tool, environment={**tool.environment, **variables(folder, log, fault)})
        result = watched.run(*words)
        return Recording(result, tuple(operations(log, folder)))


def kill_at(tool: Tool, *words: str, number: int, half: bool = False) -> Recording:
    """The command dies by SIGKILL before operation `number`, or in the middle of it; it may end before that."""
    return record(tool, *words, fault=Fault(number, half=half))


def fail_at(tool: Tool, *words: str, number: int, error: int = errno.ENOSPC, span: Span = "once") -> Recording:
    """Operation `number` fails with `error`, and by `span` those after it."""
    return record(tool, *words, fault=Fault(number, error, span))


def operations(log: Path, root: Path) -> Iterator[Operation]:
    """The records of a log. A last one that was cut short by a kill is left out."""
    folder = os.fsencode(root.resolve())
    data = memoryview(log.read_bytes()) if log.exists() else memoryview(b"")
    place = 0
    while place + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        if place + length > len(data):
            return
        yield _operation(data[place : place + length], folder)
        place += length


def _operation(record: memoryview, folder: bytes) -> Operation:
    number, process, kind, error, device, inode, offset, length, first, second = _HEAD.unpack_from(record)
    name = bytes(record[_HEAD.size : _HEAD.size + first])
    other = bytes(record[_HEAD.size + first : _HEAD.size + first + second])
    return Operation(
        number,
        process,
        Kind(kind),
        error,
        (device, inode),
        offset,
        length,
        _below(name, folder),
        _below(other, folder) if other else "",
        bytes(record[_HEAD.size + first + second :]),
    )


def _below(name: bytes, folder: bytes) -> str:
    """Relative to the folder. A file that has lost its name has the kernel's word for that at its end."""
    return os.fsdecode(name.removeprefix(folder).removeprefix(b"/"))


@contextmanager
def _log() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="recorder-") as folder:
        yield Path(folder) / "log"
