"""What an operator may want to see go wrong, done to the demo's own files by a process of its own."""

from __future__ import annotations

import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from storage_sync import _native
from storage_sync.cache.children import SAFE_FOLDER, child_command
from storage_sync.demo.demo import Demo
from storage_sync.files.writing import move_aside, patch

PAGE: Final = 4096
HELD_S: Final = 60.0
"""So long the demo's cache is held."""
ENDS_S: Final = 5.0


def damage(demo: Demo) -> None:
    """Two pages of rows become zeros, as after a bad disk."""
    size = demo.cache.stat().st_size
    for page in (size // PAGE // 3, size // PAGE // 2):
        patch(demo.cache, page * PAGE, bytes(PAGE))


def hold(demo: Demo) -> None:
    """Hold the cache as do-memory does, until standard input ends or `HELD_S` have passed."""
    file = _native.CacheFile.open(str(demo.cache), "write")
    try:
        select.select([sys.stdin], [], [], HELD_S)
    finally:
        file.close()


def stop_primary(demo: Demo) -> None:
    """The primary is not there, or again there."""
    away = demo.primary.with_suffix(".away")
    if away.exists():
        move_aside(away, demo.primary)
    else:
        move_aside(demo.primary, away)


def delete_most(demo: Demo) -> None:
    """Most episodes are deleted on the primary."""
    with closing(sqlite3.connect(demo.primary, timeout=30)) as db, db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("DELETE FROM episodes WHERE rowid % 10 < 8")


def break_row(demo: Demo) -> None:
    """One episode of the primary cannot be represented."""
    with closing(sqlite3.connect(demo.primary, timeout=30)) as db, db:
        db.execute("UPDATE episodes SET steps = '{broken' WHERE rowid = (SELECT max(rowid) FROM episodes)")


def orphan(demo: Demo) -> None:
    """Three embeddings of an episode that was evicted, and a vector of zeros."""
    file = _native.CacheFile.open(str(demo.cache), "read")
    rows = dict(file.page("embeddings", None, 10))
    generation = int(file.meta()["generation"])
    file.close()
    values = list(rows.values())
    keys = [f"episode_7c1e02aa-41d3-4b5e-9c77-d1f00e5a90b{digit}" for digit in "def"]
    new = [("embeddings", key, None, value) for key, value in zip(keys, values, strict=False)]
    zeros = ("embeddings", "query:empty", None, values[0][:2] + bytes(len(values[0]) - 2))
    _native.edit(str(demo.cache), [*new, zeros], {}, generation, int(time.time() * 1000))


TROUBLES: Final[Mapping[str, Callable[[Demo], None]]] = {
    "damage": damage,
    "hold": hold,
    "stop_primary": stop_primary,
    "delete_most": delete_most,
    "break_row": break_row,
    "orphan": orphan,
}


@dataclass(slots=True)
class Troublemaker:
    """Starts a process for each trouble; does not wait for any."""

    demo: Demo
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def cause(self, name: str) -> None:
        """`name` is one of `TROUBLES`; KeyError for another."""
        TROUBLES[name]
        folder, seed = str(self.demo.directory.absolute()), str(self.demo.seed)
        command = child_command("storage_sync.demo.troubles", name, folder, seed)
        self._started.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=SAFE_FOLDER
            )
        )

    def end(self) -> None:
        """Let go of everything that is held, and wait until no process is left."""
        for process in self._started:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._started:
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


if __name__ == "__main__":
    TROUBLES[sys.argv[1]](Demo(Path(sys.argv[2]), int(sys.argv[3])))
