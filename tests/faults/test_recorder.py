"""The recorder itself: nothing that the tool does to its files passes it by, and it cuts where it is told to."""

from __future__ import annotations

import errno
import shutil
import signal
from pathlib import Path

import pytest

from tests.support import recorder, stores
from tests.support.command import Tool
from tests.support.disk import Disk, replayed, whole
from tests.support.recorder import Kind

MOVE = [
    "DELETE FROM heuristics WHERE heuristic_id = (SELECT min(heuristic_id) FROM heuristics)",
    "UPDATE episodes SET task_description = 'x' || task_description",
]


def tool_of(folder: Path) -> tuple[Tool, Path]:
    primary = stores.primary("small", folder / "primary")
    return Tool.at(folder / "tool", f"file:{primary}"), primary


def followed(tool: Tool, *words: str) -> recorder.Recording:
    """Run a command; what it recorded, replayed, must be what is there."""
    disk = Disk(tool.folder)
    recording = recorder.record(tool, *words)
    assert recording.result.exit_code == 0, recording.result.stdout + recording.result.stderr
    assert [operation.number for operation in recording.operations] == list(range(1, len(recording.operations) + 1))
    told, found = replayed(disk, recording.operations), whole(tool.folder)
    assert told.folders == found.folders
    assert sorted(told.files) == sorted(found.files)
    assert [name for name in found.files if told.files[name] != found.files[name]] == []
    return recording


def test_what_it_tells_is_what_is_on_the_disk(tmp_path: Path) -> None:
    tool, primary = tool_of(tmp_path)
    first = followed(tool, "sync", "--json")
    assert {Kind.CREATE, Kind.WRITE, Kind.TRUNCATE, Kind.SYNC, Kind.SYNC_FOLDER, Kind.RENAME, Kind.UNLINK} <= {
        operation.kind for operation in first.operations
    }
    stores.execute(primary, MOVE)
    followed(tool, "sync", "--json")
    followed(tool, "rebuild", "--yes", "--json")
    followed(tool, "undo", "--yes", "--json")
    data = bytearray(tool.cache.read_bytes())
    data[65536:73728] = bytes(8192)
    tool.cache.write_bytes(data)
    followed(tool, "repair", "--yes", "--json")
    followed(tool, "compact", "--json")


def test_it_kills_before_an_operation_and_in_the_middle_of_a_write(tmp_path: Path) -> None:
    tool, _ = tool_of(tmp_path)
    operations = recorder.record(tool, "sync", "--json").operations
    write = next(one for one in operations if one.kind is Kind.WRITE and one.name.startswith("state/"))
    for half in (False, True):
        shutil.rmtree(tool.folder)
        tool.folder.mkdir()
        recording = recorder.kill_at(tool, "sync", "--json", number=write.number, half=half)
        assert recording.result.exit_code == -signal.SIGKILL
        assert [operation.number for operation in recording.operations] == list(range(1, write.number))
        # it has no name of its own yet, and the one in between is another in each run
        (written,) = (tool.folder / "state").glob(".storage-sync-*")
        assert written.read_bytes() == write.data[: write.length // 2 if half else 0]


@pytest.mark.parametrize("span", ["once", "onwards", "growing"])
def test_it_fails_what_it_is_told_to(tmp_path: Path, span: recorder.Span) -> None:
    tool, _ = tool_of(tmp_path)
    operations = recorder.record(tool, "sync", "--json").operations
    write = next(operation for operation in operations if operation.kind is Kind.WRITE and operation.length >= 4096)
    shutil.rmtree(tool.folder)
    tool.folder.mkdir()
    recording = recorder.fail_at(tool, "sync", "--json", number=write.number, span=span)
    failed = {operation.number for operation in recording.operations if operation.error == errno.ENOSPC}
    done = {operation.number for operation in recording.operations if not operation.error}
    assert min(failed) == write.number
    if span == "once":
        assert failed == {write.number}
    else:
        assert len(failed) > 1
    if span == "onwards":
        assert max(done) < write.number
