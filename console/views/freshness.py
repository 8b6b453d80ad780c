"""Freshness: the proof's age, rows behind, and when the core looks again."""

from __future__ import annotations

from console.views.frame import Frame
from console.views.states import is_damaged, is_held
from storage_sync.values.outcome import TABLES
from storage_sync.values.snapshot import PrimaryStatus
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
        behind_note=_behind_note(frame),
        tables=_tables(frame),
        notes=_notes(frame),
        next=_next(frame),
    )


def _proof(frame: Frame, copy: bool) -> Fact:
    fresh, glyphs = frame.snapshot.freshness, frame.look.glyphs
    proof = fresh.proof
    if proof is None:
        return Fact("proof", toned(Role.UNKNOWN, "none yet", glyphs=glyphs))
    age = proof.age(frame.now)
    known = tuple(one.proof_age_s for one in frame.snapshot.samples if one.proof_age_s is not None)
    trend = known if len(known) > 1 else None
    note = muted("of the copy, not of now" if copy else f"g-{proof.generation}")
    if fresh.followed is not None and not copy:
        note = muted(f"{fmt.plural(fresh.followed.changes, 'change')} followed since")
    if age is None:
        value = toned(Role.UNKNOWN, "dated in the future, none", glyphs=glyphs)
    elif age > fresh.max_age_s:
        value = toned(Role.UNKNOWN, f"was ok, {fmt.age(age)} ago", glyphs=glyphs)
    else:
        value = plain(f"{fmt.age(age)} ago")
    return Fact("proof", value, extra=note, spark=trend, scale=f"to {fmt.age(max(known))}" if trend else "")


def _known(frame: Frame) -> bool:
    fresh = frame.snapshot.freshness
    connected = frame.snapshot.primary.status is PrimaryStatus.CONNECTED
    return fresh.as_of is not None and connected and not is_damaged(frame.snapshot)


def _behind(frame: Frame) -> Lag | None:
    if not _counted(frame):
        return None
    rows = frame.snapshot.freshness.behind.values()
    return Lag("", sum(r.new for r in rows), sum(r.changed for r in rows), sum(r.gone for r in rows))


def _counted(frame: Frame) -> bool:
    """A poll that only says "moved" counts nothing, and nothing counted is not nothing behind."""
    fresh = frame.snapshot.freshness
    rows = sum(lag.new + lag.changed + lag.gone for lag in fresh.behind.values())
    return _known(frame) and (fresh.exact or rows > 0)


def _behind_note(frame: Frame) -> str:
    fresh = frame.snapshot.freshness
    if _known(frame) and not _counted(frame):
        return f"changed, seen {frame.ago(fresh.as_of)} ago"
    if _known(frame):
        return f"{'exact' if fresh.exact else 'at least'}, {frame.ago(fresh.as_of)} ago"
    if fresh.as_of is None:
        return "not compared yet" if fresh.proof is None else "not known now"
    since = frame.snapshot.primary.unreachable_since
    return f"not known since {fmt.clock(fresh.as_of if since is None else since)}"


def _tables(frame: Frame) -> tuple[Lag, ...]:
    if not _known(frame):
        return ()
    behind = frame.snapshot.freshness.behind
    rows = ((name, behind[name]) for name in TABLES if name in behind)
    return tuple(
        Lag(_SHORT.get(name, name), lag.new, lag.changed, lag.gone)
        for name, lag in rows
        if lag.new or lag.changed or lag.gone
    )


def _notes(frame: Frame) -> tuple[Fact, ...]:
    notes: list[Fact] = []
    if _counted(frame):
        notes.append(Fact("compared", plain(_behind_note(frame))))
    waiting = frame.snapshot.cache.waiting
    if waiting is not None:
        wait = "waits" if waiting.rows == 1 else "wait"
        told = f"{fmt.plural(waiting.rows, 'row')} {wait} since {fmt.clock(waiting.since)}"
        notes.append(Fact("waiting", plain(told), extra=muted(_awaited(frame))))
    rewritten = frame.snapshot.cache.rewritten
    if rewritten:
        notes.append(
            Fact("rewritten", plain(fmt.plural(rewritten, "row")), extra=muted("by its holder; not compared yet"))
        )
    kept = sum(frame.snapshot.freshness.cache_only.values())
    if kept:
        notes.append(Fact("cache-only", plain(fmt.plural(kept, "row")), extra=muted("the primary never had; kept")))
    quarantine = frame.snapshot.quarantine
    if quarantine.refused:
        value: Line = (
            Piece(f"{frame.look.glyphs.of(Role.ATTENTION)} ", Tone.ATTENTION),
            Piece(f"{fmt.plural(quarantine.refused, 'row')} rejected"),
        )
        notes.append(Fact("quarantine", value))
    return tuple(notes)


def _awaited(frame: Frame) -> str:
    """What must come before rows that wait are committed."""
    snapshot = frame.snapshot
    if is_held(snapshot):
        return "until the cache is free"
    return "for the next run" if snapshot.primary.status is PrimaryStatus.CONNECTED else "until the primary answers"


def _next(frame: Frame) -> Fact:
    fresh = frame.snapshot.freshness
    if frame.snapshot.primary.status is PrimaryStatus.UNREACHABLE:
        return Fact("next", plain("after the primary answers"))
    if is_damaged(frame.snapshot):
        return Fact("next", plain("after a repair; r plans one"), short=(plain("after a repair (r)"),))
    if frame.snapshot.paused:
        return Fact("next", plain("paused; P resumes"))
    compare = f"compare in {frame.until(fresh.next_compare_at)}" if fresh.next_compare_at is not None else ""
    reason = f" ({frame.clean(fresh.next_sync_reason)})" if fresh.next_sync_reason else ""
    sync = f"sync {fmt.clock(fresh.next_sync_at)}{reason}" if fresh.next_sync_at is not None else ""
    if not compare and not sync:
        return Fact("next", muted("not planned"))
    return Fact("next", plain(compare or sync), extra=plain(sync) if compare and sync else ())
