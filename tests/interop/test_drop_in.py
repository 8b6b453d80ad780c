"""The drop-in of `service install --for` with do-memory's real server, under a supervisor that starts it again."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from storage_sync.cache.holders import lock_holders
from storage_sync.packaging.units import Places, drop_in, setting_of
from tests.interop.test_day import binary, variables_of
from tests.interop.test_server import Server
from tests.support import stores
from tests.support.command import Tool

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
CHANGE = "UPDATE episodes SET task_description = 'Start {number}' WHERE episode_id = '{key}'"
STARTS = 4


def test_each_start_of_the_unit_has_what_changed_before_it(tmp_path: Path) -> None:
    """Ended by SIGKILL, as by a crash, and started again as `Restart=always` does."""
    primary = stores.primary("v47-small", tmp_path / "shared")
    tool = Tool.at(tmp_path / "tool", f"file:{primary}")
    config = tmp_path / "config.toml"
    tool.run("config", "init", "--config", str(config))
    program = Path(sys.executable).parent / "storage-sync"
    text = drop_in(Places(program, config, tool.cache.parent), binary())
    line = setting_of(text, "Service", "ExecStart").replace("%S/storage-sync", str(tool.folder / "state"))
    ((key,),) = stores.select(primary, "SELECT episode_id FROM episodes LIMIT 1")
    for number in range(STARTS):
        stores.execute(primary, [CHANGE.format(number=number, key=key)])
        with subprocess.Popen(
            shlex.split(line),
            env={**tool.variables, **variables_of(primary, tool.cache)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as child:
            try:
                server = Server(child)
                assert server.pid in {holder.pid for holder in lock_holders(str(tool.cache))}
                assert server.episode(str(key))["task_description"] == f"Start {number}"
            finally:
                child.kill()
    starts = [run for run in tool.json("history").document["runs"] if run["kind"] == "exec"]
    assert len(starts) == STARTS
