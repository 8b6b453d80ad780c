"""Freshness: the proof's age, rows behind, and when the core looks again."""

from __future__ import annotations

from console.views.frame import Frame
from console.views.states import behind_now, is_damaged, is_held, rewritten
from storage_sync.reports.sentences import followed_since
from storage_sync.values.outcome import TABLES
from storage_sync.values.snapshot import PrimaryStatus, RowsBehind
from widgets import fmt
from widgets.facts import Fact
from widgets.freshness import Freshness, Lag
from widgets.glyphs import Role, Tone
from widgets.line import Line, Piece, muted, plain, toned

_SHORT = {
    "recommendation_sessions": "sessions",
    "recommendation_feedback": "feedback",
    "episode_pattern_relationships": "links",
    "relationships": "relations",
}


def freshness(frame: Frame) -> Freshness:
    fresh = frame.snapshot.freshness
    copy = is_held(frame.snapshot)
    return Freshness(
        title=frame.label("Freshness · of the copy") if copy else "Freshness",
        right=f"target {fmt.target(fresh.max_age_s)}",
        proof=_proof(frame, copy),
        behind=_behind(frame),
        behind_note=(_behind_note(frame), _behind_note(frame).rpartition("; ")[2]),
        tables=_tables(frame),
        notes=_notes(frame),
        next=_next(frame),
    )


def _proof(frame: Frame, copy: bool) -> Fact:
    fresh, glyphs = frame.snapshot.freshness, frame.look.glyphs
    proof = fresh.proof
    if proof is None:
        return Fact("proof", toned(Role.UNKNOWN, "none yet" if frame.snapshot.seq else "not known", glyphs=glyphs))
    age = proof.age(frame.now)
    known = tuple(one.proof_age_s for one in frame.snapshot.samples if one.proof_age_s is not None)
    trend = known if len(known) > 1 else None
    note = muted("of the copy, not of now" if copy else f"g-{proof.generation}")
    if fresh.followed is not None and not copy:
        note = muted(followed_since(fresh.followed))
    if age is None:
        value = toned(Role.UNKNOWN, "dated in the future, ignored", glyphs=glyphs)
    elif age > fresh.max_age_s:
        value = toned(Role.UNKNOWN, f"was ok, {fmt.age(age)} ago", glyphs=glyphs)
    else:
        value = plain(f"{fmt.age(age)} ago")
    return Fact("proof", value, extra=note, spark=trend, scale=f"to {fmt.age(max(known))}" if trend else "")


def _now(frame: Frame) -> RowsBehind | None:
    """What is known to differ now: a damaged file is not what was compared."""
    behind = behind_now(frame.snapshot) if not is_damaged(frame.snapshot) else None
    return behind if behind is not None and behind.complete else None


def _behind(frame: Frame) -> Lag | None:
    behind = _now(frame)
    if behind is None:
        return None
    rows = behind.tables.values()
    return Lag("", sum(r.new for r in rows), sum(r.changed for r in rows), sum(r.gone for r in rows))


def _behind_note(frame: Frame) -> str:
    """Since when it is known; else what was counted or found last, and why that is past."""
    snapshot, behind = frame.snapshot, _now(frame)
    fresh, primary = snapshot.freshness, snapshot.primary
    found = fresh.behind
    if found is None:
        return "not compared yet" if fresh.proof is None else "not known now"
    if behind is not None:
        return f"exact, {frame.ago(found.at)} ago"
    if is_damaged(snapshot) or primary.status is not PrimaryStatus.CONNECTED:
        return (
            f"unknown since {fmt.clock(found.at if primary.unreachable_since is None else primary.unreachable_since)}"
        )
    if not found.was.complete and behind_now(snapshot) is not None:
        return f"at least {fmt.plural(found.was.rows, 'row')}, counted {frame.ago(found.at)} ago"
    was = f"{fmt.plural(found.was.rows, 'row')} at {fmt.clock(found.at)}; " if found.was.rows else ""
    if fresh.moved_at is not None:
        return f"{was}changed, seen {frame.ago(fresh.moved_at)} ago"
    if found.on.file != snapshot.cache.identity:
        return f"{was}file changed since"
    then, now_is = found.on.primary, primary.stand
    other = then is not None and now_is is not None and then.source_id != now_is.source_id
    return f"{was}{'primary replaced' if other else 'primary changed'} since"


def _tables(frame: Frame) -> tuple[Lag, ...]:
    behind = _now(frame)
    tables = behind.tables if behind is not None else {}
    rows = ((name, tables[name]) for name in TABLES if name in tables)
    return tuple(
        Lag(_SHORT.get(name, name), lag.new, lag.changed, lag.gone)
        for name, lag in rows
        if lag.new or lag.changed or lag.gone
    )


def _notes(frame: Frame) -> tuple[Fact, ...]:
    snapshot, notes = frame.snapshot, list[Fact]()
    if _now(frame) is not None:
        notes.append(Fact("compared", plain(_behind_note(frame))))
    waiting = snapshot.cache.waiting
    if waiting is not None:
        told = f"{fmt.plural(waiting.rows, 'row')} since {fmt.clock(waiting.since)}"
        notes.append(Fact("waiting", plain(told), extra=muted(_awaited(frame))))
    if other := rewritten(snapshot):
        notes.append(Fact("rewritten", plain(fmt.plural(other, "row")), extra=muted("by its holder; not compared yet")))
    notes += _cache_only(frame)
    notes += _rejected(frame)
    return tuple(notes)


def _cache_only(frame: Frame) -> list[Fact]:
    found = frame.snapshot.freshness.cache_only
    kept = sum(found.was.values()) if found is not None else 0
    if found is None or not kept:
        return []
    if found.now(frame.snapshot.present) is None:
        return [Fact("cache-only", muted(f"{fmt.plural(kept, 'row')} at {fmt.clock(found.at)}"))]
    return [Fact("cache-only", plain(fmt.plural(kept, "row")), extra=muted("never in the primary; kept"))]


def _rejected(frame: Frame) -> list[Fact]:
    found = frame.snapshot.quarantine.refused
    if found is None or not found.was:
        return []
    said = f"{fmt.plural(found.was, 'row')} rejected"
    if found.now(frame.snapshot.present) is None:
        then = f"at {fmt.clock(found.at)}"
        return [Fact("quarantine", muted(f"{said} {then}"), short=(muted(f"{found.was:,} rejected {then}"),))]
    value: Line = (Piece(f"{frame.look.glyphs.of(Role.ATTENTION)} ", Tone.ATTENTION), Piece(said))
    return [Fact("quarantine", value)]


def _awaited(frame: Frame) -> str:
    """What must come before rows that wait are committed."""
    snapshot = frame.snapshot
    if is_held(snapshot):
        return "until the cache is free"
    return "for the next run" if snapshot.primary.status is PrimaryStatus.CONNECTED else "until the primary answers"


def _next(frame: Frame) -> Fact:
    fresh = frame.snapshot.freshness
    if frame.snapshot.primary.status.lost:
        return Fact("next", plain("after the primary answers"))
    if is_damaged(frame.snapshot):
        return Fact("next", plain("after a repair; r plans one"), short=(plain("after a repair (r)"),))
    if frame.snapshot.paused:
        return Fact("next", plain("paused; P resumes"))
    compare = f"compare {frame.due(fresh.next_compare_at)}" if fresh.next_compare_at is not None else ""
    reason = f" ({frame.clean(fresh.next_sync_reason)})" if fresh.next_sync_reason else ""
    sync = f"sync {fmt.clock(fresh.next_sync_at)}{reason}" if fresh.next_sync_at is not None else ""
    if not compare and not sync:
        return Fact("next", muted("not planned"))
    return Fact("next", plain(compare or sync), extra=plain(sync) if compare and sync else ())
