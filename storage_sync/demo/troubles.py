"""What an operator may want to see happen, done to the demo's own files by a process of its own.

What a repair, a quarantine or the next sync does not end is ended by the same once again.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from storage_sync import _native
from storage_sync.cache.children import SAFE_FOLDER, child_command
from storage_sync.demo.demo import AWAY, Demo, opened
from storage_sync.demo.orphans import leave_orphans
from storage_sync.files.writing import move_aside, patch
from storage_sync.values.visible import spoken

PAGE: Final = 4096
HELD_S: Final = 60.0
"""How long the demo's cache is held."""
ENDS_S: Final = 5.0
LOOK_S: Final = 0.02
"""How often it is checked whether a trouble has happened."""
HEAD: Final = 64
"""Octets of a row that no other row has."""
MANY: Final = 3_000
BROKEN: Final = "{broken"


class Caused(Struct, frozen=True):
    """What came of it. `ended`: what the same had made before is over now; `prevented`: why nothing was done."""

    ended: bool = False
    prevented: str = ""


def many(demo: Demo) -> None:
    """Make so many episodes arrive at once that a sync of them can be watched."""
    demo.grow(MANY, time.time())


def damage(demo: Demo) -> None:
    """The pages of two episodes become zeros, as after a bad disk."""
    content = demo.cache.read_bytes()
    file = _native.CacheFile.open(str(demo.cache), "read")
    try:
        values = [value for _, value in file.page("episodes", None, 100)]
    finally:
        file.close()
    for value in (values[len(values) // 3], values[len(values) // 2]):
        # also where an older page has it: which one is in use only redb knows
        for found in re.finditer(re.escape(value[:HEAD]), content):
            patch(demo.cache, found.start() // PAGE * PAGE, bytes(PAGE))


def hold(demo: Demo) -> None:
    """Hold the cache as do-memory does, until standard input ends or `HELD_S` have passed."""
    file = _native.CacheFile.open(str(demo.cache), "write")
    try:
        _tell()
        select.select([sys.stdin], [], [], HELD_S)
    finally:
        file.close()


def _away(demo: Demo) -> Path:
    """Where the primary is while it is stopped."""
    return demo.primary.with_suffix(".away")


def _kept(demo: Demo) -> Path:
    """A copy of the primary with the episodes that were deleted."""
    return demo.primary.with_suffix(".kept")


def stop_primary(demo: Demo) -> bool:
    """The primary is not there, or again there."""
    away = _away(demo)
    ends = away.exists()
    if ends:
        move_aside(away, demo.primary)
    else:
        move_aside(demo.primary, away)
    return ends


def delete_most(demo: Demo) -> bool:
    """Most episodes are deleted on the primary, or are there again."""
    kept = _kept(demo)
    with closing(opened(demo.primary)) as db:
        if kept.exists():
            _bring_back(db, kept)
            return True
        with closing(sqlite3.connect(kept)) as copy:
            db.backup(copy)
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("DELETE FROM episodes WHERE rowid % 10 < 8")
    return False


def _bring_back(db: sqlite3.Connection, kept: Path) -> None:
    """The rows of the kept file that are not there, in one transaction; the kept file is gone then."""
    db.execute("ATTACH ? AS kept", (str(kept),))
    db.execute("BEGIN IMMEDIATE")
    tables = [name for (name,) in db.execute("SELECT name FROM kept.sqlite_schema WHERE type = 'table'")]
    for name in tables:
        db.execute(f"INSERT OR IGNORE INTO main.{name} SELECT * FROM kept.{name}")  # noqa: S608 - names of `DDL`
    db.execute("COMMIT")
    db.execute("DETACH kept")
    kept.unlink()


def break_row(demo: Demo) -> bool:
    """One episode of the primary cannot be represented, or can be again."""
    with closing(opened(demo.primary)) as db:
        ends = db.execute("UPDATE episodes SET steps = '[]' WHERE steps = ?", (BROKEN,)).rowcount > 0
        if not ends:
            db.execute("UPDATE episodes SET steps = ? WHERE rowid = (SELECT max(rowid) FROM episodes)", (BROKEN,))
    return ends


def _is_broken(demo: Demo) -> bool:
    try:
        with closing(opened(demo.primary)) as db:
            return bool(db.execute("SELECT 1 FROM episodes WHERE steps = ? LIMIT 1", (BROKEN,)).fetchone())
    except sqlite3.Error:
        # it cannot be told while the primary is stopped, and nothing can be done to it
        return False


def orphan(demo: Demo) -> None:
    """Embeddings without an owner, and broken vectors; others each time."""
    leave_orphans(demo, random.Random())  # noqa: S311


TROUBLES: Final[Mapping[str, Callable[[Demo], bool | None]]] = {
    "many": many,
    "damage": damage,
    "hold": hold,
    "stop_primary": stop_primary,
    "delete_most": delete_most,
    "break_row": break_row,
    "orphan": orphan,
}
"""By id. One that the same ends gives whether it has ended it."""


STANDS: Final[Mapping[str, Callable[[Demo], bool]]] = {
    "stop_primary": lambda demo: _away(demo).exists(),
    "delete_most": lambda demo: _kept(demo).exists(),
    "break_row": _is_broken,
}
"""Of the troubles of the primary that the same ends: whether they are there."""


class Troublemaker(Struct):
    """Starts a process for each trouble."""

    demo: Demo
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _holder: subprocess.Popen[bytes] | None = None

    async def cause(self, name: str, *, ends: bool = False) -> Caused:
        """Waits until it has happened, or with `ends` until it is over; that may come by itself. `name` is one of
        `TROUBLES`; KeyError for another."""
        TROUBLES[name]
        if name == "hold" and (self._let_go() or ends):
            return Caused(ended=True)
        process = _started(name, self.demo)
        self._started.append(process)
        if name == "hold":
            self._holder = process
        return await _told(process)

    def stands(self, name: str) -> bool:
        """Whether the same would end it now. Quick: it is asked for each picture."""
        if name == "hold":
            return self._holder is not None and self._holder.poll() is None
        return name in STANDS and STANDS[name](self.demo)

    def _let_go(self) -> bool:
        """End the process that holds the cache; whether there was one."""
        holder, self._holder = self._holder, None
        if holder is None or holder.poll() is not None or holder.stdin is None:
            return False
        holder.stdin.close()
        return True

    def end(self) -> None:
        """Let go of everything that is held, and wait until no process is left."""
        for process in self._started:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._started:
            if process.stdout is not None:
                process.stdout.close()
            try:
                process.wait(timeout=ENDS_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def troublemaker(demo: Demo) -> Iterator[Troublemaker]:
    """For the body of a `with`; what it started has ended after it."""
    made = Troublemaker(demo)
    try:
        yield made
    finally:
        made.end()


def _started(name: str, demo: Demo) -> subprocess.Popen[bytes]:
    """A process that causes this trouble; its standard output can be read without waiting."""
    process = subprocess.Popen(
        child_command("storage_sync.demo.troubles", name, str(demo.directory.absolute()), str(demo.seed)),
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=SAFE_FOLDER,
    )
    if process.stdout is not None:
        os.set_blocking(process.stdout.fileno(), False)
    return process


def _tell(prevented: str = "", *, ended: bool = False) -> None:
    """One line for the process that waits in `_told`."""
    print(msgspec.json.encode(Caused(ended, spoken(prevented))).decode(), flush=True)


async def _told(process: subprocess.Popen[bytes]) -> Caused:
    """The line that the process writes when it has done what it was started for, or cannot."""
    said = b""
    while not said.endswith(b"\n"):
        piece = process.stdout.read(4096) if process.stdout is not None else b""
        if piece == b"":
            return Caused(prevented="its process ended before it was done")
        said += piece or b""
        await asyncio.sleep(LOOK_S)
    return msgspec.json.decode(said, type=Caused)


def main(name: str, demo: Demo) -> None:
    """Cause it, and tell what came of it."""
    try:
        ended = bool(TROUBLES[name](demo))
    except sqlite3.OperationalError as error:
        away = error.sqlite_errorname in AWAY
        _tell("the primary is stopped; start it again first" if away else f"the primary cannot be written: {error}")
    except FileExistsError as error:
        _tell(f"there is already a file {error.filename2 or error.filename}; move it away first")
    except (OSError, sqlite3.Error, _native.NativeError) as error:
        _tell(str(error))
    else:
        _tell(ended=ended)


if __name__ == "__main__":
    main(sys.argv[1], Demo(Path(sys.argv[2]), int(sys.argv[3])))
