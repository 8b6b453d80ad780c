"""Alert rules for Prometheus, from the table of the metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator

from msgspec import Struct

from storage_sync.reports.metrics import series
from storage_sync.values.outcome import CacheState

DAMAGED = (
    CacheState.TRUNCATED,
    CacheState.CORRUPT,
    CacheState.BIT_ROT,
    CacheState.WRONG_TYPES,
    CacheState.ROLLED_BACK,
    CacheState.FOREIGN,
)
OTHER_VERSION = (CacheState.FORMAT_OLD, CacheState.FORMAT_NEW, CacheState.WRONG_SCHEMA)
GROUP = "storage-sync"
PREFIX = "StorageSync"
"""Of every alert's name."""


class Alert(Struct, frozen=True):
    """One rule. `hold_s`: seconds for which the expression must be true first. `do`: what an operator does then."""

    name: str
    expression: str
    hold_s: int
    severity: str
    summary: str
    do: str


def _in_state(states: tuple[CacheState, ...]) -> str:
    return f'{series("cache_state")}{{state=~"{"|".join(state.value for state in states)}"}} == 1'


def _ended_with(code: int) -> str:
    return f"{series('last_exit_code')} == {code}"


ALERTS: tuple[Alert, ...] = (
    Alert(
        f"{PREFIX}Gone",
        f"max by (instance, job) (max_over_time({series('build')}[1d])) unless on (instance, job) {series('build')}",
        600,
        "critical",
        "{{ $labels.instance }} no longer sends metrics of its cache.",
        "Run systemctl status storage-sync.service there; then check the scrape, or the folder of the text file.",
    ),
    Alert(
        f"{PREFIX}Stale",
        f"time() - {series('last_success_timestamp_seconds')} > 3 * {series('interval_seconds')}",
        60,
        "critical",
        "No run on {{ $labels.instance }} has ended well for {{ $value | humanizeDuration }}.",
        "Run storage-sync status --check there; the log names the cause.",
    ),
    Alert(
        f"{PREFIX}NeverSucceeded",
        f"{series('build')} unless on (instance, job) {series('last_success_timestamp_seconds')}",
        900,
        "critical",
        "No run on {{ $labels.instance }} has ever ended well.",
        "Run storage-sync doctor there.",
    ),
    Alert(
        f"{PREFIX}NotInSync",
        f"{series('in_sync')} == 0",
        900,
        "warning",
        "The cache on {{ $labels.instance }} is not proven equal to the primary.",
        "Run storage-sync status --check there.",
    ),
    Alert(
        f"{PREFIX}PrimaryDown",
        f"{series('primary_up')} == 0",
        300,
        "warning",
        "{{ $labels.instance }} does not reach the primary.",
        "Run storage-sync ping there. If every host reports this, the primary is down.",
    ),
    Alert(
        f"{PREFIX}PrimaryRefuses",
        _ended_with(4),
        0,
        "critical",
        "The primary refuses {{ $labels.instance }}, or its schema cannot be used.",
        "Check the token, its permissions and the address; the server's message is in the log.",
    ),
    Alert(
        f"{PREFIX}GuardStopped",
        _ended_with(9),
        0,
        "critical",
        "A guard stopped the run on {{ $labels.instance }}; nothing was changed.",
        "Run storage-sync sync --plan there, then decide. The message names the option that gives consent.",
    ),
    Alert(
        f"{PREFIX}LocalTrouble",
        _ended_with(8),
        0,
        "critical",
        "{{ $labels.instance }} cannot read or write: permissions, a read-only or full disk, an I/O error.",
        "Run storage-sync doctor there.",
    ),
    Alert(
        f"{PREFIX}CacheDamaged",
        _in_state(DAMAGED),
        60,
        "critical",
        "The cache on {{ $labels.instance }} is damaged: {{ $labels.state }}.",
        "Run storage-sync repair --plan there.",
    ),
    Alert(
        f"{PREFIX}OtherVersion",
        _in_state(OTHER_VERSION),
        60,
        "critical",
        "The cache on {{ $labels.instance }} is of another version of redb or do-memory: {{ $labels.state }}.",
        "Run storage-sync rebuild there, or install a newer storage-sync.",
    ),
    Alert(
        f"{PREFIX}WentBack",
        f"increase({series('rollbacks_detected')}[1h]) > 0",
        0,
        "warning",
        "The cache on {{ $labels.instance }} was found to be older than its last commit.",
        "Find out who restores copies of that file, or whether the disk loses writes.",
    ),
    Alert(
        f"{PREFIX}BitRot",
        f"increase({series('bitrot_keys')}[1h]) > 0",
        0,
        "warning",
        "Rows of the cache on {{ $labels.instance }} were found damaged.",
        "If auto_repair is on, they were fetched again. Check the disk.",
    ),
    Alert(
        f"{PREFIX}RejectedRows",
        f"{series('quarantined_rows')} > 0",
        0,
        "warning",
        "Rows of the primary that the cache on {{ $labels.instance }} cannot hold: {{ $value }}.",
        "Run storage-sync quarantine list there: it says which rows and why.",
    ),
    Alert(
        f"{PREFIX}RowsWait",
        f"{series('waiting_rows')} > 0 and time() - {series('waiting_since_timestamp_seconds')} > "
        f"{series('wait_notice_seconds')}",
        0,
        "warning",
        "Another process holds the cache on {{ $labels.instance }}. Rows that wait: {{ $value }}.",
        "End that process, or restart it through storage-sync exec.",
    ),
    Alert(
        f"{PREFIX}DiskLow",
        f"{series('disk_free_bytes')} < 2 * {series('cache_file_bytes')}",
        60,
        "warning",
        "{{ $value | humanize1024 }}B are free beside the cache on {{ $labels.instance }}: too little to rebuild it.",
        "Free some disk space, or run storage-sync compact there.",
    ),
)


def rules(*, hold: bool = True) -> str:
    """The rule file. `hold`: wait as long as each rule says; without it an alert fires at once."""
    return "\n".join(_lines(hold)) + "\n"


def _lines(hold: bool) -> Iterator[str]:
    yield "# Made by `storage-sync service files`; change copies of it, under other names."
    yield "groups:"
    yield f"  - name: {GROUP}"
    yield "    rules:"
    for alert in ALERTS:
        yield f"      - alert: {alert.name}"
        yield f"        expr: {json.dumps(alert.expression)}"
        if hold and alert.hold_s:
            yield f"        for: {alert.hold_s}s"
        yield "        labels:"
        yield f"          severity: {alert.severity}"
        yield "        annotations:"
        yield f"          summary: {json.dumps(alert.summary)}"
        yield f"          description: {json.dumps(alert.do)}"
