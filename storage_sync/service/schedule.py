"""When the next run is due and why. Pure: times in, one answer out; randomness is an argument."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from storage_sync.values.snapshot import Budget, Hold

BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 60.0
FILE_CHANGE_SETTLE_S = 0.5
FILE_CHANGE_GAP_S = 5.0
"""A do-memory that writes all the time must not make us run all the time."""
MOVED_SETTLE_MOST_S = 10.0
FOLLOW_SETTLE_S = 0.5
"""do-memory writes an episode and its tags in two transactions; what comes between them is followed in two runs."""
UNEXPLAINED_GAP_S = 300.0
"""Between two proofs that are due because something changed that a follow run cannot explain."""
HELD_SETTLE_S = 0.3
HELD_GAP_S = 1.0
"""Between two looks at a file that its holder writes to."""
COUNT_GAP_S = 5.0
"""Between two counts of what was written to the primary while the file is held: each reads all of it again."""
PROOF_GAP_S = 60.0
"""Between two questions to the primary while the file is held: nothing can be written meanwhile."""
PLAN_READ_S = 120.0
"""How long the timer's runs wait while a person reads a plan: each of them would make the plan invalid."""
JITTER = 0.1
"""Share of the interval by which a periodic run may come earlier or later."""


class Trigger(StrEnum):
    START = "start"
    INTERVAL = "interval"
    STALENESS = "staleness"
    MOVED = "primary changed"
    CACHE_CHANGED = "cache changed"
    RECOVERY = "recovery"
    RETRY = "retry"
    MANUAL = "manual"
    AFTER = "after a program"


class Due(Struct, frozen=True):
    """Epoch seconds and reason of the next run."""

    at: float
    reason: Trigger


class Timing(Struct, frozen=True):
    """The settings that matter here, in seconds."""

    interval_s: float
    staleness_s: float
    on_start: bool
    busy_gap_s: float = 0.0
    """Least time from one run to the next that is due only because the primary changed."""
    follows: bool = False
    """What the primary writes can be followed without a proof."""


class Past(Struct, frozen=True):
    """What happened so far. Times are epoch seconds; `jitter` is uniform in [-1, 1], `spread` in [0, 1]."""

    started_at: float
    last_end: float | None = None
    full_end: float | None = None
    """When the last run ended that did more than to follow."""
    read_rows: bool = False
    """It made the primary read rows: a renewal does not."""
    unfollowed_at: float | None = None
    """When a follow run ended without following, not proven since."""
    unfollowed_gap_s: float = 0.0
    """Least time from the last such run to the proof that is due for it."""
    proof_at: float | None = None
    failures: int = 0
    retry_after: float | None = None
    moved_at: float | None = None
    """When the poll first saw that the primary had changed since the proof."""
    file_changed_at: float | None = None
    """When the cache file changed under us, not yet looked at."""
    recovered_at: float | None = None
    """When the primary came back, not yet synced since."""
    manual_at: float | None = None
    held: bool = False
    """Another process has the file: it is looked at, and not written."""
    asked_at: float | None = None
    """When the primary was last asked for a proof."""
    differs_at: float | None = None
    """When a copy was found to differ from what was proven, not compared with the primary since."""
    rechecked_at: float | None = None
    """When a copy was last judged without it."""
    uncounted_at: float | None = None
    """When the primary was seen to move while the file is held, and by how much was not counted since."""
    counted_at: float | None = None
    """When that was last counted."""
    jitter: float = 0.0
    spread: float = 1.0


def backoff_s(failures: int, spread: float, retry_after: float | None = None) -> float:
    """Full jitter between zero and a doubling bound of at most a minute; the server's own word is a lower bound.

    A floor of a tenth of the bound keeps a burst of zero draws from hammering a server that is coming up.
    """
    bound = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(max(failures - 1, 0), 10))
    return max(bound * max(spread, 0.1), retry_after or 0.0)


def next_run(timing: Timing, past: Past) -> Due | None:
    """The earliest due run, or None when nothing is scheduled. A manual one waits for nothing."""
    if past.manual_at is not None:
        return Due(past.manual_at, Trigger.MANUAL)
    if past.failures and past.last_end is not None and past.recovered_at is None:
        return Due(past.last_end + backoff_s(past.failures, past.spread, past.retry_after), Trigger.RETRY)
    candidates: list[Due] = []
    if past.recovered_at is not None:
        candidates.append(Due(past.recovered_at, Trigger.RECOVERY))
    if past.last_end is None:
        if timing.on_start:
            candidates.append(Due(past.started_at, Trigger.START))
        candidates.append(Due(past.started_at + timing.interval_s, Trigger.INTERVAL))
    else:
        full_end = past.full_end if past.full_end is not None else past.last_end
        candidates.append(Due(full_end + timing.interval_s * (1 + JITTER * past.jitter), Trigger.INTERVAL))
    if (moved := _because_it_moved(timing, past)) is not None:
        candidates.append(moved)
    if past.held and past.differs_at is not None:
        candidates.append(Due(past.differs_at + HELD_SETTLE_S, Trigger.CACHE_CHANGED))
    if past.proof_at is not None and past.last_end is not None:
        # a run that could not renew the proof is repeated by the interval, not by this
        due = past.proof_at + timing.staleness_s
        if due > (past.full_end if past.full_end is not None else past.last_end):
            candidates.append(Due(due, Trigger.STALENESS))
    if past.held:
        candidates = [_not_too_often(due, past) for due in candidates]
    if past.file_changed_at is not None:
        candidates.append(Due(_changed_at(past, past.file_changed_at), Trigger.CACHE_CHANGED))
    if past.held and timing.follows and past.uncounted_at is not None:
        rested = past.counted_at + COUNT_GAP_S if past.counted_at is not None else past.uncounted_at
        candidates.append(Due(max(past.uncounted_at + FOLLOW_SETTLE_S, rested), Trigger.MOVED))
    return min(candidates, key=lambda due: due.at) if candidates else None


def _because_it_moved(timing: Timing, past: Past) -> Due | None:
    """The run that is due because the primary was seen elsewhere: to follow it where that can be, else to prove."""
    if past.unfollowed_at is not None and not past.held:
        rested = past.full_end + past.unfollowed_gap_s if past.full_end is not None else past.unfollowed_at
        return Due(max(past.unfollowed_at, rested), Trigger.STALENESS)
    if past.moved_at is None:
        return None
    if timing.follows and not past.held:
        return Due(past.moved_at + FOLLOW_SETTLE_S, Trigger.MOVED)
    at = past.moved_at + (HELD_SETTLE_S if past.held else min(MOVED_SETTLE_MOST_S, timing.interval_s / 10))
    if past.last_end is not None and not past.held:
        at = max(at, past.last_end + timing.busy_gap_s)
    return Due(at, Trigger.STALENESS)


def may_ask(past: Past, now: float) -> bool:
    """Whether the primary may be asked for a proof again while the file is held."""
    return past.asked_at is None or now - past.asked_at >= PROOF_GAP_S


def within_rows(due: Due, timing: Timing, past: Past, budget: Budget, now: float, *, renews: bool) -> Due:
    """The run when `rows_read_per_day` allows it; what a person asks for is not held back.

    `renews`: the next proof by time will read nothing, as far as the last poll told.
    """
    if due.reason is Trigger.MANUAL or budget.hold is Hold.UNMETERED:
        return due
    if budget.hold is Hold.USED_UP:
        return replace(due, at=max(due.at, budget.until))
    too_old = past.proof_at is None or now - past.proof_at > timing.staleness_s
    if due.reason is Trigger.MOVED and not too_old:
        # to follow: as often as a poll sees a change
        return due
    if budget.hold is Hold.NO_PROOF:
        return replace(due, at=max(due.at, budget.until))
    if past.full_end is None or renews or not past.read_rows:
        return due
    return replace(due, at=max(due.at, past.full_end + budget.proof_s))


def _not_too_often(due: Due, past: Past) -> Due:
    return due if past.asked_at is None else replace(due, at=max(due.at, past.asked_at + PROOF_GAP_S))


def _changed_at(past: Past, seen_at: float) -> float:
    """When a change of the file is looked at."""
    if past.held:
        rested = max(past.last_end or 0.0, past.rechecked_at or 0.0) + HELD_GAP_S
        return max(seen_at + HELD_SETTLE_S, rested)
    rested = (past.last_end or past.started_at - FILE_CHANGE_GAP_S) + FILE_CHANGE_GAP_S
    return max(seen_at + FILE_CHANGE_SETTLE_S, rested)


def after_run(
    past: Past,
    *,
    ended_at: float,
    proof_at: float | None,
    failed: bool,
    retry_after: float | None,
    followed: bool = False,
    unfollowed_gap_s: float | None = None,
) -> Past:
    """What a finished run leaves behind; one run answers every reason that was waiting.

    `followed`: it did no more than to follow. `unfollowed_gap_s`: a follow run ended and nothing was proven.
    """
    unfollowed = ended_at if unfollowed_gap_s is not None else past.unfollowed_at if failed or followed else None
    return replace(
        past,
        last_end=ended_at,
        full_end=past.full_end if followed or unfollowed_gap_s is not None else ended_at,
        unfollowed_at=unfollowed,
        unfollowed_gap_s=past.unfollowed_gap_s if unfollowed_gap_s is None else unfollowed_gap_s,
        proof_at=proof_at if proof_at is not None else past.proof_at,
        failures=past.failures + 1 if failed else 0,
        retry_after=retry_after,
        moved_at=past.moved_at if failed else None,
        differs_at=past.differs_at if failed else None,
        uncounted_at=past.uncounted_at if failed else None,
        file_changed_at=None,
        recovered_at=None,
        manual_at=None,
    )
