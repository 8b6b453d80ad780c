"""F1: one random bit of a cache is turned over, of one that was closed and of one whose program was killed.

Each flip goes through what every command does first: the file judged from outside, its copy opened in a child, redb's
own check, and every value hashed. Some go through the commands themselves.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.cache.identity import read_identity
from storage_sync.config.request import Request
from storage_sync.service.operations import Repair, Verify
from storage_sync.service.performing import once
from storage_sync.state.quarantine import SetAside
from storage_sync.sync.inspection import looked
from storage_sync.sync.outcome_builder import Draft
from storage_sync.sync.progress import Tracker
from storage_sync.sync.session import Session
from storage_sync.values.errors import CacheDamaged
from storage_sync.values.outcome import TABLES, CacheState, Word
from tests.support import size
from tests.support.children import quick_children
from tests.support.proven import CACHE_ONLY, Store, flip, held, in_memory
from tests.support.values import altered

PARTS = size.of(1, 2, 4)
FLIPS = size.of(200, 1_000, 30_000) // PARTS
"""In each part, of each kind of file."""
COMMANDS = size.of(20, 40, 1_000) // PARTS
"""Flips in each part that go through the commands, with the children that an operator's tool starts."""
PATIENCE_S = size.of(900, 900, 7200)
HEADER = 320
FLAGS = 9
RECOVERY_REQUIRED, TWO_PHASE = 2, 4
NAMED = 5
"""Keys that an evidence names at most."""
HARMLESS = frozenset(
    {CacheState.CLEAN, CacheState.UNCLEAN, CacheState.REPAIRED, CacheState.LOCAL_DRIFT, CacheState.DISK_LOW}
)
Rows = dict[tuple[str, str], bytes]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with in_memory() as folder:
        yield Store(folder)


@pytest.fixture(params=["closed", "killed"])
def whole(request: pytest.FixtureRequest, store: Store) -> bytes:
    """The bytes that lie at the cache's path: as after its last proof, or as a program leaves them that is killed."""
    store.restore()
    data = bytearray(store.whole)
    if request.param == "killed":
        data[FLAGS] = data[FLAGS] & ~TWO_PHASE | RECOVERY_REQUIRED
    store.cache.write_bytes(data)
    return bytes(data)


def rows_of(path: Path) -> Rows | None:
    """What one reads who asks nobody; None when it does not read to its end."""
    copy = path.with_suffix(".oracle")
    _native.copy_file(str(path), str(copy))
    try:
        file = _native.CacheFile.open(str(copy), "private")
        if any(table.error is not None for table in file.tables()):
            return None
        return {(table, key): value for table in TABLES for key, value in file.page(table, None, 100_000)}
    except (_native.NativeError, ValueError):  # the second: a table of other types
        return None
    finally:
        copy.unlink()


@dataclass(frozen=True)
class Told:
    """What the tool says of a file. `damage`: the sentence that stops every command, '' when there is none."""

    states: frozenset[str]
    damage: str

    @property
    def healthy(self) -> bool:
        return not self.damage and self.states <= HARMLESS


async def told(session: Session, *, unseen: bool = False) -> Told:
    """`unseen`: the file's numbers say that it is the one of the last proof, as they do when the disk itself rots."""
    draft = Draft("status")
    tracker = Tracker("f1", "status", "manual", lambda _: None)
    proven = read_identity(session.cache_path) if unseen else None
    try:
        async with looked(session, tracker, draft, writing=False, deep=not unseen, proven=proven):
            return Told(frozenset(draft.states), "")
    except CacheDamaged as error:
        return Told(frozenset(draft.states), error.message)


def drawn(name: str, count: int, size: int) -> list[int]:
    draw = random.Random(name)
    return [draw.randrange(HEADER * 8, size * 8) for _ in range(count)]


def judge(bit: int, said: Told, before: Rows, rows: Rows | None) -> int:
    """Whether the flip changed what one reads; the tool must have said so, with the keys."""
    if rows == before:
        return 0
    if rows is None:
        assert not said.healthy, f"bit {bit}: {sorted(said.states)}"
        return 1
    changed = [key for (table, key), value in before.items() if rows.get((table, key)) != value]
    assert not said.healthy, f"bit {bit}: {sorted(said.states)}"
    named = [key for key in changed if key in said.damage]
    assert len(named) >= min(len(changed), NAMED), f"bit {bit}: {changed} {said}"
    return 1


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("part", range(PARTS))
async def test_a_flip_that_changes_a_row_is_found_and_named(store: Store, whole: bytes, part: int) -> None:
    before = rows_of(store.cache)
    assert before is not None
    assert {table for table, _ in before} == set(TABLES)
    session = Session(store.settings, None)
    found = 0
    with quick_children():
        assert (await told(session)).healthy
        for bit in drawn(f"flip {part}", FLIPS, len(whole)):
            flip(store.cache, bit)
            rows = rows_of(store.cache)
            found += judge(bit, await told(session), before, rows)
            judge(bit, await told(session, unseen=True), before, rows)
            flip(store.cache, bit)
    await session.close()
    assert store.cache.read_bytes() == whole, "looking has changed the file"
    assert found > FLIPS // 10


@pytest.mark.parametrize("name", ["embeddings", "storage_sync_digest", "storage_sync_quarantine"])
async def test_a_flip_that_makes_a_table_s_name_no_text_costs_only_that_table(store: Store, name: str) -> None:
    """redb's list of tables ends there; the rows of the others are still read by the names of their tables."""
    store.restore()
    bits = [8 * (match.start() + len(name) - 4) + 7 for match in re.finditer(name.encode(), store.whole)]
    assert any(_is_named(store, bit) for bit in bits)
    outcome = await once(Verify(deep=True), Request(store.settings, None))
    assert (outcome.verdict, outcome.exit_code) == (Word.DAMAGED, 5)
    assert outcome.error is not None
    assert "its list of tables cannot be read" in outcome.error.message
    outcome = await once(Repair(), Request(store.settings, None))
    assert outcome.verdict is Word.IN_SYNC, outcome.error
    assert held(store.cache, "heuristics", CACHE_ONLY) is not None or _is_set_aside(store, CACHE_ONLY)


def _is_named(store: Store, bit: int) -> bool:
    """Whether the bit is one of the name in the list of tables; it is left turned over then."""
    flip(store.cache, bit)
    file = _native.CacheFile.open(str(store.cache), "untouched")
    try:
        if any(table.error for table in file.tables()):
            return True
    finally:
        file.close()
    flip(store.cache, bit)
    return False


def _is_set_aside(store: Store, key: str) -> bool:
    with SetAside.open(next(store.tool.folder.glob("state/**/set-aside"))) as rows:
        return any(row.key == key for row in rows.rows(limit=1000))


async def test_a_flip_in_the_name_of_a_type_or_in_the_version_is_damage(store: Store, whole: bytes) -> None:
    """Nothing of it is a row, so that hashing rows does not tell; a version is do-memory's only on sound pages."""
    before = rows_of(store.cache)
    assert before is not None
    version = b"version" + _native.CACHE_SCHEMA_VERSION.to_bytes(8, "little")
    places = [match for name in (b"&str", rb"&\[u8\]", version) for match in re.finditer(name, whole)]
    session = Session(store.settings, None)
    found = versions = 0
    with quick_children():
        for place in places:
            flip(store.cache, 8 * place.end() - 63 if place[0] == version else 8 * place.start() + 1)
            rows = rows_of(store.cache)
            found += judge(place.start(), await told(session), before, rows)
            unseen = await told(session, unseen=True)
            judge(place.start(), unseen, before, rows)
            versions += place[0] == version and bool(unseen.damage)
            store.cache.write_bytes(whole)
    await session.close()
    assert found > len(TABLES)
    assert versions == 1


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("part", range(PARTS))
async def test_no_command_calls_a_changed_row_proven(store: Store, whole: bytes, part: int) -> None:
    """With the children that the tool itself starts; what is damaged is healed again."""
    before = rows_of(store.cache)
    assert before is not None
    request = Request(store.settings, None)
    healed = 0
    for bit in drawn(f"command {part}", COMMANDS, len(whole)):
        flip(store.cache, bit)
        rows = rows_of(store.cache)
        outcome = await once(Verify(deep=True), request)
        if rows == before:
            flip(store.cache, bit)
            continue
        assert outcome.verdict is Word.DAMAGED, f"bit {bit}: {outcome.verdict} {outcome.error}"
        assert (outcome.proof, outcome.exit_code) == (None, 5)
        outcome = await once(Repair(), Request(store.settings, None))
        assert outcome.verdict is Word.IN_SYNC, f"bit {bit}: {outcome.error}"
        assert outcome.proof is not None
        assert outcome.proof.root == store.root
        healed += 1
        store.restore()
        store.cache.write_bytes(whole)
    assert healed > COMMANDS // 10


def flip_inside(cache: Path, key: str) -> bytes:
    """Turn over one bit of a text of this heuristic; gives what is held under its key then."""
    value = held(cache, "heuristics", key)
    assert value is not None
    text = json.loads(_native.decode_value("heuristics", value))["condition"].encode()
    for match in re.finditer(re.escape(value), cache.read_bytes()):
        bit = 8 * (match.start() + value.index(text))
        flip(cache, bit)
        found = held(cache, "heuristics", key)
        if found != value:
            assert found is not None
            return found
        flip(cache, bit)  # an earlier state, of which the pages are free now
    raise AssertionError("the file does not hold the value in one piece")


async def test_a_flip_in_a_row_that_only_the_cache_holds_is_found_and_the_row_set_aside(store: Store) -> None:
    """It still decodes whole, and no primary can tell what it was: only the ledger can."""
    store.restore()
    altered = flip_inside(store.cache, CACHE_ONLY)
    assert _native.is_whole("heuristics", CACHE_ONLY, altered)
    request = Request(store.settings, None)
    looked_at = await once(Verify(deep=True), request)
    assert looked_at.verdict is Word.DAMAGED
    assert looked_at.error is not None
    assert CACHE_ONLY in looked_at.error.message
    outcome = await once(Repair(), request)
    assert outcome.verdict is Word.IN_SYNC
    assert held(store.cache, "heuristics", CACHE_ONLY) is None
    with SetAside.open(next(store.tool.folder.glob("state/**/set-aside"))) as rows:
        (row,) = [row for row in rows.rows(limit=1000) if row.key == CACHE_ONLY]
        value = rows.show(row.id)
    assert value is not None
    assert (value.value, row.reason) == (altered, "from a damaged file")


async def test_what_do_memory_does_to_its_own_row_is_no_damage(store: Store) -> None:
    """Rewritten through redb, of which the ledger knows nothing."""
    store.restore()
    value = held(store.cache, "heuristics", CACHE_ONLY)
    assert value is not None
    rewritten = altered("heuristics", value, action="now another one")
    change = ("heuristics", CACHE_ONLY, _native.digest("blake3", value), rewritten)
    _native.edit(str(store.cache), [change], {}, None, 0)
    outcome = await once(Verify(deep=True), Request(store.settings, None))
    assert (outcome.verdict, outcome.exit_code) == (Word.IN_SYNC, 0)
