"""The facts of the metrics: what the last run said, what the history adds up, and what is seen right now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.holders import lock_holders
from storage_sync.cache.identity import real_path
from storage_sync.cache.servers import in_memory_only
from storage_sync.cache.waiting_rows import read_waiting
from storage_sync.config.settings import Settings
from storage_sync.reports.budget import of_history
from storage_sync.reports.metrics import Facts
from storage_sync.reports.sentences import CAUSED, changed_by, own_change, tally
from storage_sync.state.history import History
from storage_sync.values.followed import Followed
from storage_sync.values.found import still
from storage_sync.values.outcome import Outcome, Proof, Word
from storage_sync.values.snapshot import PrimaryStatus, RunSummary, Snapshot

CLOCK_SLACK_S = 1.0
"""A run's start and its length are taken from two clocks, which need not add up to the millisecond."""


def facts_of(outcome: Outcome, settings: Settings, history: Path, warn: Callable[[str], None]) -> Facts:
    """What is known without asking the primary. Blocking: reads the history and looks at the file."""
    now, cache = time.time(), settings.cache or Path()
    with History.open(history, warn, read_only=True) as book:
        last, good, totals, pings = book.last_run(), book.last_run(successful=True), book.totals(), book.pings(1)
        document = book.document(last.id) if last is not None else None
        read, budget = book.rows_read(now), of_history(book, settings, now)
        own = own_change(book.runs()) if outcome.verdict in CAUSED else None
    payload = outcome.extra.get("payload_bytes")
    size, free = _room(cache)
    kept = read_waiting(os.fspath(cache)).kept
    waiting = kept.note if kept is not None and kept.note.rows else None
    return Facts(
        cache=real_path(os.fspath(cache)),
        verdict=outcome.verdict,
        states=outcome.states,
        last_success_at=_ended(good, now),
        last_attempt_at=_ended(last, now),
        last_exit_code=last.exit_code if last is not None else None,
        lag_s=0.0 if outcome.verdict is Word.IN_SYNC else None,
        proof_age_s=outcome.proof.age(now) if outcome.proof is not None else None,
        generation=outcome.generation,
        followed=outcome.followed,
        counts=outcome.counts,
        orphans=_orphans(outcome),
        # drift that a run found and repaired is over
        drift={} if outcome.verdict is Word.IN_SYNC else outcome.drift,
        own_change=changed_by(own) if own is not None else 0,
        quarantined=tally(outcome).rejected,
        cache_bytes=size,
        payload_bytes=payload if isinstance(payload, int) else None,
        disk_free=free,
        primary_up=_up(outcome, pings),
        primary_latency_s=pings[-1] / 1000 if pings and pings[-1] is not None else None,
        lock_wait_s=_lock_wait(document or {}),
        waiting_rows=waiting.rows if waiting is not None else 0,
        waiting_since=waiting.since if waiting is not None else None,
        memory_only=len(in_memory_only(os.fspath(cache), lock_holders(os.fspath(cache)))),
        rows_read_today=read.today if read is not None else None,
        rows_a_day=budget.a_day if budget is not None else None,
        hold=budget.hold if budget is not None else None,
        interval_s=settings.interval_s,
        wait_notice_s=settings.wait_notice_s,
        redb=_native.REDB_VERSION,
        enc=str(_native.ENCODING),
        totals=totals,
    )


def _up(outcome: Outcome, pings: Sequence[float | None]) -> bool | None:
    """Whether the primary answered last: this run is younger than any ping that the history remembers."""
    if outcome.error is not None and outcome.error.code.startswith("primary_"):
        return False
    if outcome.proof is not None and outcome.command == "sync" and outcome.error is None:
        return True
    return pings[-1] is not None if pings else None


def _ended(run: RunSummary | None, now: float) -> float | None:
    """Epoch seconds; None for a run that a wrong clock put into the future: it would silence every alert."""
    at = run.started_at + run.took_s if run is not None else None
    return at if at is not None and at <= now + CLOCK_SLACK_S else None


def seen_now(facts: Facts, snapshot: Snapshot, verdict: Word, now: float) -> Facts:
    """The same with what the running core sees at this moment."""
    primary, cache, proof = snapshot.primary, snapshot.cache, snapshot.freshness.proof
    followed = snapshot.freshness.followed
    known = primary.status is not PrimaryStatus.UNKNOWN
    own = own_change(snapshot.history.last)
    remembered = proof is not None and facts.proof_age_s is None
    return replace(
        facts,
        verdict=verdict,
        lag_s=_lag(snapshot, verdict, now),
        states=cache.states or facts.states,
        proof_age_s=proof.age(now) if proof is not None and remembered else facts.proof_age_s,
        generation=_generation(proof, followed) if proof is not None and remembered else facts.generation,
        followed=followed,
        own_change=changed_by(own) if own is not None else 0,
        primary_up=primary.status is PrimaryStatus.CONNECTED if known else facts.primary_up,
        primary_latency_s=primary.ping_ms / 1000 if primary.ping_ms is not None else None,
        payload_bytes=still(cache.payload, snapshot.present),
        hold=primary.budget.hold if primary.budget is not None else facts.hold,
        copied_bytes=cache.copied_bytes,
        copies_wait_until=cache.waits_until,
    )


def _generation(proof: Proof, followed: Followed | None) -> int:
    return followed.generation if followed is not None else proof.generation


def _lag(snapshot: Snapshot, verdict: Word, now: float) -> float | None:
    """Seconds since the primary was seen to differ: by its fingerprint, or by a comparison that found rows."""
    if verdict is Word.IN_SYNC:
        return 0.0
    freshness = snapshot.freshness
    if freshness.moved_at is not None:
        return max(now - freshness.moved_at, 0.0)
    behind = freshness.behind
    return max(now - behind.at, 0.0) if behind is not None and behind.was.rows else None


def _lock_wait(document: Mapping[str, object]) -> float | None:
    seconds = document.get("seconds")
    waited = seconds.get("lock_wait") if isinstance(seconds, dict) else None
    return float(waited) if isinstance(waited, int | float) else None


def _room(cache: Path) -> tuple[int | None, int | None]:
    """Size of the file and free space beside it."""
    try:
        room = os.statvfs(cache.parent)
        return cache.stat().st_size, room.f_bavail * room.f_frsize
    except OSError:
        return None, None


def _orphans(outcome: Outcome) -> int | None:
    """Embeddings without an owner, when this run counted them."""
    for check in outcome.checks:
        if check.name == "orphaned_embeddings" and isinstance(check.actual, int):
            return check.actual
    return None
