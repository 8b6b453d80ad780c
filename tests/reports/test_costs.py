"""What a month costs, by what single questions read."""

from __future__ import annotations

import pytest

from storage_sync.config.settings import Settings
from storage_sync.reports.costs import Estimate, estimate, told
from storage_sync.values.measured import Measured

WITH_INDEX = Measured(poll=16, quiet_poll=1, follow=60, proof=15_000, has_index=True)
WITHOUT = Measured(poll=16, quiet_poll=16, follow=60, proof=15_000, has_index=False)


@pytest.mark.parametrize(
    ("measured", "found"),
    [
        # 518,400 polls and 2,880 proofs a month
        (WITH_INDEX, Estimate(520_000, 83_000_000, 20_000)),
        (WITHOUT, Estimate(51_000_000, 83_000_000, 2_200)),
        (Measured(1_000, 1_000, 60, 10_000, has_index=False), Estimate(550_000_000, 580_000_000, None)),
        (Measured(0, 0, 0, 0, has_index=False), Estimate(0, 0, None)),
    ],
)
def test_a_month(measured: Measured, found: Estimate) -> None:
    assert estimate(measured, Settings()) == found


def test_the_interval_that_is_named_halves_what_it_is_named_for() -> None:
    first = estimate(WITHOUT, Settings())
    assert first.halved_by is not None
    halved = estimate(WITHOUT, Settings(interval_s=float(first.halved_by)))
    assert halved.quiet == pytest.approx(first.quiet / 2, rel=0.05)
    assert f"interval_s = {first.halved_by} would halve the first" in told(WITHOUT, Settings())
    dense = Settings(interval_s=60.0)
    busy = estimate(WITH_INDEX, dense)
    assert busy.halved_by is not None
    halved = estimate(WITH_INDEX, Settings(interval_s=float(busy.halved_by)))
    assert halved.busy == pytest.approx(busy.busy / 2, rel=0.05)
    assert f"interval_s = {busy.halved_by} would halve the second" in told(WITH_INDEX, dense)


def test_where_polls_cost_most_no_interval_is_named() -> None:
    assert "a larger poll_s would lower the second number of the month, but no interval_s would halve it" in told(
        Measured(160, 1, 600, 15_000, has_index=True), Settings()
    )
