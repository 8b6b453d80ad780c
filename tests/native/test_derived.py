"""What an apply writes beside the rows: the recommendation index and the revisions of episodes (docs/formats.md#revisions)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage_sync import _native
from tests.native import journey
from tests.native.synthetic import Column, Primary, Row, Tags, name, scope

INDEX = "recommendation_episode_index"


def session(number: int, episode: str, time: str) -> Row:
    payload = {
        "session_id": name(number),
        "episode_id": episode,
        "timestamp": time,
        "recommended_pattern_ids": [],
        "recommended_playbook_ids": [],
    }
    return (name(number), episode, json.dumps(payload, separators=(",", ":")))


def episode(number: int, text: str = "what to do") -> Row:
    """An episode without steps and tags."""
    context: dict[str, object] = {
        "language": None,
        "framework": None,
        "complexity": "Simple",
        "domain": "tests",
        "tags": [],
    }
    texts: list[Column] = [name(number), "testing", text, json.dumps(context, separators=(",", ":"))]
    return (*texts, 1_700_000_000, None, "[]", None, None, None, "[]", "[]", "[]", "{}", Tags(""))


def stored(cache: Path, table: str) -> dict[str, bytes]:
    file = _native.CacheFile.open(str(cache), "read")
    rows = dict(file.page(table, None, 999))
    file.close()
    return rows


def index(cache: Path) -> dict[str, str]:
    return {key: value.decode() for key, value in stored(cache, INDEX).items()}


def revisions(cache: Path) -> dict[str, int]:
    return {key: int.from_bytes(value, "little") for key, value in stored(cache, "episode_revisions").items()}


@pytest.fixture
def sessions() -> Primary:
    rows = [
        session(1, name(100), "2024-01-01T00:00:00Z"),
        session(2, name(100), "2024-01-01T00:00:00.000000001Z"),
        session(3, name(101), "2024-01-02T00:00:00Z"),
        session(4, name(101), "2024-01-02T00:00:00Z"),
    ]
    return Primary({"recommendation_sessions": rows})


def test_the_index_names_the_newest_session(tmp_path: Path, sessions: Primary) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(sessions, cache)
    assert index(cache) == {name(100): name(2), name(101): max(name(3), name(4))}
    table = journey.scanned(cache).tables[INDEX]
    assert (table.rows, table.drifted, table.differing_keys) == (2, 0, [])
    sessions.rows["recommendation_sessions"] = [session(5, name(101), "2024-03-01T00:00:00Z")]
    journey.synced(sessions, cache, 2)
    assert index(cache) == {name(101): name(5)}
    assert journey.scanned(cache).index_drifted == 0


def test_a_wrong_index_is_seen_and_mended(tmp_path: Path, sessions: Primary) -> None:
    cache = tmp_path / "cache.redb"
    sessions.rows["recommendation_sessions"] = sessions.rows["recommendation_sessions"][:2]
    journey.build(sessions, cache)
    entry = (name(100) + name(2)).encode()
    wrong = (name(100) + name(1)).encode()
    data = cache.read_bytes()
    assert entry in data
    cache.write_bytes(data.replace(entry, wrong))
    scan = journey.scanned(cache)
    assert index(cache) == {name(100): name(1)}
    assert (scan.index_drifted, scan.tables[INDEX].drifted, scan.tables[INDEX].differing_keys) == (1, 1, [name(100)])
    assert not scan.clean
    assert scan.tables["recommendation_sessions"].drifted == 0
    # the rows are as the primary has them: nothing is fetched, and the apply still mends the index
    staging = journey.prepared(sessions, cache)
    assert journey.written(staging) == {}
    _native.apply(str(cache), staging, {}, 2, journey.NOW)
    assert index(cache) == {name(100): name(2)}
    assert journey.scanned(cache).clean


def test_an_index_entry_without_a_session_is_too_many(tmp_path: Path, sessions: Primary) -> None:
    cache = tmp_path / "cache.redb"
    sessions.rows["recommendation_sessions"] = sessions.rows["recommendation_sessions"][:1]
    journey.build(sessions, cache)
    entry = (name(100) + name(1)).encode()
    cache.write_bytes(cache.read_bytes().replace(entry, (name(7) + name(1)).encode()))
    scan = journey.scanned(cache)
    assert scan.index_drifted == 2
    assert scan.tables[INDEX].differing_keys == sorted([name(7), name(100)])


def test_each_stored_episode_gets_a_higher_revision(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    primary = Primary({"episodes": [episode(number) for number in range(5)]})
    journey.build(primary, cache)
    first = revisions(cache)
    assert set(first) == {name(number) for number in range(5)}
    assert sorted(first.values()) == list(range(journey.NOW, journey.NOW + 5))
    assert stored(cache, "metadata")["episode_revision_seq"] == str(journey.NOW + 4).encode()
    primary.rows["episodes"][1] = episode(1, "another")
    primary.rows["episodes"][2] = episode(2, "another")
    del primary.rows["episodes"][4]
    journey.synced(primary, cache, 2)
    second = revisions(cache)
    # the clock did not move, so the sequence goes on from where it was
    assert sorted(second[name(number)] for number in (1, 2)) == [journey.NOW + 5, journey.NOW + 6]
    assert name(4) not in second
    assert {second[name(number)] for number in (0, 3)} == {first[name(number)] for number in (0, 3)}
    assert stored(cache, "metadata")["episode_revision_seq"] == str(journey.NOW + 6).encode()
    assert _native.root_of(journey.scanned(cache), scope()) == primary.root(scope())


def test_a_sync_that_stores_no_episode_leaves_the_revisions(tmp_path: Path, sessions: Primary) -> None:
    cache = tmp_path / "cache.redb"
    sessions.rows["episodes"] = [episode(0)]
    journey.build(sessions, cache)
    before = (revisions(cache), stored(cache, "metadata"))
    sessions.rows["recommendation_sessions"].append(session(9, name(0), "2024-01-01T00:00:00Z"))
    journey.synced(sessions, cache, 2)
    assert (revisions(cache), stored(cache, "metadata")) == before
    assert index(cache)[name(0)] == name(9)
