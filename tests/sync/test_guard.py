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
    stepped_back,
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
    assert emptied.step is NextStep.ALLOW_EMPTY
    assert emptied.step.shrinks
    assert error_value(LocalIO("the disk is full")).step is None


@pytest.mark.parametrize(
    ("differ", "gone", "exact", "told"),
    [
        (None, 0, True, "the primary's log went back; nothing was changed"),
        (0, 0, True, "the primary's log went back: 0 rows differ, 0 are gone; nothing was changed"),
        (1, 1, True, "the primary's log went back: 1 row differs, 1 is gone; nothing was changed"),
        (
            2000,
            1500,
            False,
            "the primary's log went back: up to 2,000 rows differ, 1,500 are gone; nothing was changed",
        ),
    ],
)
def test_a_log_that_went_back_is_told_with_what_it_took(differ: int | None, gone: int, exact: bool, told: str) -> None:
    error = stepped_back(differ, gone, exact=exact)
    assert (error.message, error.exit_code, error.step) == (told, 9, NextStep.COMPARE)
    assert error.hint == (
        "a crash of the server loses no rows, a restore may; storage-sync diff shows the rows that differ; "
        "sync --adopt builds a new cache"
    )


def test_another_primary_is_told_with_what_to_look_at() -> None:
    error = source_error(stamped=("a", 1), now=("b", 1), same_root=False, consent=Consent())
    assert error is not None
    assert (error.message, error.hint) == (
        "this cache was built from another primary; nothing was changed",
        "check the URL (storage-sync config show); sync --adopt builds a new cache from this primary",
    )
    exact = source_error(stamped=("a", 1), now=("a", 2), same_root=False, consent=Consent())
    assert exact is not None
    assert exact.message == stepped_back().message


def test_an_empty_primary_is_told_with_what_to_look_at() -> None:
    error = shrink_error(facts({}, expected=0, cached=1200), Consent(), 1.0)
    assert error is not None
    assert (error.message, error.hint) == (
        "the primary has no episodes while the cache holds 1,200; nothing was changed",
        "check that the URL names the right database; sync --allow-shrink empties the cache",
    )
    assert shrink_error(facts({}, expected=0, cached=1200), Consent(adopt=True), 1.0) is None
    assert shrink_error(facts({}, expected=1, cached=1200), Consent(), 1.0) is None


def test_what_a_primary_lost_is_told_by_table() -> None:
    tables = {"episodes": Share(0, 5000), "heuristics": Share(1200, 1300), "patterns": Share(11, 12)}
    error = shrink_error(facts(tables), Consent(), 0.5)
    assert error is not None
    assert (error.message, error.hint, error.step) == (
        "the primary lost 1,211 of 6,312 proven rows or what they belong to (1,200 of 1,300 heuristics, "
        "11 of 12 patterns), more than 50% of a table; nothing was changed",
        "sync --plan lists these rows; sync --allow-shrink removes them",
        NextStep.ALLOW_SHRINK,
    )


def test_what_a_primary_lost_of_all_is_told_where_no_table_lost_too_much() -> None:
    error = shrink_error(facts({"episodes": Share(6, 6), "heuristics": Share(6, 6)}), Consent(), 0.5)
    assert error is not None
    assert error.message == (
        "the primary lost 12 of 12 proven rows or what they belong to, more than 50% of all rows; nothing was changed"
    )


def test_why_a_cache_is_not_taken_over() -> None:
    def told(cached: int, known: int, schema: int | None = 4, *, wrong: bool = False) -> str | None:
        return implausible(cached, known, schema, wrong_types=wrong)

    assert told(9, 9, wrong=True) == "its tables are not of do-memory's types"
    assert told(9, 9, 3) == "its schema version is 3, not 4"
    assert told(9, 9, None) == "its schema version is absent, not 4"
    assert told(1, 0) == "this primary has only 0 of its 1 episode"
    assert told(3000, 1200) == "this primary has only 1,200 of its 3,000 episodes"
