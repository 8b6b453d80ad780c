"""The guards, over every kind of number that they can meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_sync.sync.guard import (
    FREE_LOSSES,
    Facts,
    Share,
    implausible,
    largest_share,
    shrink_error,
    source_error,
)
from storage_sync.values.errors import LocalIO
from storage_sync.values.next_step import NextStep
from storage_sync.values.options import Consent
from storage_sync.values.outcome import error_value

ROWS = st.integers(0, 200_000)
SHARES = st.builds(lambda proven, part: Share(proven * part // 1000, proven), ROWS, st.integers(0, 1000))
TABLES = st.dictionaries(st.sampled_from(["episodes", "heuristics", "patterns", "embeddings"]), SHARES, min_size=1)


def facts(tables: dict[str, Share], *, expected: int = 5, cached: int = 5) -> Facts:
    return Facts(expected_episodes=expected, cached_episodes=cached, tables=tables)


@given(tables=TABLES, ratio=st.floats(0.0, 1.0))
def test_a_larger_part_of_a_table_or_of_all_rows_than_the_ratio_is_stopped(
    tables: dict[str, Share], ratio: float
) -> None:
    found = facts(tables)
    error = shrink_error(found, Consent(), ratio)
    lost, proven = sum(one.lost for one in tables.values()), sum(one.proven for one in tables.values())
    pairs = [(one.lost, one.proven) for one in tables.values()] + [(lost, proven)]
    over = [(less, of) for less, of in pairs if less > FREE_LOSSES and less > ratio * of]
    assert (error is not None) == bool(over)
    assert largest_share(found) == max([less / of for less, of in pairs if less > FREE_LOSSES], default=0.0)
    if error is not None:
        assert error.exit_code == 9
        assert f"the primary lost {lost:,} of {proven:,} proven rows" in error.message
        assert all(f"{one} {name}" in error.message for name, one in tables.items() if (one.lost, one.proven) in over)
        assert "--allow-shrink" in error.hint


def test_the_whole_of_a_small_table_is_stopped_beside_large_ones() -> None:
    tables = {"episodes": Share(0, 1000), "heuristics": Share(12, 12)}
    assert shrink_error(facts(tables), Consent(), 0.5) is not None
    assert shrink_error(facts({**tables, "heuristics": Share(10, 10)}), Consent(), 0.5) is None


def test_an_empty_primary_never_empties_a_cache_unasked() -> None:
    emptied = facts({}, expected=0, cached=1)
    assert shrink_error(emptied, Consent(), 1.0) is not None
    assert shrink_error(emptied, Consent(allow_shrink=True), 1.0) is None


def test_two_empty_stores_are_no_reason_to_stop() -> None:
    assert shrink_error(facts({}, expected=0, cached=0), Consent(), 0.0) is None


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


def test_the_share_of_nothing_is_nothing() -> None:
    assert largest_share(facts({"episodes": Share(0, 0)})) == 0.0


def test_each_guard_says_what_lifts_it() -> None:
    def lifts(now: tuple[str, int]) -> NextStep | None:
        error = source_error(stamped=("a", 0), now=now, same_root=False, consent=Consent())
        assert error is not None
        return error_value(error).step

    assert lifts(("b", 0)) is NextStep.ADOPT
    assert lifts(("a", 1)) is NextStep.COMPARE
    emptied = shrink_error(facts({}, expected=0, cached=5), Consent(), 0.5)
    assert emptied is not None
    assert emptied.step is NextStep.ALLOW_SHRINK
    assert error_value(LocalIO("the disk is full")).step is None
