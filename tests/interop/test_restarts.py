"""Restarts of do-memory's server beside `watch`: each one through `exec` gets its cache (`RESTARTS`: how many)."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from storage_sync.cache.holders import lock_holders
from tests.interop.test_day import binary, variables_of
from tests.interop.test_server import Server
from tests.support import stores
from tests.support.command import Tool
from tests.support.starts import Starts

pytestmark = [pytest.mark.server, pytest.mark.timeout(7200)]

RESTARTS = int(os.environ.get("RESTARTS", "20"))
CHANGE = "UPDATE episodes SET task_description = 'Restart {number}' WHERE episode_id = '{key}'"


def test_restarts_through_exec_beside_watch(tmp_path: Path) -> None:
    """The primary changes before each start, so that both `exec` and `watch` have something to commit."""
    primary = stores.primary("v47-small", tmp_path / "shared")
    tool = Tool.at(tmp_path / "tool", f"file:{primary}")
    variables = {**variables_of(primary, tool.cache), "STORAGE_SYNC_STATE_DIR": str(tool.folder / "state")}
    starts = Starts(tool, variables)
    ((key,),) = stores.select(primary, "SELECT episode_id FROM episodes LIMIT 1")
    tool.sync()
    delays, without = [], []
    with tool.start("watch", "--interval", "1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as watching:
        try:
            for number in range(RESTARTS):
                stores.execute(primary, [CHANGE.format(number=number, key=key)])
                began = time.monotonic()
                with starts.begin(binary(), options=("--deadline", "10"), stderr=subprocess.DEVNULL) as child:
                    try:
                        server = Server(child)
                        delays.append(time.monotonic() - began)
                        if server.pid not in {holder.pid for holder in lock_holders(str(tool.cache))}:
                            without.append(number)
                        server.leave()
                    finally:
                        child.kill()
            assert watching.poll() is None
        finally:
            watching.terminate()
    delays.sort()
    print(
        f"\n{RESTARTS} restarts, {len(without)} without the cache; to the first answer: "
        f"median {delays[len(delays) // 2]:.2f} s, p95 {delays[int(len(delays) * 0.95)]:.2f} s"
    )
    assert not without
