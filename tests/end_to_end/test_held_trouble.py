"""A held cache where looking is hard: its holder is in another pid namespace, or there is no room for a copy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.command import Result, Tool, fingerprint
from tests.support.processes import DO_MEMORY, HOLD_AS, environment, holding

CHANGE = "UPDATE episodes SET task_description = 'changed' WHERE episode_id = (SELECT min(episode_id) FROM episodes)"


@pytest.fixture
def primary(tmp_path: Path) -> Path:
    return stores.primary("v47-small", tmp_path / "primary")


@pytest.fixture
def tool(primary: Path, tmp_path: Path) -> Tool:
    made = Tool.at(tmp_path / "tool", f"file:{primary}")
    made.sync()
    return made


def apart(*spaces: str) -> list[str]:
    """Begins a command line in namespaces of its own; without rights of ours, in a user's own too."""
    return ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), *spaces]


def from_apart(tool: Tool, spaces: Sequence[str], *words: str) -> Result:
    done = subprocess.run(
        [*spaces, *tool.line(*words, "--json")], env=tool.variables, capture_output=True, text=True, check=False
    )
    return Result(done.returncode, done.stdout, done.stderr)


PIDS = ("--pid", "--fork", "--mount-proc")


@contextmanager
def holder_apart(cache: Path) -> Iterator[int]:
    """do-memory as it runs in a container of its own; gives its process as it is numbered here."""
    line = [*apart(*PIDS), sys.executable, "-c", HOLD_AS, str(cache), "write", DO_MEMORY]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True) as outer:
        assert outer.stdin is not None
        assert outer.stdout is not None
        assert outer.stdout.readline() == "ready\n"
        (inner,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        try:
            yield int(inner)
        finally:
            outer.stdin.close()


def test_a_holder_in_a_container_is_named_as_it_is_numbered_here(tool: Tool, primary: Path) -> None:
    with holder_apart(tool.cache) as pid:
        document = tool.json("verify").document
        assert (document["verdict"], document["look"]["of"]) == ("IN_SYNC", "copy")
        (holder,) = document["look"]["held_by"]
        assert (holder["pid"], holder["kind"]) == (pid, "do-memory")
        stores.execute(primary, [CHANGE])
        refused = tool.json("sync", "--wait", "0")
        assert (refused.exit_code, refused.document["waiting"]["rows"]) == (6, 1)


def test_a_holder_outside_our_container_is_found_by_the_commit(tool: Tool, primary: Path) -> None:
    """The kernel lists only processes of our own namespace: the file looks free, and nothing is lost by that."""
    with holding(tool.cache):
        before = fingerprint(tool.cache)
        seen = from_apart(tool, apart(*PIDS), "verify")
        assert (seen.exit_code, seen.document["verdict"]) == (0, "IN_SYNC"), seen.stderr
        stores.execute(primary, [CHANGE])
        seen = from_apart(tool, apart(*PIDS), "verify")
        assert (seen.exit_code, seen.document["verdict"]) == (1, "STALE")
        refused = from_apart(tool, apart(*PIDS), "sync", "--wait", "0")
        assert (refused.exit_code, refused.document["error"]["code"]) == (6, "cache_locked")
        assert "in another container" in refused.document["error"]["message"]
        assert "on the host" in refused.document["error"]["hint"]
        assert fingerprint(tool.cache) == before
    assert tool.json("verify").document["verdict"] == "STALE"
    tool.sync()


@pytest.mark.parametrize("words", [("verify",), ("diff",), ("sync", "--wait", "0"), ("sync", "--plan"), ("doctor",)])
def test_without_room_for_a_copy_it_says_so(tool: Tool, primary: Path, words: tuple[str, ...]) -> None:
    stores.execute(primary, [CHANGE])
    state = tool.folder / "state"
    mounted = 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$@"'
    with holding(tool.cache):
        before = fingerprint(tool.cache)
        told = from_apart(tool, [*apart("--mount"), "sh", "-c", mounted, str(state)], *words)
        assert fingerprint(tool.cache) == before
    assert told.exit_code == 8, told.stdout
    document = json.loads(told.stdout)
    said = json.dumps([document.get("error"), document.get("checks")])
    assert "free" in said
    assert "is needed" in said or "needs" in said or "room" in said, said
    assert tool.json("verify").document["verdict"] == "STALE"
