"""A state folder and a cache that 0.1.0 left are taken over as they are.

`tests/fixtures/0.1.0` was made by that version: a sync of a demo, a change of the primary, a second sync.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.independent.projection_check import check
from tests.support.command import Tool, applied

ROOT = Path(__file__).resolve().parents[2]
STORES = ROOT / "tests" / "fixtures" / "0.1.0" / "store-0.1.0.tar.xz"


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    with tarfile.open(STORES) as archive:
        archive.extractall(tmp_path, filter="data")
    tool = Tool.at(tmp_path, f"file:{tmp_path / 'primary.db'}")
    # the state folder names its cache by where it was then
    (tmp_path / "state" / "cache.path").write_text(str(tool.cache))
    acked = tmp_path / "state" / "acked.json"
    witness = json.loads(acked.read_text())
    acked.write_text(json.dumps({**witness, "path": str(tool.cache)}))
    return tool


def test_the_cache_is_in_sync_without_a_row_written(tool: Tool) -> None:
    assert tool.json("status", "--check").document["verdict"] == "IN_SYNC"
    assert applied(tool.sync()) == {}
    assert check(tool.folder / "primary.db", tool.cache).holds(exact=True)
    again = tool.sync()
    assert again["cache_writes"] == {"commits": 0, "bytes": 0}
    assert again["warnings"] == []


def test_the_history_goes_on(tool: Tool) -> None:
    before = tool.json("history").document["runs"]
    assert [run["kind"] for run in before] == ["sync", "sync"]
    tool.sync()
    after = tool.json("history").document["runs"]
    assert after[1:] == before


def test_the_last_run_of_the_old_version_is_taken_back(tool: Tool) -> None:
    """Two episodes went and one changed."""
    planned = tool.json("undo", "--plan").document
    assert planned["error"] is None
    done = tool.json("undo", "--yes").document
    assert (done["error"], applied(done)["episodes"]) == (None, {"insert": 2, "update": 1})


def test_what_the_old_version_quarantined_is_listed_and_restored(tool: Tool) -> None:
    listed = tool.json("quarantine", "list").document
    kept = [entry["id"] for entry in listed["set_aside"]]
    assert len(kept) >= 2
    restored = tool.json("quarantine", "restore", str(kept[0]), "--yes").document
    assert restored["error"] is None
