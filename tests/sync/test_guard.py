"""The guards, over every kind of number that they can meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_sync.sync.guard import (
    FREE_REMOVALS,
    Consent,
    Facts,
    implausible,
    removal_ratio,
    shrink_error,
    source_error,
)

ROWS = st.integers(0, 200_000)


def facts(**numbers: int) -> Facts:
    return Facts(**{"expected_episodes": 5, "cached_episodes": 5, "listed_rows": 100, "removals": 0, **numbers})


@given(removals=ROWS, listed=ROWS, ratio=st.floats(0.0, 1.0))
def test_more_removals_than_the_ratio_are_stopped(removals: int, listed: int, ratio: float) -> None:
    error = shrink_error(facts(removals=removals, listed_rows=listed), Consent(), ratio)
    stopped = removals > FREE_REMOVALS and removals > ratio * listed
    assert (error is not None) == stopped
    if error is not None:
        assert error.exit_code == 9
        assert "--allow-shrink" in error.hint


def test_an_empty_primary_never_empties_a_cache_unasked() -> None:
    emptied = facts(expected_episodes=0, cached_episodes=1)
    assert shrink_error(emptied, Consent(), 1.0) is not None
    assert shrink_error(emptied, Consent(allow_shrink=True), 1.0) is None


def test_two_empty_stores_are_no_reason_to_stop() -> None:
    assert shrink_error(facts(expected_episodes=0, cached_episodes=0), Consent(), 0.0) is None


@given(same_root=st.booleans(), adopt=st.booleans(), other=st.booleans(), later=st.booleans())
def test_another_source_needs_the_same_content_or_consent(
    same_root: bool, adopt: bool, other: bool, later: bool
) -> None:
    now = ("b" if other else "a", 1 if later else 0)
    error = source_error(stamped=("a", 0), now=now, same_root=same_root, consent=Consent(adopt=adopt))
    assert (error is not None) == ((other or later) and not same_root and not adopt)


@pytest.mark.parametrize(
    ("cached", "known", "schema", "plausible"),
    [
        (0, 0, None, True),
        (0, 0, 4, True),
        (9, 9, 4, True),
        (9, 8, 4, False),
        (10, 5, 4, True),
        (10, 4, 4, False),
        (1000, 500, 4, True),
        (1000, 499, 4, False),
        (1000, 1000, 3, False),
        (1000, 1000, None, False),
    ],
)
def test_a_cache_is_taken_over_when_its_episodes_are_the_primarys(
    cached: int, known: int, schema: int | None, plausible: bool
) -> None:
    assert (implausible(cached, known, schema, wrong_types=False) is None) == plausible


def test_wrong_types_are_never_plausible() -> None:
    assert implausible(100, 100, 4, wrong_types=True) is not None


def test_ratio_of_nothing_is_nothing() -> None:
    assert removal_ratio(facts(listed_rows=0, removals=0)) == 0.0
