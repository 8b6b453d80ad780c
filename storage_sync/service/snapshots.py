"""What the end of an operation and a look at the file say on screen: values in, values out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from storage_sync.cache.holders import unlisted
from storage_sync.cache.states import FileJudgement, error_for
from storage_sync.reports.sentences import rejected_rows
from storage_sync.values.found import Basis, Found, PrimaryStand
from storage_sync.values.outcome import (
    TABLES,
    Check,
    CheckStatus,
    FileIdentity,
    LockHolder,
    Outcome,
    TableChange,
    Word,
    error_value,
)
from storage_sync.values.snapshot import (
    Behind,
    CacheHealth,
    CheckResult,
    Freshness,
    LockState,
    Peek,
    QuarantineView,
    RowsBehind,
    Snapshot,
)

T = TypeVar("T")
Recent = Callable[[str], tuple[CheckStatus, ...]]
INTEGRITY = "cache_integrity"
COMPARED = frozenset({"episode_count", "latest_episodes", "pattern_counts", "content_digests"})
"""Checks that hold the cache against the primary; the others are of the file alone."""


def from_outside(
    snapshot: Snapshot,
    judgement: FileJudgement,
    *,
    ours: bool,
    refused: bool,
    lease: LockHolder | None,
    now: float,
) -> CacheHealth:
    """States, size, lock and space of the file. `ours`: the lock is held by our own commit; `refused`: it was refused
    to one a moment ago, so that somebody has it whom nobody lists."""
    if refused and not judgement.holders and not ours:
        judgement = replace(judgement, holders=(unlisted(),))
    error = error_for(judgement, writing=snapshot.access == "rw", held_ok=True)
    inside = [state for state in snapshot.states if state.found_inside]
    return replace(
        snapshot.cache,
        states=(*judgement.states, *inside),
        size=judgement.size,
        disk_free=judgement.free_bytes,
        lock=lock_state(judgement, ours),
        holder=judgement.holders[0] if judgement.holders else None,
        lease_holder=lease,
        looked_at=now,
        identity=judgement.identity,
        error=error_value(error) if error is not None else None,
    )


def lock_state(judgement: FileJudgement, ours: bool) -> LockState:
    if ours:
        return LockState.OURS
    if not judgement.holders:
        return LockState.FREE
    return LockState.OTHER if any(holder.exclusive for holder in judgement.holders) else LockState.SHARED


def after(snapshot: Snapshot, outcome: Outcome, stand: PrimaryStand | None, recent: Recent, now: float) -> Snapshot:
    """The picture after an operation ended; what it did not look at stays as it was, with its age.

    `stand`: where the primary stood before it was asked; None: not known.
    """
    proof, both = outcome.proof, compared(outcome, stand)
    return replace(
        snapshot,
        primary=replace(snapshot.primary, epoch=proof.epoch) if proof is not None else snapshot.primary,
        freshness=freshness_after(snapshot.freshness, outcome, both, now),
        cache=cache_after(snapshot.cache, outcome, now),
        checks=checks_after(snapshot, outcome, both, recent, now),
        states=outcome.states or snapshot.states,
        quarantine=QuarantineView(Found(rejected_rows(outcome), both, now)) if outcome.counts else snapshot.quarantine,
        plan=outcome.proposal or snapshot.plan,
        error=outcome.error,
    )


def rechecked(snapshot: Snapshot, outcome: Outcome, recent: Recent, now: float) -> Snapshot:
    """The picture after a copy was judged by the last comparison: what that comparison found holds of it too, unless
    rows of the cache differ from what was proven and the primary is still what it was then. What is of the file alone
    was looked at again."""
    freshness, of_file = snapshot.freshness, Basis(basis(outcome))
    behind, rejected, checks = freshness.behind, snapshot.quarantine.refused, snapshot.checks
    if outcome.verdict is Word.DRIFT:
        lag = RowsBehind(_lag(outcome.plan))
        freshness = replace(freshness, behind=Found(lag, compared(outcome, snapshot.primary.stand), now))
    elif outcome.verdict in (Word.IN_SYNC, Word.STALE) and not outcome.plan:
        # the rows of this file are those that were compared
        freshness = replace(freshness, behind=_also_of(behind, of_file))
        rejected = _also_of(rejected, of_file)
        checks = tuple(
            replace(one, found=replace(one.found, on=replace(one.found.on, file=of_file.file)))
            if one.name in COMPARED
            else one
            for one in checks
        )
    cache = cache_after(snapshot.cache, replace(outcome, proof=None), now)
    changed = sum(change.insert + change.update for change in outcome.plan.values())
    return replace(
        snapshot,
        freshness=freshness,
        cache=replace(cache, rewritten=Found(changed, of_file, now)),
        states=outcome.states or snapshot.states,
        checks=_with_checks(checks, outcome, recent, now),
        quarantine=QuarantineView(rejected),
        error=outcome.error,
    )


def _also_of(found: Found[T] | None, of_file: Basis) -> Found[T] | None:
    """What was found of a file with the same rows."""
    return replace(found, on=replace(found.on, file=of_file.file)) if found is not None else None


def _with_checks(
    before: tuple[CheckResult, ...], outcome: Outcome, recent: Recent, now: float
) -> tuple[CheckResult, ...]:
    """Those of the file alone that were made now, and what else is known."""
    of_file = Basis(basis(outcome))
    known = {result.name: result for result in before}
    made = {
        one.name: _known(one, known.get(one.name))
        or CheckResult(one.name, Found(one, of_file, _made_at(one, outcome, now)), "copy", recent(one.name))
        for one in outcome.checks
    }
    return (*made.values(), *(result for result in before if result.name not in made))


def counted(snapshot: Snapshot, outcome: Outcome, stand: PrimaryStand | None, now: float) -> Snapshot:
    """The picture after what was written since the last proof was counted; nothing else was found."""
    behind = Found(RowsBehind(_lag(outcome.plan), complete=False), compared(outcome, stand), now)
    return replace(snapshot, freshness=replace(snapshot.freshness, behind=behind))


def _lag(plan: Mapping[str, TableChange]) -> dict[str, Behind]:
    return {table: Behind(change.insert, change.update, change.remove) for table, change in plan.items()}


def freshness_after(freshness: Freshness, outcome: Outcome, both: Basis, now: float) -> Freshness:
    """Rows behind right after a comparison: none after a proof, else what the plan counts."""
    if outcome.proof is None and not outcome.plan:
        return freshness
    pending = {} if outcome.proof is not None else outcome.plan
    return replace(
        freshness,
        proof=outcome.proof or freshness.proof,
        followed=outcome.followed if outcome.proof is not None else freshness.followed,
        behind=Found(RowsBehind(_lag(pending)), both, now),
        moved_at=None,
        cache_only=Found({table: count.cache_only or 0 for table, count in outcome.counts.items()}, both, now),
    )


def cache_after(cache: CacheHealth, outcome: Outcome, now: float) -> CacheHealth:
    cache, of_file = _checked(cache, outcome, now), Basis(basis(outcome))
    if outcome.look is not None:
        cache = replace(cache, look=replace(outcome.look, identity=of_file.file), rewritten=None)
    if outcome.states:
        inside = tuple(state for state in outcome.states if state.found_inside)
        cache = replace(cache, states=(*(state for state in cache.states if not state.found_inside), *inside))
    if outcome.counts:
        counts = {table: count.cache or 0 for table, count in outcome.counts.items()}
        cache = replace(cache, counts=Found(counts, of_file, now))
    generation = outcome.generation
    if outcome.proof is not None and generation is not None:
        cache = replace(cache, acked=max(generation, cache.acked or 0), peek=None, identity=outcome.proof.identity)
        cache = replace(cache, generation=Found(generation, of_file, now), schema=Found(4, of_file, now))
        # the last look at its place may be older than the file
        cache = replace(cache, states=tuple(state for state in cache.states if not state.absent))
    payload = outcome.extra.get("payload_bytes")
    return replace(cache, payload=Found(payload, of_file, now)) if payload is not None else cache


def _checked(cache: CacheHealth, outcome: Outcome, now: float) -> CacheHealth:
    """What redb's own check said, where it was asked for."""
    asked = (CheckStatus.PASS, CheckStatus.FAIL)
    found = next((one for one in outcome.checks if one.name == INTEGRITY and one.status in asked), None)
    if found is None:
        return cache
    return replace(cache, integrity=Found(found, Basis(basis(outcome)), _made_at(found, outcome, now)))


def _made_at(check: Check, outcome: Outcome, now: float) -> float:
    """A copy that redb checked may serve later looks too: that check is as old as the copy. A new file is not what
    was looked at."""
    look = outcome.look
    of_copy = check.name == INTEGRITY and look is not None and look.identity == basis(outcome)
    return look.at if of_copy and look is not None else check.made_at or now


def basis(outcome: Outcome) -> FileIdentity | None:
    """The file that an outcome speaks of: the one that was proven, or the one that was looked at."""
    if outcome.proof is not None and outcome.proof.identity is not None:
        return outcome.proof.identity
    return outcome.look.identity if outcome.look is not None else None


def compared(outcome: Outcome, stand: PrimaryStand | None) -> Basis:
    """Of what was found by holding the cache against the primary; of nothing where it is not known where that stood."""
    return Basis(basis(outcome), stand) if stand is not None else Basis(None)


def peeked(snapshot: Snapshot, outcome: Outcome, recent: Recent, now: float) -> Snapshot:
    """The picture after a look at a copy: facts of the copy, and no verdict (docs/console.md#screens)."""
    told = outcome.extra.get("peek")
    if told is None:
        return snapshot
    generation = told["generation"]
    peek = Peek(now - told["copy_age_seconds"], told["copy_seconds"] * 1000, told["attempts"])
    of_file = Basis(basis(outcome))
    stamped = Found(generation, of_file, now) if generation is not None else None
    return replace(
        snapshot,
        cache=replace(cache_after(snapshot.cache, outcome, now), peek=peek, generation=stamped),
        checks=_with_checks(snapshot.checks, outcome, recent, now),
        states=outcome.states or snapshot.states,
    )


def checks_after(
    snapshot: Snapshot, outcome: Outcome, both: Basis, recent: Recent, now: float
) -> tuple[CheckResult, ...]:
    subject = outcome.look.of if outcome.look is not None else "file"
    of_file = Basis(basis(outcome))

    known = {result.name: result for result in snapshot.checks}
    more = {table: change.insert - change.remove for table, change in outcome.applied.items()}
    refused = snapshot.quarantine.refused
    same_refused = not outcome.counts or (refused is not None and refused.was == rejected_rows(outcome))

    def result(check: Check) -> CheckResult:
        before = known.get(check.name)
        if (earlier := _known(check, before)) is not None:
            return earlier
        if check.made_at is not None and before is not None and before.found.at >= check.made_at:
            rows = sum(more.get(table, 0) for table in _COUNTS.get(check.name, ()))
            return _kept(before, both, rows if same_refused else None)
        found = Found(check, both if check.name in COMPARED else of_file, _made_at(check, outcome, now))
        return CheckResult(check.name, found, subject, recent(check.name))

    return tuple(map(result, outcome.checks)) or snapshot.checks


def _known(check: Check, before: CheckResult | None) -> CheckResult | None:
    """What an earlier run found, where this one left the check out; it speaks of its own file and moment."""
    skipped = check.status is CheckStatus.SKIPPED and before is not None
    return before if skipped and before is not None and before.found.was.status is not CheckStatus.UNKNOWN else None


_COUNTS = {
    "episode_count": ("episodes",),
    "latest_episodes": ("episodes",),
    "pattern_counts": ("patterns", "heuristics"),
    "content_digests": TABLES,
}
"""The tables whose rows a check counts."""


def _kept(before: CheckResult, both: Basis, more: int | None) -> CheckResult:
    """A check that was not made again, with its result and its time. What passed stands, with what was followed since;
    what did not is of the file and the primary that it was found on. `more`: rows that it counts than were there then;
    None: not known, since others were rejected."""
    was = before.found.was
    if was.status is not CheckStatus.PASS:
        return before
    if more and isinstance(was.expected, int) and isinstance(was.actual, int):
        was = replace(was, expected=was.expected + more, actual=was.actual + more, detail="")
    elif more != 0:
        was = replace(was, expected=None, actual=None, detail="")
    return replace(before, found=replace(before.found, was=was, on=both))
