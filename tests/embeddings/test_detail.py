"""Facts, neighbours and the export of rows, against plain Python."""

from __future__ import annotations

import json
import math
import random
import stat
import struct
from pathlib import Path

import pytest

from storage_sync.embeddings.detail import MEANS, detail, facts, neighbours
from storage_sync.embeddings.export import export
from storage_sync.embeddings.index import OrphanIndex, Told
from storage_sync.embeddings.reason import Reason
from storage_sync.values.errors import LocalIO, UsageError
from tests.embeddings.synthetic import cache_of, identity, index_of, unit, value


def packed(numbers: list[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def index_with(folder: Path, count: int = 30, dimension: int = 9) -> OrphanIndex:
    rng = random.Random(3)
    rows = {f"episode_{identity(number)}": value(unit(rng, dimension)) for number in range(count)}
    rows["broken"] = value([math.nan] * dimension)
    rows["note"] = value([1.0, 2.0])
    rows["octets"] = b"\xff\xff\xff"
    rows["twin"] = rows[f"episode_{identity(0)}"]
    return index_of(cache_of(folder, rows), Told(owners=frozenset(), window=frozenset()))


def test_facts_of_a_vector() -> None:
    numbers = [float(number) for number in range(-48, 48)]
    found = facts(packed([*numbers[:-2], math.nan, math.inf]))
    assert (found.count, found.low, found.high, found.nans, found.infinities) == (96, -48.0, 45.0, 1, 1)
    assert len(found.means) == MEANS
    assert found.means[0] == -47.5
    assert math.isnan(found.means[-1])
    assert sum(found.histogram) == 94
    assert len(found.histogram) == 14
    assert found.bound == 48.0


@pytest.mark.parametrize("numbers", [[], [0.0], [1.0, 2.0, 3.0], [math.nan]])
def test_facts_of_short_vectors(numbers: list[float]) -> None:
    found = facts(packed(numbers))
    assert found.count == len(numbers)
    assert len(found.means) == len(numbers)
    assert sum(found.histogram) == sum(math.isfinite(number) for number in numbers)


def test_neighbours_are_the_largest_cosines(tmp_path: Path) -> None:
    index = index_with(tmp_path)
    vectors = index.vectors
    assert vectors is not None
    number = index.keys.index(f"episode_{identity(4)}")
    own = struct.unpack("<9f", vectors.value(number))
    cosines = []
    for row, key in enumerate(index.keys):
        if row == number or index.dimensions[row] != 9 or key == "broken":
            continue
        theirs = struct.unpack("<9f", vectors.value(row))
        dot = sum(a * b for a, b in zip(own, theirs, strict=True))
        cosines.append((-dot / (math.hypot(*own) * math.hypot(*theirs)), key))
    found = neighbours(index, number)
    assert [one.key for one in found.nearest] == [key for _, key in sorted(cosines)[:5]]
    assert [one.cosine for one in found.nearest] == pytest.approx([-cosine for cosine, _ in sorted(cosines)[:5]])
    assert neighbours(index, index.keys.index("broken")).nearest == ()
    assert neighbours(index, index.keys.index("note")).nearest == ()
    assert len(neighbours(index, number, count=100).nearest) == len(cosines)


def test_detail_of_a_row(tmp_path: Path) -> None:
    index = index_with(tmp_path)
    number = index.keys.index(f"episode_{identity(0)}")
    found = detail(index, number)
    assert found.vector is not None
    assert found.vector.count == 9
    assert len(found.values) == 36
    assert found.twins == ("twin",)
    assert found.row.reason is Reason.OWNER_NOWHERE
    assert found.why.startswith("neither store has its episode: do-memory probably")
    assert found.reattach == "its owner is gone"
    octets = detail(index, index.keys.index("octets"))
    assert (octets.vector, octets.values) == (None, b"\xff\xff\xff")
    with pytest.raises(IndexError):
        detail(index, len(index))


def test_every_reason_says_why() -> None:
    from tests.support.scenes import orphans

    made = orphans.index()
    said = {made.reason(row): detail(made, row).why for row in range(len(made))}
    assert len(said) == len(set(said.values())) == len(Reason) - 1


def test_export_is_one_document_a_line(tmp_path: Path) -> None:
    index = index_with(tmp_path)
    rows = list(range(len(index)))
    target = tmp_path / "out.jsonl"
    done = export(index, rows, str(target), vectors=True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert (done.rows, done.bytes) == (len(index), target.stat().st_size)
    documents = [json.loads(line) for line in target.read_text().splitlines()]
    assert [one["key"] for one in documents] == list(index.keys)
    first = documents[index.keys.index(f"episode_{identity(2)}")]
    assert first["v"] == 1
    assert first["reason"] == "owner nowhere"
    assert first["owner"]["id"] == identity(2)
    assert first["dim"] == 9
    assert len(first["nearest"]) == 5
    vectors = index.vectors
    assert vectors is not None
    assert packed(first["vector"]) == vectors.value(index.keys.index(first["key"]))
    assert documents[index.keys.index("broken")]["vector"] == [None] * 9
    assert documents[index.keys.index("octets")]["vector"] is None
    assert list(tmp_path.glob("*.part")) == []


def test_export_of_facts_only_and_of_many(tmp_path: Path) -> None:
    index = index_with(tmp_path, count=120)
    done = export(index, range(len(index)), str(tmp_path / "facts.jsonl"), vectors=False)
    documents = [json.loads(line) for line in Path(done.path).read_text().splitlines()]
    assert all(one["vector"] is None and one["nearest"] is None for one in documents)


def test_export_writes_over_nothing(tmp_path: Path) -> None:
    index = index_with(tmp_path)
    target = tmp_path / "there"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export(index, [0], str(target), vectors=False)
    assert target.read_text() == "mine"
    with pytest.raises(LocalIO):
        export(index, [0], str(tmp_path / "no" / "where"), vectors=False)
    with pytest.raises(UsageError):
        export(index, [0], " ", vectors=False)
    assert list(tmp_path.glob("*.part")) == []
