"""What a snapshot says of the cache: sets of its states, and whether a proof or a check still holds. Pure."""

from __future__ import annotations

from storage_sync.values.found import still
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import WARN_ONLY, CacheState, CheckStatus, HolderKind, LockHolder
from storage_sync.values.snapshot import CheckResult, LockState, PrimaryStatus, RowsBehind, Snapshot
from widgets import fmt


def states_of(snapshot: Snapshot) -> tuple[CacheState, ...]:
    """All states that the core reported, of the file and of its content, in the order of docs/cache.md#states."""
    return (*snapshot.cache.states, *(state for state in snapshot.states if state not in snapshot.cache.states))


def is_damaged(snapshot: Snapshot) -> bool:
    """Whether the file is not what was proven: what was known of its rows was of another one."""
    return any(state.damaged for state in states_of(snapshot))


def proof_valid(snapshot: Snapshot, now: float) -> bool:
    """A proof holds for its source, its epoch and `max_age_s`."""
    proof = snapshot.freshness.proof
    age = proof.age(now) if proof is not None else None
    if proof is None or age is None or age > snapshot.freshness.max_age_s:
        return False
    source = snapshot.primary.source_id
    same_source = (
        not source or not proof.source_id or (proof.source_id, proof.epoch) == (source, snapshot.primary.epoch)
    )
    generation, followed = generation_now(snapshot), snapshot.freshness.followed
    stands = followed.generation if followed is not None else proof.generation
    return same_source and (generation is None or generation == stands)


def last_proof(snapshot: Snapshot, now: float) -> str:
    proof = snapshot.freshness.proof
    if proof is None:
        return "No proof yet"
    age = proof.age(now)
    return "The last proof is dated in the future" if age is None else f"Last proof {fmt.age(age)} ago"


def holds(snapshot: Snapshot, result: CheckResult, now: float) -> bool:
    """Whether what a check found is still so: file and primary are the same, and it was found not too long ago."""
    found = result.found
    return found.now(snapshot.present) is not None and 0 <= now - found.at <= snapshot.freshness.max_age_s


WRITING = frozenset({"sync", "repair", "rebuild"})
"""Kinds of runs that end with a proof."""


def generation_now(snapshot: Snapshot) -> int | None:
    """Of the file that is there, if it is known."""
    return still(snapshot.cache.generation, snapshot.present)


def behind_now(snapshot: Snapshot) -> RowsBehind | None:
    """What the last comparison found, while it holds; None: not known. A whole one is past as soon as the primary was
    seen to have changed since."""
    behind = still(snapshot.freshness.behind, snapshot.present)
    return None if behind is not None and behind.complete and snapshot.freshness.moved_at is not None else behind


def rows_behind(snapshot: Snapshot) -> int:
    """Rows that are known to differ now; 0 also where that is not known."""
    behind = behind_now(snapshot)
    return behind.rows if behind is not None and behind.complete else 0


def how_far(snapshot: Snapshot, now: float) -> str:
    """Rows behind as they are known now, else as they were known last and what changed since."""
    found, behind = snapshot.freshness.behind, behind_now(snapshot)
    if found is None or not found.was.rows:
        return "The primary has changed; by how much is not known yet"
    rows, ago = fmt.plural(found.was.rows, "row"), fmt.age(now - found.at)
    if behind is not None:
        return f"{rows} behind (exact, {ago} ago)" if behind.complete else f"At least {rows} behind (counted {ago} ago)"
    then = f"{rows} behind at {fmt.clock(found.at)}"
    if not found.was.complete:
        then = f"At least {rows} behind (counted {fmt.clock(found.at)})"
    return f"{then}; the {'cache file' if snapshot.freshness.moved_at is None else 'primary'} has changed since"


def changed_since(snapshot: Snapshot) -> bool:
    """Whether the file is another one than at the last look: what was found is past."""
    look = snapshot.cache.look
    return look is not None and look.identity != snapshot.cache.identity


def is_committing(snapshot: Snapshot) -> bool:
    """Whether a run of ours is past its point of no return: a change of the file is its own."""
    run = snapshot.run
    return run is not None and run.ended_at is None and not run.cancellable


def rewritten(snapshot: Snapshot) -> int:
    """Rows of a held file that are known not to be what they were at the last comparison."""
    return still(snapshot.cache.rewritten, snapshot.present) or 0


def next_try(snapshot: Snapshot) -> float | None:
    """When a primary that does not answer is asked again, by a poll or by a run; None: not planned."""
    fresh = snapshot.freshness
    planned = (snapshot.primary.next_at, fresh.next_sync_at, fresh.next_compare_at)
    return min((at for at in planned if at is not None), default=None)


OVERDUE_S = 2.0
"""How long after its due time a request without an answer is shown as unanswered."""


def unanswered_s(snapshot: Snapshot, now: float) -> float | None:
    """Seconds since the last answer of a primary that was asked again and is silent; None while it answers in time,
    and where it is known that it does not. Each answer counts: while a run asks, a poll may be overdue for long."""
    primary = snapshot.primary
    due, answered = primary.next_at, primary.auth_at
    if primary.status is not PrimaryStatus.CONNECTED or due is None or answered is None:
        return None
    return now - answered if now - max(due, answered) > OVERDUE_S else None


def is_held(snapshot: Snapshot) -> bool:
    """Whether another process has the file now; what a run found of it before is past."""
    return snapshot.cache.lock in (LockState.OTHER, LockState.SHARED)


def rewritten_rows(snapshot: Snapshot) -> str:
    """Rows of a held file that are not what they were at the last comparison, in words."""
    rows = rewritten(snapshot)
    return f"{fmt.plural(rows, 'row')} {'was' if rows == 1 else 'were'} rewritten by whoever holds the file"


_CLOCK_TELLS_S = 43_200
"""A clock without its day names one moment of half a day."""


def holder_words(holder: LockHolder | None, now: float) -> str:
    """Who holds the file, and since when."""
    if holder is None:
        return "Another process holds the file"
    if holder.kind is HolderKind.UNLISTED or holder.pid <= 0:
        return "A process that is not visible here, perhaps in another container, holds the file"
    names = {HolderKind.DO_MEMORY: "do-memory", HolderKind.OURS: "Another run of this tool"}
    known = f"{names.get(holder.kind, holder.command or 'A process')} (pid {holder.pid}"
    user = f", {holder.user}" if holder.kind is HolderKind.OTHER and holder.user else ""
    if holder.since is not None and now - holder.since > _CLOCK_TELLS_S:
        return f"{known}{user}) has held the file for {fmt.age(now - holder.since)}"
    since = f" since {fmt.clock(holder.since)[:5]}" if holder.since is not None else ""
    return f"{known}{user}) {'has held' if since else 'holds'} the file{since}"


def checks_of_file(snapshot: Snapshot) -> tuple[CheckResult, ...]:
    """What was found of the file that is there, now or earlier; of one that is gone nothing is told."""
    return tuple(result for result in snapshot.checks if result.found.then(snapshot.present) is not None)


def failed_checks(snapshot: Snapshot, now: float) -> tuple[str, ...]:
    """Checks that fail now, those that only warn among them."""
    return tuple(
        result.name
        for result in snapshot.checks
        if result.found.was.status is CheckStatus.FAIL and holds(snapshot, result, now)
    )


def contradicting(snapshot: Snapshot, now: float) -> tuple[str, ...]:
    """Of those, the ones that a cache in sync cannot have."""
    return tuple(name for name in failed_checks(snapshot, now) if name not in WARN_ONLY)


def adoptable(snapshot: Snapshot) -> bool:
    """Whether adopting the primary is what lifts a guard."""
    step = _needed_step(snapshot)
    return CacheState.FOREIGN not in states_of(snapshot) and step is not None and step.adopts


def _needed_step(snapshot: Snapshot) -> NextStep | None:
    """What lifts the error of the last run."""
    return snapshot.error.step if snapshot.error is not None else None


def asks_consent(snapshot: Snapshot) -> bool:
    """Whether a consent to remove rows is what a guard asks for."""
    step = _needed_step(snapshot)
    return step is not None and step.shrinks


def went_back(snapshot: Snapshot) -> bool:
    """Whether it is the primary that was set all along, with another log."""
    return _needed_step(snapshot) is NextStep.COMPARE
