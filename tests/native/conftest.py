"""A cache of one small table, as a run left it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native import journey
from tests.native.ledgers import TABLE
from tests.native.synthetic import Primary, heuristic

ROWS = 12


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    journey.build(Primary({TABLE: [heuristic(number) for number in range(ROWS)]}), tmp_path / "cache.redb")
    return tmp_path / "cache.redb"
