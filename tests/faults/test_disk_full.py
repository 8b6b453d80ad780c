"""F5: no room, no right, no descriptor: exit 8 and the old state, or the new one proven; and in sync once there is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.independent.projection_check import check
from tests.support import stores
from tests.support.command import REPOSITORY, Result, Tool, fingerprint
from tests.support.forks import forks
from tests.support.processes import tool_as_nobody

MOVE = ["UPDATE episodes SET reflection = NULL, task_description = 'x' || task_description"]
NAMESPACE = ["unshare", "--map-root-user", "--mount"]


def may_mount() -> bool:
    """Whether this machine lets us mount a file system of our own."""
    try:
        return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


LIMITS = ["rlimit", "tmpfs"] if may_mount() else ["rlimit"]


class Moved:
    """A proven cache whose primary has moved on since; `fresh`: none yet."""

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.primary = stores.primary("small", folder / "primary")
        self.tool = Tool.at(folder / "tool", f"file:{self.primary}")
        self.old: Path | None = None
        if not fresh:
            self.tool.sync()
            self.old = stores.quiet_copy(self.primary, folder / "old")
            stores.execute(self.primary, MOVE)

    def judge(self, exit_code: int, cache: Path, what: str) -> None:
        """Exit 8 and a state, or exit 0 and the new one."""
        assert exit_code in (0, 8), what
        new = cache.exists() and check(self.primary, cache).holds()
        if exit_code == 0 or not cache.exists():
            assert new or (exit_code == 8 and self.old is None), what
        else:
            assert new or (self.old is not None and check(self.old, cache).holds()), what


@pytest.mark.timeout(900)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("command", ["in place", "first", "rebuild"])
def test_the_disk_ends_at_any_size(command: str, limit: str, tmp_path: Path) -> None:
    moved = Moved(tmp_path, fresh=command == "first")
    saved = tmp_path / "saved"
    shutil.copytree(moved.tool.folder, saved)
    arguments = [limit, moved.tool.folder, saved, moved.primary, "rebuild" if command == "rebuild" else "sync"]
    prefix = NAMESPACE if limit == "tmpfs" else []
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "tests.faults.small_disk", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tries: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    for one in tries:
        first, again = one["first"], one["again"]
        moved.judge(first["exit"], tmp_path / f"first-{one['size']}", str(one))
        if first["exit"] == 8:
            assert first["error"] == "local_io", one
        assert sum(".build-" in name for name in first["files"]) <= 1, one
        assert not any(name.endswith(".new") for name in first["files"]), one
        assert (again["exit"], again["verdict"]) == (0, "IN_SYNC"), one
        assert check(moved.primary, tmp_path / f"again-{one['size']}").holds(), one
        assert not any(".build-" in name for name in again["files"]), one
    ended = [one["first"]["exit"] for one in tries]
    assert ended[-1] == 0
    assert ended.count(8) >= 4, ended


@pytest.mark.timeout(600)
def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """From any call on that needs one."""
    moved = Moved(tmp_path)
    saved = tmp_path / "saved"
    shutil.copytree(moved.tool.folder, saved)
    ended = []
    with forks(moved.tool) as forked:
        for number in range(3, 64):
            shutil.rmtree(moved.tool.folder)
            shutil.copytree(saved, moved.tool.folder)
            result = forked.record(moved.tool, "sync", "--json", descriptors=number).result
            ended.append(result.exit_code)
            moved.judge(result.exit_code, moved.tool.cache, f"{number}: {result.stdout} {result.stderr}")
            again = forked.record(moved.tool, "sync", "--json").result
            assert (again.exit_code, again.document["verdict"]) == (0, "IN_SYNC"), f"{number}: {again.stdout}"
            if result.exit_code == 0:
                break
    assert ended[-1] == 0
    assert ended.count(8) >= 4, ended


def read_only_mount(tool: Tool) -> Result:
    """The tool's folder lies on a file system that nothing can be written to."""
    folder = str(tool.folder)
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && exec "$@"'
    command = [*NAMESPACE, "sh", "-c", script, folder, sys.executable, "-m", "console", "sync", "--json"]
    done = subprocess.run([*command, *tool.arguments], env=tool.variables, capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def read_only_folder(tool: Tool) -> Result:
    """The folder and all in it may be read, and not be written."""
    paths = [tool.folder, *tool.folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        return tool_as_nobody(tool, "sync")
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)


def unreadable_cache(tool: Tool) -> Result:
    """The folder may be written, and the cache not even be read."""
    tool.cache.chmod(0o000)
    try:
        return tool_as_nobody(tool, "sync")
    finally:
        tool.cache.chmod(0o644)


WAYS: dict[str, Callable[[Tool], Result]] = {
    **({"read-only mount": read_only_mount} if "tmpfs" in LIMITS else {}),
    "read-only folder": read_only_folder,
    "unreadable cache": unreadable_cache,
}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Below a folder that everybody may enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("way", WAYS)
def test_what_may_not_be_written_stays_as_it_is(way: str, open_folder: Path) -> None:
    moved = Moved(open_folder)
    for path in open_folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = {path: fingerprint(path) for path in moved.tool.folder.rglob("*") if path.is_file()}
    result = WAYS[way](moved.tool)
    assert result.exit_code == 8, result.stdout + result.stderr
    assert result.document["error"]["code"] == "local_io"
    assert result.document["next_action"]
    assert fingerprint(moved.tool.cache) == before[moved.tool.cache]
    assert moved.tool.sync()["verdict"] == "IN_SYNC"
    assert check(moved.primary, moved.tool.cache).holds(exact=True)
