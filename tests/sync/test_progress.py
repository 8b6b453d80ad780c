"""Rate and remaining time are of this run, not of the rows that were there already."""

from __future__ import annotations

from pathlib import Path

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.sync.progress import Tracker
from storage_sync.values.options import Options
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import Phase, Run, StepState
from tests.support import hrana, stores
from tests.support.sqld import Sqld


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def tracker(seen: list[Run]) -> tuple[Tracker, Clock]:
    clock = Clock()
    return Tracker("s-1", "sync", "manual", seen.append, clock=clock, monotonic=clock), clock


def test_the_remaining_time_is_right_after_a_resume() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    track.expect(10_000, done=9_000, batch_rows=100)
    track.rows(9_000, 0)
    for done in (9_100, 9_200, 9_300):
        clock.now += 1.0
        track.rows(done, 0, batch_rows=100)
    assert seen[-1].rate == 100.0
    assert seen[-1].eta_s == 7.0
    assert seen[-1].batches == 100


def test_without_a_total_there_is_a_rate_and_no_guess() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    track.expect(None)
    track.rows(0, 0)
    clock.now += 2.0
    track.rows(500, 1_000)
    assert seen[-1].rate == 250.0
    assert seen[-1].eta_s is None


def test_steps_run_in_order_and_a_commit_cannot_be_cancelled() -> None:
    seen: list[Run] = []
    track, _ = tracker(seen)
    track.step(Phase.FETCH)
    states = dict(seen[-1].steps)
    assert states["manifest"] is StepState.DONE
    assert states["fetch"] is StepState.RUNNING
    assert states["commit"] is StepState.WAITING
    assert seen[-1].cancellable
    track.step(Phase.COMMIT)
    assert not seen[-1].cancellable


def test_a_failed_run_says_where() -> None:
    seen: list[Run] = []
    track, _ = tracker(seen)
    track.step(Phase.MANIFEST)
    track.end("refused", 4, failed=True)
    assert dict(seen[-1].steps)["manifest"] is StepState.FAILED
    assert dict(seen[-1].steps)["fetch"] is StepState.WAITING
    assert seen[-1].exit_code == 4


def test_a_run_says_where_its_time_went() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    for phase, seconds in ((Phase.LEASE, 0.5), (Phase.FETCH, 3.0), (Phase.COMMIT, 0.25), (Phase.FETCH, 1.0)):
        track.step(phase)
        assert seen[-1].step_since == clock.now
        clock.now += seconds
    track.end("IN_SYNC", 0, failed=False)
    assert seen[-1].spent == (("lease", 0.5), ("fetch", 4.0), ("commit", 0.25))
    assert seen[-1].step_since is None


def test_bytes_a_second_are_those_of_the_last_samples() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    track.rows(0, 500)
    clock.now += 2.0
    track.rows(10, 4_500)
    assert seen[-1].byte_rate == 2_000.0


def test_rates_are_of_pieces_of_a_quarter_of_a_second() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    for done, seconds in ((0, 0.125), (10, 0.125), (30, 0.25), (80, 0.5), (80, 0.0)):
        track.rows(done, 0)
        clock.now += seconds
    assert seen[-1].rates == (30 / 0.25, 50 / 0.25, 0.0)


def test_the_first_rate_is_one_of_a_tenth_of_a_second() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    clock.now = 0.0
    for clock.now in (0.0, 0.0999, 0.1):
        track.rows(int(clock.now * 10), 0)
    assert [run.rate for run in seen[-3:]] == [None, None, 10.0]


def test_when_the_last_row_is_there_nothing_is_left() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    track.expect(10)
    for done in (0, 10, 11):
        track.rows(done, 0)
        clock.now += 1.0
    assert [run.eta_s for run in seen[-2:]] == [0.0, None], "of more rows than there were to be nothing is known"


def test_the_remaining_time_is_known_in_a_run_of_half_a_second() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    track.step(Phase.FETCH)
    track.expect(1_000, batch_rows=100)
    track.rows(0, 0)
    for done in (400, 800):
        clock.now += 0.1
        track.rows(done, 0, batch_rows=100)
    assert seen[-1].eta_s is not None
    assert round(seen[-1].eta_s, 3) == 0.05


def test_a_share_and_a_remaining_time_are_of_the_running_step_alone() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    track.step(Phase.FETCH)
    track.expect(1_000)
    track.rows(0, 0)
    clock.now += 1.0
    track.rows(990, 0)
    assert seen[-1].share == 0.99
    for phase in (Phase.GUARD, Phase.COMMIT, Phase.READ_BACK, Phase.WITNESS, Phase.HISTORY):
        track.step(phase)
        assert [seen[-1].share, seen[-1].eta_s] == [None, None]
    track.end("in sync", 0, failed=False)
    assert seen[-1].share is None


def test_when_rows_were_last_made_durable_is_told() -> None:
    seen: list[Run] = []
    track, clock = tracker(seen)
    track.rows(10, 0)
    assert (seen[-1].checkpoint_rows, seen[-1].checkpoint_at) == (None, None)
    clock.now += 1.0
    track.rows(20, 0, checkpoint=10)
    assert (seen[-1].checkpoint_rows, seen[-1].checkpoint_at) == (10, clock.now)
    at = clock.now
    clock.now += 1.0
    track.rows(30, 0, checkpoint=10)
    track.rows(40, 0)
    assert (seen[-1].checkpoint_rows, seen[-1].checkpoint_at) == (10, at)


def test_a_run_says_in_which_round_and_batch_it_is() -> None:
    seen: list[Run] = []
    track, _ = tracker(seen)
    track.expect(250, done=100, batch_rows=100)
    assert (seen[-1].total, seen[-1].done, seen[-1].batches) == (250, 100, 3)
    track.rows(249, 7, batch_rows=100, round_=2)
    assert (seen[-1].batch, seen[-1].round, seen[-1].bytes) == (2, 2, 7)
    track.estimate(400)
    track.note("heard")
    assert (seen[-1].total, seen[-1].notes) == (400, ("heard",))


async def test_a_sync_of_changed_rows_tells_its_batches(tmp_path: Path) -> None:
    """Also where the whole primary was counted for it."""
    with Sqld(stores.primary("v47-small", tmp_path / "primary")) as server:
        settings = Settings(
            primary=server.url, cache=tmp_path / "cache.redb", state_dir=tmp_path / "state", batch_size=2
        )
        assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
        some = "(SELECT episode_id FROM episodes ORDER BY episode_id LIMIT 3)"
        hrana.execute(server.url, [f"UPDATE episodes SET task_description = 'x' WHERE episode_id IN {some}"])
        seen: list[Run] = []
        outcome = await once(Sync(), Request(settings, None, Options(audits=True)), seen.append)
    assert outcome.applied["episodes"].update == 3
    assert {(run.total, run.batches) for run in seen} == {(None, None), (3, 2)}
