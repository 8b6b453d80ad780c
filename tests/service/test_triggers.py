"""What happened stays before now, whatever becomes of the system's clock."""

from __future__ import annotations

from storage_sync.service.schedule import Timing, Trigger
from storage_sync.service.triggers import Agenda

TIMING = Timing(interval_s=300.0, staleness_s=900.0, on_start=True)
HOUR = 3600.0


def test_a_clock_that_is_set_back_delays_no_run_by_more_than_the_wait() -> None:
    agenda = Agenda()
    start = agenda.past.started_at
    agenda.note(last_end=start + 10, proof_at=start + 10)
    back = start + 20 - HOUR
    assert agenda.set_back(back)
    due = agenda.next_run(TIMING)
    assert due is not None
    assert back + 270 <= due.at <= back + 330
    assert not agenda.set_back(back + 1), "said once"


def test_a_retry_does_not_wait_for_the_old_time() -> None:
    agenda = Agenda()
    agenda.note(last_end=agenda.past.started_at, failures=3)
    agenda.hold(agenda.past.started_at + 120)
    back = agenda.past.started_at - HOUR
    assert agenda.set_back(back)
    due = agenda.next_run(TIMING)
    assert due is not None
    assert due.reason is Trigger.RETRY
    assert due.at <= back + 60


def test_nothing_is_changed_while_the_clock_goes_on() -> None:
    agenda = Agenda()
    agenda.note(last_end=agenda.past.started_at + 1, moved_at=agenda.past.started_at + 2)
    before = agenda.past
    assert not agenda.set_back(agenda.past.started_at + 3)
    assert agenda.past == before


def test_what_happens_during_a_run_is_not_answered_by_it() -> None:
    """A cache that becomes free while it is compared is committed to at once, and not an interval later."""
    agenda = Agenda()
    agenda.note(recovered_at=5.0, moved_at=4.0)
    agenda.ended(proof_at=None, failed=False)
    assert (agenda.past.recovered_at, agenda.past.moved_at) == (5.0, None)
    agenda.note(moved_at=6.0)
    agenda.ended(proof_at=3.0, failed=False, asked=False)
    assert agenda.past.moved_at == 6.0


def test_a_run_that_was_due_while_a_plan_was_open_is_known_as_one_that_waited() -> None:
    agenda = Agenda()
    now = agenda.past.started_at
    agenda.note(last_end=now - HOUR, proof_at=now - HOUR)
    assert not agenda.waited(TIMING), "nothing was open"
    agenda.hold(now + 120)
    agenda.hold(0.0)
    assert agenda.waited(TIMING)
    agenda.ended(proof_at=now, failed=False)
    assert not agenda.waited(TIMING), "the next one is due later"
    agenda.note(manual_at=now)
    agenda.hold(now + 120)
    assert not agenda.waited(TIMING), "what a person asks for waits for nothing"
