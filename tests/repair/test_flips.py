"""F1 and F2: flipped bits, headers, cut and grown files: a sample, or all with STORAGE_SYNC_FAULTS=full."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage_sync import _native, operations
from storage_sync.cache.content import judge_content
from storage_sync.cache.states import judge_file
from storage_sync.cache.witness import read_witness
from storage_sync.config import Settings
from storage_sync.model import Outcome, Word
from storage_sync.outcome import TABLES, CacheState
from storage_sync.request import Request
from tests.repair.conftest import CACHE_ONLY, Store, held

FULL = os.environ.get("STORAGE_SYNC_FAULTS") == "full"
FLIPS = 3000 if FULL else 300
HEADER_BITS = range(320 * 8) if FULL else range(5, 320 * 8, 233)
PAGE = 4096
HEADER = 320
SOUND = frozenset({CacheState.CLEAN, CacheState.UNCLEAN, CacheState.LOCAL_DRIFT})


def flip(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def rows_of(file: _native.CacheFile) -> dict[tuple[str, str], bytes]:
    return {(table, key): value for table in TABLES for key, value in file.page(table, None, 100_000)}


def judged(path: Path, store: Store) -> tuple[frozenset[CacheState], dict[tuple[str, str], bytes] | None]:
    """States of the file, as the tool tells them from outside and from a copy, and the rows that one could read.

    What the tool asks in a child process is asked here: these files panic at most.
    """
    witness, _ = read_witness(store.tool.folder / "state", str(store.cache))
    outside = judge_file(str(path), witnessed=True)
    if not outside.openable:
        return frozenset(outside.states), None
    copy = path.with_suffix(".private")
    shutil.copyfile(path, copy)
    try:
        file = _native.CacheFile.open(str(copy), "private")
        rows = rows_of(file)
        scan = file.scan()
        content = judge_content(file, witness, None, None, scan, sound=integrity_of(path))
        return frozenset({*outside.states, *content.states}), rows
    except _native.NativeError:
        return frozenset({CacheState.CORRUPT}), None


def integrity_of(path: Path) -> bool:
    copy = path.with_suffix(".checked")
    shutil.copyfile(path, copy)
    try:
        file = _native.CacheFile.open(str(copy), "private")
        return file.check_integrity()
    except _native.NativeError:
        return False


@pytest.fixture
def unclean(store: Store) -> bytes:
    """The same file as its program left it when it was killed."""
    data = bytearray(store.whole)
    data[9] |= 2
    return bytes(data)


@pytest.mark.parametrize("closed", [True, False], ids=["clean", "killed"])
def test_a_flip_that_changes_a_row_is_always_found(store: Store, unclean: bytes, closed: bool, tmp_path: Path) -> None:
    before = store.whole if closed else unclean
    path = tmp_path / "cache.redb"
    path.write_bytes(before)
    states, whole = judged(path, store)
    assert states <= SOUND
    draw = random.Random(20 + closed)
    found = 0
    for _ in range(FLIPS // 2):
        path.write_bytes(before)
        bit = draw.randrange(HEADER * 8, len(before) * 8)
        flip(path, bit)
        states, rows = judged(path, store)
        if rows != whole:
            found += 1
            assert not states <= SOUND, f"bit {bit}: {sorted(states)}"
    assert found > FLIPS // 40


async def healed(store: Store) -> Outcome:
    settings = Settings(primary=store.tool.primary, cache=store.cache, state_dir=store.tool.folder / "state")
    return await operations.repair(Request(settings, None))


def lengths(size: int) -> Iterator[int]:
    places = range(0, size, PAGE) if FULL else range(0, size, size // 3 // PAGE * PAGE)
    for place in places:
        yield from (length for length in (place - 1, place, place + 1) if 0 <= length < size)
    yield from (size + 1, size + PAGE)


async def test_any_bit_of_the_header_can_flip(store: Store) -> None:
    for bit in HEADER_BITS:
        store.restore()
        flip(store.cache, bit)
        outcome = await healed(store)
        assert outcome.verdict is Word.IN_SYNC, f"bit {bit}: {outcome.error} {outcome.states}"
        assert outcome.proof is not None
        assert outcome.proof.root == store.root
        assert held(store.cache, "heuristics", CACHE_ONLY) is not None, f"bit {bit}: {outcome.extra}"


async def test_a_file_of_any_length_is_healed(store: Store) -> None:
    size = len(store.whole)
    for length in lengths(size):
        store.restore()
        os.truncate(store.cache, length)
        outcome = await healed(store)
        assert outcome.verdict is Word.IN_SYNC, f"{length} bytes: {outcome.error} {outcome.states}"
        assert outcome.proof is not None
        assert outcome.proof.root == store.root
        if length >= size:
            assert held(store.cache, "heuristics", CACHE_ONLY) is not None, f"{length} bytes"
