"""Entries of the ledger that are not what a proof wrote: none is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_sync import _native
from tests.native import journey
from tests.native.ledgers import LEDGER, QUARANTINE, Tables, rewritten
from tests.native.synthetic import Primary, heuristic, name, row_digest, scope


@pytest.fixture
def primary() -> Primary:
    return Primary({"heuristics": [heuristic(number) for number in range(20)]})


def forged(primary: Primary, number: int) -> bytes:
    """An entry that says: the row as the primary has it was refused."""
    digest = bytes.fromhex(row_digest(primary.rows["heuristics"][number]))
    return b"\x02" + digest + bytes(16) + name(number).encode()


@pytest.mark.parametrize("reason", [b"", b"{}", b'{"source_digest": "00"}'], ids=["none", "empty", "of another row"])
def test_a_refusal_without_its_reason_is_not_believed(tmp_path: Path, primary: Primary, reason: bytes) -> None:
    journey.build(primary, tmp_path / "cache.redb")

    def forge(tables: Tables) -> None:
        del tables["heuristics"][name(3)]
        tables[LEDGER][f"heuristics/{name(3)}"] = forged(primary, 3)
        if reason:
            tables[QUARANTINE][f"heuristics/{name(3)}"] = reason

    cache = rewritten(tmp_path / "cache.redb", forge)
    scan = journey.scanned(cache)
    assert scan.tables["heuristics"].refused == 0
    assert _native.root_of(scan, scope()) != primary.root(scope())
    staging = journey.prepared(primary, cache)
    assert journey.written(staging) == {"heuristics": (1, 0, 0, 0, 0)}
    _native.apply(str(cache), staging, {}, 2, journey.NOW)
    scan = journey.scanned(cache)
    assert _native.root_of(scan, scope()) == primary.root(scope())
    assert journey.written(journey.prepared(primary, cache)) == {}


def test_a_forged_refusal_of_a_row_that_nobody_has_goes_away(tmp_path: Path, primary: Primary) -> None:
    journey.build(primary, tmp_path / "cache.redb")

    def forge(tables: Tables) -> None:
        tables[LEDGER]["heuristics/nobody"] = b"\x02" + bytes(32) + b"nobody"

    cache = rewritten(tmp_path / "cache.redb", forge)
    primary.rows["heuristics"].append(heuristic(99))
    journey.synced(primary, cache, 2)
    file = _native.CacheFile.open(str(cache), "read")
    assert file.get(LEDGER, ["heuristics/nobody"]) == [None]
    file.close()


def test_a_row_of_the_cache_alone_is_known_by_its_bytes(tmp_path: Path, primary: Primary) -> None:
    journey.build(primary, tmp_path / "cache.redb")
    (tmp_path / "other").mkdir()
    journey.build(Primary({"heuristics": [heuristic(50, "first"), heuristic(51, "then")]}), tmp_path / "other" / "c")
    other = _native.CacheFile.open(str(tmp_path / "other" / "c"), "read")
    values = dict(other.page("heuristics", None, 9))
    other.close()

    def add(tables: Tables) -> None:
        tables["heuristics"] |= values

    cache = rewritten(tmp_path / "cache.redb", add)
    primary.rows["heuristics"].append(heuristic(99))
    journey.synced(primary, cache, 2)
    scan = journey.scanned(cache)
    assert (scan.tables["heuristics"].cache_only, scan.altered, scan.clean) == (2, 0, True)

    def alter(tables: Tables) -> None:
        tables["heuristics"][name(50)] = values[name(50)].replace(b"first", b"worst")
        del tables["heuristics"][name(51)]

    (tmp_path / "rewritten.redb").rename(tmp_path / "again.redb")
    cache = rewritten(tmp_path / "again.redb", alter)
    scan = journey.scanned(cache)
    assert (scan.altered, scan.clean, scan.tables["heuristics"].altered) == (2, True, 2)
    assert scan.tables["heuristics"].differing_keys == sorted([name(50), name(51)])
    primary.rows["heuristics"].append(heuristic(100))
    journey.synced(primary, cache, 3)
    assert journey.scanned(cache).altered == 0


def test_an_entry_of_an_older_file_tells_nothing_of_the_bytes(tmp_path: Path, primary: Primary) -> None:
    journey.build(primary, tmp_path / "cache.redb")

    def forge(tables: Tables) -> None:
        tables[LEDGER][f"heuristics/{name(4)}"] = b"\x03" + bytes(32)

    scan = journey.scanned(rewritten(tmp_path / "cache.redb", forge))
    assert (scan.tables["heuristics"].cache_only, scan.altered) == (1, 0)


@pytest.mark.parametrize(("flag", "needed"), [(2, True), (8, True), (16, False)])
def test_redb_repairs_a_file_with_one_of_two_flags(tmp_path: Path, primary: Primary, flag: int, needed: bool) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(primary, cache)
    data = bytearray(cache.read_bytes())
    data[9] |= flag
    cache.write_bytes(data)
    assert _native.read_header(str(cache)).recovery_required is needed
