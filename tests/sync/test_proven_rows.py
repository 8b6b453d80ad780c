"""What a process remembers of the proven rows is what the file says, and is void with the file that it was read of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.copy import private_copy
from storage_sync.sync.overlay import AS_PROVEN, Known, Overlay, known_of, taken_in
from storage_sync.sync.session import Session
from storage_sync.values.options import Options
from storage_sync.values.outcome import Word
from tests.support.proven_rows import is_true
from tests.sync.test_follow import NEWEST, Lane, copied, proven, rewritten

ROUNDS = {
    "nothing": [[], []],
    "new": [[copied(1)], [copied(2), copied(3)], [copied(1)]],
    "rewritten": [rewritten(), rewritten(NEWEST.replace("LIMIT 1", "LIMIT 1 OFFSET 7")), rewritten()],
    "left and back": [[copied(number) for number in range(1, 30)], rewritten(), [copied(30)]],
    "heuristics": [
        [
            "INSERT INTO heuristics SELECT '00000000-0000-4000-8000-0000000000ff', condition_text, action_text, 0.25,"
            " evidence, created_at, updated_at FROM heuristics LIMIT 1"
        ],
        [copied(1)],
    ],
}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each question to the cache for what rows hang on: whether it was for all of them."""
    asked: list[bool] = []
    real = _native.belongings

    def belongings(
        scan: _native.Scan, scope: _native.Scope, keys: dict[str, list[str]] | None = None
    ) -> list[tuple[str, str, int, str, str]]:
        asked.append(keys is None)
        return real(scan, scope, keys)

    monkeypatch.setattr(_native, "belongings", belongings)
    return asked


async def followed(lane: Lane, read: list[bool]) -> list[bool]:
    """What a follow run read, which remembers what is true."""
    read.clear()
    outcome = await lane.follow()
    asked = read.copy()
    assert outcome.proof is not None
    assert lane.session.proven_rows is not None
    assert lane.settings.cache is not None
    assert is_true(lane.session.proven_rows, lane.settings.cache, lane.session.scope(outcome.proof.digest))
    return asked


@pytest.mark.parametrize("rounds", ROUNDS.values(), ids=ROUNDS)
async def test_they_are_read_once_and_stay_true(
    rounds: Sequence[Sequence[str]], read: list[bool], tmp_path: Path
) -> None:
    async with proven(tmp_path) as lane:
        asked: list[bool] = []
        for statements in rounds:
            if statements:
                lane.write(*statements)
            asked += await followed(lane, read)
        assert asked == [True, *([False] * len(rounds))], "all rows by the first run, then what was taken in"
        await lane.proof_finds_nothing()


async def test_a_commit_of_another_process_makes_them_void(read: list[bool], tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        await followed(lane, read)
        before = lane.session.proven_rows
        other = Lane(lane.server, lane.settings, Session(lane.settings, None))
        try:
            lane.write(copied(1), "DELETE FROM heuristics WHERE rowid = 1")
            assert (await other.run()).applied["heuristics"].remove == 1
        finally:
            await other.session.close()
        lane.write(*rewritten())
        assert await followed(lane, read) == [True, False], "they were read again"
        assert before is not None
        assert lane.session.proven_rows is not None
        assert lane.session.proven_rows.known.states.keys() != before.known.states.keys()
        await lane.proof_finds_nothing()


async def test_a_row_that_somebody_changed_makes_them_void(read: list[bool], tmp_path: Path) -> None:
    """The stamp of this tool is the same, and the rows are not."""
    async with proven(tmp_path) as lane:
        await followed(lane, read)
        cache = str(lane.settings.cache)
        with private_copy(cache, None) as copy:
            key, value = copy.file.page("relationships", None, 1)[0]
        _native.edit(cache, [("relationships", key, _native.digest("blake3", value), None)], {}, None, 0)
        read.clear()
        lane.write(*rewritten())
        outcome = await lane.run(Options(follows=True))
        assert read[0], "they were read again"
        assert outcome.verdict is Word.IN_SYNC
        assert "follow" in outcome.extra, "a link of which nothing is known takes a proof"


async def test_other_settings_make_them_void(read: list[bool], tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        await followed(lane, read)
        lane.settings = lane.session.settings = replace(lane.settings, max_episodes_cache=20)
        assert (await lane.run(Options(allow_shrink=True))).verdict is Word.IN_SYNC
        lane.write(*rewritten())
        assert await followed(lane, read) == [True, False], "they were read again"


async def test_without_patterns_they_are_read_each_time(read: list[bool], tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        lane.settings = lane.session.settings = replace(lane.settings, sync_patterns=False)
        lane.write(f"UPDATE episodes SET task_description = 'another' WHERE episode_id = {NEWEST}")
        assert (await lane.run(Options(allow_shrink=True))).applied["episodes"].update == 1
        for number in (1, 2):
            lane.write(copied(number))
            read.clear()
            await lane.follow()
            assert read == [True]


def test_a_cache_that_does_not_hold_what_was_found_is_not_taken_for_it() -> None:
    before = known_of([("episodes", "a", AS_PROVEN, "1", ""), ("patterns", "p", AS_PROVEN, "", "")])
    found = Overlay(before, {("episodes", b"b"): "digest", ("episodes", b"a"): None})
    assert taken_in(found, [("episodes", "b", AS_PROVEN, "2", "")]) == Known(
        {("patterns", b"p"): AS_PROVEN, ("episodes", b"b"): AS_PROVEN}, {b"b": 2}, {}
    )
    assert taken_in(found, []) is None
    assert taken_in(found, [("episodes", "b", AS_PROVEN, "2", ""), ("episodes", "a", AS_PROVEN, "1", "")]) is None
    assert taken_in(found, [("episodes", "b", 4, "", "")]) is None
