"""A manifest is believed when all of it adds up: each thing that may not is wrong alone here, and all else matches."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from storage_sync import _native
from tests.native import journey, ledgers
from tests.native.ledgers import HELD, Encoder, Key
from tests.native.synthetic import TABLES, Primary, Row, cursor, embedding, half, heuristic, imprint_of, name, scope

HEURISTICS = TABLES.index("heuristics")
IMPRINT = "0123456789ABCDEF"
NO_DIGEST = "0" * 32


@pytest.fixture
def primary() -> Primary:
    return Primary({"heuristics": [heuristic(number) for number in range(90)]})


def answer(imprint: str | None, families: list[str] | None = None, counts: str | None = None) -> Row:
    return (imprint, 1, counts, None if families is None else ";".join(families))


def compared(
    rows: list[Row], scan: _native.Scan | None = None, imprint: str | None = None, wanted: _native.Scope | None = None
) -> _native.Comparison:
    comparison = _native.Comparison(wanted or scope(), scan, imprint=imprint)
    comparison.feed(cursor([rows]))
    comparison.finish()
    return comparison


Forge = Callable[[list[str]], list[Row]]
FORGED: dict[str, tuple[Forge, str]] = {
    "no imprint": (lambda listed: [], "shape"),
    "families without an imprint": (lambda listed: [(None, None, None, family) for family in listed], "shape"),
    "two imprints": (lambda listed: [answer(imprint_of(listed), listed), answer(imprint_of(listed))], "shape"),
    "of other rows": (lambda listed: [answer(imprint_of(listed[1:]), listed)], "root"),
    "a row left out": (lambda listed: [answer(imprint_of(listed), listed[1:])], "root"),
    "a row too many": (lambda listed: [answer(imprint_of(listed), [*listed, listed[0]])], "root"),
    "a row changed": (lambda listed: [answer(imprint_of(listed), [listed[0][:-32] + NO_DIGEST, *listed[1:]])], "root"),
    "nothing listed": (lambda listed: [answer(imprint_of(listed))], "root"),
    "an unknown mark": (lambda listed: [answer(imprint_of(listed), ["0123456789ABCDEF", *listed[1:]])], "shape"),
    "no digest": (lambda listed: whole([listed[0][:-33]]), "shape"),
    "half a digest": (lambda listed: whole([listed[0][:-16]]), "shape"),
    "a digest that is no hex": (lambda listed: whole([listed[0][:-1] + "x"]), "shape"),
    "a key that is no hex": (lambda listed: whole([f"{HEURISTICS}.0x:{NO_DIGEST}"]), "shape"),
    "no table": (lambda listed: whole([f"{'0' * 36}{NO_DIGEST}"]), "shape"),
    "no such table": (lambda listed: whole([f"{len(TABLES) + 3}.00:{NO_DIGEST}"]), "shape"),
    "a count of no table": (lambda listed: [answer(imprint_of(listed), listed, f"{len(TABLES) + 3}:1")], "shape"),
    "a count that is none": (lambda listed: [answer(imprint_of(listed), listed, f"{HEURISTICS}:many")], "shape"),
}
"""An answer made of the families, and the code of its fault."""


def whole(families: list[str]) -> list[Row]:
    """The answer that lists these and nothing else, with the imprint of them."""
    return [answer(imprint_of(families), families)]


@pytest.mark.parametrize("what", FORGED)
def test_a_manifest_with_one_thing_wrong_is_not_believed(primary: Primary, what: str) -> None:
    families = primary.families(scope())
    forge, code = FORGED[what]
    assert compared(whole(families)).root == primary.root(scope())
    with pytest.raises(_native.StreamError) as caught:
        compared(forge(families))
    assert caught.value.code == code


def test_families_may_come_one_by_one_and_in_groups(primary: Primary) -> None:
    """The other way in which a server makes the imprint: the digests in order, by their first two digits."""
    families = primary.families(scope())
    digests = sorted(half(family.encode()) for family in families)
    groups = ["".join(group) for _, group in groupby(digests, lambda digest: digest[:2])]
    imprint = half("".join(half(group.encode()) for group in groups).encode())
    rows: list[Row] = [*((None, None, None, family) for family in families), answer(imprint)]
    assert compared(rows).root == primary.root(scope())
    with pytest.raises(_native.StreamError, match="add up"):
        compared(rows[1:])


def test_a_table_outside_the_scope_has_no_place_in_a_manifest(primary: Primary) -> None:
    with pytest.raises(_native.StreamError, match="outside the scope"):
        compared(whole(primary.families(scope())), wanted=scope(patterns=False))


@pytest.mark.parametrize("place", ["before", "behind"])
def test_an_error_in_a_manifest_is_no_manifest(primary: Primary, place: str) -> None:
    told = b'{"type":"step_error","step":0,"error":{"message":"gone","code":"SQLITE_IOERR"}}\n'
    body = primary.manifest(scope())
    at = body.index(b'{"type":"step_begin"') if place == "before" else body.index(b'{"type":"step_end"')
    comparison = _native.Comparison(scope(), None)
    with pytest.raises(_native.StreamError) as caught:
        comparison.feed(body[:at] + told + body[at:])
    assert caught.value.code == "SQLITE_IOERR"


@pytest.fixture
def cache(tmp_path: Path, primary: Primary) -> Path:
    journey.build(primary, tmp_path / "cache.redb")
    return tmp_path / "cache.redb"


def test_an_equal_imprint_is_all_that_comes(primary: Primary, cache: Path) -> None:
    scan = journey.scanned(cache)
    comparison = compared([answer(IMPRINT)], scan, IMPRINT)
    assert comparison.root == primary.root(scope()) == _native.root_of(scan, scope())
    assert (comparison.imprint, comparison.whole) == (IMPRINT, True)
    assert not any((*comparison.to_fetch.values(), *comparison.to_remove.values()))


@pytest.mark.parametrize(
    ("known", "told"),
    [(None, IMPRINT), (IMPRINT, "FEDCBA9876543210")],
    ids=["none was known", "another one"],
)
def test_nothing_else_may_come_only_with_an_equal_imprint(cache: Path, known: str | None, told: str) -> None:
    with pytest.raises(_native.StreamError, match="do not add up"):
        compared([answer(told)], journey.scanned(cache), known)


def test_an_equal_imprint_beside_a_manifest_does_not_hide_what_it_says(primary: Primary, cache: Path) -> None:
    primary.rows["heuristics"][3] = heuristic(3, "changed")
    families = primary.families(scope())
    comparison = compared(whole(families), journey.scanned(cache), imprint_of(families))
    assert comparison.root == primary.root(scope())
    assert comparison.to_fetch["heuristics"] == 1


@pytest.mark.parametrize("held", ["absent", "drifted", "rotten"])
def test_an_imprint_is_of_no_cache_whose_rows_differ(held: str, tmp_path: Path) -> None:
    encode = Encoder(tmp_path)
    numbers = range(5)
    for make in ledgers.GOOD:
        encode.learn([make(number) for number in numbers])
    states = [held, "proved", "proved", "proved"]
    keys = [Key(number, HELD[state](number, encode), ()) for number, state in enumerate(states)]
    scan = journey.scanned(ledgers.written(keys, tmp_path))
    with pytest.raises(_native.StreamError, match="do not add up"):
        compared([answer(IMPRINT)], scan, IMPRINT)


def test_a_ledger_of_another_digest_proves_nothing(primary: Primary, cache: Path, tmp_path: Path) -> None:
    """Equal sixteen bytes of two digest functions are no equal rows."""

    def renamed(tables: ledgers.Tables) -> None:
        tables[ledgers.META]["digest"] = b"blake3"

    scan = journey.scanned(ledgers.rewritten(cache, renamed))
    assert _native.root_of(scan, scope()) != primary.root(scope())
    comparison = journey.compared(primary, scan)
    assert comparison.root == primary.root(scope())
    assert comparison.to_fetch["heuristics"] == 90
    with pytest.raises(ValueError, match="another digest"):
        _native.Comparison.of_changes(scope(), scan, [])


OWNERS = {
    "an episode's": embedding(name(1), "episode"),
    "a pattern's": embedding(name(2), "pattern"),
    "a bare one of a pattern": embedding(name(3)),
    "a bare one of an episode": embedding(name(4)),
    "a bare one of both": embedding(name(5)),
    "a bare one of nobody": embedding(name(6)),
    "nobody's": embedding("query:x"),
    "scoped": embedding(f"emb_v1:local:m:2#r1:episode:{name(1)}"),
    "scoped, a pattern's": embedding(f"emb_v1:local:m:2#r1:pattern:{name(2)}"),
    "rejected": embedding("whatever", "unknown"),
    "rejected, a pattern's": (name(7), "pattern", "no vector", b"", 2),
}
OF_PATTERNS = ("a pattern's", "a bare one of a pattern", "scoped, a pattern's", "rejected, a pattern's")


@pytest.fixture(params=["as they are", "with rejected ones"])
def owned(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, Row], Path]:
    """Embeddings by whom they belong to, and a cache of them with the owners' keys."""
    rows = {what: row for what, row in OWNERS.items() if request.param != "as they are" or "rejected" not in what}
    cache = tmp_path / "embeddings.redb"
    journey.build(Primary({"embeddings": list(rows.values())}), cache)

    def owners(tables: ledgers.Tables) -> None:
        tables["patterns"] = {name(number): ledgers.ROT for number in (2, 3, 5, 7)}
        tables["episodes"] = {name(number): ledgers.ROT for number in (1, 4, 5)}

    return rows, ledgers.rewritten(cache, owners)


def test_without_patterns_their_embeddings_are_out_of_the_proof(owned: tuple[dict[str, Row], Path]) -> None:
    rows, cache = owned
    narrow = scope(patterns=False)
    rest = Primary({"embeddings": [row for what, row in rows.items() if what not in OF_PATTERNS]})
    scan = journey.scanned(cache)
    assert _native.root_of(scan, narrow) == rest.root(narrow)
    whole = Primary({"embeddings": list(rows.values())})
    assert _native.root_of(scan, scope()) == whole.root(scope())
    comparison = journey.compared(rest, scan, narrow)
    assert comparison.root == rest.root(narrow)
    assert not any((*comparison.to_fetch.values(), *comparison.to_remove.values()))
    followed = _native.Comparison.of_changes(narrow, scan, [])
    assert followed.root == rest.root(narrow)


def test_embeddings_that_a_proof_does_not_come_upon_are_asked_for(owned: tuple[dict[str, Row], Path]) -> None:
    rows, cache = owned
    scan = journey.scanned(cache)
    sought = {what for what in rows if what.startswith("a bare one") or "rejected" in what}

    def keys(of: set[str]) -> list[str]:
        return sorted(key for what in of for key, _ in Primary({"embeddings": [rows[what]]}).keyed("embeddings"))

    assert sorted(scan.beside_keys(scope())) == keys(sought)
    assert sorted(scan.beside_keys(scope(patterns=False))) == keys(sought - set(OF_PATTERNS))
