"""`verify --subset n/t`: every part finds what is in it, all parts together are the whole, and none is a proof."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.primary.statements import part as part_in_sql
from storage_sync.reports.document import report, to_json
from storage_sync.reports.status import status_quick
from storage_sync.service.operations import Sync, Verify
from storage_sync.service.performing import once
from storage_sync.sync import compare
from storage_sync.values.options import Options
from storage_sync.values.outcome import Check, CheckStatus, Outcome, Word
from storage_sync.values.part import Part
from tests.support import hrana, stores
from tests.support.command import Tool
from tests.support.sqld import Sqld

PARTS = tuple(Part(number, 5) for number in range(1, 6))
NEWEST = "(SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT 1)"
EMBEDDING = (
    "INSERT INTO embeddings SELECT 'odd ' || '{0}', '{0}', 'embedding', embedding_data, embedding_vector, dimension,"
    " model, created_at FROM embeddings LIMIT 1"
)
HEURISTIC = (
    "INSERT INTO heuristics SELECT '{0}', condition_text, action_text, confidence, evidence, created_at, updated_at"
    " FROM heuristics LIMIT 1"
)
NEW = "0f0e0d0c-0b0a-4908-8706-050403020100"
NAMES = ("", "a", "ab", "é", "日本", "zzz")
"""Keys whose last two bytes are no hexadecimal digits of a UUID, or are not there."""


@dataclass(frozen=True)
class Stage:
    """A proven cache and its primary, which can be changed."""

    settings: Settings
    execute: Callable[[Sequence[str]], object]

    async def part(self, part: Part | None, *, deep: bool = False) -> Outcome:
        return await once(Verify(deep), Request(self.settings, None, Options(part=part)))

    async def parts(self) -> list[Outcome]:
        found = [await self.part(part) for part in PARTS]
        assert Word.IN_SYNC not in [one.verdict for one in found]
        assert [one.proof for one in found] == [None] * len(PARTS)
        return found


@pytest.fixture(params=["sqld", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """The primary alone; its cache is not there yet."""
    primary = stores.primary("small", tmp_path / "primary")
    # stock SQLite cannot keep the vector index of libSQL
    stores.execute(primary, ["DROP INDEX idx_embeddings_vector", *(EMBEDDING.format(name) for name in NAMES)])
    settings = Settings(cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    if request.param == "file":
        file = msgspec.structs.replace(settings, primary=f"file:{primary}")
        yield Stage(file, lambda statements: stores.execute(primary, statements))
        return
    with Sqld(primary) as server:
        remote = msgspec.structs.replace(settings, primary=server.url)
        yield Stage(remote, lambda statements: hrana.execute(server.url, statements))


@pytest.fixture
async def stage(store: Stage) -> Stage:
    assert (await once(Sync(), Request(store.settings, None))).verdict is Word.IN_SYNC
    return store


def check(outcome: Outcome, name: str) -> Check:
    return next(one for one in outcome.checks if one.name == name)


def subset(outcome: Outcome, figure: str) -> int:
    figures: Mapping[str, object] = outcome.extra["subset"]
    told = figures[figure]
    assert isinstance(told, int)
    return told


async def test_equal_parts_are_the_whole_and_prove_nothing(stage: Stage) -> None:
    whole = check(await stage.part(None), "content_digests").expected
    found = await stage.parts()
    assert [one.verdict for one in found] == [Word.UNKNOWN] * len(PARTS)
    assert [(one.exit_code, one.error, one.plan) for one in found] == [(0, None, {})] * len(PARTS)
    assert sum(subset(one, "equal") for one in found) == sum(subset(one, "rows") for one in found) == whole
    assert min(subset(one, "rows") for one in found) > 0
    digests = [check(one, "content_digests") for one in found]
    assert {one.status for one in digests} == {CheckStatus.PASS}
    assert digests[1].detail == f"part 2 of 5: {digests[1].expected} rows equal by digest"
    assert (
        [one.expected for one in digests] == [one.actual for one in digests] == [subset(one, "rows") for one in found]
    )
    for name, rows in (("episode_count", 40), ("latest_episodes", 40), ("pattern_counts", 50)):
        assert sum(int(check(one, name).actual or 0) for one in found) == rows
    document = to_json(found[1])
    assert document["subset"] == {
        "part": 2,
        "of": 5,
        "rows": digests[1].expected,
        "equal": digests[1].expected,
        "refused": 0,
    }
    assert "UNKNOWN: Part 2 of 5 equals the primary, which proves nothing about the rest." in report(
        found[1], 120, False
    )
    assert found[1].counts["episodes"].primary == 40
    assert found[1].counts["episodes"].expected is None


async def test_a_part_leaves_the_last_proof_as_it_is(stage: Stage) -> None:
    await stage.parts()
    assert status_quick(Request(stage.settings, None)).verdict is Word.IN_SYNC


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE episodes SET task_description = 'x' || task_description WHERE episode_id = {NEWEST}",
        "DELETE FROM patterns WHERE pattern_id = (SELECT max(pattern_id) FROM patterns)",
        "DELETE FROM embeddings WHERE item_id = 'é'",
        HEURISTIC.format(NEW),
    ],
    ids=["update", "delete", "an odd key goes", "insert"],
)
async def test_a_difference_is_found_by_its_part_alone(stage: Stage, change: str) -> None:
    stage.execute([change])
    whole = await stage.part(None)
    found = await stage.parts()
    for kind in ("insert", "update", "remove"):
        wanted = sum(getattr(one, kind) for one in whole.plan.values())
        assert sum(getattr(one, kind) for outcome in found for one in outcome.plan.values()) == wanted
    finders = [one for one in found if one.exit_code]
    assert 0 < len(finders) < len(PARTS)
    for one in found:
        failed = check(one, "content_digests").status is CheckStatus.FAIL
        expected = (1, Word.STALE, "storage-sync sync") if failed else (0, Word.UNKNOWN, None)
        assert (one.exit_code, one.verdict, one.next_action) == expected
    assert status_quick(Request(stage.settings, None)).verdict is Word.UNKNOWN


async def test_what_was_done_to_the_cache_is_drift_in_its_part_and_said_in_the_others(stage: Stage) -> None:
    cache = str(stage.settings.cache)
    file = _native.CacheFile.open(cache, "read")
    ((key, old),) = file.page("heuristics", None, 1)
    file.close()
    _native.edit(cache, [("heuristics", key, _native.digest("blake3", old), None)], {}, None, 0)
    found = await stage.parts()
    (finder,) = [one for one in found if one.verdict is Word.DRIFT]
    assert (finder.exit_code, check(finder, "content_digests").keys) == (1, (f"heuristics/{key}",))
    for one in found:
        if one is not finder:
            assert (one.exit_code, one.verdict, one.next_action) == (0, Word.UNKNOWN, "storage-sync verify")
            assert any("changed since its last proof" in warning for warning in one.warnings)


async def test_refused_rows_are_told_in_their_parts(stage: Stage) -> None:
    stage.execute([f"UPDATE episodes SET steps = '[' WHERE episode_id = {NEWEST}", HEURISTIC.format("a")])
    assert (await once(Sync(), Request(stage.settings, None))).exit_code == 7
    found = await stage.parts()
    refused = [subset(one, "refused") for one in found]
    assert sum(refused) == 2
    assert [(one.exit_code, one.verdict) for one in found] == [(7 if rows else 0, Word.UNKNOWN) for rows in refused]


async def test_switches_and_the_window_hold_for_parts(stage: Stage) -> None:
    narrow = msgspec.structs.replace(stage.settings, sync_patterns=False, max_episodes_cache=25)
    other = Stage(narrow, stage.execute)
    assert (await once(Sync(), Request(narrow, None, Options(allow_shrink=True)))).verdict is Word.IN_SYNC
    found = await other.parts()
    assert [one.exit_code for one in found] == [0] * len(PARTS)
    assert sum(int(check(one, "episode_count").actual or 0) for one in found) == 25


async def test_every_check_of_the_file_alone_is_of_the_whole_file(stage: Stage) -> None:
    deep = await stage.part(PARTS[0], deep=True)
    whole = await stage.part(None, deep=True)
    for name in ("cache_integrity", "schema_version", "orphaned_embeddings", "embedding_vectors"):
        one, other = check(deep, name), check(whole, name)
        assert (one.status, one.expected, one.actual) == (other.status, other.expected, other.actual)


async def test_a_part_of_what_is_not_there_yet_moves_a_part(store: Stage) -> None:
    whole = await store.part(None)
    part = await store.part(PARTS[1])
    assert (part.verdict, part.exit_code) == (Word.EMPTY, 1)
    assert 0 < subset(part, "rows") < int(check(whole, "content_digests").expected or 0) / 2
    if whole.transfer.requests:
        assert part.transfer.bytes_received < whole.transfer.bytes_received / 2


async def test_a_log_that_went_back_is_told_without_figures(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "current_epoch", lambda *_: 1)
    outcome = await stage.part(PARTS[0])
    assert (outcome.verdict, outcome.exit_code) == (Word.REFUSED, 9)
    assert outcome.error is not None
    assert outcome.error.message == "the primary's log went back; nothing was changed"
    assert subset(outcome, "part") == 1


async def test_a_primary_that_does_not_answer_is_unknown(stage: Stage, tmp_path: Path) -> None:
    gone = msgspec.structs.replace(stage.settings, primary="http://127.0.0.1:9")
    outcome = await once(Verify(), Request(gone, None, Options(part=PARTS[0]), max_attempts=1))
    assert (outcome.verdict, outcome.exit_code) == (Word.UNKNOWN, 3)
    assert "subset" not in outcome.extra


def test_metrics_keep_what_the_last_proof_says(tmp_path: Path) -> None:
    tool = Tool.at(tmp_path / "tool", f"file:{stores.primary('cli', tmp_path)}")
    tool.sync()
    file = tmp_path / "metrics.prom"
    assert tool.json("verify", "--subset", "1/3", "--metrics-file", str(file)).document["verdict"] == "UNKNOWN"
    written = file.read_text()
    assert "storage_sync_in_sync 1.0\n" in written
    assert "storage_sync_generation 1.0\n" in written
    assert 'storage_sync_rows{side="primary",table="episodes"}' in written
    assert 'side="expected"' not in written


def test_sql_divides_evenly_and_by_the_last_two_bytes() -> None:
    ends = [f"{high:x}{low:x}" for high in range(16) for low in range(16)]
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE x(k)")
        db.executemany("INSERT INTO x VALUES(?)", [(end,) for end in ends])
        db.executemany("INSERT INTO x VALUES(?)", [(f"0-{end}",) for end in ends])
        for of in (1, 2, 7, 30, 256):
            counts = []
            for number in range(1, of + 1):
                keys = [row[0] for row in db.execute(f"SELECT k FROM x WHERE {part_in_sql('k', number, of)}")]
                assert sorted(key[-2:] for key in keys if len(key) > 2) == sorted(key for key in keys if len(key) == 2)
                counts.append(len(keys))
            assert sum(counts) == 2 * len(ends)
            if of <= 30:
                assert max(counts) < 2 * 2 * len(ends) / of
