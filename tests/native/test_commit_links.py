"""What a commit writes when there is one thing alone to write, and what it leaves as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage_sync import _native
from tests.native import journey, ledgers
from tests.native.ledgers import HELD, LEDGER, META, QUARANTINE, TABLE, Encoder, Held, Key
from tests.native.synthetic import Primary, heuristic, name, scope
from tests.native.test_derived import episode, index, revisions, session, stored
from tests.support import stores

ROWS = 5


@pytest.fixture
def encode(tmp_path: Path) -> Encoder:
    encoder = Encoder(tmp_path)
    for make in ledgers.GOOD:
        encoder.learn([make(number) for number in range(ROWS + 1)])
    return encoder


def in_sync_but_for(held: Held, folder: Path, encode: Encoder) -> tuple[Path, Primary]:
    """A cache in which one key of which the primary knows nothing is so, and all others are as proven."""
    rest = [Key(number, HELD["proved"](number, encode), (ledgers.first(number),)) for number in range(1, ROWS)]
    keys = [Key(0, held, ()), *rest]
    return ledgers.written(keys, folder), ledgers.primary_of(keys)


@pytest.mark.parametrize("what", HELD)
def test_the_only_row_of_a_commit_is_settled(what: str, tmp_path: Path, encode: Encoder) -> None:
    """All else of its table is as it was proven, so that nothing else leads the commit there."""
    cache, primary = in_sync_but_for(HELD[what](0, encode), tmp_path, encode)
    key = Key(0, HELD[what](0, encode), ())
    _native.apply(str(cache), journey.prepared(primary, cache), {}, 2, journey.NOW)
    found = ledgers.contents(cache)
    assert found[TABLE].get(name(0)) == ledgers.value_after(key, encode)
    listed = {listed: entry for listed, entry in found[LEDGER].items() if name(0) in listed}
    assert listed == ledgers.ledger_after([key], encode)
    assert found[QUARANTINE] == {}
    assert len(found[TABLE]) == ROWS - (ledgers.value_after(key, encode) is None)


def test_a_session_that_is_gone_leaves_the_index(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    rows = [session(1, name(100), "2024-01-01T00:00:00Z"), session(2, name(100), "2024-01-02T00:00:00Z")]
    journey.build(Primary({"recommendation_sessions": rows}), cache)
    assert index(cache) == {name(100): name(2)}
    journey.synced(Primary({"recommendation_sessions": rows[:1]}), cache, 2)
    assert index(cache) == {name(100): name(1)}
    journey.synced(Primary(), cache, 3)
    assert index(cache) == {}
    assert journey.scanned(cache).clean


def test_an_episode_that_is_gone_or_rejected_has_no_revision(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    rows = [episode(number) for number in range(3)]
    journey.build(Primary({"episodes": [*rows, (name(9), *rows[0][1:3], "no context", *rows[0][4:])]}), cache)
    assert set(revisions(cache)) == {name(0), name(1), name(2)}
    (reason,) = stored(cache, QUARANTINE).values()
    assert json.loads(reason)["first_seen"] == journey.NOW
    journey.synced(Primary({"episodes": [rows[0], (*rows[1][:3], "no context", *rows[1][4:])]}), cache, 2)
    assert set(revisions(cache)) == {name(0)}


def version(cache: Path) -> int | None:
    file = _native.CacheFile.open(str(cache), "read")
    found = file.schema_version()
    file.close()
    return found


@pytest.mark.parametrize("way", ["apply", "edit"])
def test_a_commit_leaves_another_schema_version(tmp_path: Path, way: str) -> None:
    """What do-memory makes of it is not for us to say."""
    cache = tmp_path / "cache.redb"
    journey.build(Primary({TABLE: [heuristic(0)]}), cache)
    assert version(cache) == _native.CACHE_SCHEMA_VERSION
    known = b"version" + _native.CACHE_SCHEMA_VERSION.to_bytes(8, "little")
    cache.write_bytes(cache.read_bytes().replace(known, b"version" + (3).to_bytes(8, "little")))
    assert version(cache) == 3
    if way == "apply":
        journey.synced(Primary({TABLE: [heuristic(0), heuristic(1)]}), cache, 2)
    else:
        _native.edit(str(cache), [(TABLE, name(1), None, ledgers.ROT)], {}, 2, journey.NOW)
    assert len(stored(cache, TABLE)) == 2
    assert version(cache) == 3


def test_a_cache_without_a_schema_version_gets_ours(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(Primary({TABLE: [heuristic(0)]}), cache)
    known = _native.CACHE_SCHEMA_VERSION.to_bytes(8, "little")
    cache.write_bytes(cache.read_bytes().replace(b"version" + known, b"versioN" + known))
    assert version(cache) is None
    journey.synced(Primary({TABLE: [heuristic(0), heuristic(1)]}), cache, 2)
    assert version(cache) == _native.CACHE_SCHEMA_VERSION


OURS = (META, LEDGER, QUARANTINE)


def tables(cache: Path) -> dict[str, dict[str, bytes]]:
    file = _native.CacheFile.open(str(cache), "read")
    found = {table.name: dict(file.page(table.name, None, 1000)) for table in file.tables()}
    file.close()
    return found


def test_detaching_takes_our_tables_and_no_others(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    rows = {
        TABLE: [heuristic(0), ledgers.broken(1)],
        "episodes": [episode(2)],
        "recommendation_sessions": [session(1, name(2), "2024-01-01T00:00:00Z")],
    }
    journey.build(Primary(rows), cache)
    before = tables(cache)
    assert all(before[table] for table in OURS)
    done = _native.detach(str(cache))
    assert done.commits == 1
    assert tables(cache) == {table: rows for table, rows in before.items() if table not in OURS}


def edit(cache: Path, table: str, key: str, after: bytes | None, generation: int | None = 2) -> _native.Applied:
    before = stored(cache, table).get(key)
    digest = None if before is None else _native.digest("blake3", before)
    # only an episode that is stored takes the clock over
    now = journey.NOW if table == "episodes" else journey.NOW + 1000
    return _native.edit(str(cache), [(table, key, digest, after)], {}, generation, now)


def test_an_edit_of_a_session_mends_the_index(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    rows = [session(1, name(100), "2024-01-01T00:00:00Z"), session(2, name(100), "2024-01-02T00:00:00Z")]
    journey.build(Primary({"recommendation_sessions": rows}), cache)
    newest = stored(cache, "recommendation_sessions")[name(2)]
    done = edit(cache, "recommendation_sessions", name(2), None)
    assert (done.generation, done.commits, done.rows_removed) == (2, 1, 1)
    assert index(cache) == {name(100): name(1)}
    edit(cache, "recommendation_sessions", name(2), newest)
    assert index(cache) == {name(100): name(2)}


@pytest.mark.parametrize("generation", [2, None])
def test_an_edit_of_an_episode_moves_its_revision_alone(tmp_path: Path, generation: int | None) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(Primary({"episodes": [episode(0), episode(1)], TABLE: [heuristic(5)]}), cache)
    before, last = revisions(cache), stored(cache, "metadata")
    value, other = stored(cache, "episodes")[name(1)], stored(cache, TABLE)[name(5)]
    edit(cache, TABLE, name(5), None, generation)
    edit(cache, TABLE, name(5), other, generation)
    assert (revisions(cache), stored(cache, "metadata")) == (before, last)
    edit(cache, "episodes", name(1), None, generation)
    assert revisions(cache) == {name(0): before[name(0)]}
    edit(cache, "episodes", name(1), value, generation)
    # the clock did not move, so the sequence goes on from where it was
    assert revisions(cache) == {name(0): before[name(0)], name(1): journey.NOW + 2}
    assert stored(cache, "metadata")["episode_revision_seq"] == str(journey.NOW + 2).encode()


def test_a_cache_without_revisions_gets_none(tmp_path: Path) -> None:
    """An older do-memory knows no such table."""
    cache = stores.cache("small", tmp_path)
    assert "episode_revisions" not in tables(cache)
    key, value = next(iter(stored(cache, "episodes").items()))
    edit(cache, "episodes", key, None)
    edit(cache, "episodes", key, value)
    journey.synced(Primary({"episodes": [episode(0)]}), cache, 3)
    found = tables(cache)
    assert name(0) in found["episodes"]
    assert "episode_revisions" not in found


def test_a_switched_off_table_is_not_listed(tmp_path: Path, encode: Encoder) -> None:
    """A commit tells nothing of rows that are outside its scope."""
    key = Key(0, HELD["unlisted"](0, encode), ())
    cache = ledgers.written([key], tmp_path)
    narrow = scope(patterns=False)
    journey.synced(Primary({"episodes": [episode(1)]}), cache, 2, narrow)
    found = ledgers.contents(cache)
    assert found[TABLE] == {name(0): key.held.value}
    assert found[LEDGER].keys() == {f"episodes/{name(1)}"}
