"""No room for the next byte, at growing sizes: exit 8 and the old state, or the new one proven."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from storage_sync.demo import Demo
from tests.independent.projection_check import check
from tests.support import stores
from tests.support.command import Tool

NOW = 1_795_392_000
KIB = 1024


def limited(kib: int) -> dict[str, object]:
    """For a child whose files may not grow above this."""
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (kib * KIB, kib * KIB))}


def judge(demo: Demo, tool: Tool, kib: int, old: Path | None) -> None:
    """`old`: the primary as it was when the cache was proven, None when there is no cache."""
    result = tool.json("sync", **limited(kib))
    if result.exit_code == 0:
        assert check(demo.primary, tool.cache).holds(exact=True)
        return
    assert result.exit_code == 8, result.stdout
    assert result.document["error"]["code"] == "local_io"
    assert result.document["next_action"]
    if old is None:
        assert not tool.cache.exists()
    else:
        # redb marks the file as open before it knows that there is no room: the rows are what counts
        assert check(old, tool.cache).holds(exact=True)


@pytest.mark.parametrize("kib", [128, 640, 1200])
def test_a_first_sync(kib: int, tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=150, now=NOW)
    tool = Tool.at(tmp_path / "tool", f"file:{demo.primary}")
    judge(demo, tool, kib, None)
    tool.sync()
    assert check(demo.primary, tool.cache).holds(exact=True)
    assert sorted(path.name for path in tool.cache.parent.glob("cache.redb*")) == ["cache.redb", "cache.redb.lock"]


@pytest.mark.parametrize("more", [-1000, -256, 0, 256])
def test_in_place(more: int, tmp_path: Path) -> None:
    """`more`: KiB beyond the cache's size that there are."""
    demo = Demo.create(tmp_path, episodes=150, now=NOW)
    tool = Tool.at(tmp_path / "tool", f"file:{demo.primary}")
    tool.sync()
    old = stores.quiet_copy(demo.primary, tmp_path / "old")
    stores.execute(demo.primary, ["UPDATE episodes SET reflection = NULL, task_description = 'x' || task_description"])
    judge(demo, tool, tool.cache.stat().st_size // KIB + more, old)
    tool.sync()
    assert check(demo.primary, tool.cache).holds(exact=True)
    assert sorted(path.name for path in tool.cache.parent.glob("cache.redb*")) == ["cache.redb", "cache.redb.lock"]
