"""What `exec` does at the border to the program that it becomes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from storage_sync.service.journal import start_facts
from storage_sync.service.start import await_commit
from storage_sync.values.outcome import Outcome, TableChange, Word
from tests.support import stores
from tests.support.processes import HOLD_REDB, running

COMMITS = """
import sys
from storage_sync import _native
from storage_sync.cache.lease import Lease
with Lease.acquire(sys.argv[1], "other-run"):
    file = _native.CacheFile.open(sys.argv[1], "write")
    print("ready", flush=True)
    sys.stdin.readline()
    file.close()
    print("let go", flush=True)
    sys.stdin.read()
"""
LONG = 60.0


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(stores.cache("v47-small", tmp_path))


def test_a_commit_of_another_run_is_waited_for(cache: str) -> None:
    with running(COMMITS, cache) as other:
        began = time.monotonic()
        await_commit(cache, began + 0.05)
        assert time.monotonic() >= began + 0.05, "it goes on when its time is over"
        waiting = threading.Thread(target=await_commit, args=(cache, began + LONG))
        waiting.start()
        assert waiting.is_alive()
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        waiting.join(LONG)
        assert not waiting.is_alive()


def test_a_program_that_holds_the_cache_is_not(cache: str) -> None:
    with running(HOLD_REDB, cache, "write"):
        began = time.monotonic()
        await_commit(cache, began + LONG)
        assert time.monotonic() < began + LONG


def test_nobody_is(cache: str) -> None:
    await_commit(cache, time.monotonic() + LONG)


@pytest.mark.parametrize(
    ("verdict", "plan", "applied", "found", "behind"),
    [
        (Word.IN_SYNC, {}, {}, 0, 0),
        (Word.IN_SYNC, {"episodes": TableChange(1, 2, 3)}, {"episodes": TableChange(1, 2, 3)}, 6, 0),
        (Word.UNKNOWN, {}, {}, None, None),
        (Word.UNKNOWN, {"episodes": TableChange(1, 2, 3)}, {}, 6, 6),
        (Word.REFUSED, {"episodes": TableChange(0, 0, 60)}, {}, 60, 60),
    ],
)
def test_what_a_program_starts_with(
    verdict: Word,
    plan: dict[str, TableChange],
    applied: dict[str, TableChange],
    found: int | None,
    behind: int | None,
) -> None:
    told = start_facts(Outcome("exec", verdict, 0, plan=plan, applied=applied), 0.25)
    assert (told.found, told.behind, told.delay_s, told.verdict) == (found, behind, 0.25, verdict.value)
