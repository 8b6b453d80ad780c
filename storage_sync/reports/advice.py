"""Whether a smaller window or a larger batch would help, and by how much: figures in, sentences out.

What a sync costs: with nothing changed it copies and hashes the cache and asks for the root, all of it in proportion
to the window; a first sync or a rebuild fetches every row; a fetch waits once a request. Rows mostly come as one
stream, so `batch_size` costs time only where the requests grow with the batches.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from msgspec import Struct

from storage_sync.config.settings import Settings
from storage_sync.values.snapshot import Advice

if TYPE_CHECKING:
    from storage_sync.state.history import History
    from storage_sync.values.extra import Advice as AdviceFields

BUSY_SHARE = 0.1
"""Share of the interval that a sync which changes nothing may take."""
ROOM = 2.0
"""A rebuild needs as much beside the cache as it has itself, and as much again to be at ease."""
WAIT_SHARE = 0.2
"""Share of a fetch that waiting for requests may take."""
BATCH_BYTES = 4_000_000
BATCH_MOST = 100_000
RUNS_LOOKED_AT = 50


class Figures(Struct, frozen=True):
    """What was measured on this cache; None is unknown. Rows, bytes, seconds; `ping_ms` milliseconds."""

    window: int
    batch_size: int
    interval_s: float
    staleness_s: float
    episodes: int | None = None
    """In the window; fewer than the window when the primary has no more."""
    rows: int | None = None
    """Of all tables."""
    cache_bytes: int | None = None
    disk_free: int | None = None
    rows_per_s: float | None = None
    ping_ms: float | None = None
    quiet_run_s: float | None = None
    """A sync that changed nothing."""
    moved_rows: int | None = None
    """Of a sync that changed something."""
    requests: int | None = None
    """Of the same."""

    @property
    def full_fetch_s(self) -> float | None:
        """How long it takes to fetch every row."""
        return self.rows / self.rows_per_s if self.rows and self.rows_per_s else None


def advise(figures: Figures) -> tuple[Advice, ...]:
    """At most one piece of advice a setting; none where nothing is known or little would be won."""
    return tuple(found for found in (_window(figures), _batch(figures)) if found is not None)


def _window(figures: Figures) -> Advice | None:
    if not figures.episodes:
        return None
    tight: list[tuple[float, float, str]] = []
    """How much of the window would fit, what of its time is saved, and why."""
    quiet, full = figures.quiet_run_s, figures.full_fetch_s
    if quiet is not None and quiet > BUSY_SHARE * figures.interval_s:
        part = BUSY_SHARE * figures.interval_s / quiet
        share = 100 * quiet / figures.interval_s
        why = f"a sync that changes nothing takes {_told(quiet)}, {share:.0f} % of interval_s"
        tight.append((part, quiet, why))
    if full is not None and full > figures.staleness_s:
        why = f"fetching everything takes {_told(full)}, longer than staleness_s"
        tight.append((figures.staleness_s / 2 / full, full, why))
    size, free = figures.cache_bytes, figures.disk_free
    if size and free is not None and free < ROOM * size:
        why = f"a rebuild has {free:,} bytes of free space beside a cache of {size:,} bytes"
        tight.append((free / (ROOM * size), quiet or 0.0, why))
    if not tight:
        return None
    part, seconds, why = min(tight)
    smaller = _rounded_down(figures.episodes * part)
    kept = smaller / figures.episodes
    saves_s, saves_bytes = seconds * (1 - kept), round((size or 0) * (1 - kept))
    gain = [f"about {_told(seconds * kept)} instead of {_told(seconds)}"] if seconds else []
    gain += [f"about {saves_bytes:,} bytes less"] if saves_bytes else []
    text = f"{why}; max_episodes_cache = {smaller} would mean {' and '.join(gain) or 'less time and space'}"
    return Advice("max_episodes_cache", figures.window, smaller, saves_s, saves_bytes, text)


def _batch(figures: Figures) -> Advice | None:
    moved, requests, rate, ping = figures.moved_rows, figures.requests, figures.rows_per_s, figures.ping_ms
    if not moved or not requests or not rate or ping is None:
        return None
    a_row = figures.cache_bytes / figures.rows if figures.cache_bytes and figures.rows else 2_000.0
    larger = min(BATCH_MOST, int(BATCH_BYTES / a_row), _rounded_up(moved))
    if larger <= figures.batch_size:
        return None
    paid = min(requests, math.ceil(moved / figures.batch_size))
    saves_s = (paid - math.ceil(moved / larger)) * ping / 1000
    fetch_s = moved / rate
    if saves_s <= WAIT_SHARE * fetch_s:
        return None
    text = (
        f"a usual sync of {moved:,} rows waits for the primary {paid} times, {ping:.0f} ms each; with batch_size = "
        f"{larger}, fetching would take about {_told(max(fetch_s - saves_s, 0.0))} instead of {_told(fetch_s)}"
    )
    return Advice("batch_size", figures.batch_size, larger, saves_s, 0, text)


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _rounded_down(value: float) -> int:
    """Two digits, at least 1."""
    whole = max(int(value), 1)
    unit = _unit(whole)
    return whole // unit * unit


def _rounded_up(value: int) -> int:
    unit = _unit(value)
    return -(-value // unit) * unit


def _unit(value: int) -> int:
    """What the second digit counts."""
    return int("1".ljust(len(str(value)) - 1, "0"))


# ------------------------------------------------------------------------------------------- figures


def figures_of(book: History, settings: Settings) -> Figures:
    """Middle values of the newest runs, and what the last one counted. Blocking: history and file are looked at."""
    runs = [run for run in book.runs(limit=RUNS_LOOKED_AT) if run.kind == "sync" and run.exit_code in (0, 7)]
    quiet = [run.took_s for run in runs if not run.new + run.changed + run.gone]
    moving = [run for run in runs if run.new + run.changed]
    medians = book.medians()
    counts = _counts(book.document(runs[0].id) if runs else None)
    size, free = _room(settings.cache)
    return Figures(
        window=settings.max_episodes_cache,
        batch_size=settings.batch_size,
        interval_s=settings.interval_s,
        staleness_s=settings.staleness_s,
        episodes=counts.get("episodes"),
        rows=sum(counts.values()) or None,
        cache_bytes=size,
        disk_free=free,
        rows_per_s=medians.rows_per_s,
        ping_ms=medians.ping_ms,
        quiet_run_s=median(quiet) if quiet else None,
        moved_rows=round(median(run.new + run.changed for run in moving)) if moving else None,
        requests=round(median(run.requests for run in moving)) if moving else None,
    )


def to_json(found: Iterable[Advice]) -> list[AdviceFields]:
    """`advice` of the document; an empty list says that nothing would be won."""
    return [
        {
            "setting": advice.setting,
            "now": advice.now,
            "suggested": advice.suggested,
            "saves_seconds": round(advice.saves_s, 3),
            "saves_bytes": advice.saves_bytes,
            "text": advice.text,
        }
        for advice in found
    ]


def _counts(document: Mapping[str, object] | None) -> dict[str, int]:
    """Expected rows by table, as a run's document has them."""
    tables = document.get("counts") if document is not None else None
    if not isinstance(tables, dict):
        return {}
    return {name: row["expected"] for name, row in tables.items() if isinstance(row.get("expected"), int)}


def _room(cache: Path | None) -> tuple[int | None, int | None]:
    if cache is None:
        return None, None
    try:
        room = os.statvfs(cache.parent)
        return cache.stat().st_size, room.f_bavail * room.f_frsize
    except OSError:
        return None, None
