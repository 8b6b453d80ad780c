"""Values of another storage class than their column's: refused by name, and never taken for rows that move."""

from __future__ import annotations

import math
import random
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.primary.source import LocalSource, Source, connect
from storage_sync.primary.errors import UndecodableText
from storage_sync.sync.streaming import Sink, pump
from storage_sync.sync.stage import translated
from tests.native.synthetic import name, scope
from tests.support import stores
from tests.support.sqld import Sqld

COLUMNS: dict[str, object] = {
    "condition_text": "when",
    "action_text": "then",
    "confidence": 0.5,
    "evidence": '{"episode_ids":[],"success_rate":0.5,"sample_size":2}',
    "created_at": 1,
    "updated_at": 2,
}
_random = random.Random(7)
NUMBERS = [
    *(1.5, 0.1, 1e300, 2.0, -0.0, 123456789012345678.0, 1 / 3, 5e-324, 1.7976931348623157e308, 9.999999999999999e22),
    *(0.1 + 0.2, 1e15, 1e16, 1e21, 123456789012345.6, 1e-5, 0.0001, -1e-300, math.inf, -math.inf),
    # here SQLite's own fifteenth digit is not the nearest one
    *(-906834.6387644875, 95488.93141911575),
    *(_random.uniform(-1e6, 1e6) for _ in range(40)),
    *(struct.unpack("<d", _random.randbytes(7) + b"\x3f")[0] for _ in range(20)),
]
OTHERS = [12, -1, 2**63 - 1, "12", "1.50", "", "a|b", b"12", b"\xff", None]


def spoilt(folder: Path) -> tuple[Path, int]:
    """A primary without column types: each value in each column of a heuristic. The path and how many rows that is."""
    path = stores.primary("small", folder)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE heuristics")
        db.execute(f"CREATE TABLE heuristics(heuristic_id TEXT PRIMARY KEY NOT NULL,{','.join(COLUMNS)})")
        rows = [{**COLUMNS, column: value} for value in [*NUMBERS, *OTHERS] for column in COLUMNS]
        keyed = [(name(number), *row.values()) for number, row in enumerate(rows)]
        keyed += [(key, *COLUMNS.values()) for key in (b"12", b"\xff", "12x", b"")]
        db.executemany("INSERT INTO heuristics VALUES(?,?,?,?,?,?,?)", keyed)
        # an integer where a text belongs, a blob where a key belongs
        db.execute(
            "UPDATE embeddings SET item_id=CAST(item_id AS BLOB) WHERE rowid=(SELECT min(rowid) FROM embeddings)"
        )
        db.commit()
    return path, len(keyed)


async def by_digest(source: Source, path: Path, *, typed: bool) -> _native.Staging:
    """All rows by manifest and keys, into a sealed staging."""
    comparison = _native.Comparison(scope(), None)

    async def feed(sink: Sink, /, *chunks: bytes) -> None:
        sink(*chunks)

    await pump(source.manifest(scope(), "{}"), comparison.feed, feed)
    comparison.finish()
    staging = _native.Staging(scope(), None, comparison, path=str(path), sibling=True)
    for table in scope().tables:
        first = 0
        while keys := staging.pending_keys(table, first, 50):
            first += len(keys)
            for form in (typed, True):
                steps, chunks = source.rows(scope(), table, keys, typed=form)
                staging.begin(steps)
                try:
                    with translated():
                        await pump(chunks, staging.feed, feed)
                        staging.end()
                except UndecodableText:
                    assert not form
                    continue
                break
    staging.seal()
    assert {table: one.moved for table, one in staging.changes.items() if one.moved} == {}
    assert staging.root == comparison.root
    return staging


async def snapshot(source: Source, path: Path) -> _native.Staging:
    staging = _native.Staging(scope(), None, None, path=str(path), sibling=True)
    if isinstance(source, LocalSource):
        async for table, rows in source.local_rows(scope()):
            staging.feed_rows(table, rows)
    else:
        steps, chunks = source.snapshot(scope(), typed=True)
        staging.begin(steps)
        async for chunk in chunks:
            staging.feed(chunk)
        staging.end()
    staging.seal()
    return staging


def refusals(staging: _native.Staging) -> set[tuple[str, str, str]]:
    return {row[:3] for row in staging.refused(None, 9999)}


async def test_every_row_ends_equal_or_refused(tmp_path: Path) -> None:
    path, count = spoilt(tmp_path)
    with Sqld(path) as server:
        source = connect(server.url)
        await source.probe()
        plain = await by_digest(source, tmp_path / "plain", typed=False)
        typed = await by_digest(source, tmp_path / "typed", typed=True)
        whole = await snapshot(source, tmp_path / "whole")
        await source.close()
    assert plain.root == typed.root == whole.root
    assert refusals(plain) == refusals(typed) == refusals(whole)
    one = plain.changes["heuristics"]
    assert one.expected == count == one.insert + one.refused
    file = connect(f"file:{path}")
    await file.probe()
    local = await snapshot(file, tmp_path / "local")
    assert refusals(local) == refusals(whole)
    # the digests that the file is asked for by key are those of its snapshot
    keys = [name(number) for number in range(200)]
    digests = await file.digests("heuristics", [key.encode().hex().upper() for key in keys], "sha3-256")
    await file.close()
    _native.finish_sibling(local, {}, 1, 1)
    cache = _native.CacheFile.open(str(tmp_path / "local"), "read")
    entries = cache.get("storage_sync_digest", [f"heuristics/{key}" for key in keys])
    cache.close()
    listed = {
        key.encode().hex().upper(): entry[1:17].hex().upper() for key, entry in zip(keys, entries, strict=True) if entry
    }
    assert digests == listed
    assert len(listed) == 200
    for staging in (plain, typed, whole, local):
        staging.discard()


def test_a_plain_answer_may_hold_no_real(tmp_path: Path) -> None:
    staging = _native.Staging(scope(), None, None, path=str(tmp_path / "s"), sibling=True)
    staging.begin([_native.StepSpec("heuristics")])
    cells = b'{"type":"float","value":1.5}'
    with pytest.raises(_native.StreamError) as caught:
        staging.feed(b'{"baton":null}\n{"type":"step_begin","step":0}\n{"type":"row","row":[' + cells + b"]}\n")
    assert caught.value.code == "real"
