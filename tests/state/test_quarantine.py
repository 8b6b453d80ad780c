"""Rows taken out are durable before the commit that needs it, and only count once it came."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.state.quarantine import DAY_S, FILE_NAME, Removed, SetAside, Settled
from storage_sync.values.errors import LocalIO
from tests.support.processes import running

ROWS = [Removed("episodes", f"key-{number}", bytes([number]) * 10, "gone from the primary") for number in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SetAside]:
    with SetAside.open(tmp_path / "set-aside") as store:
        yield store


def test_pending_rows_do_not_count_until_confirmed(store: SetAside) -> None:
    assert store.put(ROWS, "run-1", 8, 1000.0) == 3
    assert store.rows() == []
    assert store.show(1) is None
    assert len(store.rows(pending=True)) == 3
    assert store.confirm("run-1", 8) == 3
    rows = store.rows()
    assert [(row.table, row.key, row.reason, row.generation, row.bytes) for row in rows] == [
        ("episodes", f"key-{number}", "gone from the primary", 8, 10) for number in range(3)
    ]
    assert (store.totals().rows, store.totals().bytes) == (3, 30)


def test_bytes_come_back_with_their_digest(store: SetAside) -> None:
    store.put(ROWS, "run-1", 8, 1000.0, pending=False)
    shown = store.show(2)
    assert shown is not None
    assert shown.value == ROWS[1].value
    assert shown.intact
    assert shown.row.digest == _native.digest("blake3", ROWS[1].value).hex()
    assert [value.row.id for value in store.take([3, 1, 99])] == [3, 1]
    assert len(store.rows()) == 3, "taking does not remove"
    assert store.discard([1, 3]) == 2
    assert [row.id for row in store.rows()] == [2]


def test_strange_keys_and_values(store: SetAside) -> None:
    odd = [Removed("embeddings", "a\0b \U0001f600 '\"", b"", "r"), Removed("embeddings", "", b"\0\xff" * 70000, "r")]
    store.put(odd, "run", 1, 0.0, pending=False)
    taken = store.take([1, 2])
    assert [(value.row.key, value.value, value.intact) for value in taken] == [
        (row.key, row.value, True) for row in odd
    ]


def test_the_next_run_settles_what_a_kill_left(store: SetAside) -> None:
    store.put(ROWS[:1], "committed", 8, 0.0)
    store.put(ROWS[1:], "never came", 9, 0.0)
    assert store.settle(8) == Settled(confirmed=1, dropped=2)
    assert [row.run_id for row in store.rows(pending=True)] == ["committed"]
    assert store.settle(8) == Settled(0, 0)


def test_what_a_restore_spent_goes_once_its_commit_came(store: SetAside) -> None:
    store.put(ROWS, "run", 8, 0.0, pending=False)
    store.spend([1, 2], 9)
    store.settle(8)
    assert [row.id for row in store.rows()] == [1, 2, 3], "its commit never came"
    store.settle(9)
    assert [row.id for row in store.rows()] == [1, 2, 3], "another run's generation is none of its"
    store.spend([1, 2], 10)
    assert len(store.rows()) == 3
    store.settle(10)
    assert [row.id for row in store.rows()] == [3]


def test_a_lost_cache_drops_what_was_pending(store: SetAside) -> None:
    store.put(ROWS, "run", 1, 0.0)
    assert store.settle(None) == Settled(0, 3)


def test_pages_and_runs(store: SetAside) -> None:
    many = [Removed("episodes", str(number), b"x", "r") for number in range(1200)]
    store.put(iter(many), "run", 1, 0.0, pending=False)
    pages, after = [], 0
    while page := store.rows(after, 500):
        pages.append(len(page))
        after = page[-1].id
    assert pages == [500, 500, 200]
    assert store.of_run("run") == list(range(1, 1201))
    assert store.of_run("other") == []


def test_a_failing_source_puts_nothing(store: SetAside) -> None:
    def source() -> Iterator[Removed]:
        yield from (Removed("episodes", str(number), b"x", "r") for number in range(700))
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError):
        store.put(source(), "run", 1, 0.0)
    assert store.rows(pending=True) == []
    assert store.put(ROWS, "run", 1, 0.0) == 3


def test_old_rows_expire_pending_ones_do_not(store: SetAside) -> None:
    store.put(ROWS[:1], "old", 1, 0.0, pending=False)
    store.put(ROWS[1:2], "new", 1, 20 * DAY_S, pending=False)
    store.put(ROWS[2:], "pending", 1, 0.0)
    assert store.purge(30, 31 * DAY_S) == 1
    assert [row.run_id for row in store.rows(pending=True)] == ["new", "pending"]


KILLED = """
import os, sys
from pathlib import Path
from storage_sync.state.quarantine import Removed, SetAside
with SetAside.open(Path(sys.argv[1])) as store:
    store.put([Removed("episodes", "kept", b"kept", "r")], "run", 8, 0.0)

    def rows():
        for number in range(2000):
            yield Removed("episodes", str(number), b"x" * 1000, "r")
        print("ready", flush=True)
        sys.stdin.read()

    store.put(rows(), "torn", 8, 0.0)
"""


def test_a_kill_in_the_middle_leaves_what_was_put_before(tmp_path: Path) -> None:
    with running(KILLED, tmp_path) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with SetAside.open(tmp_path) as store:
        assert [row.key for row in store.rows(pending=True)] == ["kept"]
        assert store.settle(8) == Settled(1, 0)
        assert [(value.value, value.intact) for value in store.take([1])] == [(b"kept", True)]


def test_damaged_bytes_are_not_passed_off_as_good(store: SetAside, tmp_path: Path) -> None:
    store.put(ROWS[:1], "run", 1, 0.0, pending=False)
    with sqlite3.connect(tmp_path / "set-aside" / FILE_NAME) as other:
        other.execute("UPDATE rows SET value = x'00'")
    other.close()
    shown = store.show(1)
    assert shown is not None
    assert not shown.intact


def test_what_is_no_store_is_local_io_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("not a database " * 100)
    with pytest.raises(LocalIO, match=r"rows\.db"), SetAside.open(tmp_path):
        pass
    assert (tmp_path / FILE_NAME).read_text().startswith("not a database")
    with pytest.raises(LocalIO), SetAside.open(tmp_path / "none", create=False):
        pass
    assert not (tmp_path / "none").exists()


def test_a_full_disk_is_local_io_and_leaves_the_rest(store: SetAside) -> None:
    store.put(ROWS[:1], "run", 1, 0.0)
    with store._database.reading() as connection:
        limit = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {limit}")
    big = [Removed("episodes", str(number), bytes(5000), "r") for number in range(100)]
    with pytest.raises(LocalIO, match="full"):
        store.put(big, "run", 1, 0.0)
    assert len(store.rows(pending=True)) == 1
