"""What the data plane reads of all embeddings of a file, against the same in Python."""

from __future__ import annotations

import hashlib
import math
import random
import struct
from pathlib import Path

import pytest

from storage_sync import _native
from tests.embeddings.synthetic import SCOPE, cache_of, identity, read, unit, value
from tests.support import stores


def floats(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 8}d", data)


def test_columns_of_what_do_memory_wrote(tmp_path: Path) -> None:
    cache = stores.cache("v47-small", tmp_path)
    file = _native.CacheFile.open(str(cache), "read")
    rows = dict(file.page("embeddings", None, 10_000))
    episodes = {key for key, _ in file.page("episodes", None, 10_000)}
    patterns = {key for key, _ in file.page("patterns", None, 10_000)}
    found = file.embeddings(str(tmp_path))
    file.close()
    assert len(found) == len(rows) > 20
    assert found.keys == sorted(rows)
    assert set(found.flags) == {7}
    here = episodes | patterns
    assert [owner in (1, 2) for owner in found.owners] == [key[-36:] in here for key in found.keys]
    named = {key[-36:] for key in found.keys}
    assert [one for one, _, _ in found.lone_episodes] == sorted(episodes - named)
    assert [one for one, _, _ in found.lone_patterns] == sorted(patterns - named)
    for row, key in enumerate(found.keys):
        numbers = found.value(row)
        assert numbers == rows[key][-len(numbers) :]
    assert len(found.digests) == 16 * len(rows)
    assert list(tmp_path.glob("vectors-*")) == []


def test_titles_are_the_tasks_of_the_owners(tmp_path: Path) -> None:
    cache = stores.cache("v47-small", tmp_path)
    file = _native.CacheFile.open(str(cache), "read")
    found = file.embeddings(str(tmp_path))
    told = {key[-36:]: title for key, title in zip(found.keys, found.titles, strict=True)}
    checked = 0
    for key, data in file.page("episodes", None, 10_000):
        text = _native.decode_value("episodes", data)
        title = _native.title("episodes", data)
        assert title is not None
        assert _json_text(title) in text
        if key in told:
            assert told[key] == title
            checked += 1
    for _, data in file.page("patterns", None, 10_000):
        assert _native.title("patterns", data)
    file.close()
    assert checked > 10
    assert _native.title("episodes", b"\x00") is None
    assert _native.title("heuristics", b"") is None


def _json_text(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)[1:-1]


def test_labels_are_the_domains_and_tags_of_the_owners(tmp_path: Path) -> None:
    cache = stores.cache("v47-small", tmp_path)
    file = _native.CacheFile.open(str(cache), "read")
    found = file.embeddings(str(tmp_path))
    owners = {key: ("episodes", data) for key, data in file.page("episodes", None, 10_000)}
    owners |= {key: ("patterns", data) for key, data in file.page("patterns", None, 10_000)}
    file.close()
    told = {key: _native.label(table, data) for key, (table, data) in owners.items()}
    assert len({repr(label) for label in found.labels}) == len(found.labels) > 0
    pairs = list(struct.iter_unpack("<II", found.labelled))
    assert [row for row, _ in pairs] == sorted(row for row, key in enumerate(found.keys) if told.get(key[-36:]))
    assert all(found.labels[label] == told[found.keys[row][-36:]] for row, label in pairs)
    for key, _, label in (*found.lone_episodes, *found.lone_patterns):
        assert (found.labels[label] if label is not None else None) == told[key]
    for table, data in owners.values():
        filed = _native.label(table, data)
        if table == "episodes":
            text = _native.decode_value(table, data)
            assert filed is not None
            assert all(_json_text(word) in text for word in (filed[0], *filed[1]))
            assert filed[1] == sorted(set(filed[1]))
    assert any(label[1] for label in found.labels), "some owner has tags"
    assert _native.label("episodes", b"\x00") is None
    assert _native.label("heuristics", b"") is None


def test_flags_norms_and_owners(tmp_path: Path) -> None:
    rows = {
        "a-raw-key": value([3.0, 4.0]),
        f"episode_{identity(1)}": value([math.nan, 1.0]),
        f"pattern_{identity(2)}": value([0.0, 0.0, 0.0]),
        f"{SCOPE}:episode:{identity(3)}": value([math.inf]),
        identity(4): b"\xff\xff",
        "empty": value([]),
    }
    found = read(cache_of(tmp_path, rows))
    flags, owners = dict(zip(found.keys, found.flags, strict=True)), dict(zip(found.keys, found.owners, strict=True))
    norms = dict(zip(found.keys, floats(found.norms), strict=True))
    assert (flags["a-raw-key"], owners["a-raw-key"], norms["a-raw-key"]) == (7, 0, 5.0)
    assert (flags[f"episode_{identity(1)}"], owners[f"episode_{identity(1)}"]) == (1, 3)
    assert (flags[f"pattern_{identity(2)}"], owners[f"pattern_{identity(2)}"]) == (3, 4)
    assert flags[f"{SCOPE}:episode:{identity(3)}"] == 1
    assert (flags[identity(4)], owners[identity(4)]) == (0, 5)
    assert math.isnan(norms[identity(4)])
    assert flags["empty"] == 3
    assert found.value(found.keys.index(identity(4))) == b"\xff\xff"


def test_cosines_are_those_of_plain_python(tmp_path: Path) -> None:
    rng = random.Random(5)
    vectors = {f"episode_{identity(number)}": unit(rng, 37) for number in range(60)}
    rows = {key: value(numbers) for key, numbers in vectors.items()}
    rows["other"] = value([1.0, 2.0])
    rows["broken"] = value([math.nan] * 37)
    found = read(cache_of(tmp_path, rows))
    place = found.keys.index(f"episode_{identity(7)}")
    own = floats_of(found.value(place))
    for key, cosine in zip(found.keys, floats(found.cosines(place)), strict=True):
        if key in ("other", "broken") or key == found.keys[place]:
            assert math.isnan(cosine)
            continue
        theirs = floats_of(found.value(found.keys.index(key)))
        expected = sum(a * b for a, b in zip(own, theirs, strict=True)) / (math.hypot(*own) * math.hypot(*theirs))
        assert cosine == pytest.approx(expected, abs=1e-12)
    assert all(math.isnan(one) for one in floats(found.cosines(found.keys.index("broken"))))


def floats_of(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 4}f", data)


def test_more_vectors_than_are_read_at_once(tmp_path: Path) -> None:
    rng = random.Random(6)
    rows = {f"episode_{identity(number)}": value(unit(rng, 384)) for number in range(1500)}
    found = read(cache_of(tmp_path, rows))
    cosines = floats(found.cosines(0))
    assert len(cosines) == 1500
    far = max(range(1, 1500), key=lambda row: cosines[row])
    back = floats(found.cosines(far))
    assert back[0] == pytest.approx(cosines[far], abs=1e-12)


def test_a_row_that_there_is_not(tmp_path: Path) -> None:
    found = read(cache_of(tmp_path, {"one": value([1.0])}))
    with pytest.raises(ValueError, match="no row 1"):
        found.value(1)
    with pytest.raises(ValueError, match="no row 9"):
        found.cosines(9)


def test_equal_values_have_equal_digests(tmp_path: Path) -> None:
    found = read(cache_of(tmp_path, {"a": value([1.0]), "b": value([1.0]), "c": value([2.0])}))
    digests = [found.digests[at : at + 16] for at in (0, 16, 32)]
    assert digests[0] == digests[1] != digests[2]
    assert digests[0] == _native.digest("blake3", value([1.0]))[:16]


def test_a_file_without_embeddings(tmp_path: Path) -> None:
    found = read(cache_of(tmp_path, {}))
    assert (len(found), found.keys, found.flags, found.lone_episodes) == (0, [], b"", [])
    assert hashlib.sha256(found.norms).digest() == hashlib.sha256(b"").digest()
