"""Compare, stage, apply and prove, on synthetic responses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage_sync import _native
from tests.native import journey
from tests.native.synthetic import (
    Primary,
    cursor,
    embedding,
    heuristic,
    name,
    pipeline,
    scope,
    sqlite_rows,
    typed,
)
from tests.support import stores


@pytest.fixture
def primary() -> Primary:
    scoped = f"emb_v1:local:m:2#r1:episode:{name(1)}"
    vectors = [embedding(name(number), "embedding", (number, 1)) for number in range(1, 90)]
    return Primary(
        {"heuristics": [heuristic(number) for number in range(150)], "embeddings": [*vectors, embedding(scoped)]}
    )


def root_in(cache: Path, wanted: _native.Scope | None = None) -> str:
    return _native.root_of(journey.scanned(cache), wanted or scope())


def test_first_sync_then_nothing(tmp_path: Path, primary: Primary) -> None:
    cache = tmp_path / "cache.redb"
    done = journey.build(primary, cache)
    assert (done.generation, done.rows_written) == (1, 240)
    proof = _native.prove(str(cache), scope())
    assert _native.root_of(proof, scope()) == primary.root(scope())
    assert proof.clean
    scan = journey.scanned(cache)
    comparison = journey.compared(primary, scan)
    assert comparison.root == primary.root(scope())
    assert not any(comparison.to_fetch.values())
    assert not any(comparison.to_remove.values())
    file = _native.CacheFile.open(str(cache), "read")
    assert file.schema_version() == 4
    assert file.meta()["generation"] == b"1"
    assert "staging" not in file.meta()
    assert len(file.tables()) == 14 + 3
    file.close()


def test_changes_come_over_and_no_others(tmp_path: Path, primary: Primary) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(primary, cache)
    rows = primary.rows["heuristics"]
    rows[3] = heuristic(3, "changed")
    rows[7] = heuristic(7, confidence=0.25)
    del rows[11]
    rows.append(heuristic(500))
    staging = journey.prepared(primary, cache)
    assert journey.written(staging) == {"heuristics": (1, 2, 1, 0, 0)}
    assert staging.removals("heuristics", None, 9) == [name(11)]
    assert [row[1::2] for row in staging.replaced(None, 9)] == [(name(11), "gone from the primary")]
    assert {key for key, _ in staging.staged("heuristics", None, 9)} == {name(3), name(7), name(500)}
    done = _native.apply(str(cache), staging, {"checkpoint": b"2"}, 2, journey.NOW)
    assert (done.rows_written, done.rows_removed, done.commits) == (3, 1, 1)
    assert root_in(cache) == primary.root(scope())
    again = journey.prepared(primary, cache)
    assert journey.written(again) == {}


def test_kept_removals_are_not_set_aside(tmp_path: Path, primary: Primary) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(primary, cache)
    primary.rows["embeddings"] = primary.rows["embeddings"][1:]
    staging = journey.prepared(primary, cache)
    staging.keep_removed("embeddings", [name(1)])
    assert staging.replaced(None, 9) == []


@pytest.mark.parametrize("form", ["cursor", "pipeline", "typed", "sqlite"])
def test_all_forms_of_an_answer_give_the_same_root(tmp_path: Path, primary: Primary, form: str) -> None:
    staging = _native.Staging(scope(), None, None, path=str(tmp_path / "s"), sibling=True)
    for table in scope().tables:
        rows = primary.select(table)
        if form == "sqlite":
            staging.feed_rows(table, sqlite_rows(rows))
            continue
        if form == "typed":
            rows = typed(primary.rows.get(table, []))
        staging.begin([_native.StepSpec(table, typed=form == "typed")])
        for piece in journey.pieces(pipeline(rows) if form == "pipeline" else cursor([rows]), 333):
            staging.feed(piece)
        staging.end()
    staging.seal()
    assert staging.root == primary.root(scope())
    staging.discard()
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("announced", [-1, 0, 1])
def test_a_read_of_everything_has_as_many_rows_as_it_says(primary: Primary, tmp_path: Path, announced: int) -> None:
    staging = _native.Staging(scope(), None, None, path=str(tmp_path / "s"), sibling=False, identity=b"one")
    journey.snapshot(primary, staging, announced=announced)
    if announced:
        with pytest.raises(_native.StreamError) as caught:
            staging.seal()
        assert caught.value.code == "truncated"
    else:
        staging.seal()
        assert staging.root == primary.root(scope())
    staging.discard()


def test_bad_rows_are_refused_once_and_heal(tmp_path: Path, primary: Primary) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(primary, cache)
    good = primary.rows["heuristics"][0]
    primary.rows["heuristics"][0] = (*good[:4], "{broken", *good[5:])
    primary.rows["embeddings"].append(embedding("whatever", "unknown"))
    staging = journey.prepared(primary, cache)
    assert {row[0]: row[2] for row in staging.refused(None, 9)}["heuristics"] == "evidence"
    assert ("heuristics", name(0)) in [row[:2] for row in staging.replaced(None, 9)]
    _native.apply(str(cache), staging, {}, 2, journey.NOW)
    scan = journey.scanned(cache)
    assert scan.tables["heuristics"].refused == scan.tables["embeddings"].refused == 1
    assert _native.root_of(scan, scope()) == primary.root(scope())
    again = journey.prepared(primary, cache)
    assert journey.written(again) == {"heuristics": (0, 0, 0, 0, 1), "embeddings": (0, 0, 0, 0, 1)}
    assert len(again.refused(None, 9)) == 2
    file = _native.CacheFile.open(str(cache), "read")
    entries = {key.split("\0")[0]: json.loads(text) for key, text in file.quarantine(None, 9)}
    assert entries["heuristics"]["column"] == "evidence"
    assert entries["heuristics"]["first_seen"] == journey.NOW
    file.close()
    primary.rows["heuristics"][0] = good
    primary.rows["embeddings"].pop()
    healed = journey.prepared(primary, cache)
    assert journey.written(healed) == {"heuristics": (1, 0, 0, 0, 0), "embeddings": (0, 0, 0, 1, 0)}
    _native.apply(str(cache), healed, {}, 3, journey.NOW)
    assert root_in(cache) == primary.root(scope())


@pytest.mark.parametrize("path", ["snapshot", "digest"])
def test_doubled_rows_are_refused(tmp_path: Path, primary: Primary, path: str) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(primary, cache)
    primary.rows["embeddings"].append(embedding(name(5), "embedding", (9, 9)))
    if path == "digest":
        staging = journey.prepared(primary, cache)
    else:
        staging = _native.Staging(scope(), journey.scanned(cache), None, path=f"{cache}.stage", sibling=False)
        journey.snapshot(primary, staging)
        staging.seal()
    assert journey.written(staging) == {"embeddings": (0, 0, 0, 2, 2)}
    assert len(staging.refused(None, 9)) == 2
    _native.apply(str(cache), staging, {}, 2, journey.NOW)
    assert root_in(cache) == primary.root(scope())
    assert journey.written(journey.prepared(primary, cache)) == {"embeddings": (0, 0, 0, 0, 2)}


def test_a_cache_that_do_memory_wrote_is_taken_over(tmp_path: Path) -> None:
    cache = stores.cache("v47-small", tmp_path)
    untouched = _native.CacheFile.open(str(cache), "read")
    before = dict(untouched.page("heuristics", None, 99))
    untouched.close()
    key = next(iter(before))
    decoded = json.loads(_native.decode_value("heuristics", before[key]))
    row = (key, "another condition", decoded["action"], decoded["confidence"], json.dumps(decoded["evidence"]), 1, 2)
    primary = Primary({"heuristics": [row]})
    staging = journey.prepared(primary, cache)
    assert journey.written(staging) == {"heuristics": (0, 1, 0, 0, 0)}
    _native.apply(str(cache), staging, {}, 1, journey.NOW)
    scan = journey.scanned(cache)
    assert (scan.tables["heuristics"].listed, scan.tables["heuristics"].cache_only) == (1, len(before) - 1)
    assert scan.tables["episodes"].cache_only == 60
    assert _native.root_of(scan, scope()) == primary.root(scope())
    assert journey.written(journey.prepared(primary, cache)) == {}


def test_a_file_that_moved_is_a_conflict_and_stays(tmp_path: Path, primary: Primary) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(primary, cache)
    primary.rows["heuristics"][0] = heuristic(0, "mine")
    late = journey.prepared(primary, cache)
    primary.rows["heuristics"][0] = heuristic(0, "theirs")
    journey.synced(primary, cache, 2)
    with pytest.raises(_native.Conflict):
        _native.apply(str(cache), late, {}, 3, journey.NOW)
    assert root_in(cache) == primary.root(scope())
    held = _native.CacheFile.open(str(cache), "write")
    with pytest.raises(_native.DatabaseAlreadyOpen):
        _native.apply(str(cache), late, {}, 3, journey.NOW)
    held.close()


def test_drift_and_rot_are_told_apart_and_mended(tmp_path: Path, primary: Primary) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(primary, cache)
    data = bytearray(cache.read_bytes())
    file = _native.CacheFile.open(str(cache), "read")
    [value] = file.get("heuristics", [name(42)])
    file.close()
    assert value is not None
    at = data.find(value)
    assert data.find(value, at + 1) < 0
    data[at + value.find(b"when")] ^= 2
    cache.write_bytes(data)
    scan = journey.scanned(cache)
    assert (scan.tables["heuristics"].drifted, scan.tables["heuristics"].rotten) == (1, 0)
    assert scan.tables["heuristics"].differing_keys == [name(42)]
    assert not scan.clean
    comparison = journey.compared(primary, scan)
    assert comparison.to_fetch["heuristics"] == 1
    data[at] ^= 0xFF
    cache.write_bytes(data)
    scan = journey.scanned(cache)
    assert (scan.tables["heuristics"].drifted, scan.tables["heuristics"].rotten) == (0, 1)
    staging = journey.prepared(primary, cache)
    assert [(row[1], row[3]) for row in staging.replaced(None, 9)] == [(name(42), "bit rot")]
    assert journey.written(staging) == {"heuristics": (0, 1, 0, 0, 0)}


def test_rows_that_move_are_counted_and_stop_the_apply(tmp_path: Path, primary: Primary) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(primary, cache)
    scan = journey.scanned(cache)
    primary.rows["heuristics"][0] = heuristic(0, "first")
    primary.rows["heuristics"][1] = heuristic(1, "first")
    comparison = journey.compared(primary, scan)
    primary.rows["heuristics"][0] = heuristic(0, "second")
    del primary.rows["heuristics"][1]
    staging = _native.Staging(scope(), scan, comparison, path=f"{cache}.stage", sibling=False)
    journey.fetch(primary, staging)
    staging.seal()
    assert staging.changes["heuristics"].moved == 2
    with pytest.raises(ValueError, match="another round"):
        _native.apply(str(cache), staging, {}, 2, journey.NOW)


def test_patterns_switched_off_leave_their_embeddings(tmp_path: Path, primary: Primary) -> None:
    primary.rows["embeddings"].append(embedding(name(7000), "pattern"))
    cache = tmp_path / "cache.redb"
    journey.build(primary, cache)
    narrow = scope(patterns=False)
    rest = Primary({"embeddings": primary.rows["embeddings"][:-1]})
    comparison = journey.compared(rest, journey.scanned(cache), narrow)
    assert not any(comparison.to_fetch.values())
    assert not any(comparison.to_remove.values())
    assert root_in(cache, narrow) == rest.root(narrow) == comparison.root


def test_orphans_and_bad_vectors_are_listed(tmp_path: Path) -> None:
    vectors = [embedding(name(1), "episode"), embedding("query:x"), embedding("zero", values=(0, 0))]
    cache = tmp_path / "cache.redb"
    journey.build(Primary({"embeddings": [*vectors, embedding("wide", values=(1, 2, 3))]}), cache)
    scan = journey.scanned(cache)
    assert scan.orphaned_embeddings() == (1, [f"episode_{name(1)}"])
    assert scan.bad_vectors(None) == (2, ["wide", "zero"])
    assert scan.bad_vectors(3)[0] == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "truncated"),
        (b"<html>no</html>", "json"),
        (cursor([[(6, "x")]]), "shape"),
        (cursor([[]], end=False), "truncated"),
        (b'{"baton":null,"base_url":null}\n{"type":"error","error":{"message":"gone","code":"BLOCKED"}}\n', "BLOCKED"),
    ],
)
def test_broken_answers_name_their_fault(tmp_path: Path, body: bytes, code: str) -> None:
    staging = _native.Staging(scope(), None, None, path=str(tmp_path / "s"), sibling=True)
    staging.begin([_native.StepSpec("heuristics")])

    def feed_all() -> None:
        for piece in journey.pieces(body):
            staging.feed(piece)
        staging.end()

    def compare() -> None:
        comparison = _native.Comparison(scope(), None)
        comparison.feed(body)
        comparison.finish()

    with pytest.raises(_native.StreamError) as caught:
        feed_all()
    assert caught.value.code == code
    with pytest.raises(_native.StreamError):
        compare()


def test_a_manifest_that_does_not_add_up_is_refused(primary: Primary) -> None:
    body = primary.manifest(scope())
    (_, digest), *_ = primary.keyed("heuristics")
    wrong = body.replace(digest.encode(), b"0" * 32)
    comparison = _native.Comparison(scope(), None)
    comparison.feed(wrong)
    with pytest.raises(_native.StreamError) as caught:
        comparison.finish()
    assert caught.value.code == "root"


KILLED = """
import sys
from tests.native import journey
from tests.native.synthetic import Primary, heuristic, scope
from storage_sync import _native
primary = Primary({"heuristics": [heuristic(number, "x" * 500) for number in range(2000)]})
comparison = journey.compared(primary, None)
staging = _native.Staging(scope(), None, comparison, path=sys.argv[1], sibling=True, identity=b"one",
                          batch_rows=50, batch_bytes=100_000)
keys = staging.pending_keys("heuristics", 0, 1500)
staging.begin([_native.StepSpec("heuristics")])
from tests.native.synthetic import cursor
for piece in journey.pieces(cursor([primary.select("heuristics", keys)])):
    staging.feed(piece)
print(staging.checkpoint_rows, flush=True)
sys.stdin.read()
"""


def test_a_killed_build_resumes(tmp_path: Path) -> None:
    path = tmp_path / "cache.redb.build"
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert child.stdout is not None
    durable = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    child.communicate()
    primary = Primary({"heuristics": [heuristic(number, "x" * 500) for number in range(2000)]})
    primary.rows["heuristics"][5] = heuristic(5, "moved on")
    comparison = journey.compared(primary, None)
    with pytest.raises(FileExistsError, match="another source"):
        _native.Staging(scope(), None, comparison, path=str(path), sibling=True, identity=b"two")
    staging = _native.Staging(scope(), None, comparison, path=str(path), sibling=True, identity=b"one")
    assert staging.resumed_rows >= durable - 1 > 0
    assert len(staging.pending_keys("heuristics", 0, 9999)) == 2000 - staging.resumed_rows
    journey.fetch(primary, staging)
    staging.seal()
    assert staging.rows == 2000
    _native.finish_sibling(staging, {}, 1, journey.NOW)
    staging.close()
    proof = _native.prove(str(path), scope())
    assert _native.root_of(proof, scope()) == primary.root(scope())
    assert proof.tables["heuristics"].rows == 2000


def test_an_in_place_staging_resumes_what_still_fits(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    journey.build(Primary({"heuristics": [heuristic(number) for number in range(300)]}), cache)
    primary = Primary({"heuristics": [heuristic(number, "new") for number in range(300)]})
    scan = journey.scanned(cache)
    stage = f"{cache}.stage"

    def open_staging() -> _native.Staging:
        comparison = journey.compared(primary, scan)
        return _native.Staging(scope(), scan, comparison, path=stage, sibling=False, batch_rows=50, identity=b"one")

    first = open_staging()
    first.begin([_native.StepSpec("heuristics")])
    keys = first.pending_keys("heuristics", 0, 200)
    first.feed(cursor([primary.select("heuristics", keys)]))
    first.end()
    first.close()
    second = open_staging()
    assert second.resumed_rows == 200
    journey.fetch(primary, second)
    second.seal()
    assert journey.written(second) == {"heuristics": (0, 300, 0, 0, 0)}
    _native.apply(str(cache), second, {}, 2, journey.NOW)
    second.discard()
    assert not Path(stage).exists()
    assert root_in(cache) == primary.root(scope())


def test_a_zero_byte_in_the_key_of_an_embedding_is_refused_each_time(tmp_path: Path, primary: Primary) -> None:
    """Names of rejected rows end at a zero byte: such a key could not be told from that of a doubled row."""
    cache = tmp_path / "cache.redb"
    primary.rows["embeddings"].append(embedding("a\0b"))
    journey.build(primary, cache)
    staging = journey.prepared(primary, cache)
    assert journey.written(staging) == {"embeddings": (0, 0, 0, 0, 1)}
    assert staging.refused(None, 9) == [("embeddings", "x'610062'", "item_id", "a zero byte in a key")]
    assert root_in(cache) == primary.root(scope())
