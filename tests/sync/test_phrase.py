"""What must be typed before a plan may run: by the rows that leave, against those that the plan's own look counted."""

from __future__ import annotations

import pytest

from storage_sync.sync.plan import phrase_for
from storage_sync.values.outcome import TableChange


@pytest.mark.parametrize(
    ("level", "removed", "cached", "phrase"),
    [
        (1, 0, 0, None),
        (2, 5, 2_000, None),
        (2, 100, 2_000, None),
        (2, 101, 2_000, "prod"),
        (2, 1, 10, None),
        (2, 2, 10, "prod"),
        (3, 0, 2_000, "prod"),
    ],
)
def test_what_must_be_typed(level: int, removed: int, cached: int, phrase: str | None) -> None:
    changes = {"episodes": TableChange(remove=removed), "patterns": TableChange(insert=5)}
    assert phrase_for(level, changes, {"episodes": cached, "patterns": 0}, "prod") == phrase
