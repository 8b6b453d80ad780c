"""What is said of each table after a run, from what was compared and what the file holds."""

from __future__ import annotations

from storage_sync.checks.facts import TableFacts
from storage_sync.sync.table_counts import table_counts
from storage_sync.values.outcome import DERIVED_TABLES, TableCounts

AUDITED_AT = 1_700_000_000.0
FACTS = TableFacts(primary=12, expected=10, missing=0, differing=0, equal=9, refused=1, surplus=0)


def test_a_table_that_was_counted() -> None:
    (counts,) = table_counts({"episodes": FACTS}, {"episodes": 14}, {"episodes": 5}, {"episodes": 2}, None).values()
    assert counts == TableCounts(primary=12, expected=10, cache=14, cache_only=3, refused=1, beyond=2)


def test_a_table_that_was_not_counted_says_since_when() -> None:
    uncounted = TableFacts(primary=None, expected=10, missing=0, differing=0, equal=10, refused=0, surplus=0)
    found = table_counts(
        {"episodes": uncounted, "patterns": FACTS}, {"episodes": 10, "patterns": 9}, {}, {}, AUDITED_AT
    )
    assert found["episodes"] == TableCounts(expected=10, cache=10, refused=0, as_of=AUDITED_AT)
    assert found["patterns"].as_of is None


def test_more_beyond_the_window_than_is_unlisted_is_no_negative_number() -> None:
    (counts,) = table_counts({}, {"episodes": 3}, {"episodes": 1}, {"episodes": 2}).values()
    assert counts.cache_only == 0


def test_a_table_that_was_not_compared_is_unknown_and_a_derived_one_rejects_nothing() -> None:
    derived = min(DERIVED_TABLES)
    found = table_counts({}, {"episodes": 3, derived: 4}, {}, {}, AUDITED_AT)
    assert found["episodes"] == TableCounts(cache=3)
    assert found[derived] == TableCounts(cache=4, refused=0)
