"""do-memory's own server comes and goes beside `watch`: each start must find the cache free (`make interop-server`).

A server that finds the file locked goes on in memory only, and loses what its session learned. `RESTARTS` is how often
it is started; the figures are printed.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage_sync.cache.holders import lock_holders
from tests.independent.projection_check import check
from tests.interop.test_server import Server, primary_of, serving
from tests.support import stores
from tests.support.command import Tool

pytestmark = [pytest.mark.server, pytest.mark.timeout(7200)]

RESTARTS = int(os.environ.get("RESTARTS", "40"))
LONGEST_GAP_S = 1.0
CHANGE = (
    "UPDATE episodes SET task_description = 'changed before start {number}' WHERE episode_id IN "
    "(SELECT episode_id FROM episodes ORDER BY episode_id LIMIT 3)"
)


@contextmanager
def watching(tool: Tool) -> Iterator[None]:
    # nobody reads what it says
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tool.start("watch", "--log-format", "json", **nowhere) as child:
        try:
            yield
        finally:
            child.terminate()
            child.wait(20)


def held_s(tool: Tool) -> tuple[float, list[float]]:
    """Seconds for which runs of ours held the lock, all of them and each."""
    (history,) = tool.folder.rglob("history.db")
    with sqlite3.connect(f"file:{history}?mode=ro", uri=True) as book:
        documents = [json.loads(text) for (text,) in book.execute("SELECT document FROM runs")]
    spent = [document["seconds"]["lock"] for document in documents if "seconds" in document]
    each = sorted(one for one in spent if one)
    return sum(each), each


def summary(name: str, found: list[bool], took_s: float, spent: float, each: list[float]) -> str:
    failed = found.count(False)
    at = each[min(len(each) * 99 // 100, len(each) - 1)] if each else 0.0
    return (
        f"{name}: {len(found)} starts, {failed} failed ({failed / len(found):.3%}); lock held {spent:.2f} s of "
        f"{took_s:.0f} s ({spent / took_s:.3%}) in {len(each)} commits, p99 {at * 1000:.1f} ms"
    )


def test_a_server_that_restarts_beside_watch_always_gets_its_cache(tmp_path: Path) -> None:
    """Bare, so that nothing keeps the moments of our commits and its starts apart but what `watch` leaves alone."""
    primary = stores.primary("v47-small", tmp_path / "primary")
    tool = Tool.at(tmp_path / "tool", f"file:{primary}", STORAGE_SYNC_POLL_S="0.2", STORAGE_SYNC_INTERVAL_S="2")
    tool.sync()
    before, _ = held_s(tool)
    gaps = random.Random(7)
    found: list[bool] = []
    between = threading.Event()
    began = time.monotonic()
    with watching(tool):
        for number in range(RESTARTS):
            stores.execute(primary, [CHANGE.format(number=number)])
            with serving(primary_of(tool), tool.cache) as server:
                found.append(holds(server, tool.cache))
                server.leave()
            between.wait(gaps.choice((0.02, gaps.uniform(0.0, LONGEST_GAP_S))))
        took = time.monotonic() - began
    spent, each = held_s(tool)
    print(summary("bare", found, took, spent - before, each))
    assert found.count(False) / len(found) <= (spent - before) / took
    tool.sync()
    assert check(stores.quiet_copy(primary, tmp_path / "compared"), tool.cache).holds()


def holds(server: Server, cache: Path) -> bool:
    """Whether the cache's lock is the server's: it has answered, so it has tried."""
    return any(holder.pid == server.pid for holder in lock_holders(str(cache)))
