"""Which rows may be kept for a later run, and which staging takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storage_sync import _native
from tests.native import journey, ledgers
from tests.native.conftest import ROWS
from tests.native.ledgers import TABLE
from tests.native.synthetic import Primary, cursor, heuristic, imprint_of, scope


@pytest.fixture
def newer() -> Primary:
    return Primary({TABLE: [heuristic(number, "newer") for number in range(ROWS)]})


def keeping(cache: Path, scan: _native.Scan, comparison: _native.Comparison | None) -> _native.Staging:
    path, keep = f"{cache}.keep-stage", f"{cache}.waiting"
    return _native.Staging(scope(), scan, comparison, path=path, sibling=False, keep=keep)


def listed(primary: Primary, scan: _native.Scan) -> _native.Comparison:
    """All that the primary lists, of which the staging is told."""
    comparison = _native.Comparison(scope(), scan, remembers=True)
    comparison.feed(primary.manifest(scope()))
    comparison.finish()
    return comparison


def waiting(cache: Path, primary: Primary) -> _native.Waiting:
    """Every row that the cache lacks."""
    scan = journey.scanned(cache)
    staging = keeping(cache, scan, listed(primary, scan))
    journey.fetch(primary, staging)
    staging.seal()
    assert staging.keep(b"note") == ROWS
    staging.close()
    return _native.Waiting.open(f"{cache}.waiting")


def staging_of(cache: Path, comparison: _native.Comparison | None, scan: _native.Scan) -> _native.Staging:
    return _native.Staging(scope(), scan, comparison, path=f"{cache}.stage", sibling=False, batch_rows=2)


def test_rows_that_waited_come_too_late_for_a_sealed_staging(cache: Path, newer: Primary) -> None:
    """They would count as staged, and the commit would not find them."""
    rows = waiting(cache, newer)
    scan = journey.scanned(cache)
    staging = staging_of(cache, journey.compared(newer, scan), scan)
    staging.begin([_native.StepSpec(TABLE)])
    staging.feed(cursor([newer.select(TABLE)[1:]]))
    staging.end()
    staging.seal()
    with pytest.raises(ValueError, match="not sealed"):
        staging.feed_waiting(rows)
    assert staging.changes[TABLE].moved == 1
    with pytest.raises(ValueError, match="another round"):
        _native.apply(str(cache), staging, {}, 2, journey.NOW)
    staging.discard()


def test_a_read_of_everything_takes_no_rows_that_waited(cache: Path, newer: Primary) -> None:
    """It has no manifest that says which of them are still so."""
    rows = waiting(cache, newer)
    staging = staging_of(cache, None, journey.scanned(cache))
    with pytest.raises(ValueError, match="only a comparison"):
        staging.feed_waiting(rows)
    now = Primary({TABLE: newer.rows[TABLE][1:]})
    journey.snapshot(now, staging)
    staging.seal()
    _native.apply(str(cache), staging, {}, 2, journey.NOW)
    staging.discard()
    assert _native.root_of(journey.scanned(cache), scope()) == now.root(scope())


def nothing_came(primary: Primary, scan: _native.Scan) -> _native.Comparison:
    """The primary tells the imprint of what the scan holds, and nothing else."""
    imprint = imprint_of(primary.families(scope()))
    comparison = _native.Comparison(scope(), scan, remembers=True, imprint=imprint)
    comparison.feed(cursor([[(imprint, 1, None, None)]]))
    comparison.finish()
    return comparison


def not_remembered(primary: Primary, scan: _native.Scan) -> _native.Comparison:
    return journey.compared(primary, scan)


def taken_before(primary: Primary, scan: _native.Scan) -> _native.Comparison:
    """A staging has what came already."""
    comparison = listed(primary, scan)
    _native.Staging(scope(), scan, comparison, path="", sibling=False).close()
    return comparison


@pytest.mark.parametrize("compared", [nothing_came, not_remembered, taken_before])
def test_rows_without_the_manifest_that_lists_them_are_not_kept(
    cache: Path, compared: Callable[[Primary, _native.Scan], _native.Comparison]
) -> None:
    """Or what waits would say that the primary has no row."""
    primary = Primary({TABLE: [heuristic(number) for number in range(ROWS)]})
    scan = journey.scanned(cache)
    staging = keeping(cache, scan, compared(primary, scan))
    staging.seal()
    assert staging.root == primary.root(scope())
    with pytest.raises(ValueError, match="did not come"):
        staging.keep(b"note")
    staging.close()
    with pytest.raises(_native.StreamError, match="damaged"):
        _native.Waiting.open(f"{cache}.waiting")


def test_a_primary_without_rows_waits_as_such(cache: Path) -> None:
    """Its manifest came, and it lists none."""
    primary, scan = Primary(), journey.scanned(cache)
    staging = keeping(cache, scan, listed(primary, scan))
    staging.seal()
    assert staging.keep(b"note") == 0
    staging.close()
    rows = _native.Waiting.open(f"{cache}.waiting")
    again = staging_of(cache, _native.Comparison.of_waiting(scope(), scan, rows, primary.root(scope())), scan)
    again.feed_waiting(rows)
    again.seal()
    _native.apply(str(cache), again, {}, 2, journey.NOW)
    again.discard()
    assert ledgers.contents(cache)[TABLE] == {}
