"""The reason of each row, from what the file says, what the primary says and what is remembered."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.embeddings.index import OrphanIndex, Remembered, Told, found_in
from storage_sync.embeddings.reason import Reason
from tests.embeddings.synthetic import NOW, SCOPE, cache_of, identity, index_of, read, value
from tests.support import stores

ONE = identity(1)


def episodes_of(folder: Path, count: int) -> dict[str, bytes]:
    """Episodes that do-memory wrote."""
    file = _native.CacheFile.open(str(stores.cache("v47-small", folder)), "read")
    try:
        return dict(file.page("episodes", None, count))
    finally:
        file.close()


def reasons(index: OrphanIndex) -> dict[str, Reason]:
    return {key: index.reason(row) for row, key in enumerate(index.keys)}


def test_an_owner_that_is_gone(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, {f"episode_{identity(n)}": value([1.0, float(n)]) for n in range(1, 5)})
    keys = [f"episode_{identity(n)}" for n in range(1, 5)]
    unknown = index_of(cache)
    assert set(reasons(unknown).values()) == {Reason.OWNER_UNKNOWN}
    told = Told(
        owners=frozenset({identity(2), identity(3)}), window=frozenset({identity(3)}), embeddings={keys[0]: False}
    )
    index = index_of(cache, told)
    assert [reasons(index)[key] for key in keys] == [
        Reason.OWNER_NOWHERE,
        Reason.NOT_IN_WINDOW,
        Reason.NOT_CACHED,
        Reason.OWNER_NOWHERE,
    ]
    assert index.reattach == {2}
    assert index.row(0).owner_in_cache is False
    assert index.row(0).owner_in_primary is False
    assert index.row(1).owner_in_primary is True
    assert index.row(0).in_primary is False
    assert index.row(1).in_primary is None, "it was not asked for"
    assert index.counts[Reason.OWNER_NOWHERE].rows == 2
    assert index.counts[Reason.OWNER_NOWHERE].bytes == 16


def test_a_pattern_is_not_fetched_where_patterns_are_not_synced(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, {f"pattern_{ONE}": value([1.0])})
    told = Told(owners=frozenset({ONE}), window=frozenset())
    assert reasons(index_of(cache, told))[f"pattern_{ONE}"] is Reason.NOT_CACHED
    assert index_of(cache, told).reattach == {0}
    off = Told(owners=frozenset({ONE}), window=frozenset(), patterns=False)
    assert index_of(cache, off).reattach == frozenset()


def test_what_the_primary_did_not_say_stays_unknown(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, {f"episode_{ONE}": value([1.0]), "note": value([2.0])})
    index = index_of(cache, Told(owners=frozenset({ONE}), problem="timeout"))
    assert reasons(index) == {f"episode_{ONE}": Reason.OWNER_UNKNOWN, "note": Reason.ATTACHED}
    assert index.primary_problem == "timeout"


def test_broken_vectors(tmp_path: Path) -> None:
    rows = {
        "bad-nan": value([math.nan, 1.0]),
        "bad-octets": b"\xff\xff",
        "bad-zeros": value([0.0, 0.0]),
        "good": value([1.0, 2.0]),
        "good-too": value([1.5, 2.0]),
        "long": value([1.0, 2.0, 3.0]),
    }
    index = index_of(cache_of(tmp_path, rows))
    found = reasons(index)
    assert [found[key] for key in rows] == [Reason.BAD_VALUES] * 3 + [Reason.ATTACHED] * 2 + [Reason.WRONG_DIMENSION]
    assert index.row(0).norm is None
    assert index.row(1).dimension is None
    assert index.row(3).norm == pytest.approx(math.sqrt(5))
    declared = index_of(tmp_path / "made.redb", dimension=3)
    assert reasons(declared)["good"] is Reason.WRONG_DIMENSION
    assert reasons(declared)["long"] is Reason.ATTACHED


def test_duplicates_and_raw_ids(tmp_path: Path) -> None:
    rows = {
        "note-1": value([1.0]),
        "note-2": value([1.0]),
        "note-3": value([3.0]),
        f"episode_{ONE}": value([4.0]),
        ONE: value([5.0]),
    }
    told = Told(
        owners=frozenset(), window=frozenset(), embeddings={"note-1": True, "note-2": True, "note-3": False, ONE: True}
    )
    found = reasons(index_of(cache_of(tmp_path, rows), told))
    assert found == {
        "note-1": Reason.DUPLICATE,
        "note-2": Reason.DUPLICATE,
        "note-3": Reason.NOT_UPSTREAM,
        f"episode_{ONE}": Reason.OWNER_NOWHERE,
        ONE: Reason.DUPLICATE,
    }


def test_owners_in_the_cache(tmp_path: Path) -> None:
    episodes = episodes_of(tmp_path / "fixture", 4)
    first, second, third, fourth = episodes
    rows = {
        f"{SCOPE}:episode:{first}": value([1.0]),
        f"{SCOPE}:episode:{second}": value([2.0]),
        f"episode_{third}": value([3.0]),
    }
    cache = cache_of(tmp_path, rows, episodes)
    told = Told(
        owners=frozenset({first, third, fourth}),
        window=frozenset(),
        embeddings={f"{SCOPE}:episode:{fourth}": True},
        newer=frozenset({f"episode_{third}"}),
    )
    index = index_of(cache, told)
    assert reasons(index) == {
        f"{SCOPE}:episode:{first}": Reason.ATTACHED,
        f"{SCOPE}:episode:{second}": Reason.DELETED_UPSTREAM,
        f"episode_{third}": Reason.TEXT_NEWER,
        f"{SCOPE}:episode:{fourth}": Reason.MISSING,
    }
    missing = index.row(index.keys.index(f"{SCOPE}:episode:{fourth}"))
    assert (missing.in_cache, missing.in_primary, missing.bytes, missing.norm) == (False, True, 0, None)
    assert missing.title == _native.title("episodes", episodes[fourth])
    assert index.total == 3


def test_nothing_is_missing_where_no_owner_has_an_embedding(tmp_path: Path) -> None:
    episodes = episodes_of(tmp_path / "fixture", 4)
    index = index_of(cache_of(tmp_path, {"note": value([1.0])}, episodes))
    assert index.keys == ("note",)


def test_what_is_remembered(tmp_path: Path) -> None:
    key = f"episode_{ONE}"
    remembered = Remembered(
        {key: NOW - 60}, {key: "kept"}, {ONE: ("An old task", "quarantined from g-3, 1 Jan 00:00Z")}
    )
    row = index_of(cache_of(tmp_path, {key: value([1.0])}), remembered=remembered).row(0)
    assert (row.first_seen, row.expected, row.title) == (NOW - 60, "kept", "An old task")
    bare = index_of(tmp_path / "made.redb").row(0)
    assert (bare.first_seen, bare.expected, bare.title) == (None, None, None)


def test_an_empty_cache(tmp_path: Path) -> None:
    index = index_of(cache_of(tmp_path, {}))
    assert (len(index), index.total, dict(index.counts)) == (0, 0, {})


def test_columns_cannot_be_written(tmp_path: Path) -> None:
    index = index_of(cache_of(tmp_path, {"a": value([1.0])}))
    for column in (index.reasons, index.owners, index.norms, index.sizes, index.first_seen, index.in_primary):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
    assert found_in(read(tmp_path / "made.redb")).total == 1
