"""What a plan says before a cache of another primary is replaced."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from storage_sync.sync.plan import adoption
from storage_sync.values.outcome import Plan, PlanRow

REJECTED = PlanRow("refuse", "rows that cannot be represented", 2, None, "no")
PRIMARY = PlanRow("primary", "never written", 0, None, "")
COMPARED = Plan(
    id="p-1",
    kind="sync",
    base=(3, "aa"),
    root="bb",
    changes={},
    rows=(PlanRow("insert", "rows to insert", 5, 100, "yes"), REJECTED, PRIMARY),
    removes_ratio=0.25,
    lost=("said before",),
    level=1,
    gone=1_234,
)


def test_it_builds_all_rows_and_keeps_the_old_file() -> None:
    plan = adoption(COMPARED, rows=1_000, cache_only=7, size=4096)
    fetch, keep, *left = plan.rows
    assert (fetch.step, fetch.rows, fetch.undo) == ("fetch", 1_000, "undo")
    assert (keep.step, keep.rows, keep.bytes, keep.undo) == ("file", 0, 4096, "not needed")
    assert left == [REJECTED, PRIMARY]
    assert plan.lost == (
        "left only in the old file: 1,234 rows that the primary no longer has",
        "left only in the old file: 7 rows that only the cache has",
        "said before",
    )
    assert plan.level > COMPARED.level
    assert (plan.id, plan.base, plan.root) == (COMPARED.id, COMPARED.base, COMPARED.root)


@pytest.mark.parametrize(("gone", "cache_only", "words"), [(0, 0, []), (1_234, 0, ["1,234 rows"]), (0, 1, ["1 row "])])
def test_it_names_only_what_stays_behind(gone: int, cache_only: int, words: list[str]) -> None:
    compared = replace(COMPARED, gone=gone)
    plan = adoption(compared, rows=1, cache_only=cache_only, size=None)
    said = plan.lost[:-1]
    assert len(said) == len(words)
    assert all(f": {word}" in text for text, word in zip(said, words, strict=True))
