"""`rows_read_per_day`: what the schedule makes of it, hour by hour, under a clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from msgspec import Struct, field
from msgspec.structs import replace

from storage_sync.config.settings import Settings
from storage_sync.reports.budget import budget_of, day_end, told
from storage_sync.service.schedule import Past, Timing, Trigger, after_run, next_run, within_rows
from storage_sync.values.snapshot import Budget, Hold, ReadCosts, RowsRead

DAY_S = 86_400.0
START = day_end(1_795_348_800.0)
"""A midnight."""


def settings_with(budget: int | None, **others: float) -> Settings:
    return Settings(primary="https://example.org", rows_read_per_day=budget, **others)  # type: ignore[arg-type]


def spent(rows: int) -> RowsRead:
    return RowsRead(rows, rows, START)


def of(budget: int, read: int, costs: ReadCosts, now: float = START, **others: float) -> Budget:
    found = budget_of(settings_with(budget, **others), spent(read), costs, now)
    assert found is not None
    return found


COSTS = ReadCosts(30.0, 15_000)


@pytest.mark.parametrize(
    ("budget", "read", "at", "hold", "words"),
    [
        (10_000_000, 0, 0.0, Hold.NOT, "holds nothing back"),
        (200_000, 0, 0.0, Hold.SPREAD, "a poll every 26 s, a proof every 3 h"),
        (
            200_000,
            190_000,
            0.5,
            Hold.NO_PROOF,
            "leaves 10,000 rows, and a proof reads 15,000: no proof starts automatically",
        ),
        (200_000, 200_000, 0.5, Hold.USED_UP, "is used up: the primary is not asked automatically before midnight"),
        (200_000, 250_000, 0.5, Hold.USED_UP, "is used up"),
        (10_000, 0, 0.0, Hold.NO_PROOF, "a proof reads 15,000 rows, more than rows_read_per_day = 10,000"),
    ],
)
def test_what_is_held_back_is_said(budget: int, read: int, at: float, hold: Hold, words: str) -> None:
    found = of(budget, read, COSTS, START + at * DAY_S)
    assert found.hold is hold
    assert words in told(found, settings_with(budget))
    assert found.until == START + DAY_S


def test_a_budget_that_nobody_set_and_a_file_hold_nothing_back() -> None:
    assert budget_of(settings_with(None), spent(10**9), COSTS, START) is None
    local = Settings(primary="file:/primary.db", rows_read_per_day=1)
    assert budget_of(local, None, ReadCosts(), START) is None


def test_a_primary_that_does_not_say_what_it_reads_is_told_and_not_held_back() -> None:
    found = budget_of(settings_with(100), None, ReadCosts(), START, unmetered=True)
    assert found is not None
    assert found.hold is Hold.UNMETERED
    assert "cannot be kept: the primary does not say" in told(found, settings_with(100))


def test_where_a_proof_is_only_renewed_polls_have_all_of_it() -> None:
    found = of(200_000, 0, replace(COSTS, poll=0.0, renews=True))
    assert (found.hold, found.poll_s) == (Hold.NOT, 5.0)


def test_proofs_that_become_too_old_are_told() -> None:
    settings = settings_with(200_000)
    assert "older than staleness_s, the verdict is not IN_SYNC" in told(of(200_000, 0, COSTS), settings)


# ----------------------------------------------------------------------------------------- whole days


class Act(NamedTuple):
    at: float
    rows: int
    by_hand: bool
    proof: bool


class World(Struct):
    """What the core does in a few days: the same functions, a clock of its own, a primary that is written to."""

    settings: Settings
    proof: int
    poll: int
    follow: int
    writes_every_s: float | None
    by_hand: Sequence[float]
    acts: list[Act] = field(default_factory=list)
    holds: list[tuple[float, Hold]] = field(default_factory=list)
    average: float | None = None
    known: int | None = None
    _day: float = 0.0
    _sum: int = 0

    def budget(self, now: float) -> Budget | None:
        read = spent(self._today(now))
        found = budget_of(self.settings, read, ReadCosts(self.average, self.known), now)
        if found is not None and (not self.holds or self.holds[-1][1] is not found.hold):
            self.holds.append((now, found.hold))
        return found

    def _today(self, now: float) -> int:
        if self._day != day_end(now):
            self._day, self._sum = day_end(now), 0
        return self._sum

    def does(self, at: float, rows: int, *, by_hand: bool = False, proof: bool = False) -> None:
        self._today(at)
        self._sum += rows
        self.acts.append(Act(at, rows, by_hand, proof))
        if proof:
            self.known = rows

    def run(self, days: int) -> None:
        chosen = self.settings
        timing = Timing(chosen.interval_s, chosen.staleness_s, chosen.on_start, 60.0, follows=True)
        past, now, polled_at = Past(START), START, START - chosen.poll_s
        hands = sorted(START + share * days * DAY_S for share in self.by_hand)
        written_until = START
        while now < START + days * DAY_S:
            budget = self.budget(now)
            pause = chosen.poll_s
            if budget is not None and budget.hold is not Hold.UNMETERED:
                pause = max(pause, budget.until - polled_at if budget.hold is Hold.USED_UP else budget.poll_s)
            due = next_run(timing, past)
            if due is not None and budget is not None:
                due = within_rows(due, timing, past, budget, now, renews=False)
            moments = [polled_at + pause, *([due.at] if due is not None else []), *hands[:1]]
            now = max(now, min(moments))
            if hands and hands[0] <= now:
                hands.pop(0)
                self.does(now, self.proof, by_hand=True, proof=True)
                past = after_run(past, ended_at=now, proof_at=now, failed=False, retry_after=None)
            elif due is not None and due.at <= now:
                allowed = self.budget(now)
                if allowed is not None and within_rows(due, timing, past, allowed, now, renews=False).at > now:
                    continue
                too_old = past.proof_at is None or now - past.proof_at > timing.staleness_s
                follows = due.reason is Trigger.MOVED and not too_old
                self.does(now, self.follow if follows else self.proof, proof=not follows)
                if follows and self.average is not None:
                    self.average += 0.1 * self.follow
                past = after_run(
                    past,
                    ended_at=now,
                    proof_at=None if follows else now,
                    failed=False,
                    retry_after=None,
                    followed=follows,
                )
                if not follows:
                    past = replace(past, read_rows=True)
            elif polled_at + pause <= now:
                polled_at = now
                self.does(now, self.poll)
                self.average = self.poll if self.average is None else self.average + 0.1 * (self.poll - self.average)
                if self.writes_every_s is not None and now - written_until >= self.writes_every_s:
                    written_until = now
                    past = replace(past, moved_at=past.moved_at or now)


few = bounded(max_examples=40, deadline=None)
worlds = st.builds(
    World,
    settings=st.builds(
        settings_with,
        st.integers(1_000, 3_000_000),
        poll_s=st.floats(120, 900),
        interval_s=st.floats(600, 7_200),
        staleness_s=st.floats(600, 20_000),
    ),
    proof=st.integers(0, 100_000),
    poll=st.integers(0, 200),
    follow=st.integers(0, 2_000),
    writes_every_s=st.none() | st.floats(1, 20_000),
    by_hand=st.lists(st.floats(0, 1), max_size=4),
)


@few
@given(worlds)
def test_the_budget_is_kept_and_what_it_holds_back_is_said(world: World) -> None:
    days = 2
    world.run(days)
    budget = world.settings.rows_read_per_day
    assert budget is not None
    most = max(world.proof, world.poll + world.follow)
    for day in range(days):
        begun = START + day * DAY_S
        acts = [act for act in world.acts if begun <= act.at < begun + DAY_S]
        alone = sum(act.rows for act in acts if not act.by_hand)
        assert alone <= budget + most, "by no more than the one run that nobody knew the cost of"
        if day and not any(act.by_hand for act in acts):
            assert alone <= budget + world.poll + world.follow, "and not by that when it was made before"
    polls = [act.at for act in world.acts if not act.proof]
    for before, after in pairwise(polls):
        if after - before > 1.2 * world.settings.poll_s:
            said = [hold for at, hold in world.holds if at <= after - world.settings.poll_s]
            assert said, "a poll was late before the first word"
            assert said[-1] is not Hold.NOT or any(
                before <= at <= after and hold is not Hold.NOT for at, hold in world.holds
            ), f"no poll for {after - before:.0f} s, and nothing was said"


@few
@given(worlds)
def test_a_budget_that_is_large_enough_changes_nothing(world: World) -> None:
    free = replace(world, settings=settings_with(None, **_times(world)), acts=[], holds=[])
    held = replace(world, settings=settings_with(1 << 50, **_times(world)), acts=[], holds=[])
    free.run(1)
    held.run(1)
    assert [(act.at, act.rows) for act in free.acts] == [(act.at, act.rows) for act in held.acts]
    assert {hold for _, hold in held.holds} <= {Hold.NOT}


def _times(world: World) -> dict[str, float]:
    settings = world.settings
    return {"poll_s": settings.poll_s, "interval_s": settings.interval_s, "staleness_s": settings.staleness_s}


def test_a_budget_is_used_and_not_only_kept() -> None:
    """The defaults without an index, and a tenth of what they cost."""
    world = World(settings_with(200_000, poll_s=60.0), 15_000, 360, 100, None, ())
    world.run(3)
    for day in range(3):
        begun = START + day * DAY_S
        alone = sum(act.rows for act in world.acts if begun <= act.at < begun + DAY_S)
        assert 0.9 * 200_000 <= alone <= 200_000
