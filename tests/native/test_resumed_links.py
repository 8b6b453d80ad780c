"""What of an unfinished staging or build counts in the run that goes on, and what a finished build says of itself."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from storage_sync import _native
from tests.native import journey, ledgers
from tests.native.ledgers import HELD, LEDGER, META, PRIMARY, QUARANTINE, TABLE, Encoder, Key
from tests.native.synthetic import (
    TABLES,
    Primary,
    Row,
    cursor,
    embedding,
    heuristic,
    imprint_of,
    name,
    row_digest,
    scope,
)

ROWS = 12
DOUBLED = 3
WAYS = pytest.mark.parametrize("sibling", [False, True], ids=["in place", "build"])
TWICE = sorted((heuristic(DOUBLED, "one"), heuristic(DOUBLED, "other")), key=row_digest)
"""Two rows of one key, in the order in which a manifest lists them."""


def primary_with(*rows: Row) -> Primary:
    """All rows as the cache lacks them, and these for `DOUBLED`."""
    others = [heuristic(number, "newer") for number in range(ROWS) if number != DOUBLED]
    return Primary({TABLE: [*others, *rows]})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    journey.build(Primary({TABLE: [heuristic(number) for number in range(ROWS)]}), tmp_path / "cache.redb")
    return tmp_path / "cache.redb"


def staging_of(
    cache: Path, primary: Primary | None, *, sibling: bool, scan: _native.Scan | None = None, batch_rows: int = 0
) -> _native.Staging:
    """`primary`: None for a read of everything."""
    scan = scan if scan is not None or sibling else journey.scanned(cache)
    comparison = None if primary is None else journey.compared(primary, scan)
    place = f"{cache}.stage"
    return _native.Staging(
        scope(), scan, comparison, path=place, sibling=sibling, identity=b"one", batch_rows=batch_rows
    )


def committed(cache: Path, staging: _native.Staging, *, sibling: bool) -> Path:
    """The file that holds what was staged."""
    if sibling:
        _native.finish_sibling(staging, {}, 2, journey.NOW)
        staging.close()
        return Path(f"{cache}.stage")
    _native.apply(str(cache), staging, {}, 2, journey.NOW)
    staging.discard()
    return cache


def gone_on(cache: Path, primary: Primary, *, sibling: bool) -> tuple[Path, int]:
    """The next run to its end, and how many rows it did not ask for."""
    staging = staging_of(cache, primary, sibling=sibling)
    resumed = staging.resumed_rows
    journey.fetch(primary, staging)
    staging.seal()
    done = committed(cache, staging, sibling=sibling)
    scan = journey.scanned(done)
    assert _native.root_of(scan, scope()) == primary.root(scope())
    assert scan.clean
    return done, resumed


def ended_early(cache: Path, primary: Primary, *, sibling: bool) -> None:
    staging = staging_of(cache, primary, sibling=sibling)
    journey.fetch(primary, staging)
    staging.close()


@WAYS
@pytest.mark.parametrize("left", [0, 1])
def test_a_row_that_was_rejected_for_being_there_twice_counts_no_more_when_it_is_there_once(
    cache: Path, sibling: bool, left: int
) -> None:
    ended_early(cache, primary_with(*TWICE), sibling=sibling)
    now = primary_with(TWICE[left])
    done, resumed = gone_on(cache, now, sibling=sibling)
    assert resumed == ROWS - 1
    found = ledgers.contents(done)
    assert len(found[TABLE]) == ROWS
    assert found[QUARANTINE] == {}


@WAYS
@pytest.mark.parametrize("staged", [0, 1])
def test_a_row_that_was_staged_counts_no_more_when_it_is_there_twice(cache: Path, sibling: bool, staged: int) -> None:
    ended_early(cache, primary_with(TWICE[staged]), sibling=sibling)
    done, resumed = gone_on(cache, primary_with(*TWICE), sibling=sibling)
    assert resumed == ROWS - 1
    found = ledgers.contents(done)
    assert name(DOUBLED) not in found[TABLE]
    assert sorted(found[QUARANTINE]) == [f"{TABLE}/{name(DOUBLED)}", f"{TABLE}/{name(DOUBLED)}\0001"]


@WAYS
def test_a_rejected_row_that_is_as_it_was_is_not_asked_for_again(cache: Path, sibling: bool) -> None:
    rejected = primary_with(ledgers.broken(DOUBLED))
    ended_early(cache, rejected, sibling=sibling)
    done, resumed = gone_on(cache, rejected, sibling=sibling)
    assert resumed == ROWS
    assert list(ledgers.contents(done)[QUARANTINE]) == [f"{TABLE}/{name(DOUBLED)}"]


def damaged(stage: Path, cache: Path, part: str) -> None:
    """Change one thing of a staged row, wherever the file has it; redb itself does not look at it again."""
    row = heuristic(5, "newer")
    key = bytes([TABLES.index(TABLE)]) + name(5).encode()
    decided_from = b"\1" + ledgers.value_digest(ledgers.contents(cache)[TABLE][name(5)]) + ledgers.source(row)
    old, new = {
        "key": (key, key[:-1] + (b"0" if key[-1:] != b"0" else b"1")),
        "key that is no text": (key, key[:1] + b"\xff" + key[2:]),
        "loss": (b"w\0" + decided_from, b"w\2" + decided_from),
        "what it was decided from": (decided_from, b"\0" + decided_from[1:]),
        "payload": (b"newer", b"worse"),
    }[part]
    data = stage.read_bytes()
    assert old in data
    stage.write_bytes(data.replace(old, new))


PARTS = ["key", "key that is no text", "loss", "what it was decided from", "payload"]


@WAYS
def test_a_rejected_row_with_a_name_that_is_not_its_key_is_not_asked_for_again(cache: Path, sibling: bool) -> None:
    rejected = primary_with()
    rejected.rows["embeddings"] = [embedding("a\0b")]
    ended_early(cache, rejected, sibling=sibling)
    _, resumed = gone_on(cache, rejected, sibling=sibling)
    assert resumed == ROWS


def test_what_could_not_be_written_is_told_when_the_staging_is_sealed(cache: Path) -> None:
    """Or rows that were never on the disk would be taken for staged."""
    primary = Primary({TABLE: [heuristic(number, "newer" * 200_000) for number in range(ROWS)]})
    ended_early(cache, Primary({TABLE: primary.rows[TABLE][1:]}), sibling=False)
    staging = staging_of(cache, primary, sibling=False)
    assert staging.resumed_rows == ROWS - 1
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        journey.fetch(primary, staging)
        with pytest.raises(_native.NativeError, match="File too large"):
            staging.seal()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(ValueError, match="not sealed"):
        _native.apply(str(cache), staging, {}, 2, journey.NOW)
    staging.discard()


@pytest.mark.parametrize("part", PARTS)
def test_a_staging_with_a_damaged_row_starts_over(cache: Path, part: str) -> None:
    """Its row may be at a place where it is never found; nothing of it is committed."""
    primary = primary_with(heuristic(DOUBLED, "newer"))
    ended_early(cache, primary, sibling=False)
    damaged(Path(f"{cache}.stage"), cache, part)
    staging = staging_of(cache, primary, sibling=False)
    assert staging.resumed_rows == staging.rows == staging.staged_bytes == 0
    assert not any(any(counts) for counts in journey.written(staging).values())
    assert len(staging.pending_keys(TABLE, 0, 99)) == ROWS
    journey.fetch(primary, staging)
    staging.seal()
    assert journey.written(staging) == {TABLE: (0, ROWS, 0, 0, 0)}
    committed(cache, staging, sibling=False)
    assert _native.root_of(journey.scanned(cache), scope()) == primary.root(scope())


def test_a_row_that_is_damaged_after_the_plan_is_not_committed(cache: Path) -> None:
    """Rows of more than redb keeps in memory, so that the commit reads what is on the disk."""
    primary = Primary({TABLE: [heuristic(number, f"newer {number:02} " * 60_000) for number in range(ROWS)]})
    staging = staging_of(cache, primary, sibling=False)
    journey.fetch(primary, staging)
    staging.seal()
    stage = Path(f"{cache}.stage")
    data = stage.read_bytes()
    with stage.open("r+b") as file:
        file.write(data.replace(b"newer 00 newer 00", b"newer 00 worse 00"))
    with pytest.raises(_native.Corrupted, match="staged row is damaged"):
        _native.apply(str(cache), staging, {}, 2, journey.NOW)
    staging.discard()
    assert ledgers.contents(cache)[META]["generation"] == b"1"
    assert _native.root_of(journey.scanned(cache), scope()) != primary.root(scope())


@WAYS
def test_a_read_of_everything_goes_on_with_nothing(cache: Path, sibling: bool) -> None:
    """It has no manifest that would prove what is there."""
    ended_early(cache, primary_with(heuristic(DOUBLED, "newer")), sibling=sibling)
    primary = primary_with()
    staging = staging_of(cache, None, sibling=sibling, batch_rows=100)
    assert staging.resumed_rows == 0
    assert Path(f"{cache}.stage").exists() is sibling
    journey.snapshot(primary, staging)
    staging.seal()
    done = committed(cache, staging, sibling=sibling)
    assert set(ledgers.contents(done)[TABLE]) == {name(number) for number in range(ROWS) if number != DOUBLED}


@WAYS
def test_a_staging_that_another_has_open_stays_with_it(cache: Path, sibling: bool) -> None:
    primary = primary_with(heuristic(DOUBLED, "newer"))
    staging = staging_of(cache, primary, sibling=sibling)
    journey.fetch(primary, staging)
    with pytest.raises(_native.DatabaseAlreadyOpen):
        staging_of(cache, primary, sibling=sibling)
    with pytest.raises(_native.DatabaseAlreadyOpen):
        _native.KeptManifest.read(f"{cache}.stage", b"one", scope())
    staging.seal()
    done = committed(cache, staging, sibling=sibling)
    assert _native.root_of(journey.scanned(done), scope()) == primary.root(scope())


CASES = [(held, primary) for held in HELD for primary in PRIMARY]


@WAYS
def test_a_run_that_went_on_says_the_changes_of_one_that_did_not_stop(tmp_path: Path, sibling: bool) -> None:
    """For each state of a key in the cache, with each on the primary."""
    encode = Encoder(tmp_path)
    for make in ledgers.GOOD:
        encode.learn([make(number) for number in range(len(CASES) + 1)])
    keys = [
        Key(number, HELD[held](number, encode), tuple(PRIMARY[primary](number)))
        for number, (held, primary) in enumerate(CASES)
    ]
    cache, primary = ledgers.written(keys, tmp_path), ledgers.primary_of(keys)
    scan = journey.scanned(cache)

    def changes(staging: _native.Staging) -> tuple[int, ...]:
        journey.fetch(primary, staging)
        staging.seal()
        found = staging.changes[TABLE]
        return (found.insert, found.update, found.remove, found.withdrawn, found.relist, found.same, found.refused)

    once = staging_of(cache, primary, sibling=sibling, scan=scan)
    expected, weighed, written = changes(once), once.staged_bytes, list(once.staged(TABLE, None, 999))
    once.close()
    again = staging_of(cache, primary, sibling=sibling, scan=scan)
    # each row of a doubled key is asked for again
    assert again.resumed_rows == sum(len(key.rows) == 1 and bool(again.rows) for key in keys) - unchanged(keys)
    assert changes(again) == expected
    assert (again.staged_bytes, again.staged(TABLE, None, 999)) == (weighed, written)
    again.discard()


def unchanged(keys: list[Key]) -> int:
    """Single rows that a comparison does not want: they are as they were proven, or as they were rejected."""
    return sum(
        len(key.rows) == 1
        and ledgers.sources_listed(key) == [ledgers.source(key.rows[0])]
        and (key.as_proved or key.flag == ledgers.REJECTED)
        for key in keys
    )


def remembering(place: str, primary: Primary, scan: _native.Scan | None) -> _native.Staging:
    """A build that keeps the manifest which it is made for."""
    comparison = _native.Comparison(scope(), scan, remembers=True)
    comparison.feed(primary.manifest(scope()))
    comparison.finish()
    return _native.Staging(scope(), scan, comparison, path=place, sibling=True, identity=b"one", batch_rows=0)


def equal_to(kept: _native.KeptManifest, imprint: str) -> _native.Comparison:
    """The primary tells the imprint that is known, and nothing else."""
    comparison = _native.Comparison(scope(), None, remembers=True, kept=kept, imprint=imprint)
    comparison.feed(cursor([[(imprint, 1, None, None)]]))
    comparison.finish()
    return comparison


def test_a_build_remembers_the_manifest_that_came_last(cache: Path) -> None:
    place, kept = f"{cache}.stage", None
    for primary in (primary_with(), primary_with(TWICE[0]), primary_with(*TWICE)):
        remembering(place, primary, None).close()
        kept = _native.KeptManifest.read(place, b"one", scope())
        assert kept is not None
        assert kept.imprint == imprint_of(primary.families(scope()))
    assert kept is not None
    # where nothing came because it is equal, it goes on remembering
    again = equal_to(kept, str(kept.imprint))
    assert (again.root, again.to_fetch[TABLE]) == (primary.root(scope()), ROWS + 1)
    _native.Staging(scope(), None, again, path=place, sibling=True, identity=b"one", batch_rows=0).close()
    after = _native.KeptManifest.read(place, b"one", scope())
    assert after is not None
    assert after.imprint == kept.imprint


def test_a_finished_build_says_what_it_is_made_of(cache: Path) -> None:
    """All that was proven, and not the rows that only the cache had; nothing of it while it is unfinished."""
    primary = primary_with()

    def forgotten(tables: ledgers.Tables) -> None:
        """The ledger does not know the row, so only the cache has it."""
        del tables[LEDGER][f"{TABLE}/{name(DOUBLED)}"]

    old = ledgers.rewritten(cache, forgotten)
    place = f"{cache}.stage"
    staging = remembering(place, primary, journey.scanned(old))
    journey.fetch(primary, staging)
    staging.seal()
    _native.finish_sibling(staging, {"checkpoint": b"told"}, 7, journey.NOW)
    staging.close()
    kept = _native.KeptManifest.read(place, b"one", scope())
    assert kept is not None
    assert kept.root == primary.root(scope())
    assert (kept.meta["checkpoint"], kept.meta["generation"], kept.meta["build"]) == (b"told", b"7", b"one")
    assert "staging" not in kept.meta
    assert kept.imprint is None
    assert equal_to(kept, "0123456789ABCDEF").root == primary.root(scope())
    assert set(ledgers.contents(Path(place))[TABLE]) == {name(number) for number in range(ROWS)}
    assert "storage_sync_manifest" not in tables_of(place)
    assert _native.KeptManifest.read(place, b"two", scope()) is None
    with pytest.raises(FileExistsError, match="another source"):
        _native.Staging(scope(), None, journey.compared(primary, None), path=place, sibling=True, identity=b"two")
    again = staging_of(cache, primary, sibling=True, scan=journey.scanned(old))
    assert (again.resumed_rows, len(again.pending_keys(TABLE, 0, 99))) == (ROWS - 1, 0)
    again.discard()


def tables_of(place: str) -> list[str]:
    file = _native.CacheFile.open(place, "read")
    names = [table.name for table in file.tables()]
    file.close()
    return names
