"""The last minutes as graphs: latency, age of the proof, changes, rows read; and how long the last runs took. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from console.views.frame import Frame
from console.views.runs import role_of
from storage_sync.values.snapshot import SAMPLE_S, Sample
from widgets import fmt
from widgets.chart import NOTHING, Chart, quantile, round_up_s
from widgets.glyphs import Role

MINUTE = 6
"""Samples of a minute."""
GAP = "   "
FIRST = "the first sample comes soon"


def latency(frame: Frame) -> Chart:
    """The slowest answer of each ten seconds."""
    samples, now_ms = frame.snapshot.samples, frame.snapshot.primary.ping_ms
    values = tuple(one.ping_ms if one.ping_ms is not None else None if one.failed else NOTHING for one in samples)
    failed = sum(value is None for value in values)
    now = f"now {fmt.milliseconds(now_ms)}" if now_ms is not None else ""
    if frame.snapshot.primary.status.lost:
        now = "no answer now"
    p95 = quantile(values, 0.95)
    known = f"p95 {fmt.milliseconds(p95)}" if p95 is not None else ""
    return Chart(
        "Latency",
        values,
        _words(now, known, f"{failed} failed" if failed else ""),
        _right(now, f"{failed} failed" if failed else known),
        word=fmt.milliseconds,
        step_s=SAMPLE_S,
        empty=FIRST,
    )


def proof_age(frame: Frame) -> Chart:
    """How old the last proof was; what is over the target stands out."""
    fresh = frame.snapshot.freshness
    values = tuple(NOTHING if one.proof_age_s is None else one.proof_age_s for one in frame.snapshot.samples)
    most = quantile(values, 1.0)
    oldest = f"oldest {fmt.age(most)}" if most is not None else ""
    return Chart(
        "Age of the proof",
        values,
        _words(oldest),
        oldest,
        word=fmt.target,
        top=round_up_s,
        step_s=SAMPLE_S,
        limit=fresh.max_age_s,
        empty="nothing has been proven yet",
    )


def changes(frame: Frame) -> Chart:
    """Rows that runs took in within the minute before each sample."""
    samples = frame.snapshot.samples
    values = tuple(
        float(sum(one.changes for one in samples[max(0, place - MINUTE + 1) : place + 1]))
        for place in range(len(samples))
    )
    told = f"{sum(one.changes for one in samples):,} in {_span(samples)}"
    return Chart(
        "Changes a minute",
        values,
        _words(told),
        told,
        word=fmt.compact,
        step_s=SAMPLE_S,
        empty=FIRST,
    )


def rows_read(frame: Frame) -> Chart:
    """Rows that the primary said it read for this cache, in each ten seconds."""
    samples = frame.snapshot.samples
    values = tuple(NOTHING if one.rows_read is None else float(one.rows_read) for one in samples)
    told = f"{sum(one.rows_read or 0 for one in samples):,} in {_span(samples)}"
    silent = all(one.rows_read is None for one in samples)
    return Chart(
        "Rows read",
        values,
        _words(told),
        "" if silent else told,
        word=fmt.compact,
        step_s=SAMPLE_S,
        empty="the primary does not report them" if samples else FIRST,
    )


def durations(frame: Frame) -> Chart:
    """How long each of the last runs took; one that failed is drawn as failed."""
    oldest_first = tuple(reversed(frame.snapshot.history.last))
    values = tuple(None if role_of(run) is Role.FAILED else run.took_s for run in oldest_first)
    told = f"p50 {fmt.took(quantile(values, 0.5))}"
    since = fmt.when(oldest_first[0].started_at) if oldest_first else ""
    return Chart(
        "Duration of runs",
        values,
        _words(told),
        told if oldest_first else "",
        word=fmt.short_took,
        top=round_up_s,
        oldest=since,
        empty="nothing has run yet",
    )


def _words(*parts: str) -> tuple[str, ...]:
    return (GAP.join(part for part in parts if part),)


def _right(*parts: str) -> str:
    return GAP.join(part for part in parts if part)


def _span(samples: Sequence[Sample]) -> str:
    """How long the samples go back."""
    return fmt.target(len(samples) * SAMPLE_S)
