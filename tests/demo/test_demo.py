"""The demo's primary: the same each time, in do-memory's shape, and accepted row by row."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.config.load import load_settings
from storage_sync.config.request import Request
from storage_sync.demo import demo
from storage_sync.demo.demo import Demo, Writer, debug_text, generate, iso
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.sync.cancel import Cancel
from storage_sync.values.outcome import TABLES, Word
from tests.independent.rust_types import PATTERN

SOURCES = (
    "episodes",
    "episode_summaries",
    "episode_relationships",
    "recommendation_sessions",
    "recommendation_feedback",
    "patterns",
    "heuristics",
    "procedural_memory",
    "episode_pattern_relationships",
    "embeddings",
    "episode_tags",
    "tag_metadata",
    "episode_revisions",
    "metadata",
)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    skipped = {"metadata"}
    return {name: rows(path, f"SELECT * FROM {name} ORDER BY 1, 2") for name in SOURCES if name not in skipped}


def sync(made: Demo) -> None:
    request = Request(load_settings(made.config_file, None, {}, {}).settings, None)
    outcome = asyncio.run(once(Sync(), request, lambda run: None, Cancel()))
    assert (outcome.verdict, outcome.exit_code, outcome.error) == (Word.IN_SYNC, 0, None)
    assert sum(counts.refused or 0 for counts in outcome.counts.values()) == 0
    assert all(outcome.counts[table].cache for table in TABLES)


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate(tmp_path / name, seed, 30)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a") != content(tmp_path / "c")


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(FileExistsError):
        generate(tmp_path / "a", 1, 1)
    assert (tmp_path / "a").read_text() == "mine"


def test_sizes_and_switches(tmp_path: Path) -> None:
    generate(tmp_path / "a", 1, 40, embeddings=False, patterns=0, step_bytes=500)
    assert rows(tmp_path / "a", "SELECT count(*) FROM embeddings") == [(0,)]
    assert rows(tmp_path / "a", "SELECT count(*) FROM patterns") == [(0,)]
    generate(tmp_path / "b", 1, 40, step_bytes=6000)
    ((small,),) = rows(tmp_path / "a", "SELECT avg(length(steps)) FROM episodes")
    ((large,),) = rows(tmp_path / "b", "SELECT avg(length(steps)) FROM episodes")
    assert isinstance(small, float)
    assert isinstance(large, float)
    assert 300 < small < 1500
    assert 4500 < large < 9000


def test_references_hold(tmp_path: Path) -> None:
    generate(tmp_path / "a", 1, 200)
    assert rows(tmp_path / "a", "PRAGMA foreign_key_check") == []
    assert rows(tmp_path / "a", "PRAGMA integrity_check") == [("ok",)]
    revisions = rows(tmp_path / "a", "SELECT count(*) FROM episodes JOIN episode_revisions USING (episode_id)")
    assert revisions == [(200,)]
    counted = rows(tmp_path / "a", "SELECT tag, count(*) FROM episode_tags GROUP BY tag ORDER BY tag")
    assert counted == rows(tmp_path / "a", "SELECT tag, usage_count FROM tag_metadata ORDER BY tag")


def test_vectors_are_the_text_bit_for_bit(tmp_path: Path) -> None:
    generate(tmp_path / "a", 1, 60)
    for text, blob, dimension in rows(
        tmp_path / "a", "SELECT embedding_data, embedding_vector, dimension FROM embeddings"
    ):
        values = json.loads(str(text))
        assert len(values) == dimension == 384
        assert struct.pack("<384f", *values) == blob
        assert 0.7 < sum(value * value for value in values) ** 0.5 < 1.4


def test_every_row_is_accepted_and_every_table_has_some(tmp_path: Path) -> None:
    sync(Demo.create(tmp_path, 3, 400, now=1_795_392_000))


def test_patterns_read_back_letter_for_letter(tmp_path: Path) -> None:
    made = Demo.create(tmp_path, 4, 60, now=1_795_392_000)
    sync(made)
    file = _native.CacheFile.open(str(made.cache), "read")
    try:
        cached = dict(file.page("patterns", None, 100))
    finally:
        file.close()
    stored = {str(key): text for key, text in rows(made.primary, "SELECT pattern_id, pattern_type FROM patterns")}
    assert {key: PATTERN.debug(PATTERN.whole(value)) for key, value in cached.items()} == stored


def test_episodes_arrive_as_the_newest(tmp_path: Path) -> None:
    made = Demo.create(tmp_path, 5, 30, now=1_795_392_000)
    sync(made)
    first = made.grow(2, 1_795_392_100.0)
    second = made.grow(1, 1_795_392_100.0)
    newest = rows(made.primary, "SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT 3")
    assert {row[0] for row in newest} == {*first, *second}
    assert newest[0][0] == second[0]
    assert rows(made.primary, "PRAGMA foreign_key_check") == []
    sync(made)


def test_nothing_arrives_before_the_proof_and_ten_seconds(tmp_path: Path) -> None:
    made = Demo.create(tmp_path, 6, 20, now=1_795_392_000)
    waited: list[float] = []

    def ended(seconds: float) -> bool:
        waited.append(seconds)
        (count,) = rows(made.primary, "SELECT count(*) FROM episodes")[0]
        if len(waited) == 3:
            assert count == 20
            made.state_dir.mkdir()
            (made.state_dir / "acked.json").write_text("{}")
        if len(waited) == 4:
            assert count == 20
            assert seconds >= 10
        return len(waited) == 7

    demo.arrive(made, ended, clock=lambda: 1_795_393_000.0)
    assert waited[:3] == [0.2, 0.2, 0.2]
    assert all(3 <= seconds <= 8 for seconds in waited[4:])
    (count,) = rows(made.primary, "SELECT count(*) FROM episodes")[0]
    assert isinstance(count, int)
    assert count >= 23


def test_the_writer_waits_while_the_primary_is_away_and_makes_none(tmp_path: Path) -> None:
    made = Demo.create(tmp_path, 6, 20, now=1_795_392_000)
    made.state_dir.mkdir()
    (made.state_dir / "acked.json").write_text("{}")
    away, looks = tmp_path / "away", 0

    def ended(seconds: float) -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            made.primary.rename(away)
        elif looks < 4:
            assert not made.primary.exists()
        elif looks == 4:
            away.rename(made.primary)
        return looks == 5

    demo.arrive(made, ended, clock=lambda: 1_795_393_000.0)
    (count,) = rows(made.primary, "SELECT count(*) FROM episodes")[0]
    assert count in (21, 22)


def test_the_writer_ends_with_us(tmp_path: Path) -> None:
    made = Demo.create(tmp_path, 7, 10, now=1_795_392_000)
    with made.growing() as process:
        assert process.poll() is None
    assert process.returncode == 0


def test_the_configuration_of_the_demo_is_complete(tmp_path: Path) -> None:
    made = Demo.create(tmp_path, 8, 10, now=1_795_392_000)
    settings = load_settings(made.config_file, None, {}, {}).settings
    assert settings.primary == f"file:{made.primary}"
    assert (settings.cache, settings.state_dir) == (made.cache, made.state_dir)
    assert settings.interval_s + settings.staleness_s <= 90
    assert not made.cache.exists()


@pytest.mark.parametrize(
    ("nanos", "expected"),
    [
        (0, "1970-01-01T00:00:01Z"),
        (5_000_000, "1970-01-01T00:00:01.005Z"),
        (5_000, "1970-01-01T00:00:01.000005Z"),
        (5, "1970-01-01T00:00:01.000000005Z"),
    ],
)
def test_times_are_written_as_chrono_does(nanos: int, expected: str) -> None:
    assert iso(1, nanos) == expected


def test_texts_are_written_as_rust_debugs_them() -> None:
    assert debug_text('a"b\\c\nd\té') == '"a\\"b\\\\c\\nd\\té"'


def test_identities_are_version_four() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        writer = Writer(db, 1)
        for _ in range(50):
            identity = writer.uuid()
            assert (identity[14], identity[19] in "89ab", len(identity)) == ("4", True, 36)
