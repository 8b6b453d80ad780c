"""Every file of the repository's `packaging/` that is made: for this program's usual places."""

from __future__ import annotations

from storage_sync.packaging.alerts import rules
from storage_sync.packaging.dashboard import dashboard
from storage_sync.packaging.units import CRON, ONCE, TIMER, WATCH, Places, cron_line, once_unit, timer_unit, watch_unit

RULES, DASHBOARD = "storage-sync.rules.yml", "storage-sync.dashboard.json"


def packaged(places: Places) -> dict[str, str]:
    """Text by name."""
    return {
        WATCH: watch_unit(places),
        ONCE: once_unit(places),
        TIMER: timer_unit(),
        CRON: cron_line(places),
        RULES: rules(),
        DASHBOARD: dashboard(),
    }
