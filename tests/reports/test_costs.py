"""What a month costs, by one measured poll and one proof."""

from __future__ import annotations

import pytest

from storage_sync.config.settings import Settings
from storage_sync.reports.costs import Estimate, Measured, estimate, told


@pytest.mark.parametrize(
    ("measured", "found"),
    [
        (Measured(15, 30_000, True), Estimate(900_000, 1_300_000_000, None)),
        (Measured(15, 30_000, False), Estimate(94_000_000, 1_300_000_000, 2_000)),
        (Measured(1_000, 10_000, False), Estimate(550_000_000, 950_000_000, None)),
        (Measured(0, 0, False), Estimate(0, 0, None)),
    ],
)
def test_a_month(measured: Measured, found: Estimate) -> None:
    assert estimate(measured, Settings(), 60.0) == found


def test_the_interval_that_is_named_halves_it() -> None:
    measured = Measured(15, 30_000, False)
    first = estimate(measured, Settings(), 60.0)
    assert first.halved_by is not None
    halved = estimate(measured, Settings(interval_s=float(first.halved_by)), 60.0)
    assert halved.idle == pytest.approx(first.idle / 2, rel=0.05)
    assert f"interval_s = {first.halved_by} would halve" in told(measured, Settings(), 60.0)
