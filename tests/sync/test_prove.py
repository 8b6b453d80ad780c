"""What a run leaves in the witness and says of the rows, once the file holds the root that was compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.cache.checkpoint import META_KEY, Checkpoint, decode_checkpoint
from storage_sync.cache.copy import private_copy
from storage_sync.cache.identity import read_identity
from storage_sync.primary.source import LocalSource
from storage_sync.values.errors import PrimaryUnavailable
from storage_sync.values.outcome import DERIVED_TABLES, CheckStatus, Outcome
from tests.support import stores
from tests.support.proven import CACHE_ONLY
from tests.support.values import altered
from tests.sync.test_follow import Lane, copied, proven

WINDOW, EPISODES = 40, 60
OLDEST = "SELECT episode_id FROM episodes ORDER BY start_time, episode_id LIMIT 1"


def stamp_of(lane: Lane) -> Checkpoint:
    with private_copy(lane.session.cache_path, None) as copy:
        stamp, _ = decode_checkpoint(copy.file.meta()[META_KEY])
    assert stamp is not None
    return stamp


def add(lane: Lane, table: str, column: str, key: str) -> None:
    """A row of an application: like another one, under a key that our ledger does not list."""
    with private_copy(lane.session.cache_path, None) as copy:
        ((_, value),) = copy.file.page(table, None, 1)
    _native.edit(lane.session.cache_path, [(table, key, None, altered(table, value, **{column: key}))], {}, None, 0)


def add_both(lane: Lane) -> None:
    """A heuristic that only the cache has, and an episode that the primary has outside the window."""
    ((oldest,),) = stores.select(Path(str(lane.settings.primary).removeprefix("file:")), OLDEST)
    add(lane, "heuristics", "heuristic_id", CACHE_ONLY)
    add(lane, "episodes", "episode_id", str(oldest))


def outside(outcome: Outcome) -> dict[str, tuple[int | None, int]]:
    """Rows that only the cache has, and those outside the window, where there are any."""
    found = {table: (count.cache_only, count.beyond) for table, count in outcome.counts.items()}
    return {table: numbers for table, numbers in found.items() if numbers != (0, 0)}


OUTSIDE = {"heuristics": (1, 0), "episodes": (0, 1)}


@pytest.mark.parametrize("follows", [False, True], ids=["proof", "followed"])
async def test_the_witness_names_the_file_and_what_was_committed_to_it(follows: bool, tmp_path: Path) -> None:
    async with proven(tmp_path, file=True) as lane:
        before = lane.witness()
        lane.write(copied(1))
        outcome = await (lane.follow() if follows else lane.run())
        after, stamp = lane.witness(), stamp_of(lane)
    assert (after.generation, after.root, after.source_id) == (stamp.generation, stamp.root, stamp.source_id)
    assert after.generation == before.generation + 1
    assert after.identity == read_identity(lane.session.cache_path)
    assert (after.proof, after.followed) == (outcome.proof, outcome.followed)
    assert (after.followed is not None) == follows
    assert outcome.proof is not None
    assert after.at == (outcome.followed.at if outcome.followed is not None else outcome.proof.at)


async def test_the_witness_keeps_the_index_of_a_server(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        first = lane.witness().replication_index
        assert first is not None
        lane.write(copied(1))
        await lane.run()
        second = lane.witness().replication_index
        assert second is not None
        assert second > first


async def test_rows_outside_the_ledger_are_asked_for_when_their_number_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = LocalSource.existing, list[str]()

    async def existing(source: LocalSource, table: str, keys: Sequence[str]) -> dict[str, bool]:
        asked.append(table)
        return await real(source, table, keys)

    monkeypatch.setattr(LocalSource, "existing", existing)
    async with proven(tmp_path, file=True) as lane:
        add_both(lane)
        for _ in range(2):
            assert outside(await lane.run()) == OUTSIDE
            assert sorted(asked) == ["episodes", "heuristics"], "a proof that finds the same number asks nothing"
        add(lane, "heuristics", "heuristic_id", CACHE_ONLY[:-1] + "3")
        assert outside(await lane.run()) == {**OUTSIDE, "heuristics": (2, 0)}


async def test_rows_outside_the_ledger_that_could_not_be_asked_for_are_asked_for_by_the_next_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def existing(*_: object) -> dict[str, bool]:
        raise PrimaryUnavailable("it went away")

    async with proven(tmp_path, file=True) as lane:
        add_both(lane)
        with monkeypatch.context() as patch:
            patch.setattr(LocalSource, "existing", existing)
            outcome = await lane.run()
        assert outcome.warnings == ("how many rows only the cache has is not known: it went away",)
        assert outside(outcome) == {"heuristics": (None, 0), "episodes": (None, 0)}
        again = await lane.run()
    assert (outside(again), again.warnings) == (OUTSIDE, ())


async def test_what_only_a_proof_counts_and_checks_keeps_its_time_in_a_follow_run(tmp_path: Path) -> None:
    async with proven(tmp_path, file=True) as lane:
        proof = lane.witness().proof
        lane.write(copied(1))
        outcome = await lane.follow()
    assert proof is not None
    of_proof = {check.name: check.made_at for check in outcome.checks if check.made_at is not None}
    assert of_proof == dict.fromkeys(
        ("episode_count", "latest_episodes", "pattern_counts", "content_digests"), proof.at
    )
    counted = {table: count.as_of for table, count in outcome.counts.items() if table not in DERIVED_TABLES}
    assert set(counted.values()) == {proof.audited_at}
    assert [outcome.counts[table].as_of for table in DERIVED_TABLES] == [None], "which no primary has"


async def test_a_proof_without_an_audit_says_of_when_its_counts_are(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        outcome = await lane.run()
    assert outcome.proof is not None
    assert outcome.proof.audited_at is not None
    counted = {count.as_of for table, count in outcome.counts.items() if table not in DERIVED_TABLES}
    assert counted == {outcome.proof.audited_at}


@pytest.mark.parametrize(("window", "expected"), [(WINDOW, WINDOW), (EPISODES + 1, EPISODES)])
async def test_as_many_episodes_are_expected_as_the_window_has_or_the_primary(
    window: int, expected: int, tmp_path: Path
) -> None:
    async with proven(tmp_path, episodes=EPISODES, window=window, file=True) as lane:
        outcome = await lane.run()
    (check,) = (one for one in outcome.checks if one.name == "episode_count")
    assert (check.status, check.expected, check.actual) == (CheckStatus.PASS, expected, expected)
