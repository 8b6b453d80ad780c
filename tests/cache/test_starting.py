"""The note of who is about to open the cache."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage_sync.cache.starting import MOST_S, announce, starting, starting_path

ANNOUNCE = """
import fcntl, sys
from storage_sync.cache.starting import announce
announce(sys.argv[1])
print("announced", flush=True)
sys.stdin.readline()
file = open(sys.argv[1], "rb")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def cache(tmp_path: Path) -> str:
    path = tmp_path / "cache.redb"
    path.write_bytes(b"a file is enough")
    return str(path)


def test_nobody_starts_where_there_is_no_note(cache: str) -> None:
    assert starting(cache) is None


def test_a_process_is_starting_until_it_holds_the_cache(cache: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ANNOUNCE, cache], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "announced\n"
        found = starting(cache)
        assert found is not None
        assert found.pid == child.pid
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "locked\n"
        assert starting(cache) is None
        child.stdin.close()
    assert starting(cache) is None


def test_a_process_that_is_gone_starts_nothing(cache: str) -> None:
    code = "import sys; from storage_sync.cache.starting import announce; announce(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, cache], check=True)
    assert Path(starting_path(cache)).exists()
    assert starting(cache) is None


@pytest.mark.parametrize("until", [-1.0, MOST_S + 60], ids=["over", "longer than any note counts"])
def test_a_note_counts_for_a_while(cache: str, until: float) -> None:
    code = "import sys; from storage_sync.cache.starting import announce; announce(sys.argv[1]); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, cache], stdin=subprocess.PIPE) as child:
        path = Path(starting_path(cache))
        while not path.exists():
            assert child.poll() is None
        fields = json.loads(path.read_bytes())
        assert starting(cache) is not None
        path.write_text(json.dumps({**fields, "until": time.time() + until}))
        assert starting(cache) is None
        assert child.stdin is not None
        child.stdin.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\0" * 100])
def test_what_is_no_note_says_nothing(cache: str, text: str) -> None:
    Path(starting_path(cache)).write_text(text)
    assert starting(cache) is None


def test_a_note_is_not_one_for_its_own_process(cache: str) -> None:
    announce(cache)
    assert starting(cache) is None


def test_of_two_starts_the_later_note_keeps_the_earlier_one(cache: str) -> None:
    with _announced(cache) as first, _announced(cache) as second:
        announce(cache)
        waited = starting(cache)
        assert waited is not None
        assert waited.pid in (first.pid, second.pid)
        for child, other in ((first, second.pid), (second, None)):
            child.kill()
            child.wait()
            left = starting(cache)
            assert (left.pid if left is not None else None) == other


@contextmanager
def _announced(cache: str) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-c", ANNOUNCE, cache]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "announced\n"
        yield child
