"""How many bytes an hour go into copies, and when the next one fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from storage_sync.cache import copies
from storage_sync.cache.copies import HOUR_S, Copies
from storage_sync.cache.identity import read_identity

OCTETS = 100


class Clock:
    """By which `made` says when; a copy takes no time."""

    def __init__(self) -> None:
        self.now = 50_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(copies, "time", SimpleNamespace(monotonic=lambda: clock.now, time=lambda: clock.now))
    return clock


def lent(monkeypatch: pytest.MonkeyPatch, clock: Clock, after_s: float, method: str = "copy") -> Copies:
    """Three copies of 100 bytes, so many seconds one after the other; the file is another one each time."""

    @contextmanager
    def private_copy(*_: object, **__: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(identity=None, info=SimpleNamespace(method=method, bytes=OCTETS), probe=None)

    monkeypatch.setattr(copies, "private_copy", private_copy)
    made = Copies("/nowhere/cache.redb", None)
    for number in range(3):
        if number:
            clock.now += after_s
        with made.lend():
            pass
    return made


def test_the_next_copy_waits_until_enough_of_the_last_hour_is_over(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lent(monkeypatch, clock, 600.0)
    assert made.bytes_last_hour() == 3 * OCTETS
    assert made.wait_for(OCTETS, 4 * OCTETS) == 0.0, "it fits now"
    assert made.wait_for(OCTETS, 4 * OCTETS - 1) == HOUR_S - 1200.0, "without the first"
    assert made.wait_for(OCTETS, 2 * OCTETS) == HOUR_S - 600.0, "without the first two"
    assert made.wait_for(9 * OCTETS, OCTETS) == HOUR_S, "it never fits, so it is the only one of its hour"
    clock.now += HOUR_S - 1200.0
    assert made.bytes_last_hour() == 2 * OCTETS
    clock.now += 1200.0
    assert made.bytes_last_hour() == 0
    assert made.wait_for(9 * OCTETS, OCTETS) == 0.0


def test_a_deep_copy_was_walked_by_a_child(cache: Path, tmp_path: Path) -> None:
    made = Copies(str(cache), tmp_path / "copies")
    proven = read_identity(str(cache))
    with made.lend(proven=proven) as copy:
        assert copy.probe is None
    with made.lend(proven=proven, deep=True) as copy:
        assert copy.probe is not None
        assert copy.probe.integrity is True
    made.close()


def test_a_copy_that_is_there_is_the_one_of_its_file(cache: Path, tmp_path: Path) -> None:
    made = Copies(str(cache), tmp_path / "copies")
    identity = read_identity(str(cache))
    assert not made.has(identity)
    with made.lend() as copy:
        assert copy.identity == identity
        assert made.has(identity)
        assert not made.has(None)
        assert copy.identity is not None
        assert not made.has(replace(copy.identity, size=0))
    made.close()
    assert not made.has(identity)


def test_a_copy_that_shares_its_blocks_with_the_file_costs_nothing(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lent(monkeypatch, clock, 1.0, "reflink")
    assert made.bytes_last_hour() == 0
    assert made.wait_for(OCTETS, OCTETS) == 0.0
