"""What a staging takes, what it takes up again, and what stops its commit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from storage_sync import _native
from tests.native import journey, ledgers
from tests.native.conftest import ROWS
from tests.native.ledgers import LEDGER, TABLE
from tests.native.synthetic import Primary, Row, cursor, heuristic, name, scope

UNCHANGED, CHANGED, GONE, DOUBLED, TOUCHED, DAMAGED, REJECTED, REMOVED, ADDED = range(9)
"""What happens to a row between the run that staged it and the one that goes on."""
STEP = [_native.StepSpec(TABLE)]


@pytest.fixture
def newer() -> Primary:
    rows = [heuristic(number, f"newer {number:02}") for number in range(ROWS)]
    rows[REJECTED] = ledgers.broken(REJECTED)
    return Primary({TABLE: rows})


def staging_of(cache: Path, primary: Primary, *, sibling: bool = False, batch_rows: int = 100) -> _native.Staging:
    scan = None if sibling else journey.scanned(cache)
    comparison = journey.compared(primary, scan)
    place = f"{cache}.stage"
    return _native.Staging(
        scope(), scan, comparison, path=place, sibling=sibling, identity=b"one", batch_rows=batch_rows
    )


def fed(staging: _native.Staging, rows: list[Row]) -> None:
    staging.begin(STEP)
    staging.feed(cursor([rows]))
    staging.end()


def bytes_of(cache: Path, number: int) -> bytes:
    return ledgers.contents(cache)[TABLE][name(number)]


def edited(cache: Path, number: int, value: bytes | None) -> None:
    """As do-memory does it: our tables stay as they are."""
    found = ledgers.contents(cache)[TABLE].get(name(number))
    before = None if found is None else _native.digest("blake3", found)
    _native.edit(str(cache), [(TABLE, name(number), before, value)], {}, None, journey.NOW)


def test_a_row_that_comes_twice_in_one_answer_counts_once(cache: Path, newer: Primary) -> None:
    staging = staging_of(cache, newer)
    fed(staging, [row for row in newer.select(TABLE) for _ in range(2)])
    staging.seal()
    found = staging.changes[TABLE]
    assert (found.update, found.withdrawn, found.moved) == (ROWS - 1, 1, 0)


def test_a_row_that_is_another_than_the_manifest_says_has_moved(cache: Path, newer: Primary) -> None:
    staging = staging_of(cache, newer)
    newer.rows[TABLE][CHANGED] = heuristic(CHANGED, "newest")
    fed(staging, newer.select(TABLE))
    assert staging.changes[TABLE].moved == 1
    staging.seal()
    with pytest.raises(ValueError, match="another round"):
        _native.apply(str(cache), staging, {}, 2, journey.NOW)


def test_an_error_of_a_step_is_no_end_of_its_rows(cache: Path, newer: Primary) -> None:
    staging = staging_of(cache, newer)
    staging.begin(STEP)
    told = b'{"type":"step_error","step":0,"error":{"message":"gone","code":"SQLITE_IOERR"}}\n'
    whole = cursor([newer.select(TABLE)[:3]])
    with pytest.raises(_native.StreamError) as caught:
        staging.feed(whole.replace(b'{"type":"step_end"', told + b'{"type":"step_end"'))
    assert caught.value.code == "SQLITE_IOERR"


def test_a_real_where_none_belongs_is_asked_for_typed(cache: Path, newer: Primary) -> None:
    staging = staging_of(cache, newer)
    staging.begin(STEP)
    row = newer.select(TABLE)[0]
    with pytest.raises(_native.StreamError) as caught:
        staging.feed(cursor([[(*row[:-1], 0.5)]]))
    assert caught.value.code == "real"


def begin(staging: _native.Staging, cache: Path) -> None:
    staging.begin(STEP)


def feed_rows(staging: _native.Staging, cache: Path) -> None:
    staging.feed_rows(TABLE, [])


def seal(staging: _native.Staging, cache: Path) -> None:
    staging.seal()


def commit(staging: _native.Staging, cache: Path) -> None:
    _native.apply(str(cache), staging, {}, 2, journey.NOW)


def finish(staging: _native.Staging, cache: Path) -> None:
    _native.finish_sibling(staging, {}, 2, journey.NOW)


@pytest.mark.parametrize("act", [begin, feed_rows, finish])
def test_what_a_sealed_staging_does_not_do(
    cache: Path, newer: Primary, act: Callable[[_native.Staging, Path], None]
) -> None:
    staging = staging_of(cache, newer)
    journey.fetch(newer, staging)
    staging.seal()
    with pytest.raises(ValueError, match=r"sealed|sibling"):
        act(staging, cache)


@pytest.mark.parametrize("act", [seal, commit])
def test_what_a_staging_does_not_do_inside_a_response(
    cache: Path, newer: Primary, act: Callable[[_native.Staging, Path], None]
) -> None:
    before = cache.read_bytes()
    staging = staging_of(cache, newer)
    journey.fetch(newer, staging)
    staging.begin(STEP)
    with pytest.raises(ValueError, match=r"not ended|not sealed"):
        act(staging, cache)
    assert cache.read_bytes() == before


def test_a_build_is_never_committed_into_a_file(cache: Path, newer: Primary) -> None:
    staging = staging_of(cache, newer, sibling=True)
    journey.fetch(newer, staging)
    staging.seal()
    with pytest.raises(ValueError, match="finished, not applied"):
        commit(staging, cache)
    staging.discard()


def test_a_build_that_lacks_rows_is_not_finished(cache: Path, newer: Primary) -> None:
    staging = staging_of(cache, newer, sibling=True)
    fed(staging, newer.select(TABLE)[1:])
    staging.seal()
    with pytest.raises(ValueError, match="another round"):
        finish(staging, cache)
    staging.discard()


def test_a_comparison_of_another_scope_is_none(cache: Path, newer: Primary) -> None:
    comparison = journey.compared(newer, None, scope(window=3))
    with pytest.raises(ValueError, match="another scope"):
        _native.Staging(scope(), None, comparison, path=f"{cache}.stage", sibling=True)


@pytest.mark.parametrize("what", ["changed", "removed", "new"])
def test_a_row_that_was_touched_after_the_plan_is_a_conflict(cache: Path, what: str) -> None:
    """Nothing is written then, whether the plan was to take the row out or to put one in."""
    primary = Primary({TABLE: [heuristic(number) for number in (*range(1, ROWS), ROWS)]})
    staging = journey.prepared(primary, cache)
    other = bytes_of(cache, 1).replace(b"when", b"whom")
    match what:
        case "changed":
            edited(cache, 0, other)
        case "removed":
            edited(cache, 0, None)
        case _:
            edited(cache, ROWS, other)
    before = ledgers.contents(cache)
    with pytest.raises(_native.Conflict):
        commit(staging, cache)
    assert ledgers.contents(cache) == before


def moved_on(primary: Primary) -> Primary:
    """The primary when the next run asks."""
    rows = list(primary.rows[TABLE])
    rows[CHANGED] = heuristic(CHANGED, "newest")
    rows.append(heuristic(DOUBLED, "another"))
    return Primary({TABLE: [row for row in rows if row[0] != name(GONE)]})


def test_a_staging_goes_on_with_what_is_still_so(cache: Path, newer: Primary) -> None:
    first = staging_of(cache, newer, batch_rows=0)
    journey.fetch(newer, first)
    first.close()
    edited(cache, TOUCHED, bytes_of(cache, TOUCHED).replace(b"when", b"whom"))
    now = moved_on(newer)
    second = staging_of(cache, now, batch_rows=0)
    assert second.resumed_rows == ROWS - len((CHANGED, GONE, DOUBLED, TOUCHED))
    journey.fetch(now, second)
    second.seal()
    # the old bytes of a row that another wrote meanwhile are not those that the first run saw
    assert (name(TOUCHED), "local change replaced") in [(row[1], row[3]) for row in second.replaced(None, 99)]
    commit(second, cache)
    second.discard()
    holds(cache, now)


def test_a_build_goes_on_with_what_is_still_so(cache: Path, newer: Primary) -> None:
    first = staging_of(cache, newer, sibling=True, batch_rows=0)
    journey.fetch(newer, first)
    first.close()
    build = Path(f"{cache}.stage")
    other = bytes_of(build, UNCHANGED).replace(b"newer", b"worse")
    edited(build, DAMAGED, other)
    edited(build, REMOVED, None)
    edited(build, ROWS + 5, other)
    now = moved_on(newer)
    second = staging_of(cache, now, sibling=True, batch_rows=0)
    assert second.resumed_rows == ROWS - len((CHANGED, GONE, DOUBLED, DAMAGED, REMOVED))
    journey.fetch(now, second)
    second.seal()
    finish(second, build)
    second.close()
    holds(build, now)
    assert "staging" not in ledgers.contents(build)[ledgers.META]


def holds(cache: Path, primary: Primary) -> None:
    """The rows of the primary and no others, and a ledger that says so."""
    scan = journey.scanned(cache)
    assert _native.root_of(scan, scope()) == primary.root(scope())
    assert scan.clean
    found = scan.tables[TABLE]
    assert (found.listed, found.refused, found.cache_only) == (ROWS - 3, 3, 0)
    assert set(ledgers.contents(cache)[TABLE]) == {name(number) for number in range(ROWS)} - {
        name(number) for number in (GONE, DOUBLED, REJECTED)
    }


@pytest.mark.parametrize("what", ["text", "a cache of another"])
def test_what_is_not_ours_at_the_place_of_a_staging_stays(cache: Path, newer: Primary, what: str) -> None:
    place = Path(f"{cache}.stage")
    if what == "text":
        place.write_text("a list of somebody\n" * 50)
    else:
        _native.Salvage(str(place)).close()
    before = place.read_bytes()
    with pytest.raises(OSError, match="not ours"):
        staging_of(cache, newer, batch_rows=0)
    assert place.read_bytes() == before


def test_a_build_of_another_source_remembers_nothing(cache: Path, newer: Primary) -> None:
    staging = staging_of(cache, newer, sibling=True, batch_rows=0)
    staging.close()
    place = f"{cache}.stage"
    assert _native.KeptManifest.read(place, b"two", scope()) is None
    kept = _native.KeptManifest.read(place, b"one", scope())
    assert kept is not None
    assert kept.root is None


def test_a_manifest_that_a_build_remembers_with_a_damaged_family_is_of_no_imprint(cache: Path, newer: Primary) -> None:
    """Or an equal imprint of the primary would prove rows that it does not list."""
    place = f"{cache}.stage"
    comparison = _native.Comparison(scope(), None, remembers=True)
    comparison.feed(*journey.pieces(newer.manifest(scope())))
    comparison.finish()
    _native.Staging(scope(), None, comparison, path=place, sibling=True, identity=b"one", batch_rows=0).close()
    kept = _native.KeptManifest.read(place, b"one", scope())
    assert kept is not None
    assert kept.imprint == comparison.imprint
    whole = Path(place).read_bytes()
    listed = re.search(rb"[0-9A-F]:([0-9A-F]{32})", whole, re.IGNORECASE)
    assert listed is not None
    Path(place).write_bytes(whole.replace(listed[1], b"0" * 32))
    kept = _native.KeptManifest.read(place, b"one", scope())
    assert kept is not None
    assert kept.imprint is None


def test_an_edit_keeps_the_ledger_true(cache: Path, newer: Primary) -> None:
    """A row that leaves is listed no more, one that comes is the cache's alone, and a rejection stays known."""
    journey.synced(newer, cache, 2)
    values = ledgers.contents(cache)[TABLE]
    other = values[name(0)].replace(b"newer", b"mine!")
    changes = [
        (TABLE, name(1), _native.digest("blake3", values[name(1)]), None),
        (TABLE, name(ROWS + 1), None, other),
        (TABLE, name(REJECTED), None, other),
    ]
    _native.edit(str(cache), changes, {}, 3, journey.NOW)
    after = ledgers.contents(cache)
    listed = after[LEDGER]
    assert f"{TABLE}/{name(1)}" not in listed
    assert listed[f"{TABLE}/{name(ROWS + 1)}"] == ledgers.cache_only(other)
    assert listed[f"{TABLE}/{name(REJECTED)}"][0] == ledgers.REJECTED
    assert after[ledgers.META]["generation"] == b"3"
    again = other.replace(b"mine!", b"yours")
    digest = _native.digest("blake3", other)
    both = [(TABLE, name(ROWS + 1), digest, again), (TABLE, name(REJECTED), digest, None)]
    _native.edit(str(cache), both, {}, 4, journey.NOW)
    listed = ledgers.contents(cache)[LEDGER]
    assert listed[f"{TABLE}/{name(ROWS + 1)}"] == ledgers.cache_only(again)
    assert listed[f"{TABLE}/{name(REJECTED)}"][0] == ledgers.REJECTED
    before = ledgers.contents(cache)
    with pytest.raises(_native.Conflict):
        _native.edit(str(cache), both, {}, 5, journey.NOW)
    assert ledgers.contents(cache) == before
