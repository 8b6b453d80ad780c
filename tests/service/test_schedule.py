"""When the next run is due: every reason, and what outranks what."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from storage_sync.service.schedule import (
    BACKOFF_MOST_S,
    COUNT_GAP_S,
    FILE_CHANGE_GAP_S,
    PROOF_GAP_S,
    Due,
    Past,
    Timing,
    Trigger,
    after_run,
    backoff_s,
    may_ask,
    next_run,
)

TIMING = Timing(interval_s=300.0, staleness_s=900.0, on_start=True)
START = 1_000_000.0


def test_the_first_run_is_at_the_start() -> None:
    assert next_run(TIMING, Past(START)) == Due(START, Trigger.START)


def test_without_on_start_the_first_run_waits_for_the_interval() -> None:
    assert next_run(replace(TIMING, on_start=False), Past(START)) == Due(START + 300, Trigger.INTERVAL)


@given(jitter=st.floats(-1, 1))
def test_the_interval_is_kept_within_its_jitter(jitter: float) -> None:
    due = next_run(TIMING, Past(START, last_end=START, jitter=jitter))
    assert due is not None
    assert due.reason is Trigger.INTERVAL
    assert START + 270 <= due.at <= START + 330


def test_a_primary_that_moved_is_synced_before_the_interval() -> None:
    due = next_run(TIMING, Past(START, last_end=START, proof_at=START, moved_at=START + 20))
    assert due == Due(START + 30, Trigger.STALENESS)


def test_a_proof_that_gets_too_old_is_renewed() -> None:
    slow = replace(TIMING, interval_s=10_000.0)
    due = next_run(slow, Past(START, last_end=START, proof_at=START - 100))
    assert due == Due(START + 800, Trigger.STALENESS)


def test_a_proof_that_gets_too_old_right_after_a_run_is_renewed_then() -> None:
    slow = replace(TIMING, interval_s=10_000.0)
    for after, reason in ((1.0, Trigger.STALENESS), (0.0, Trigger.INTERVAL), (-1.0, Trigger.INTERVAL)):
        past = Past(START, last_end=START, proof_at=START - slow.staleness_s + after)
        wait = after if reason is Trigger.STALENESS else slow.interval_s
        assert next_run(slow, past) == Due(START + wait, reason)


def test_a_proof_that_a_run_could_not_renew_waits_for_the_interval() -> None:
    due = next_run(TIMING, Past(START, last_end=START, proof_at=START - 5_000))
    assert due is not None
    assert due.reason is Trigger.INTERVAL


def test_a_changed_file_is_looked_at_soon_but_not_all_the_time() -> None:
    past = Past(START, last_end=START, file_changed_at=START + 1)
    assert next_run(TIMING, past) == Due(START + FILE_CHANGE_GAP_S, Trigger.CACHE_CHANGED)
    assert next_run(TIMING, replace(past, file_changed_at=START + 60)) == Due(START + 60.5, Trigger.CACHE_CHANGED)


def test_failures_back_off_and_recovery_ends_the_wait() -> None:
    past = Past(START, last_end=START, failures=3, spread=1.0)
    assert next_run(TIMING, past) == Due(START + 4, Trigger.RETRY)
    assert next_run(TIMING, replace(past, recovered_at=START + 1)) == Due(START + 1, Trigger.RECOVERY)


def test_a_manual_run_waits_for_nothing() -> None:
    past = Past(START, last_end=START, failures=9, manual_at=START + 2)
    assert next_run(TIMING, past) == Due(START + 2, Trigger.MANUAL)


@given(failures=st.integers(1, 10_000), spread=st.floats(0, 1), asked=st.none() | st.floats(0, 600))
def test_backoff_is_bounded_and_heeds_the_server(failures: int, spread: float, asked: float | None) -> None:
    wait = backoff_s(failures, spread, asked)
    assert 0 < wait <= max(BACKOFF_MOST_S, asked or 0.0)
    assert wait >= (asked or 0.0)


@given(failed=st.booleans(), moved=st.booleans())
def test_one_run_answers_every_reason_that_waited(failed: bool, moved: bool) -> None:
    waiting = Past(START, failures=2, file_changed_at=START, recovered_at=START, manual_at=START)
    waiting = replace(waiting, moved_at=START if moved else None)
    past = after_run(waiting, ended_at=START + 5, proof_at=None, failed=failed, retry_after=None)
    assert (past.file_changed_at, past.recovered_at, past.manual_at) == (None, None, None)
    assert past.failures == (3 if failed else 0)
    assert (past.moved_at is not None) == (failed and moved)


def test_a_busy_primary_is_not_read_all_the_time() -> None:
    timing = replace(TIMING, busy_gap_s=60.0)
    moved = Past(900.0, last_end=1000.0, proof_at=1000.0, moved_at=1001.0)
    assert next_run(TIMING, moved) == Due(1011.0, Trigger.STALENESS)
    assert next_run(timing, moved) == Due(1060.0, Trigger.STALENESS)
    assert next_run(timing, replace(moved, moved_at=1058.0)) == Due(1068.0, Trigger.STALENESS), "it settles still"
    assert next_run(timing, replace(moved, manual_at=1002.0)) == Due(1002.0, Trigger.MANUAL)


# ---------------------------------------------------------------------------------------- while it is held

HELD = Past(started_at=START, last_end=START, proof_at=START, held=True)


def test_a_primary_that_moved_is_counted_within_a_second() -> None:
    due = next_run(Timing(3600.0, 3600.0, on_start=True), replace(HELD, moved_at=START + 90, asked_at=START))
    assert due is not None
    assert due.reason is Trigger.STALENESS
    assert due.at - (START + 90) <= 1.0


def test_what_was_written_is_counted_within_a_second_although_the_primary_was_asked_just_now() -> None:
    timing = Timing(3600.0, 3600.0, on_start=True, follows=True)
    moved = replace(HELD, moved_at=START + 90, uncounted_at=START + 90, asked_at=START + 89)
    due = next_run(timing, moved)
    assert due is not None
    assert due.reason is Trigger.MOVED
    assert due.at - (START + 90) <= 1.0
    assert next_run(timing, replace(moved, counted_at=START + 88)) == Due(START + 88 + COUNT_GAP_S, Trigger.MOVED)
    for other in (replace(timing, follows=False), timing):
        past = replace(moved, uncounted_at=None) if other is timing else moved
        proof = next_run(other, past)
        assert proof == Due(START + 89 + PROOF_GAP_S, Trigger.STALENESS)


@given(gap=st.floats(0.0, 3000.0), spent=st.floats(0.0, 1.0))
def test_a_holders_write_is_judged_within_two_seconds_of_it(gap: float, spent: float) -> None:
    """It is seen within a second; the copy and its judgement have the rest of the other."""
    seen_at = START + gap
    past = replace(HELD, file_changed_at=seen_at, rechecked_at=seen_at - spent, last_end=START - 10, asked_at=START)
    due = next_run(Timing(3600.0, 3600.0, on_start=True), past)
    assert due is not None
    assert due.reason is Trigger.CACHE_CHANGED
    assert due.at - seen_at <= 1.0


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.sampled_from(["moved_at", "file_changed_at", "differs_at"]))))
def test_the_primary_is_asked_at_most_once_a_minute(news: Sequence[tuple[float, str]]) -> None:
    """Whatever happens beside a held cache, what may be asked for is asked then, and judged without it before."""
    timing, past, now, asked = Timing(3600.0, 3600.0, on_start=True), HELD, START, list[float]()
    for pause, what in news:
        now += pause
        past = replace(past, **{what: now})
        while (due := next_run(timing, past)) is not None and due.at <= now:
            if may_ask(past, now):
                asked.append(now)
                past = after_run(
                    replace(past, asked_at=now), ended_at=now, proof_at=now, failed=False, retry_after=None
                )
            else:
                assert due.reason is Trigger.CACHE_CHANGED, "only a copy is judged by what is known"
                past = replace(past, file_changed_at=None, rechecked_at=now)
                break
    assert all(later - earlier >= PROOF_GAP_S for earlier, later in itertools.pairwise(asked))
