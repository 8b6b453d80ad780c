"""The situations that are pictured: a demo's stores, really brought into each state."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage_sync import _native
from storage_sync.config.load import Loaded, load_settings
from storage_sync.demo.demo import Demo

SEED = 1
EPISODES = 240
PAGE = 4096
HELD = """
import sys
from storage_sync import _native
file = _native.CacheFile.open(sys.argv[1], "write")
print("ready", flush=True)
sys.stdin.read()
"""

Change = Callable[[Demo], None]


@dataclass(frozen=True, slots=True)
class Situation:
    """Stores in one state: `change` is done to them after a first sync; `settings` are the console's own."""

    change: Change
    settings: Mapping[str, object]
    synced: bool = True
    episodes: int = EPISODES
    held: bool = False
    """Whether another process holds the cache while the console looks."""


def _nothing(_demo: Demo) -> None:
    pass


def _grown(demo: Demo) -> None:
    demo.grow(12, time.time())


def _damaged(demo: Demo) -> None:
    """Two pages of rows become zeros, as after a bad disk."""
    size = demo.cache.stat().st_size
    with demo.cache.open("r+b") as file:
        for page in (size // PAGE // 3, size // PAGE // 2):
            file.seek(page * PAGE)
            file.write(bytes(PAGE))


def _away(demo: Demo) -> None:
    demo.primary.rename(demo.primary.with_suffix(".away"))


def _emptied(demo: Demo) -> None:
    """Most episodes are deleted on the primary."""
    with closing(sqlite3.connect(demo.primary)) as db, db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("DELETE FROM episodes WHERE rowid % 10 < 8")


def _broken_row(demo: Demo) -> None:
    """One episode of the primary cannot be represented."""
    with closing(sqlite3.connect(demo.primary)) as db, db:
        db.execute("UPDATE episodes SET steps = '{broken' WHERE rowid = (SELECT max(rowid) FROM episodes)")


def _orphans(demo: Demo) -> None:
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


LOOKING = {"access": "read-only", "interval_s": 3600.0, "staleness_s": 3600.0}
QUIET = {"interval_s": 3600.0, "staleness_s": 3600.0}

SITUATIONS: Mapping[str, Situation] = {
    "in-sync": Situation(_nothing, QUIET),
    "running": Situation(_nothing, {**QUIET, "max_episodes_cache": 20_000}, synced=False, episodes=20_000),
    "stale": Situation(_grown, LOOKING),
    "held": Situation(_grown, QUIET, held=True),
    "damaged": Situation(_damaged, QUIET),
    "primary-down": Situation(_away, QUIET),
    "empty": Situation(_nothing, LOOKING, synced=False),
    "guarded": Situation(_emptied, QUIET),
    "rejected": Situation(_broken_row, QUIET),
    "orphans": Situation(_orphans, QUIET),
}


@contextmanager
def situation(name: str, folder: Path) -> Iterator[Loaded]:
    """The demo in this situation below `folder`, as the configuration that the console gets."""
    wanted = SITUATIONS[name]
    demo = Demo.create(folder, SEED, wanted.episodes)
    if wanted.synced:
        command = [sys.executable, "-m", "console", "sync", "--config", str(demo.config_file), "--quiet"]
        subprocess.run(command, check=True)
    wanted.change(demo)
    loaded = load_settings(demo.config_file, None, dict(wanted.settings), {})
    if not wanted.held:
        yield loaded
        return
    command = [sys.executable, "-c", HELD, str(demo.cache)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        if holder.stdout is not None:
            holder.stdout.readline()
        yield loaded
        holder.kill()
