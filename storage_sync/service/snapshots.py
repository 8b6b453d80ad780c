"""What the end of an operation and a look at the file say on screen: values in, values out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from storage_sync.cache.holders import unlisted
from storage_sync.cache.states import FileJudgement, error_for
from storage_sync.reports.sentences import rejected_rows
from storage_sync.values.found import Found
from storage_sync.values.outcome import CheckStatus, FileIdentity, LockHolder, Outcome, Word, error_value
from storage_sync.values.snapshot import (
    Behind,
    CacheHealth,
    CheckResult,
    Freshness,
    LockState,
    Peek,
    QuarantineView,
    Snapshot,
)

Recent = Callable[[str], tuple[CheckStatus, ...]]


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


def after(snapshot: Snapshot, outcome: Outcome, recent: Recent, now: float) -> Snapshot:
    """The picture after an operation ended; what it did not look at stays as it was, with its age."""
    proof = outcome.proof
    return replace(
        snapshot,
        primary=replace(snapshot.primary, epoch=proof.epoch) if proof is not None else snapshot.primary,
        freshness=freshness_after(snapshot.freshness, outcome, now),
        cache=cache_after(snapshot.cache, outcome, now),
        checks=checks_after(snapshot, outcome, recent, now),
        states=outcome.states or snapshot.states,
        quarantine=QuarantineView(rejected_rows(outcome)) if outcome.counts else snapshot.quarantine,
        plan=outcome.proposal or snapshot.plan,
        error=outcome.error,
    )


def rechecked(snapshot: Snapshot, outcome: Outcome, now: float) -> Snapshot:
    """The picture after a copy was judged by the last comparison: rows behind stay as they were, unless
    rows of the cache differ from what was proven and the primary is still what it was then."""
    freshness = snapshot.freshness
    if outcome.verdict is Word.DRIFT:
        behind = {table: Behind(change.insert, change.update, change.remove) for table, change in outcome.plan.items()}
        freshness = replace(freshness, behind=behind, exact=False, as_of=now)
    cache = cache_after(snapshot.cache, replace(outcome, proof=None), now)
    return replace(
        snapshot,
        freshness=freshness,
        cache=replace(cache, rewritten=sum(change.insert + change.update for change in outcome.plan.values())),
        states=outcome.states or snapshot.states,
        error=outcome.error,
    )


def freshness_after(freshness: Freshness, outcome: Outcome, now: float) -> Freshness:
    """Rows behind are exact right after a comparison: none after a proof, else what the plan counts."""
    if outcome.proof is None and not outcome.plan:
        return freshness
    pending = {} if outcome.proof is not None else outcome.plan
    return replace(
        freshness,
        proof=outcome.proof or freshness.proof,
        followed=outcome.followed if outcome.proof is not None else freshness.followed,
        behind={table: Behind(change.insert, change.update, change.remove) for table, change in pending.items()},
        exact=True,
        as_of=now,
        cache_only={table: count.cache_only or 0 for table, count in outcome.counts.items()},
    )


def cache_after(cache: CacheHealth, outcome: Outcome, now: float) -> CacheHealth:
    cache = _checked(cache, outcome, now)
    if outcome.look is not None:
        cache = replace(cache, look=outcome.look, changed_since=False, rewritten=0)
    if outcome.states:
        inside = tuple(state for state in outcome.states if state.found_inside)
        cache = replace(cache, states=(*(state for state in cache.states if not state.found_inside), *inside))
    if outcome.counts:
        cache = replace(cache, counts={table: count.cache or 0 for table, count in outcome.counts.items()})
    generation = outcome.generation
    if outcome.proof is not None and generation is not None:
        cache = replace(cache, generation=generation, acked=max(generation, cache.acked or 0), schema=4, peek=None)
        cache = replace(cache, identity=outcome.proof.identity)
    payload = outcome.extra.get("payload_bytes")
    return replace(cache, payload=payload) if isinstance(payload, int) else cache


def _checked(cache: CacheHealth, outcome: Outcome, now: float) -> CacheHealth:
    """What redb's own check said, where it was asked for."""
    asked = (CheckStatus.PASS, CheckStatus.FAIL)
    found = next((one for one in outcome.checks if one.name == "cache_integrity" and one.status in asked), None)
    return replace(cache, integrity=Found(found, basis(outcome), now)) if found is not None else cache


def basis(outcome: Outcome) -> FileIdentity | None:
    """The file that an outcome speaks of: the one that was proven, or the one that was looked at."""
    if outcome.proof is not None and outcome.proof.identity is not None:
        return outcome.proof.identity
    return outcome.look.identity if outcome.look is not None else None


def peeked(snapshot: Snapshot, outcome: Outcome, recent: Recent, now: float) -> Snapshot:
    """The picture after a look at a copy: facts of the copy, and no verdict (docs/console.md#screens)."""
    told = outcome.extra.get("peek")
    if not isinstance(told, Mapping):
        return snapshot
    generation = told.get("generation")
    generation = generation if isinstance(generation, int) else None
    peek = Peek(
        now - _figure(told, "copy_age_seconds"), _figure(told, "copy_seconds") * 1000, int(_figure(told, "attempts"))
    )
    made = {
        one.name: CheckResult(one, now, generation, "copy", recent(one.name), basis(outcome)) for one in outcome.checks
    }
    kept = tuple(result for result in snapshot.checks if result.check.name not in made)
    return replace(
        snapshot,
        cache=replace(cache_after(snapshot.cache, outcome, now), peek=peek, generation=generation),
        checks=(*made.values(), *kept),
        states=outcome.states or snapshot.states,
    )


def _figure(told: Mapping[str, object], name: str) -> float:
    value = told.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def checks_after(snapshot: Snapshot, outcome: Outcome, recent: Recent, now: float) -> tuple[CheckResult, ...]:
    generation = outcome.generation if outcome.proof is not None else snapshot.cache.generation
    subject = outcome.look.of if outcome.look is not None else "file"
    on = basis(outcome)
    made = tuple(CheckResult(check, now, generation, subject, recent(check.name), on) for check in outcome.checks)
    return made or snapshot.checks
