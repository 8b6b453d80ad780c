"""Each state that a key can have in a cache, with each that it can have on the primary, down each way to a commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from storage_sync import _native
from tests.native import journey, ledgers
from tests.native.ledgers import HELD, LEDGER, PRIMARY, QUARANTINE, TABLE, Encoder, Key
from tests.native.synthetic import Primary, half, name, row_digest, scope

BESIDE = 70
"""Rows that are as proven, so many that the table is told bucket by bucket."""
CASES = [(held, primary) for held in HELD for primary in PRIMARY]
POOL = 700
BUCKETS: dict[str, list[int]] = {}
"""Numbers of keys that share a bucket: it is named by the last two bytes of a key."""
for number in range(POOL):
    BUCKETS.setdefault(name(number)[-2:], []).append(number)


@pytest.fixture(scope="module")
def encode(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    encoder = Encoder(tmp_path_factory.mktemp("encoded"))
    for make in ledgers.GOOD:
        encoder.learn([make(number) for number in range(POOL + 1)])
    return encoder


def key_of(number: int, held: str, primary: str, encode: Encoder) -> Key:
    return Key(number, HELD[held](number, encode), tuple(PRIMARY[primary](number)))


@pytest.fixture(scope="module")
def all_of_them(encode: Encoder) -> list[Key]:
    return [key_of(number, *case, encode) for number, case in enumerate(CASES)]


def root_before(keys: Sequence[Key]) -> str:
    """The table root over what the ledger proves."""
    buckets: dict[str, list[str]] = {}
    for key, digests in sorted(ledgers.proven_rows(keys).items()):
        buckets.setdefault(key.encode().hex().upper()[-4:], []).extend(digests)
    text = "".join(bucket + half("".join(digests).encode()) for bucket, digests in sorted(buckets.items()))
    return half(text.encode()) if text else ""


def judged(scan: _native.Scan, keys: Sequence[Key]) -> None:
    found = scan.tables[TABLE]
    expected = ledgers.counts(keys)
    assert {word: getattr(found, word) for word in expected} == expected
    assert scan.clean == (expected["drifted"] + expected["rotten"] + expected["absent"] == 0)
    assert scan.altered == expected["altered"]
    assert found.root == root_before(keys)
    unlisted = [key.name for key in keys if key.held.value is not None and key.flag != ledgers.PROVED]
    assert scan.unlisted_keys(TABLE, None, 9999) == sorted(unlisted)


def staged(way: str, primary: Primary, scan: _native.Scan, cache: Path, keys: Sequence[Key]) -> _native.Staging:
    """A sealed staging for a commit in place, or for a rebuild."""
    comparison = None
    if way == "follow":
        changed = [key for key in keys if ledgers.sources_listed(key) != sorted(map(ledgers.source, key.rows))]
        changes = [(TABLE, key.name.encode(), [row_digest(row) for row in key.rows]) for key in changed]
        comparison = _native.Comparison.of_changes(scope(), scan, changes)
    elif "everything" not in way:
        comparison = journey.compared(primary, scan)
    staging = _native.Staging(
        scope(), scan, comparison, path=f"{cache}.stage", sibling="rebuild" in way, identity=b"one"
    )
    if comparison is None:
        journey.snapshot(primary, staging)
    else:
        journey.fetch(primary, staging)
    staging.seal()
    return staging


def lost(staging: _native.Staging) -> Iterator[tuple[str, bytes, str]]:
    after = None
    while page := staging.replaced(after, 7):
        yield from ((key, old, why) for _, key, old, why in page)
        after = f"{page[-1][0]}\0{page[-1][1]}"


def rejected(staging: _native.Staging) -> list[str]:
    return sorted(key for _, key, _, _ in staging.refused(None, 9999))


def names_of_rejected(keys: Sequence[Key]) -> list[str]:
    return sorted(
        listed for key in keys if key.rows and key.accepted is None for listed in ledgers.rejected(*key.rows)[0]
    )


def proven(cache: Path, primary: Primary) -> None:
    scan = journey.scanned(cache)
    assert _native.root_of(scan, scope()) == primary.root(scope())
    assert scan.clean
    assert scan.altered == 0


def in_place(way: str, keys: Sequence[Key], folder: Path, encode: Encoder) -> None:
    cache = ledgers.written(keys, folder)
    primary = ledgers.primary_of(keys)
    scan = journey.scanned(cache)
    judged(scan, keys)
    staging = staged(way, primary, scan, cache, keys)
    assert staging.root == primary.root(scope())
    assert rejected(staging) == names_of_rejected(keys)
    assert list(lost(staging)) == [(key, *what) for key, what in sorted(ledgers.lost(keys, encode).items())]
    _native.apply(str(cache), staging, {}, 2, journey.NOW)
    staging.discard()
    after = ledgers.contents(cache)
    values = {key.name: ledgers.value_after(key, encode) for key in keys}
    assert after[TABLE] == {key: value for key, value in values.items() if value is not None}
    assert after[LEDGER] == ledgers.ledger_after(keys, encode)
    told = {key.split("/", 1)[1]: json.loads(text)["source_digest"] for key, text in after[QUARANTINE].items()}
    reasons = [ledgers.rejected(*key.rows)[1] for key in keys if key.rows and key.accepted is None]
    assert told == {key: json.loads(text)["source_digest"] for one in reasons for key, text in one.items()}
    proven(cache, primary)
    again = journey.prepared(primary, cache)
    assert all(counts[:4] == (0, 0, 0, 0) for counts in journey.written(again).values())
    again.discard()


@pytest.mark.parametrize("way", ["manifest", "follow", "everything"])
def test_every_state_at_once(way: str, all_of_them: list[Key], tmp_path: Path, encode: Encoder) -> None:
    in_place(way, all_of_them, tmp_path, encode)


@pytest.mark.parametrize("neighbour", ["first", "gone"])
@pytest.mark.parametrize("held", HELD)
def test_every_state_in_a_bucket_with_another_row(held: str, neighbour: str, tmp_path: Path, encode: Encoder) -> None:
    """One that differs and one as proven; with both gone from the primary, the server does not name the bucket."""
    buckets = [numbers for numbers in BUCKETS.values() if len(numbers) > 1]
    keys: list[Key] = []
    for primary, numbers in zip(PRIMARY, buckets, strict=False):
        keys += [
            key_of(numbers[0], held, primary, encode),
            key_of(numbers[1], "proved", neighbour, encode),
        ]
    clean = [numbers[0] for numbers in buckets[len(PRIMARY) :]][:BESIDE]
    in_place("manifest", [*keys, *(key_of(number, "proved", "first", encode) for number in clean)], tmp_path, encode)


@pytest.mark.parametrize("held", HELD)
def test_every_state_in_a_small_table(held: str, tmp_path: Path, encode: Encoder) -> None:
    """Few rows are told by one root for all of them."""
    keys = [key_of(number, held, primary, encode) for number, primary in enumerate(PRIMARY)]
    in_place("manifest", keys, tmp_path, encode)


@pytest.mark.parametrize("way", ["rebuild", "rebuild of everything"])
def test_every_state_in_a_rebuild(way: str, all_of_them: list[Key], tmp_path: Path, encode: Encoder) -> None:
    old = ledgers.written(all_of_them, tmp_path)
    primary = ledgers.primary_of(all_of_them)
    staging = staged(way, primary, journey.scanned(old), old, all_of_them)
    assert rejected(staging) == names_of_rejected(all_of_them)
    _native.finish_sibling(staging, {}, 2, journey.NOW)
    staging.close()
    built = Path(f"{old}.stage")
    values = {key.name: ledgers.value_rebuilt(key, encode) for key in all_of_them}
    assert ledgers.contents(built)[TABLE] == {key: value for key, value in values.items() if value is not None}
    proven(built, primary)
