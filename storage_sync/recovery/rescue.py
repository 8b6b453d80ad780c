"""Walk a damaged file in a child process and stream what can still be read (docs/protocol.md#recovery).

The child works on a private copy, page by page, and skips what does not read. It is watched like the probe
(`cache/probe.py`): a crash or a hang in one table ends that table and not the rescue. Run as
`python -m storage_sync.recovery.rescue`.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import BinaryIO, Literal, NoReturn

import msgspec
from msgspec import Struct

from storage_sync import _native
from storage_sync.cache.cancelled import Cancelled
from storage_sync.cache.children import SAFE_FOLDER, child_command
from storage_sync.cache.probe_child import limit_memory, watch_parent
from storage_sync.values.errors import InternalError, Interrupted, LocalIO
from storage_sync.values.outcome import TABLES

LEDGER = "storage_sync_digest"
META = "storage_sync_meta"
QUARANTINE = "storage_sync_quarantine"
WALKED: tuple[str, ...] = (META, LEDGER, QUARANTINE, *TABLES)
"""Tables in the order in which they are walked: the ledger judges the rows that follow."""
QUIET_S = 30.0
"""A child that says nothing for so long hangs in what it reads."""

_PAGE = 128
_POLL_S = 0.05
_LENGTH = struct.Struct(">I")
_READ = 1 << 16
_KEY_STARTS = ("", "episode_", "pattern_")

Kind = Literal["opened", "table", "rows", "ended", "closed"]


class Message(Struct, frozen=True):
    """One thing that the child says. `opened`: `note` tells why it did not open, '' when it did. `ended`: `gaps` places
    of the table did not read. `rows`: in key order."""

    kind: Kind
    table: str = ""
    rows: tuple[tuple[str, bytes], ...] = ()
    gaps: int = 0
    note: str = ""


def walk(copy: str, *, quiet_s: float = QUIET_S, cancelled: Cancelled | None = None) -> Iterator[Message]:
    """What the private copy at `copy` still holds, table by table; `opened` comes once and first.

    Interrupted when `cancelled` is set; LocalIO when the child cannot be started.
    """
    done: list[str] = []
    told_opened = False
    stop = cancelled or threading.Event()
    while len(done) < len(WALKED):
        current = ""
        why = ""
        for message in _child(copy, done, quiet_s, stop):
            if message.kind == "opened":
                if not told_opened:
                    yield message
                told_opened = True
                if message.note:
                    return
                continue
            if message.kind == "closed":
                why = message.note
                continue
            current = message.table
            if message.kind == "ended":
                done.append(current)
                current = ""
            yield message
        if not told_opened:
            yield Message("opened", note=why or "reading it ended without a report")
            return
        if not current:
            if not why:
                return
            current = next(table for table in WALKED if table not in done)
        done.append(current)
        yield Message("ended", table=current, gaps=1, note=why)


def _child(copy: str, done: Sequence[str], quiet_s: float, cancelled: Cancelled) -> Iterator[Message]:
    """Messages of one child; the last one is `closed`, with a note unless it ended as it should."""
    command = child_command("storage_sync.recovery.rescue", os.path.abspath(copy), *done)  # noqa: PTH100 (links stay)
    alive, ours = os.pipe()
    try:
        with subprocess.Popen(
            command, stdin=alive, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=SAFE_FOLDER
        ) as child:
            try:
                yield from _received(child, quiet_s, cancelled)
            finally:
                child.kill()
    except OSError as error:
        raise LocalIO(f"the rescue of rows cannot be started: {error.strerror}") from error
    finally:
        os.close(alive)
        os.close(ours)


def _received(child: subprocess.Popen[bytes], quiet_s: float, cancelled: Cancelled) -> Iterator[Message]:
    if child.stdout is None:
        raise InternalError("the rescue's child has no output")
    descriptor = child.stdout.fileno()
    buffer = bytearray()
    heard = time.monotonic()
    while True:
        if cancelled.is_set():
            raise Interrupted("stopped while rows were read out of a damaged file")
        ready, _, _ = select.select([descriptor], [], [], _POLL_S)
        if not ready:
            if time.monotonic() - heard > quiet_s:
                yield Message("closed", note=f"reading it made no progress for {quiet_s:g} s")
                return
            continue
        piece = os.read(descriptor, _READ)
        heard = time.monotonic()
        if not piece:
            code = child.wait()
            yield Message("closed", note=_ended_with(code))
            return
        buffer += piece
        while len(buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(buffer)
            if len(buffer) < _LENGTH.size + size:
                break
            yield msgspec.msgpack.decode(bytes(buffer[_LENGTH.size : _LENGTH.size + size]), type=Message)
            del buffer[: _LENGTH.size + size]


def _ended_with(code: int) -> str:
    if code == 0:
        return ""
    return f"reading it ended with {signal.Signals(-code).name if code < 0 else f'code {code}'}"


# Inside the child


def main(arguments: list[str], out: BinaryIO) -> NoReturn:
    """Child's side: walk every table but those that are named behind the path."""
    path, *done = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; it is asked by the same key press
    threading.Thread(target=watch_parent, daemon=True).start()
    limit_memory(path)

    def say(message: Message) -> None:
        data = msgspec.msgpack.encode(message)
        out.write(_LENGTH.pack(len(data)) + data)
        out.flush()

    _rescue(path, frozenset(done), say)
    os._exit(0)  # closing a damaged copy may panic, and nobody needs it


def _rescue(path: str, done: frozenset[str], say: Callable[[Message], None]) -> None:
    try:
        file = _native.CacheFile.open(path, "private")
        file.tables()
    except (_native.NativeError, MemoryError) as error:
        say(Message("opened", note=f"{type(error).__name__}: {error}"))
        return
    say(Message("opened"))
    listed = _listed_keys(file)
    for table in WALKED:
        if table in done:
            continue
        say(Message("table", table=table))
        gaps = _walk(file, table, listed.get(table, []), say)
        say(Message("ended", table=table, gaps=gaps))


def _listed_keys(file: _native.CacheFile) -> dict[str, list[str]]:
    """Keys that the readable part of the ledger names, by table, in order: with them one can step over damage."""
    listed: dict[str, list[str]] = {}

    def take(message: Message) -> None:
        for name, _ in message.rows:
            table, _, key = name.partition("/")
            listed.setdefault(table, []).append(key)

    _walk(file, LEDGER, [], take)
    return listed


def _walk(file: _native.CacheFile, table: str, listed: Sequence[str], say: Callable[[Message], None]) -> int:
    """Rows in key order; gives the number of places that did not read."""
    steps = sorted({*listed, *_grid(table)})
    after: str | None = None
    limit, gaps = _PAGE, 0
    in_gap = False
    while True:
        rows = _page(file, table, after, limit)
        if rows is None and limit > 1:
            limit = max(limit // 8, 1)
            continue
        if rows is None:
            gaps += not in_gap
            in_gap = True
            place = bisect_right(steps, after) if after is not None else 0
            if place == len(steps):
                return gaps
            after = steps[place]
            _say_one(file, table, after, say)
            continue
        if not rows:
            return gaps
        in_gap = False
        say(Message("rows", table=table, rows=tuple(rows)))
        after = rows[-1][0]
        limit = min(limit * 4, _PAGE)


def _grid(table: str) -> list[str]:
    """Places in a table to go on from where nothing says which keys come next: keys begin with two hex digits."""
    starts = [f"{start}{number:02x}" for start in _KEY_STARTS for number in range(256)]
    return [f"{name}/{start}" for name in TABLES for start in starts] if table == LEDGER else starts


def _page(file: _native.CacheFile, table: str, after: str | None, limit: int) -> list[tuple[str, bytes]] | None:
    """None where it does not read, or where the keys do not come in order."""
    try:
        rows = file.page(table, after, limit)
    except (_native.NativeError, MemoryError, ValueError):
        return None
    keys = [key for key, _ in rows]
    if after is not None:
        keys = [after, *keys]
    return rows if all(before < key for before, key in pairwise(keys)) else None


def _say_one(file: _native.CacheFile, table: str, key: str, say: Callable[[Message], None]) -> None:
    try:
        (value,) = file.get(table, [key])
    except (_native.NativeError, MemoryError, ValueError):
        return
    if value is not None:
        say(Message("rows", table=table, rows=((key, value),)))


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout.buffer)
