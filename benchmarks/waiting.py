"""From a freed lock to the commit of the rows that waited, and how long that commit holds the lock."""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks.cases import Bench, Figure, served
from storage_sync.cache.waiting_rows import read_waiting
from tests.support import hrana
from tests.support.command import Tool
from tests.support.processes import HOLD_REDB, environment

EPISODES = 1_000
ROWS = 100
REPEATS = 20
PATIENCE_S = 60.0
CHANGE = (
    "UPDATE episodes SET task_description = 'change {number}' WHERE episode_id IN "
    f"(SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT {ROWS})"
)


def delivery(bench: Bench) -> None:
    """`watch` beside a process that holds the cache, closes it cleanly and ends, again and again."""
    waits: list[float] = []
    pause = threading.Event()
    with served(bench.primary(EPISODES)) as server:
        tool = Tool.at(bench.fresh("waiting"), server.url, STORAGE_SYNC_POLL_S="0.2", STORAGE_SYNC_INTERVAL_S="2")
        tool.sync()
        with tool.start("watch", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as watch:
            for number in range(REPEATS):
                with holder(tool.cache) as held:
                    hrana.execute(server.url, [CHANGE.format(number=number)])
                    stage(tool)
                    assert held.stdin is not None
                    held.stdin.close()
                    held.wait(PATIENCE_S)
                freed = time.monotonic()
                while read_waiting(str(tool.cache)).kept is not None:
                    assert time.monotonic() - freed < PATIENCE_S
                    pause.wait(0.005)
                waits.append(time.monotonic() - freed)
                pause.wait(0.5)
            watch.terminate()
            watch.wait(PATIENCE_S)
    (history,) = tool.folder.rglob("history.db")
    locks = commits(history)
    case = f"rows that waited, {ROWS} of {EPISODES:,}"
    bench.add(Figure(case, "freed to committed, p95", percentile(waits, 95), "s", limit=1.0, note=spread(waits)))
    bench.add(Figure(case, "lock held, p99", percentile(locks, 99) * 1000, "ms", limit=50.0, note=spread(locks)))


def stage(tool: Tool) -> None:
    """Let the rows wait now; a watch asks the primary at most once a minute while the cache is held."""
    began = time.monotonic()
    while (document := tool.json("sync", "--wait", "0").document)["error"]["code"] == "lease_held":
        assert time.monotonic() - began < PATIENCE_S
    assert document["waiting"]["rows"] == ROWS, document


def holder(cache: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", f"{HOLD_REDB}file.close()\n", str(cache), "write"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def commits(history: Path) -> list[float]:
    """Seconds for which each commit of what waited held the lock."""
    with sqlite3.connect(f"file:{history}?mode=ro", uri=True) as book:
        documents = [json.loads(text) for (text,) in book.execute("SELECT document FROM runs")]
    return [document["seconds"]["lock"] for document in documents if "waited" in document]


def percentile(values: list[float], share: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) * share // 100, len(ordered) - 1)]


def spread(values: list[float]) -> str:
    return f"{len(values)} times, median {statistics.median(values):.3f} s, longest {max(values):.3f} s"
