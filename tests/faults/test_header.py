"""F2: any bit of the header turned over, the file cut at any page or grown: the right state, then healed and proven."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import nullcontext
from random import Random

import pytest

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.reports.status import status_quick
from storage_sync.service.operations import Repair
from storage_sync.service.performing import once
from storage_sync.state.quarantine import SetAside
from storage_sync.values.outcome import CacheState, Outcome, Word
from tests.independent.redb_reader import NotReadable, RedbFile
from tests.support import size
from tests.support.children import own_children, quick_children
from tests.support.proven import CACHE_ONLY, Store, flip, held, in_memory

PATIENCE_S = 3600
PARTS = size.of(2, 8, 8)
OWN_CHILDREN = size.of(40, 40, 16)
"""Each so manieth repair starts its children as an operator's tool does; for the others they are forked."""
PAGE = 4096
HEADER = 320
SLOTS = (64, 192)
FIELDS_OF_A_BYTE = (9, *(slot + byte for slot in SLOTS for byte in range(4)))
"""The flags, and in each slot the version and which of its trees there are; other fields have four bytes or more."""
PAGES = size.of(32, 8, 1)
"""Of the ends of pages, one in so many is tried, and the last one."""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with in_memory() as folder:
        proven = Store(folder)
        with quick_children():
            yield proven


def sound(store: Store) -> bool:
    """Whether redb itself opens the file, finds nothing wrong with it, and gives the rows that were proven."""
    copy = store.cache.with_suffix(".oracle")
    _native.copy_file(str(store.cache), str(copy))
    try:
        file = _native.CacheFile.open(str(copy), "private")
        return file.scan().clean and file.check_integrity()
    except _native.NativeError:
        return False
    finally:
        copy.unlink()


async def heal(store: Store, number: int, what: str) -> Outcome:
    """Repair the file that lies there; it ends with the proof of the whole primary."""
    with own_children() if number % OWN_CHILDREN == 0 else nullcontext():
        outcome = await once(Repair(), Request(store.settings, None))
    assert outcome.verdict is Word.IN_SYNC, f"{what}: {outcome.error} {outcome.states}"
    assert outcome.proof is not None
    assert outcome.proof.root == store.root, what
    return outcome


SOUND = frozenset({Word.UNKNOWN, Word.IN_SYNC})


def told(store: Store) -> tuple[Word | str, frozenset[str]]:
    """What `status` says; it reads the rows of a file that is not the proven one again."""
    quick = status_quick(Request(store.settings, None))
    assert quick.verdict is not Word.IN_SYNC or quick.look is not None
    return quick.verdict, frozenset(quick.states)


def kept_or_aside(store: Store) -> bool:
    """Whether the row that only the cache had is in the new one or waits to be put back."""
    if held(store.cache, "heuristics", CACHE_ONLY) is not None:
        return True
    for folder in store.tool.folder.glob("state/**/set-aside"):
        with SetAside.open(folder) as rows:
            return CACHE_ONLY in {row.key for row in rows.rows(limit=1000)}
    return False


def readable(store: Store) -> bool:
    """Whether a reader of its own, which knows no checksum, finds the row that only the cache holds."""
    try:
        return CACHE_ONLY.encode() in dict(RedbFile(store.cache).rows("heuristics"))
    except (NotReadable, struct.error, IndexError, ValueError):
        return False


def bits() -> list[int]:
    """In no order: one of each field, or one of each byte, or all of them."""
    random = Random("F2")
    of_words = {random.randrange(32) + 8 * byte for byte in range(0, HEADER, 4)}
    of_bytes = [8 * byte + random.randrange(8) for byte in range(HEADER)]
    of_fields = {*of_words, *(of_bytes[byte] for byte in FIELDS_OF_A_BYTE)}
    chosen = sorted(size.of(of_fields, {*of_bytes}, {*range(8 * HEADER)}))
    random.shuffle(chosen)
    return chosen


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("part", range(PARTS))
async def test_any_bit_of_the_header_can_flip(store: Store, part: int) -> None:
    drawn = bits()[part::PARTS]
    damaged = 0
    for number, bit in enumerate(drawn):
        store.restore()
        flip(store.cache, bit)
        bytes_then = store.cache.read_bytes()
        verdict, _ = told(store)
        if sound(store):
            # rows that were read again and are what was proven may be called so
            assert verdict in SOUND, f"bit {bit}"
            outcome = await heal(store, number, f"bit {bit}")
            assert not store.kept_files("corrupt"), f"bit {bit}: a sound file was replaced"
        else:
            damaged += 1
            assert verdict not in SOUND, f"bit {bit}"
            outcome = await heal(store, number, f"bit {bit}")
            assert rungs(outcome) == ["rebuild"], f"bit {bit}: {outcome.extra}"
            (kept,) = store.kept_files("corrupt")
            assert kept.read_bytes() == bytes_then, f"bit {bit}: the damaged file is not kept as it was"
        assert told_in_sync(store), f"bit {bit}"
        assert held(store.cache, "heuristics", CACHE_ONLY) is not None, f"bit {bit}: {outcome.extra}"
    assert damaged > len(drawn) // 4


def rungs(outcome: Outcome) -> list[str]:
    ladder = outcome.extra["ladder"]
    assert isinstance(ladder, list)
    return [rung["rung"] for rung in ladder]


def told_in_sync(store: Store) -> bool:
    return status_quick(Request(store.settings, None)).verdict is Word.IN_SYNC


def lengths(whole: int) -> list[int]:
    """The ends of pages, a byte less and a byte more; and around the header's parts."""
    places = {0, 1, 8, 9, 10, 64, 192, 319, 320, 321}
    for end in (*range(PAGE, whole, PAGE * PAGES), whole):
        places |= {end - 1, end, end + 1}
    return sorted(place for place in places if place < whole)


def expected_state(length: int, whole: int) -> tuple[frozenset[Word], CacheState]:
    if length == 0:
        return frozenset({Word.EMPTY}), CacheState.EMPTY_FILE
    if length < whole:
        return frozenset({Word.DAMAGED}), CacheState.TRUNCATED
    return (SOUND, CacheState.CLEAN) if length % PAGE == 0 else (frozenset({Word.DAMAGED}), CacheState.CORRUPT)


async def judge_length(store: Store, length: int) -> bool:
    """Cut or grow the file and heal it; whether the row that only it had could still be read."""
    store.restore()
    os.truncate(store.cache, length)
    could = readable(store)
    verdict, states = told(store)
    words, state = expected_state(length, len(store.whole))
    assert verdict in words, length
    assert state in states, length
    await heal(store, length, f"{length} bytes")
    assert told_in_sync(store), length
    assert kept_or_aside(store) or not could, f"{length} bytes: a row that can be read is lost"
    return could


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("part", range(PARTS // 2))
async def test_the_file_can_end_at_any_page(store: Store, part: int) -> None:
    for length in lengths(len(store.whole))[part :: PARTS // 2]:
        await judge_length(store, length)


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("more", [1, 319, PAGE - 1, PAGE, PAGE + 1, 5 * PAGE, (1 << 20) + 7, 16 << 20])
async def test_the_file_can_grow(store: Store, more: int) -> None:
    assert await judge_length(store, len(store.whole) + more)
    assert held(store.cache, "heuristics", CACHE_ONLY) is not None
