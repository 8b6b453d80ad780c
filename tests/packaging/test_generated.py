"""Units, rules and dashboard in `packaging/` are what the program makes, and name metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from storage_sync.packaging.alerts import ALERTS
from storage_sync.packaging.dashboard import PANELS, dashboard
from storage_sync.packaging.files import packaged
from storage_sync.packaging.units import Places
from storage_sync.reports.metrics import METRICS, series
from tests.reports.test_metrics import FULL, samples

FOLDER = Path(__file__).resolve().parents[2] / "packaging"
MADE = packaged(Places())
EXPRESSIONS = [
    *(alert.expression for alert in ALERTS),
    *(query for panel in PANELS for _, query in panel.queries),
]


@pytest.mark.parametrize("name", MADE)
def test_what_is_kept_is_what_is_made(name: str) -> None:
    """`storage-sync service files packaging` makes them again."""
    assert (FOLDER / name).read_text(encoding="utf-8") == MADE[name]


def test_nothing_else_is_kept_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*MADE, "README.md"}


def test_each_metric_that_is_named_is_told() -> None:
    told = {f"storage_sync_{name}" for name, _ in samples(FULL)}
    named = {name for text in EXPRESSIONS for name in re.findall(r"storage_sync_\w+", text)}
    assert len(named) > 15
    assert named <= told


def test_each_metric_of_the_table_is_told_under_its_name() -> None:
    told = {f"storage_sync_{name}" for name, _ in samples(FULL)}
    assert {series(metric.name) for metric in METRICS} <= told


def test_the_dashboard_fits_the_grid() -> None:
    panels = json.loads(dashboard())["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in [panel["gridPos"]["y"]]
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels) == len(PANELS)
