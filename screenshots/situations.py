"""The situations that are pictured: a demo's stores, really brought into each state."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage_sync.config.load import Loaded, load_settings
from storage_sync.demo import troubles
from storage_sync.demo.demo import Demo

SEED = 1
EPISODES = 240
HELD = """
import sys
from storage_sync import _native
file = _native.CacheFile.open(sys.argv[1], "write")
print("ready", flush=True)
sys.stdin.read()
"""

Change = Callable[[Demo], object]


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


LOOKING = {"access": "read-only", "interval_s": 3600.0, "staleness_s": 3600.0}
QUIET = {"interval_s": 3600.0, "staleness_s": 3600.0}

SITUATIONS: Mapping[str, Situation] = {
    "in-sync": Situation(_nothing, QUIET),
    "running": Situation(_nothing, {**QUIET, "max_episodes_cache": 20_000}, synced=False, episodes=20_000),
    "stale": Situation(_grown, LOOKING),
    "held": Situation(_grown, QUIET, held=True),
    "damaged": Situation(troubles.damage, QUIET),
    "primary-down": Situation(troubles.stop_primary, QUIET),
    "empty": Situation(_nothing, LOOKING, synced=False),
    "guarded": Situation(troubles.delete_most, QUIET),
    "rejected": Situation(troubles.break_row, QUIET),
    "orphans": Situation(troubles.orphan, QUIET),
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
