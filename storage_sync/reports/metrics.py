"""Metrics for Prometheus (docs/operations.md): facts in, text out; written as a text file in one step.

Counters are running totals of the history, so that one-shot runs under a timer count on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from storage_sync import __version__
from storage_sync.files.writing import replace_file
from storage_sync.state.history import BUCKETS
from storage_sync.values.outcome import CacheState, TableCounts, Word

PREFIX = "storage_sync_"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is told. Times are epoch seconds, sizes bytes; None is unknown and gives no sample."""

    verdict: Word = Word.UNKNOWN
    states: tuple[str, ...] = ()
    last_success_at: float | None = None
    last_attempt_at: float | None = None
    last_exit_code: int | None = None
    lag_s: float | None = None
    """Since the primary was seen to have moved on from what is proven; 0 while in sync."""
    proof_age_s: float | None = None
    generation: int | None = None
    counts: Mapping[str, TableCounts] = field(default_factory=dict)
    drift: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Rows by table and kind (drifted, rotten, absent)."""
    quarantined: int | None = None
    orphans: int | None = None
    cache_bytes: int | None = None
    payload_bytes: int | None = None
    disk_free: int | None = None
    primary_up: bool | None = None
    primary_latency_s: float | None = None
    lock_wait_s: float | None = None
    waiting_rows: int | None = None
    """Of the primary, until the cache is free."""
    waiting_since: float | None = None
    redb: str = ""
    enc: str = ""
    totals: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """`History.totals`."""


class _FactsCollector(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        yield from _gauges(self._facts)
        yield from _tables(self._facts)
        yield from _counters(self._facts)
        yield _phases(self._facts)
        states = GaugeMetricFamily(
            f"{PREFIX}cache_state", "1 for each state that the cache file is in.", labels=("state",)
        )
        for state in CacheState:
            states.add_metric([state.value], float(state.value in self._facts.states))
        yield states
        build = {"version": __version__, "redb": self._facts.redb, "enc": self._facts.enc}
        yield InfoMetricFamily(f"{PREFIX}build", "Versions of the tool, of redb and of the canonical encoding.", build)


def _gauges(facts: Facts) -> Iterator[Metric]:
    in_sync = float(facts.verdict is Word.IN_SYNC)
    up = None if facts.primary_up is None else float(facts.primary_up)
    for name, told, value in (
        ("last_success_timestamp_seconds", "End of the last run that ended well.", facts.last_success_at),
        ("last_attempt_timestamp_seconds", "End of the last run.", facts.last_attempt_at),
        ("last_exit_code", "Exit code of the last run.", facts.last_exit_code),
        ("lag_seconds", "Time since the primary was seen to have moved on from what is proven.", facts.lag_s),
        ("in_sync", "1 when the cache is proven equal to the primary.", in_sync),
        ("proof_age_seconds", "Age of the last proof.", facts.proof_age_s),
        ("generation", "Generation of the cache.", facts.generation),
        ("quarantined_rows", "Rows of the primary that were rejected.", facts.quarantined),
        ("orphan_embeddings", "Embeddings without an owner.", facts.orphans),
        ("cache_file_bytes", "Size of the cache file.", facts.cache_bytes),
        ("cache_payload_bytes", "Bytes of keys and values in it.", facts.payload_bytes),
        ("disk_free_bytes", "Free space beside the cache file.", facts.disk_free),
        ("primary_up", "1 when the primary answered last.", up),
        ("primary_latency_seconds", "Round trip of the last ping.", facts.primary_latency_s),
        ("waiting_rows", "Rows of the primary that wait until the cache is free.", facts.waiting_rows),
        ("waiting_since_timestamp_seconds", "When the first of them began to wait.", facts.waiting_since),
        ("lock_wait_seconds", "How long the last run waited for the cache's lock.", facts.lock_wait_s),
    ):
        family = GaugeMetricFamily(PREFIX + name, told)
        if value is not None:
            family.add_metric([], float(value))
        yield family


def _tables(facts: Facts) -> Iterator[Metric]:
    rows = GaugeMetricFamily(f"{PREFIX}rows", "Rows by table and side.", labels=("table", "side"))
    for table, counts in facts.counts.items():
        for side in ("primary", "expected", "cache", "cache_only", "refused"):
            value = getattr(counts, side)
            if value is not None:
                rows.add_metric([table, side], value)
    yield rows
    drift = GaugeMetricFamily(f"{PREFIX}drift_rows", "Rows that differ from what was proven.", labels=("table", "kind"))
    for (table, kind), value in facts.drift.items():
        drift.add_metric([table, kind], value)
    yield drift


def _counters(facts: Facts) -> Iterator[Metric]:
    for name, total, labels, told in (
        ("changes", "changes", ("table", "op"), "Rows written to the cache."),
        ("runs", "runs", ("result",), "Runs by how they ended."),
        ("fetch_bytes", "bytes", (), "Body bytes received from the primary."),
        ("requests", "requests", ("code",), "HTTP requests by status; none: no answer came."),
        ("retries", "retries", (), "Requests that were tried again."),
        ("rows_read", "rows_read", ("purpose",), "Rows that the primary said it read."),
        (
            "unmetered_statements",
            "unmetered",
            ("purpose",),
            "Statements of which it did not say that.",
        ),
        ("lock_held_seconds", "lock_held", (), "Time for which runs held the lock of the cache."),
        ("repairs", "repairs", ("kind",), "Repairs by rung of the ladder."),
        ("rollbacks_detected", "rollbacks", (), "Times the cache was found to have gone back."),
        ("bitrot_keys", "bitrot_keys", (), "Keys whose bytes were found rotten."),
    ):
        family = CounterMetricFamily(PREFIX + name, told, labels=labels)
        samples = {label: value for (kind, label), value in facts.totals.items() if kind == total}
        for label, value in sorted(samples.items()):
            parts = label.split("\t") if label else []
            family.add_metric([*parts, *[""] * (len(labels) - len(parts))], value)
        if not samples and not labels:
            family.add_metric([], 0)
        yield family


def _phases(facts: Facts) -> Metric:
    family = HistogramMetricFamily(f"{PREFIX}duration_seconds", "Time spent in each phase.", labels=("phase",))
    totals = facts.totals
    for phase in sorted(label for kind, label in totals if kind == "phase_count"):
        below, buckets = 0.0, []
        for bound in (*(f"{value:g}" for value in BUCKETS), "+Inf"):
            below += totals.get(("phase_bucket", f"{phase}\t{bound}"), 0.0)
            buckets.append((bound if bound == "+Inf" else str(float(bound)), below))
        family.add_metric([phase], buckets, totals.get(("phase_seconds", phase), 0.0))
    return family


def render(facts: Facts) -> bytes:
    """The text form that node_exporter and Prometheus read."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_FactsCollector(facts))
    return generate_latest(registry)


def write_textfile(path: Path, facts: Facts) -> None:
    """In one step, readable by the exporter where it is new. NotUsable for a device or a pipe, OSError."""
    replace_file(path, render(facts), mode=0o644)
