"""Metrics for Prometheus (docs/operations.md): facts in, text out; written as a text file in one step.

Counters are running totals of the history, so that one-shot runs under a timer count on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from msgspec import Struct, field
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
from storage_sync.files.kinds import LARGEST, NotUsable, reading
from storage_sync.files.writing import replace_file
from storage_sync.reports.sentences import BRINGS_BACK
from storage_sync.state.history import BUCKETS
from storage_sync.values.followed import Followed
from storage_sync.values.outcome import CacheState, TableCounts, Word
from storage_sync.values.snapshot import Hold
from storage_sync.values.visible import clean

PREFIX = "storage_sync_"
_OF = b"# of the cache "
"""First line of a text file, with the cache behind it; to whoever reads the metrics it is a comment."""


class Facts(Struct, frozen=True):
    """All that is told. Times are epoch seconds, sizes bytes; None is unknown and gives no sample."""

    cache: str = ""
    """Its real path."""
    verdict: Word = Word.UNKNOWN
    states: tuple[CacheState, ...] = ()
    last_success_at: float | None = None
    last_attempt_at: float | None = None
    last_exit_code: int | None = None
    lag_s: float | None = None
    """Since the primary was seen to differ from what is proven; 0 while in sync."""
    proof_age_s: float | None = None
    followed: Followed | None = None
    """What was taken in since that proof."""
    generation: int | None = None
    counts: Mapping[str, TableCounts] = field(default_factory=dict)
    drift: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows by table and kind (drifted, rotten, absent)."""
    own_change: int = 0
    """Rows that this tool changed by itself since the last proof, and that the next sync changes back."""
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
    memory_only: int | None = None
    """Servers of do-memory that run without this cache."""
    copied_bytes: int | None = None
    """Written for copies within the last hour; only a running core knows."""
    copies_wait_until: float | None = None
    """No copy is made by itself before, because of `copy_bytes_per_hour`."""
    rows_read_today: int | None = None
    rows_a_day: int | None = None
    """The setting `rows_read_per_day`."""
    hold: Hold | None = None
    interval_s: float | None = None
    wait_notice_s: float | None = None
    redb: str = ""
    enc: str = ""
    totals: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """`History.totals`."""


class Gauge(Struct, frozen=True):
    """One value. `read`: it from the facts; None gives no sample."""

    name: str
    told: str
    read: Callable[[Facts], float | None]
    labels: tuple[str, ...] = ()
    suffix: ClassVar[str] = ""


class Labelled(Struct, frozen=True):
    """Several values. `read`: labels in their order, and the value."""

    name: str
    told: str
    read: Callable[[Facts], Iterable[tuple[tuple[str, ...], float]]]
    labels: tuple[str, ...]
    suffix: ClassVar[str] = ""


class Counter(Struct, frozen=True):
    """A running total. `total`: its kind among `Facts.totals`, whose label parts are divided by tabs."""

    name: str
    told: str
    total: str
    labels: tuple[str, ...] = ()
    suffix: ClassVar[str] = "_total"


class Histogram(Struct, frozen=True):
    """Seconds by phase; `suffix` names its buckets."""

    name: str
    told: str
    labels: tuple[str, ...]
    suffix: ClassVar[str] = "_bucket"


class Info(Struct, frozen=True):
    """Texts, as labels of a 1."""

    name: str
    told: str
    read: Callable[[Facts], dict[str, str]]
    labels: tuple[str, ...]
    suffix: ClassVar[str] = "_info"


Definition = Gauge | Labelled | Counter | Histogram | Info


def _known(value: float | None) -> float | None:
    return None if value is None else float(value)


def _followed_rows(facts: Facts) -> int | None:
    if facts.proof_age_s is None:
        return None
    return facts.followed.changes if facts.followed is not None else 0


def _rows(facts: Facts) -> Iterator[tuple[tuple[str, ...], float]]:
    for table, counts in facts.counts.items():
        for side in ("primary", "expected", "cache", "cache_only", "refused"):
            value = getattr(counts, side)
            if value is not None:
                yield (table, side), value


def _drift(facts: Facts) -> Iterator[tuple[tuple[str, str], float]]:
    for table, kinds in facts.drift.items():
        for kind, rows in kinds.items():
            yield (table, kind), rows


METRICS: tuple[Definition, ...] = (
    Gauge("last_success_timestamp_seconds", "End of the last run that ended well.", lambda f: f.last_success_at),
    Gauge("last_attempt_timestamp_seconds", "End of the last run.", lambda f: f.last_attempt_at),
    Gauge("last_exit_code", "Exit code of the last run.", lambda f: f.last_exit_code),
    Gauge("lag_seconds", "Time since the primary was seen to differ from what is proven.", lambda f: f.lag_s),
    Gauge(
        "in_sync",
        "1 when the cache equals the primary, as proven or followed since.",
        lambda f: f.verdict is Word.IN_SYNC,
    ),
    Gauge("proof_age_seconds", "Age of the last proof.", lambda f: f.proof_age_s),
    Gauge("followed_rows", "Rows that were followed since the last proof.", _followed_rows),
    Gauge(
        "followed_timestamp_seconds",
        "When the last followed row was read.",
        lambda f: f.followed.at if f.followed is not None else None,
    ),
    Gauge(
        "own_change_rows",
        f"Rows that an undo, a quarantine or a restore changed since the last proof; {BRINGS_BACK}.",
        lambda f: f.own_change,
    ),
    Gauge("generation", "Generation of the cache.", lambda f: f.generation),
    Gauge("quarantined_rows", "Rows of the primary that were rejected.", lambda f: f.quarantined),
    Gauge("orphan_embeddings", "Embeddings without an owner.", lambda f: f.orphans),
    Gauge("cache_file_bytes", "Size of the cache file.", lambda f: f.cache_bytes),
    Gauge("cache_payload_bytes", "Bytes of keys and values in the cache.", lambda f: f.payload_bytes),
    Gauge("disk_free_bytes", "Free space beside the cache file.", lambda f: f.disk_free),
    Gauge("primary_up", "1 when the primary answered the last request.", lambda f: f.primary_up),
    Gauge("primary_latency_seconds", "Round trip of the last ping.", lambda f: f.primary_latency_s),
    Gauge("waiting_rows", "Rows of the primary that wait until the cache is free.", lambda f: f.waiting_rows),
    Gauge("memory_only_servers", "do-memory servers that run without this cache.", lambda f: f.memory_only),
    Gauge(
        "copied_bytes_last_hour",
        "Bytes written for copies of the cache within the last hour.",
        lambda f: f.copied_bytes,
    ),
    Gauge(
        "copies_wait_until_timestamp_seconds",
        "Time before which no copy is made automatically, because of copy_bytes_per_hour.",
        lambda f: f.copies_wait_until,
    ),
    Gauge("waiting_since_timestamp_seconds", "When the first waiting row began to wait.", lambda f: f.waiting_since),
    Gauge("lock_wait_seconds", "How long the last run waited for the cache's lock.", lambda f: f.lock_wait_s),
    Gauge("interval_seconds", "The setting interval_s: time between two scheduled syncs.", lambda f: f.interval_s),
    Gauge("wait_notice_seconds", "The setting wait_notice_s: how long rows may wait.", lambda f: f.wait_notice_s),
    Gauge("rows_read_today", "Rows that the primary said it read since midnight.", lambda f: f.rows_read_today),
    Gauge("rows_read_per_day", "The setting rows_read_per_day.", lambda f: f.rows_a_day),
    Labelled(
        "budget_hold",
        "1 for the hold that rows_read_per_day puts on polls and proofs now.",
        lambda f: (((hold.value,), float(hold is f.hold)) for hold in Hold if f.hold is not None),
        ("hold",),
    ),
    Labelled("rows", "Rows by table and side.", _rows, ("table", "side")),
    Labelled("drift_rows", "Rows that differ from what was proven.", _drift, ("table", "kind")),
    Counter("changes", "Rows written to the cache.", "changes", ("table", "op")),
    Counter("runs", "Runs by how they ended.", "runs", ("result",)),
    Counter("fetch_bytes", "Body bytes received from the primary.", "bytes"),
    Counter("requests", "HTTP requests by status; none: no answer came.", "requests", ("code",)),
    Counter("retries", "Requests that were tried again.", "retries"),
    Counter("rows_read", "Rows that the primary said it read.", "rows_read", ("purpose",)),
    Counter(
        "unmetered_statements",
        "Statements for which the primary did not say how many rows it read.",
        "unmetered",
        ("purpose",),
    ),
    Counter("lock_held_seconds", "How long runs held the lock of the cache.", "lock_held"),
    Counter("repairs", "Repairs by step.", "repairs", ("kind",)),
    Counter("rollbacks_detected", "Times the cache was found to have gone back to an older state.", "rollbacks"),
    Counter("bitrot_keys", "Keys whose bytes were found damaged.", "bitrot_keys"),
    Histogram("duration_seconds", "Time spent in each phase.", ("phase",)),
    Labelled(
        "cache_state",
        "1 for each state that the cache file is in.",
        lambda f: (((state.value,), float(state in f.states)) for state in CacheState),
        ("state",),
    ),
    Info(
        "build",
        "Versions of the tool, of redb and of the canonical encoding.",
        lambda f: {"version": __version__, "redb": f.redb, "enc": f.enc},
        ("version", "redb", "enc"),
    ),
)
"""Every metric there is; alert rules and the dashboard are made from the same table."""


def series(name: str) -> str:
    """The name under which Prometheus has a metric of the table. KeyError for an unknown one."""
    return _SERIES[name]


_SERIES = {metric.name: f"{PREFIX}{metric.name}{metric.suffix}" for metric in METRICS}


def _family(metric: Definition, facts: Facts) -> Metric:
    name = PREFIX + metric.name
    match metric:
        case Gauge():
            family = GaugeMetricFamily(name, metric.told)
            if (value := _known(metric.read(facts))) is not None:
                family.add_metric([], value)
            return family
        case Labelled():
            family = GaugeMetricFamily(name, metric.told, labels=metric.labels)
            for labels, value in metric.read(facts):
                family.add_metric(labels, value)
            return family
        case Counter():
            return _counter(metric, facts.totals)
        case Histogram():
            return _phases(metric, facts.totals)
        case Info():
            return InfoMetricFamily(name, metric.told, metric.read(facts))


def _counter(metric: Counter, totals: Mapping[tuple[str, str], float]) -> Metric:
    family = CounterMetricFamily(PREFIX + metric.name, metric.told, labels=metric.labels)
    samples = {label: value for (kind, label), value in totals.items() if kind == metric.total}
    for label, value in sorted(samples.items()):
        parts = label.split("\t") if label else []
        family.add_metric([*parts, *[""] * (len(metric.labels) - len(parts))], value)
    if not samples and not metric.labels:
        family.add_metric([], 0)
    return family


def _phases(metric: Histogram, totals: Mapping[tuple[str, str], float]) -> Metric:
    family = HistogramMetricFamily(PREFIX + metric.name, metric.told, labels=metric.labels)
    for phase in sorted(label for kind, label in totals if kind == "phase_count"):
        below, buckets = 0.0, []
        for bound in (*(f"{value:g}" for value in BUCKETS), "+Inf"):
            below += totals.get(("phase_bucket", f"{phase}\t{bound}"), 0.0)
            buckets.append((bound if bound == "+Inf" else str(float(bound)), below))
        family.add_metric([phase], buckets, totals.get(("phase_seconds", phase), 0.0))
    return family


class _FactsCollector(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        return (_family(metric, self._facts) for metric in METRICS)


def render(facts: Facts) -> bytes:
    """The text form that node_exporter and Prometheus read."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_FactsCollector(facts))
    return generate_latest(registry)


def write_textfile(path: Path, facts: Facts) -> None:
    """In one step, readable by the exporter where it is new.

    NotUsable for a device or a pipe, and for a file with the metrics of another cache that is still there: its figures
    would be taken for those of this one, and these for its own. OSError.
    """
    theirs = _cache_of(path)
    if theirs is not None and theirs != facts.cache and os.path.lexists(theirs):
        raise NotUsable(f"it has the metrics of the cache {clean(theirs)}; give each cache a file of its own", path)
    replace_file(path, _OF + json.dumps(facts.cache).encode() + b"\n" + render(facts), mode=0o644)


def _cache_of(path: Path) -> str | None:
    """The cache that a text file names; None where there is none, or it names none."""
    try:
        with reading(path) as file:
            line = file.readline(LARGEST)
    except FileNotFoundError:
        return None
    if not line.startswith(_OF):
        return None
    try:
        found = json.loads(line.removeprefix(_OF))
    except ValueError:
        return None
    return found if isinstance(found, str) else None
