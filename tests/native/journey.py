"""The steps of a sync on the native interface, as short as a test needs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from storage_sync import _native
from tests.native.synthetic import Primary, cursor, scope

NOW = 1_800_000_000_000


def pieces(body: bytes, size: int = 997) -> Iterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


def scanned(cache: Path) -> _native.Scan:
    """The scan of a private copy."""
    copy = cache.with_suffix(".copy")
    _native.copy_file(str(cache), str(copy))
    file = _native.CacheFile.open(str(copy), "private")
    scan = file.scan()
    file.close()
    return scan


def compared(primary: Primary, scan: _native.Scan | None, wanted: _native.Scope | None = None) -> _native.Comparison:
    wanted = wanted or scope()
    comparison = _native.Comparison(wanted, scan)
    for piece in pieces(primary.manifest(wanted)):
        comparison.feed(piece)
    comparison.finish()
    return comparison


def fetch(primary: Primary, staging: _native.Staging, wanted: _native.Scope | None = None, page: int = 500) -> None:
    """Fetch by key all that a staging of the digest path still lacks."""
    for table in (wanted or scope()).tables:
        first = 0
        while keys := staging.pending_keys(table, first, page):
            first += len(keys)
            staging.begin([_native.StepSpec(table)])
            for piece in pieces(cursor([primary.select(table, keys)])):
                staging.feed(piece)
            staging.end()


def snapshot(
    primary: Primary, staging: _native.Staging, wanted: _native.Scope | None = None, *, announced: int | None = None
) -> None:
    """All rows in one response; `announced`: it says that there are so many more than there are."""
    tables = (wanted or scope()).tables
    staging.begin([*(_native.StepSpec(table) for table in tables), _native.StepSpec(None, counts=True)])
    found = [(table, len(primary.rows.get(table, []))) for table in tables]
    counts = [(table, rows) if announced is None else (table, rows, rows + announced) for table, rows in found]
    for piece in pieces(cursor([*(primary.select(table) for table in tables), counts])):
        staging.feed(piece)
    staging.end()


def build(primary: Primary, cache: Path, wanted: _native.Scope | None = None) -> _native.Applied:
    """First sync: the sibling becomes the cache."""
    staging = _native.Staging(wanted or scope(), None, None, path=str(cache), sibling=True, identity=b"one")
    snapshot(primary, staging, wanted)
    staging.seal()
    done = _native.finish_sibling(staging, {"checkpoint": b"{}"}, 1, NOW)
    staging.close()
    return done


def prepared(primary: Primary, cache: Path, wanted: _native.Scope | None = None) -> _native.Staging:
    """A sealed in-place staging of the digest path."""
    wanted = wanted or scope()
    scan = scanned(cache)
    staging = _native.Staging(
        wanted, scan, compared(primary, scan, wanted), path=f"{cache}.stage", sibling=False, identity=b"one"
    )
    fetch(primary, staging, wanted)
    staging.seal()
    return staging


def synced(primary: Primary, cache: Path, generation: int, wanted: _native.Scope | None = None) -> _native.Applied:
    staging = prepared(primary, cache, wanted)
    done = _native.apply(str(cache), staging, {"checkpoint": b"{}"}, generation, NOW)
    staging.discard()
    return done


def written(staging: _native.Staging) -> dict[str, tuple[int, int, int, int, int]]:
    """(insert, update, remove, relist, refused) of the tables where any is not 0."""
    found = {
        table: (one.insert, one.update, one.remove, one.relist, one.refused) for table, one in staging.changes.items()
    }
    return {table: counts for table, counts in found.items() if any(counts)}
