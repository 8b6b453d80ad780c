"""A dashboard for Grafana, from the table of the metrics: every cache, the worst first, then one cache over time."""

from __future__ import annotations

import json
from typing import Literal

from msgspec import Struct

from storage_sync.packaging.alerts import PREFIX
from storage_sync.reports.metrics import series

INSTANCE = "$instance"
"""The variable of the dashboard that chooses hosts."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 24, 8
"""Columns of Grafana's grid, and rows of one panel."""


class Panel(Struct, frozen=True):
    """One panel. `queries`: legend and expression; `unit`: Grafana's name for it."""

    title: str
    kind: Literal["stat", "table", "timeseries"]
    unit: str
    queries: tuple[tuple[str, str], ...]
    width: int = 8


def _of(name: str, suffix: str = "") -> str:
    return f'{series(name)}{suffix}{{instance=~"{INSTANCE}"}}'


def _rate(name: str, *by: str) -> str:
    return f"sum by ({', '.join(('instance', *by))}) (rate({_of(name)}[$__rate_interval]))"


_WORST = (
    f'sum by (instance) (ALERTS{{alertname=~"{PREFIX}.*", alertstate="firing", instance=~"{INSTANCE}"}}) '
    f"or (0 * max by (instance) ({_of('build')}))"
)

PANELS: tuple[Panel, ...] = (
    Panel("Caches", "stat", "none", (("", f"count({_of('build')})"),), 6),
    Panel("In sync", "stat", "none", (("", f"sum({_of('in_sync')})"),), 6),
    Panel("Primary reached", "stat", "none", (("", f"sum({_of('primary_up')})"),), 6),
    Panel("Oldest proof", "stat", "s", (("", f"max({_of('proof_age_seconds')})"),), 6),
    Panel("Alerts, worst first", "table", "none", (("", f"sort_desc({_WORST})"),), 12),
    Panel(
        "Longest without a good run",
        "table",
        "s",
        (("", f"sort_desc(time() - {_of('last_success_timestamp_seconds')})"),),
        12,
    ),
    Panel("In sync", "timeseries", "none", (("{{instance}}", _of("in_sync")),)),
    Panel("Time behind the primary", "timeseries", "s", (("{{instance}}", _of("lag_seconds")),)),
    Panel("Rows that wait", "timeseries", "none", (("{{instance}}", _of("waiting_rows")),)),
    Panel(
        "Rows",
        "timeseries",
        "none",
        (("{{instance}} {{table}} {{side}}", f"sum by (instance, table, side) ({_of('rows')})"),),
    ),
    Panel("Rows changed", "timeseries", "none", (("{{instance}} {{op}}", _rate("changes", "op")),)),
    Panel("Rejected rows", "timeseries", "none", (("{{instance}}", _of("quarantined_rows")),)),
    Panel("Runs by how they ended", "timeseries", "none", (("{{instance}} {{result}}", _rate("runs", "result")),)),
    Panel(
        "Time of a run by phase, 95th percentile",
        "timeseries",
        "s",
        (
            (
                "{{instance}} {{phase}}",
                f"histogram_quantile(0.95, sum by (instance, phase, le) "
                f"(rate({_of('duration_seconds')}[$__rate_interval])))",
            ),
        ),
    ),
    Panel(
        "Time that runs hold the lock of the cache", "timeseries", "s", (("{{instance}}", _rate("lock_held_seconds")),)
    ),
    Panel(
        "Rows read by the primary, by purpose", "timeseries", "none", (("{{purpose}}", _rate("rows_read", "purpose")),)
    ),
    Panel("Requests", "timeseries", "reqps", (("{{instance}} {{code}}", _rate("requests", "code")),)),
    Panel("Received", "timeseries", "Bps", (("{{instance}}", _rate("fetch_bytes")),)),
    Panel("Latency of the primary", "timeseries", "s", (("{{instance}}", _of("primary_latency_seconds")),)),
    Panel(
        "Size of the cache",
        "timeseries",
        "bytes",
        (("{{instance}} file", _of("cache_file_bytes")), ("{{instance}} rows", _of("cache_payload_bytes"))),
    ),
    Panel("Free disk space beside the cache", "timeseries", "bytes", (("{{instance}}", _of("disk_free_bytes")),)),
    Panel(
        "States of the file",
        "table",
        "none",
        (("", f"{_of('cache_state')} == 1"),),
        12,
    ),
    Panel("Versions", "table", "none", (("", f"count by (version, redb, enc) ({_of('build')})"),), 12),
)


def dashboard() -> str:
    """The JSON that Grafana imports."""
    panels, x, y = [], 0, 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > WIDTH:
            x, y = 0, y + HEIGHT
        panels.append(_panel(number, panel, x, y))
        x += panel.width
    document = {
        "title": "storage-sync",
        "uid": "storage-sync",
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source_variable(), _instance_variable()]},
        "panels": panels,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, object]:
    table = {"format": "table", "instant": True} if panel.kind != "timeseries" else {}
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": query, "legendFormat": legend, **table}
            for place, (legend, query) in enumerate(panel.queries)
        ],
    }


def _source_variable() -> dict[str, object]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _instance_variable() -> dict[str, object]:
    return {
        "name": "instance",
        "type": "query",
        "label": "Host",
        "datasource": SOURCE,
        "query": f"label_values({series('build')}, instance)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
