"""The judge itself is judged by the stores that do-memory wrote and by what their manifests say of them."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from tests.independent import rust_types as rt
from tests.independent.projection_check import check, lz4_block
from tests.independent.redb_reader import RedbFile
from tests.support import stores


@pytest.mark.parametrize("name", sorted(stores.CACHES))
def test_reads_every_value_as_do_memory_does(name: str, tmp_path: Path) -> None:
    expected = {"small": "expected", "cli": "expected", "v47-small": "cache"}.get(name)
    file = RedbFile(stores.cache(name, tmp_path))
    values: dict[tuple[str, str], object] = {}
    if expected is not None:
        lines = stores.unpack(name, f"{expected}.jsonl", tmp_path).read_text(encoding="utf-8").splitlines()
        values = {(line["table"], line["key"]): line["value"] for line in map(json.loads, lines)}
    for table, kind in rt.CACHED.items():
        for key, data in file.rows(table):
            value = kind.whole(data)
            if expected is not None:
                assert value == kind.from_json(values[table, key.decode()])
            dump = values.get(("pattern_dumps", key.decode()))
            if table == "patterns" and dump is not None:
                assert kind.debug(value) == dump


@pytest.mark.parametrize("name", ["small", "medium"])
def test_untouched_pairs_are_equal(name: str, tmp_path: Path) -> None:
    report = check(stores.primary(name, tmp_path), stores.cache(name, tmp_path), window=2000)
    assert report.holds(exact=True), report.text()
    assert report.equal == report.expected


def test_rewritten_pair_has_seven_rows_only_in_the_cache(tmp_path: Path) -> None:
    report = check(stores.primary("v47-small", tmp_path), stores.cache("v47-small", tmp_path))
    assert report.holds(), report.text()
    extra = {table: len(keys) for table, keys in report.extra.items()}
    assert extra == {"summaries": 2, "relationships": 4, "episode_pattern_relationships": 1}


def test_drifted_pair_shows_each_role(tmp_path: Path) -> None:
    report = check(stores.primary("cli", tmp_path), stores.cache("cli", tmp_path))
    roles: dict[str, set[str]] = {}
    for line in stores.unpack("cli", "roles.tsv", tmp_path).read_text(encoding="utf-8").splitlines():
        role, _, subject = line.partition("\t")
        roles.setdefault(role.split(" ")[0], set()).add(subject)
    assert set(report.differing["episodes"]) == roles["stale-in-cache"]
    assert set(report.missing["episodes"]) == roles["primary-only"] | roles["primary-only-cache-was-locked"]
    assert set(report.extra["episodes"]) == roles["cache-only"] | roles["deleted-in-primary"]
    assert not report.holds()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE episodes SET task_description = task_description || '.' WHERE rowid = 3",
        "UPDATE episodes SET start_time = start_time + 1 WHERE rowid = 3",
        "DELETE FROM episode_tags WHERE rowid = 1",
        "UPDATE patterns SET pattern_type = replace(pattern_type, 'applied: ', 'applied: 1') WHERE rowid = 1",
        "UPDATE heuristics SET confidence = confidence / 2 WHERE rowid = 1",
        "UPDATE episode_relationships SET created_at = created_at - 1 WHERE rowid = 1",
        "UPDATE episode_summaries SET summary_text = '' WHERE rowid = 1",
        "UPDATE procedural_memory SET name = name || '!' WHERE rowid = 1",
        "UPDATE embeddings SET embedding_data = '[0.5]' WHERE item_id = (SELECT min(item_id) FROM embeddings)",
    ],
)
def test_one_changed_row_is_seen(change: str, tmp_path: Path) -> None:
    primary, cache = stores.primary("small", tmp_path), stores.cache("small", tmp_path)
    stores.execute(primary, [change])
    report = check(primary, cache)
    assert not report.holds(exact=True)
    assert sum(len(keys) for keys in (report.differing | report.refused).values()) == 1, report.text()


def test_window_and_switches_narrow_what_is_expected(tmp_path: Path) -> None:
    primary, cache = stores.primary("small", tmp_path), stores.cache("small", tmp_path)
    report = check(primary, cache, window=10, patterns=False, embeddings=False)
    assert report.holds(), report.text()
    assert report.expected["episodes"] == 10
    assert "patterns" not in report.expected
    assert "embeddings" not in report.expected
    assert len(report.extra["episodes"]) == 30


def test_lz4_blocks() -> None:
    assert lz4_block(bytes([0x50]) + b"hello", 5) == b"hello"
    assert lz4_block(bytes([0x1F]) + b"a" + bytes([1, 0, 0, 0x50]) + b"bbbbb", 25) == b"a" * 20 + b"bbbbb"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.8, "0.8"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e16, "1e16"),
        (9.999e15, "9999000000000000.0"),
        (0.0001, "0.0001"),
        (0.00009, "9e-5"),
        (1.5e-7, "1.5e-7"),
        (float("inf"), "inf"),
        (16777216.0, "16777216.0"),
    ],
)
def test_debug_form_of_f32(value: float, text: str) -> None:
    assert rt.debug_f32(rt.bits_of(value)) == text


@pytest.mark.parametrize("text", ["[]", "[0.1, 7, -0.0, 1e-46, 3.5e38]", "[1, -1e39]", "[0.5, true]", '["1"]', "7"])
def test_a_vector_is_a_list_of_f32(text: str) -> None:
    one_by_one, value = rt.many(rt.F32), rt.read_json(text)
    try:
        wanted = one_by_one.from_json(value)
    except rt.Unreadable:
        with pytest.raises(rt.Unreadable):
            rt.VECTOR.from_json(value)
        return
    assert rt.VECTOR.from_json(value) == wanted
    data = bytes([len(wanted)]) + b"".join(bits.to_bytes(4, "little") for bits in wanted)
    assert rt.VECTOR.whole(data) == one_by_one.whole(data) == wanted
    with pytest.raises(rt.Unreadable, match="end early"):
        rt.VECTOR.whole(b"\x03" + data[1:9])


def test_golden_samples_decode() -> None:
    """Only the samples of cached types; the others are parts of them."""
    path = stores.FIXTURES / "golden" / "postcard.jsonl"
    raw = path.read_bytes() if path.exists() else lzma.decompress(path.with_suffix(".jsonl.xz").read_bytes())
    kinds = {"Episode": rt.EPISODE, "Pattern": rt.PATTERN, "Heuristic": rt.HEURISTIC, "EpisodeSummary": rt.SUMMARY}
    kinds |= {"RecommendationSession": rt.SESSION, "RecommendationFeedback": rt.FEEDBACK}
    kinds |= {"ProceduralMemory": rt.PROCEDURAL, "EpisodeRelationship": rt.RELATIONSHIP, "vec_f32": rt.EMBEDDING}
    seen = 0
    for line in map(json.loads, raw.decode().splitlines()):
        kind = kinds.get(line["type"])
        if kind is not None:
            assert kind.whole(bytes.fromhex(line["hex"])) == kind.from_json(json.loads(line["json_text"]))
            seen += 1
    assert seen >= len(kinds)
