"""A `file:` primary through stock SQLite: counted right, never written, never created, never waited for."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from storage_sync.primary import local
from storage_sync.primary.digests import half_digest
from storage_sync.primary.source import LocalSource, connect
from storage_sync.values.errors import LocalIO, PrimarySchema, PrimaryUnavailable, StorageSyncError
from tests.primary import bodies
from tests.primary.conftest import Wanted
from tests.primary.judge import Judge, half
from tests.primary.test_manifest import judge, spoil
from tests.support.sqld import Sqld


def source_of(path: Path) -> LocalSource:
    source = connect(f"file:{path}")
    assert isinstance(source, LocalSource)
    return source


def beside(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


async def read(source: LocalSource, wanted: Wanted) -> dict[str, list[local.Row]]:
    rows: dict[str, list[local.Row]] = {table: [] for table in wanted.tables}
    async with aclosing(source.local_rows(wanted)) as batches:
        async for table, batch in batches:
            rows[table] += batch
    return rows


@pytest.mark.parametrize("name", ["small", "cli", "batch", "v47-small", "medium"])
async def test_every_expected_row_and_every_count(name: str, copy_of: Callable[[str], Path]) -> None:
    path = copy_of(name)
    before = hashlib.sha256(path.read_bytes()).digest()
    source = source_of(path)
    capabilities = await source.probe()
    assert capabilities.generation == ("0.1.47" if name.startswith("v47") else "0.1.40")
    assert (capabilities.digest, capabilities.access) == (None, "read-only")
    for wanted in (Wanted(), Wanted(window=7), Wanted(window=7, patterns=False), Wanted(embeddings=False)):
        # Only counts are compared here, so what the server would print for a real does not matter.
        judged = Judge(path, AnyText()).manifest(wanted.window, patterns=wanted.patterns, embeddings=wanted.embeddings)
        rows = await read(source, wanted)
        assert {table: len(some) for table, some in rows.items()} == dict(
            zip(wanted.tables, (root[0] for root in judged.roots.values()), strict=True)
        )
        counted = (int(root[1] or 0) for root in judged.roots.values())
        assert source.counts == dict(zip(wanted.tables, counted, strict=True))
    if name == "small":
        assert source.counts["relationships"] == 14
        assert b"[29," in b"".join(
            value for value in (await source.fingerprint()).values if isinstance(value, bytes)
        ), "embeddings, which stock SQLite takes for none"
    assert hashlib.sha256(path.read_bytes()).digest() == before


class AnyText(dict[float, str]):
    def __missing__(self, key: float) -> str:
        return ""


async def test_the_same_digests_as_a_server(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("small")
    spoil(path)
    source = source_of(path)
    with Sqld(path) as server:
        judged = (await judge(server.url, path)).manifest(1000)
        for number, table in enumerate(Wanted().tables):
            buckets = [bucket for (t, _), bucket in judged.buckets.items() if t == number]
            entries = dict(entry.split(":") for bucket in buckets for entry in bucket.entries.split(","))
            keys = list(entries)
            assert await source.existing(table, [*keys, "00"]) == dict.fromkeys(keys, True)
            assert await source.digests(table, keys, "sha3-256") == entries


async def test_rows_have_the_form_of_a_fetch(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("small")
    rows = await read(source_of(path), Wanted())
    with Sqld(path) as server:
        remote = connect(server.url)
        await remote.probe()
        steps = bodies.by_step(await bodies.whole(remote.snapshot(Wanted())[1]))
        await remote.close()
    for number, table in enumerate(Wanted().tables):
        streamed = sorted(repr([plain(bodies.value(cell)) for cell in row]) for row in steps[number + 2])
        assert sorted(repr([plain(cell) for cell in row]) for row in rows[table]) == streamed
        for row in rows[table]:
            assert {type(cell) for cell in row} <= {int, float, bytearray, bytes, type(None)}


def plain(cell: object) -> object:
    """Text of a real may differ in its 17th digit."""
    if isinstance(cell, bytearray):
        cell = cell.decode()
    if isinstance(cell, str):
        try:
            return round(float(cell), 12)
        except ValueError:
            return cell
    return cell


async def test_rows_that_are_still_in_the_log(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("small")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("DELETE FROM episode_tags")
        writer.execute("DELETE FROM episodes WHERE episode_id IN (SELECT episode_id FROM episodes LIMIT 3)")
        before = (path.read_bytes(), log_of(path).read_bytes())
        source = source_of(path)
        rows = await read(source, Wanted())
        assert len(rows["episodes"]) == source.counts["episodes"] == 37
        assert (path.read_bytes(), log_of(path).read_bytes()) == before


async def test_one_instant_while_others_write(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("small")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        seen: dict[str, int] = {}
        async with aclosing(source_of(path).local_rows(Wanted())) as batches:
            async for table, batch in batches:
                if not seen:
                    writer.execute("DELETE FROM heuristics")
                seen[table] = seen.get(table, 0) + len(batch)
        assert seen["heuristics"] == 11
        assert len((await read(source_of(path), Wanted()))["heuristics"]) == 0


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda path: None, PrimarySchema, "no database"),
        (lambda path: path.mkdir(), PrimarySchema, "directory"),
        (lambda path: path.write_bytes(b""), PrimarySchema, "no table episodes"),
        (lambda path: path.write_text("some notes, long enough to be read"), PrimarySchema, "not a SQLite"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 200), StorageSyncError, "p.db"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE t(a)").connection.close(), PrimarySchema, "episodes"),
        (lambda path: path.symlink_to(path), PrimarySchema, "no database"),
    ],
    ids=["absent", "directory", "empty", "text", "header only", "other tables", "loop"],
)
async def test_what_is_not_a_primary(
    make: Callable[[Path], object], kind: type[StorageSyncError], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.db"
    make(path)
    before = beside(path)
    with pytest.raises(kind, match=words) as caught:
        await source_of(path).probe()
    assert caught.value.exit_code == 4
    assert beside(path) == before


async def test_a_folder_that_cannot_be_written(copy_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy_of("small")
    monkeypatch.setattr(os, "access", lambda *_: False)
    source = source_of(path)
    assert len((await read(source, Wanted()))["embeddings"]) == 29
    assert beside(path) == [path.name], "nothing is left beside it"
    log_of(path).write_bytes(b"x" * 40)
    with pytest.raises(LocalIO):
        await source.probe()


async def test_a_writer_that_holds_it(copy_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy_of("small")
    monkeypatch.setattr(local, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=DELETE")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(PrimaryUnavailable, match="busy"):
            await source_of(path).probe()


async def test_cancelling_interrupts_what_sqlite_does(
    copy_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(copy_of("small"))
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT count(*) FROM c"
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(began.set)
        connection.execute(endless).fetchone()

    monkeypatch.setattr(local, "probe", hang)
    task = asyncio.create_task(source.probe())
    await began.wait()
    start = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - start < 0.5
    # The thread lets go too, or the interpreter could not end.
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 5)


def test_seventeen_digits() -> None:
    assert [local.seventeen(value) for value in (1.0, 0.5, 0.1, 1e300, -1e-7, 0.800000011920929)] == [
        "1.0", "0.5", "0.10000000000000001", "1.0000000000000001e+300", "-9.9999999999999995e-08", "0.80000001192092896"
    ]  # fmt: skip
    assert half_digest("sha3-256", b"x") == half(b"x")


WRITER = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    database.execute("UPDATE heuristics SET confidence = confidence / 2")
database.close()
"""


def test_looking_at_a_file_takes_no_lock_of_a_reader_away(copy_of: Callable[[str], Path]) -> None:
    """A writer that finds no lock of a reader takes itself for the last one, and deletes the log under that reader."""
    path = copy_of("small")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode = wal").fetchone() == ("wal",)
    with closing(local.open_read_only(path)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT sum(confidence) FROM heuristics").fetchone()
        assert local.way_of(path) == local.Way()
        subprocess.run([sys.executable, "-c", WRITER, str(path)], check=True)
        assert log_of(path).exists()
        assert reader.execute("SELECT sum(confidence) FROM heuristics").fetchone() == before
        reader.execute("ROLLBACK")
        assert reader.execute("SELECT sum(confidence) FROM heuristics").fetchone() != before
