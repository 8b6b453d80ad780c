"""Values against the samples that the real libraries made."""

from __future__ import annotations

import json
import lzma
import struct
from pathlib import Path

import pytest

from storage_sync import _native
from tests.support import stores

TYPES = {
    "Episode": "episodes",
    "Pattern": "patterns",
    "Heuristic": "heuristics",
    "EpisodeSummary": "summaries",
    "EpisodeRelationship": "relationships",
    "EpisodePatternRelationship": "episode_pattern_relationships",
    "ProceduralMemory": "procedural",
    "RecommendationSession": "recommendation_sessions",
    "RecommendationFeedback": "recommendation_feedback",
}


def lines(path: Path) -> list[dict[str, object]]:
    data = path.read_bytes()
    text = (lzma.decompress(data) if path.suffix == ".xz" else data).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def as_float32(value: object) -> object:
    """The sample prints each number as the double that it is; the bits are those of a float32."""
    match value:
        case float():
            return struct.unpack("<f", struct.pack("<f", value))[0]
        case list():
            return [as_float32(item) for item in value]
        case dict():
            return {key: as_float32(item) for key, item in value.items()}
        case _:
            return value


def test_golden_samples_are_printed_as_do_memory_prints_them() -> None:
    seen = 0
    for sample in lines(stores.FIXTURES / "golden" / "postcard.jsonl"):
        table = TYPES.get(str(sample["type"]).split("::")[0].split(":")[0])
        if table is None:
            continue
        data = bytes.fromhex(str(sample["hex"]))
        assert _native.decode_value(table, data) == sample["json_text"]
        seen += 1
    assert seen > 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [("v47-small", "cache.jsonl"), ("small", "expected.jsonl"), ("cli", "expected.jsonl")],
)
def test_every_row_that_do_memory_wrote_is_read(tmp_path: Path, name: str, expected: str) -> None:
    file = _native.CacheFile.open(str(stores.cache(name, tmp_path)), "private")
    records = [line for line in lines(stores.FIXTURES / name / f"{expected}.xz") if "table" in line and "value" in line]
    compared = 0
    for record in records:
        table, key = str(record["table"]), str(record["key"])
        if table not in _native.Scope(digest="blake3", window=1, patterns=True, embeddings=True).tables:
            continue
        [data] = file.get(table, [key])
        if data is None:
            assert name != "v47-small", (table, key)
            continue
        text = _native.decode_value(table, data)
        if name == "v47-small":
            assert as_float32(json.loads(text)) == as_float32(record["value"]), (table, key)
        compared += 1
    scan = file.scan()
    rows = sum(table.rows for table in scan.tables.values())
    assert compared > 0
    assert rows >= compared
    assert all(table.undecodable == 0 for table in scan.tables.values())


def test_values_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"\w"):
        _native.decode_value("episodes", b"\xff\xff")
    with pytest.raises(ValueError, match="no table"):
        _native.decode_value("nonsense", b"")


def test_digests_are_those_of_the_standards() -> None:
    assert _native.digest("sha3-256", b"").hex().startswith("a7ffc6f8bf1ed766")
    assert _native.digest("sha-256", b"").hex().startswith("e3b0c44298fc1c14")
    assert _native.digest("blake3", b"").hex().startswith("af1349b9f5f9a1a6")
