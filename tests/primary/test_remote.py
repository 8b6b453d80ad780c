"""A real sqld through `RemoteSource`: what it costs, what it gives, who is let in."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from storage_sync.demo.demo import generate
from storage_sync.primary import local, statements
from storage_sync.primary.digests import half_digest
from storage_sync.primary.hrana import Json
from storage_sync.primary.source import RemoteSource, UndecodableText, connect
from storage_sync.values.errors import PrimaryRefused, PrimarySchema, PrimaryUnavailable
from storage_sync.values.outcome import TABLES, Purpose
from tests.primary import bodies
from tests.primary.conftest import Wanted
from tests.primary.scripted import Answer, Request, Scripted
from tests.primary.test_manifest import judge
from tests.support import stores
from tests.support.relay import Exchange, Relay, Reply
from tests.support.sqld import Auth, Sqld


def remote(url: str, token: str | None = None) -> RemoteSource:
    source = connect(url, token)
    assert isinstance(source, RemoteSource)
    return source


@pytest.mark.parametrize(("name", "generation"), [("small", "0.1.40"), ("v47-small", "0.1.47")])
async def test_probe_and_the_price_of_nothing_new(name: str, generation: str, originals: Callable[[str], Path]) -> None:
    wanted = Wanted()
    with Sqld(originals(name)) as server:
        found = bodies.rows(await bodies.whole((first := remote(server.url)).manifest(wanted, "{}")))
        await first.close()
        imprint = bodies.plain(found[0])[0] or ""
        source = remote(server.url)
        capabilities = await source.probe()
        assert (capabilities.generation, capabilities.digest) == (generation, "sha3-256")
        assert capabilities.foreign_keys is True
        assert capabilities.replication_index == source.replication_index is not None
        await source.probe()
        assert source.counters.requests == 1
        await bodies.whole(source.manifest(wanted, "{}", imprint=imprint))
        assert source.counters.requests == 2
        assert source.counters.bytes_received <= 2000
        assert await source.ping() < 1000
        await source.close()


async def test_rows_that_nobody_asked_for_are_no_answer(originals: Callable[[str], Path]) -> None:
    path = originals("small")
    asked = str(stores.select(path, "SELECT hex(episode_id) FROM episodes")[0][0])

    def another(exchange: Exchange) -> None:
        reply = exchange.ask()
        body = gzip.decompress(reply.body) if "Content-Encoding" in reply.headers else reply.body
        other = body.replace(asked.encode(), b"30" * (len(asked) // 2))
        exchange.send(Reply(reply.status, other))

    with Sqld(path) as server, Relay(server.port) as relay:
        source = remote(relay.url)
        assert await source.existing("episodes", [asked]) == {asked: True}
        assert list(await source.digests("episodes", [asked], "sha3-256")) == [asked]
        relay.play(lambda number, path: another)
        with pytest.raises(PrimaryRefused, match="not asked for"):
            await source.existing("episodes", [asked])
        with pytest.raises(PrimaryRefused, match="not asked for"):
            await source.digests("episodes", [asked], "sha3-256")
        await source.close()


async def test_rows_come_as_they_are(originals: Callable[[str], Path]) -> None:
    path = originals("small")
    wanted = Wanted(window=10)
    with Sqld(path) as server:
        source = remote(server.url)
        capabilities = await source.probe()
        steps, chunks = source.snapshot(wanted)
        by_step = bodies.by_step(await bodies.whole(chunks))
        assert len(steps) == len(by_step) == 14
        judged = (await judge(server.url, path)).manifest(10)
        assert {row[0]["value"]: row[1]["value"] for row in by_step[1]} == {
            table: judged.roots[number][1] for number, table in enumerate(wanted.tables)
        }
        for number, table in enumerate(wanted.tables):
            assert len(by_step[number + 2]) == judged.roots[number][0]
            entries = dict(
                entry.split(":")
                for (t, _), bucket in judged.buckets.items()
                if t == number
                for entry in bucket.entries.split(",")
            )
            keys = list(entries)
            assert await source.digests(table, keys, "sha3-256") == entries
            assert await source.existing(table, [*keys, "00"]) == dict.fromkeys(keys, True)
            plain = bodies.rows(await bodies.whole(source.rows(wanted, table, keys)[1]))
            key_of = {json.dumps(row, sort_keys=True) for row in plain}
            assert key_of == {json.dumps(row, sort_keys=True) for row in by_step[number + 2]}
            # Without a digest function of that name the digests are made here, from typed columns.
            other = await source.digests(table, keys[:3], "sha-256")
            assert set(other) == set(keys[:3])
            assert set(other.values()).isdisjoint(entries.values())
        assert capabilities.schema.item_index
        await source.close()


async def test_a_cursor_and_a_pipeline_give_the_same_rows(originals: Callable[[str], Path]) -> None:
    with Sqld(originals("medium")) as server:
        source = remote(server.url)
        await source.probe()
        found = bodies.manifest(await bodies.whole(source.manifest(Wanted(), "{}")))
        keys = [
            entry.partition(":")[0]
            for (t, _), bucket in found.buckets.items()
            if t == 0
            for entry in bucket.entries.split(",")
        ]
        before = source.counters.requests
        some = bodies.rows(await bodies.whole(source.rows(Wanted(), "episodes", keys[:200])[1]))
        assert source.counters.requests == before + 1
        many = bodies.rows(await bodies.whole(source.rows(Wanted(), "episodes", keys)[1]))
        assert source.counters.requests == before + 3
        assert len(many) == len(keys) == 1000
        assert {row[0]["value"] for row in some} <= {row[0]["value"] for row in many}
        await source.close()


async def test_old_schemas_and_strangers(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("cli")
    with closing(sqlite3.connect(path)) as db:
        for name in ("procedural_memory", "episode_tags", "recommendation_sessions", "episode_summaries"):
            db.execute(f"DROP TABLE {name}")
        db.execute("ALTER TABLE episodes DROP COLUMN checkpoints")
        db.execute("ALTER TABLE episode_relationships DROP COLUMN weight")
        db.commit()
    with Sqld(path) as server:
        source = remote(server.url)
        assert ("episodes", "checkpoints") in (await source.probe()).schema.late
        found = bodies.manifest(await bodies.whole(source.manifest(Wanted(), "{}")))
        assert {number: root[0] for number, root in found.roots.items()} == {
            0: 14, 1: 0, 2: 1, 3: 0, 4: 0, 5: 28, 6: 0, 7: 0, 8: 0, 9: 0
        }  # fmt: skip
        steps, chunks = source.snapshot(Wanted())
        by_step = bodies.by_step(await bodies.whole(chunks))
        assert len(steps) == len(by_step) == 11
        await source.fingerprint()
        await source.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE patterns RENAME COLUMN pattern_type TO kind")
        db.commit()
    with Sqld(path) as server:
        source = remote(server.url)
        with pytest.raises(PrimarySchema, match="patterns has no column pattern_type"):
            await source.probe()
        await source.close()
    with Sqld(None) as server:
        source = remote(server.url)
        with pytest.raises(PrimarySchema, match="episodes, patterns, heuristics, embeddings"):
            await source.probe()
        await source.close()


async def test_views_and_tables_without_rowid(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("small")
    with Sqld(path) as server:
        source = remote(server.url)
        before = bodies.manifest(await bodies.whole(source.manifest(Wanted(), "{}")))
        await source.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA legacy_alter_table=1")
        db.execute("ALTER TABLE heuristics RENAME TO h")
        db.execute("CREATE VIEW heuristics AS SELECT * FROM h")
        db.execute("CREATE TABLE p AS SELECT pattern_id,pattern_type FROM patterns")
        db.execute("DROP TABLE patterns")
        db.execute("CREATE TABLE patterns(pattern_id TEXT PRIMARY KEY, pattern_type TEXT) WITHOUT ROWID")
        db.execute("INSERT INTO patterns SELECT * FROM p")
        db.commit()
    with Sqld(path) as server:
        for either in (connect(server.url), connect(f"file:{path}")):
            schema = (await either.probe()).schema
            assert schema.tables - schema.rowids == {"heuristics", "patterns"}
            await either.fingerprint()
            await either.close()
        source = remote(server.url)
        assert bodies.manifest(await bodies.whole(source.manifest(Wanted(), "{}"))) == before
        await source.close()


async def test_embeddings_of_a_multi_dimension_build(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("small")
    with Sqld(path) as server:
        source = remote(server.url)
        before = bodies.manifest(await bodies.whole(source.manifest(Wanted(), "{}")))
        columns = "item_id,item_type,embedding_data,embedding_vector,dimension"
        for name, part in (("384", "rowid % 2 = 0"), ("other", "rowid % 2 = 1")):
            await source.client.execute(
                f"CREATE TABLE embeddings_{name}(item_id TEXT, item_type TEXT, embedding_data TEXT,"
                " embedding_vector BLOB, dimension INTEGER)"
            )
            await source.client.execute(f"INSERT INTO embeddings_{name} SELECT {columns} FROM embeddings WHERE {part}")
        await source.client.execute("DROP TABLE embeddings")
        await source.close()
        source = remote(server.url)
        assert (await source.probe()).schema.multi_dimension
        after = bodies.manifest(await bodies.whole(source.manifest(Wanted(), "{}")))
        assert after == before
        keys = [e.partition(":")[0] for (t, _), b in after.buckets.items() if t == 9 for e in b.entries.split(",")]
        assert len(bodies.rows(await bodies.whole(source.rows(Wanted(), "embeddings", keys)[1]))) == len(keys)
        await source.close()


async def test_text_that_is_not_utf8(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("medium")
    with closing(sqlite3.connect(path)) as db:
        (key,) = db.execute("SELECT hex(episode_id) FROM episodes ORDER BY start_time DESC LIMIT 1").fetchone()
        db.execute("UPDATE episodes SET task_description=CAST(x'41ff42' AS TEXT) WHERE hex(episode_id)=?", (key,))
        db.commit()
    with Sqld(path) as server:
        source = remote(server.url)
        await source.probe()
        with pytest.raises(UndecodableText):
            await bodies.whole(source.snapshot(Wanted())[1])
        with pytest.raises(UndecodableText):
            await bodies.whole(source.rows(Wanted(), "episodes", [key])[1])
        (row,) = bodies.rows(await bodies.whole(source.rows(Wanted(), "episodes", [key], typed=True)[1]))
        assert [cell["value"] for cell in row[::2]][:3] == ["text"] * 3
        assert row[5] == {"type": "blob", "base64": "Qf9C"}
        steps = bodies.by_step(await bodies.whole(source.snapshot(Wanted(), typed=True)[1]))
        assert len(steps[2]) == 1000
        typed = [bodies.base64_bytes(cell) for cell in row]
        digest = half_digest("sha3-256", local.canonical("episodes", typed))
        assert await source.digests("episodes", [key], "sha3-256") == {key: digest}
        await source.close()


async def test_who_is_let_in(originals: Callable[[str], Path]) -> None:
    auth, other = Auth.generate(), Auth.generate()
    with Sqld(originals("small"), auth=auth) as server:
        for token, words in (
            (None, "401"),
            (other.token(), "JWT is invalid"),
            (auth.token(expired=True), "has expired"),
            (auth.token(id="elsewhere"), "elsewhere|database|JWT|401"),
        ):
            source = remote(server.url, token)
            with pytest.raises(PrimaryRefused, match=words) as caught:
                await source.probe()
            assert token is None or token not in f"{caught.value!r}{caught.value.hint}"
            await source.close()
        source = remote(server.url, auth.token("ro"))
        await source.probe()
        await bodies.whole(source.manifest(Wanted(), "{}"))
        await bodies.whole(source.snapshot(Wanted())[1])
        await source.close()


async def test_two_hundred_cursors_leave_nothing_open(originals: Callable[[str], Path]) -> None:
    with Sqld(originals("cli")) as server:
        source = remote(server.url)
        await source.probe()
        for number in range(200):
            async with aclosing(source.snapshot(Wanted())[1]) as chunks:
                async for _ in chunks:
                    if number % 2:
                        break
        assert await source.ping() < 1000
        await source.close()


async def test_a_server_without_cursors(originals: Callable[[str], Path]) -> None:
    with Sqld(originals("v47-small")) as server:

        async def forward(request: Request) -> Answer:
            if not request.path.startswith("/v2/"):
                return Answer(404)
            return await asyncio.to_thread(pass_on, server.url, request)

        async with Scripted(forward) as old:
            source, real = remote(old.url), remote(server.url)
            await source.probe()
            await real.probe()
            wanted = Wanted(window=30)
            assert bodies.manifest(await bodies.whole(source.manifest(wanted, "{}"))) == bodies.manifest(
                await bodies.whole(real.manifest(wanted, "{}"))
            )
            for typed in (False, True):
                paged = bodies.by_step(await bodies.whole(source.snapshot(wanted, typed=typed)[1]))
                streamed = bodies.by_step(await bodies.whole(real.snapshot(wanted, typed=typed)[1]))
                assert paged.keys() == streamed.keys()
                for step, rows in streamed.items():
                    assert sorted(map(json.dumps, paged[step])) == sorted(map(json.dumps, rows))
            await source.close()
            await real.close()


def pass_on(url: str, request: Request) -> Answer:
    forwarded = urllib.request.Request(url + request.path, request.body)
    try:
        with urllib.request.urlopen(forwarded) as response:
            return Answer(response.status, (response.read(),))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, (error.read(),))


async def test_the_client_interface_of_libsql(copy_of: Callable[[str], Path]) -> None:
    with Sqld(copy_of("cli")) as server:
        source = remote(server.url)
        async with source.client as client:
            assert (await client.execute("SELECT ?, ?, x'00'", [1, "é"])).rows[0].astuple() == (1, "é", b"\0")
            assert (await client.execute("SELECT :a", {"a": 2.5})).rows[0][0] == 2.5
            results = await client.batch(["SELECT 1", ("SELECT ?", ["é"])])
            assert [result.rows[0][0] for result in results] == [1, "é"]
            with pytest.raises(PrimarySchema):
                await client.execute("SELECT * FROM nowhere")
            with pytest.raises(PrimaryRefused):
                await client.batch(["CREATE TABLE t(a UNIQUE)", "INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(1)"])
            assert (await client.execute("SELECT count(*) FROM sqlite_master WHERE name='t'")).rows[0][0] == 0
        assert client.closed


async def test_a_server_that_goes_away_and_comes_back(originals: Callable[[str], Path]) -> None:
    with Sqld(originals("cli")) as server:
        source = remote(server.url)
        await source.probe()
        server.stop(kill=True)
        with pytest.raises(PrimaryUnavailable):
            await source.ping()
        server.start()
        assert await source.ping() > 0
        await source.close()


async def test_a_fingerprint_moves_with_the_primary(copy_of: Callable[[str], Path]) -> None:
    with Sqld(copy_of("small")) as server:
        source = remote(server.url)
        first = await source.fingerprint()
        assert await source.fingerprint() == first
        await source.client.execute("UPDATE patterns SET pattern_type=pattern_type||' ' WHERE rowid=1")
        second = await source.fingerprint()
        assert second.values == first.values, "nothing that is written in place stands above the highest rowid"
        assert (second.replication_index or 0) > (first.replication_index or 0)
        await source.client.execute(
            "UPDATE embeddings SET rowid=1000000 WHERE rowid=(SELECT min(rowid) FROM embeddings)"
        )
        third = await source.fingerprint()
        assert third.values != second.values
        await source.close()


async def test_a_poll_reads_nothing_where_the_index_stands(copy_of: Callable[[str], Path]) -> None:
    with Sqld(copy_of("v47-small")) as server:
        source = remote(server.url)
        await source.probe()
        before = source.counters
        await source.fingerprint()
        first = source.counters.since(before)
        assert first.requests == 1
        assert 10 < (first.read(Purpose.POLL) or 0) <= 30
        before = source.counters
        await source.fingerprint()
        quiet = source.counters.since(before)
        assert (quiet.requests, quiet.rows_read, quiet.unmetered) == (1, {}, {})
        await source.client.execute("UPDATE metadata SET value=value||' '")
        before = source.counters
        await source.fingerprint()
        moved = source.counters.since(before)
        assert moved.requests == 2
        assert 10 < (moved.read(Purpose.POLL) or 0) <= 30
        await source.close()


async def test_a_server_that_sends_no_index_is_polled_by_one_statement(copy_of: Callable[[str], Path]) -> None:
    """Once it sends one, the index is asked for before the rows again."""
    asked: list[int] = []
    with Sqld(copy_of("v47-small")) as server:
        source = remote(server.url)
        await source.probe()
        pipeline = source.client.pipeline

        async def counted(requests: Sequence[Json], **kwargs: Any) -> list[Json]:
            asked.append(len(requests))
            return await pipeline(requests, **kwargs)

        with mock.patch.object(source.client, "pipeline", counted):
            with mock.patch("storage_sync.primary.source.index_of", return_value=None):
                first = await source.fingerprint()
                assert await source.fingerprint() == first
                assert (first.replication_index, asked) == (None, [2, 1])
            again = await source.fingerprint()
        assert again.replication_index is not None
        assert again.values == first.values
        assert asked == [2, 1, 1, 2]
        await source.close()


async def test_a_poll_costs_the_same_whatever_the_size(tmp_path: Path) -> None:
    """Without an index too, and where tables or indexes are missing: no statement of a poll scans."""
    costs = []
    for episodes in (200, 2000):
        path = tmp_path / f"{episodes}.db"
        generate(path, 7, episodes)
        with closing(sqlite3.connect(path)) as db:
            db.execute("DROP INDEX idx_episodes_start_time")
            db.execute("DROP INDEX idx_episode_revisions_watermark")
            db.commit()
        with Sqld(path) as server:
            source = remote(server.url)
            await source.probe()
            before = source.counters
            await source.fingerprint()
            costs.append(source.counters.since(before).read(Purpose.POLL))
            await source.close()
    assert costs[0] == costs[1]
    assert 10 < (costs[0] or 0) <= 30


async def test_rows_read_are_counted_by_purpose_and_unknown_where_nobody_says(copy_of: Callable[[str], Path]) -> None:
    with Sqld(copy_of("small")) as server:
        source = remote(server.url)
        await source.probe()
        probed = source.counters
        assert probed.unmetered == {}, "a digest function that the server lacks reads nothing"
        await bodies.whole(source.manifest(Wanted(), "{}"))
        proof = source.counters.since(probed)
        assert (proof.read(Purpose.PROOF) or 0) > 100
        await bodies.whole(source.manifest(Wanted(), "{}", many=True))
        assert source.counters.since(probed).read(Purpose.PROOF) is None, "a cursor does not say it"
        assert source.counters.since(probed).rows_read == proof.rows_read
        before = source.counters
        key = json.dumps("x").encode().hex().upper()
        await bodies.whole(source.rows(Wanted(), "episodes", [key])[1])
        await source.existing("episodes", [key])
        asked = source.counters.since(before)
        assert asked.read(Purpose.FETCH) is not None
        assert asked.read(Purpose.VERIFY) is not None
        with pytest.raises(PrimaryRefused):
            await source.client.pipeline([{"type": "execute", "stmt": {"sql": "SELECT nothing FROM episodes"}}])
        assert source.counters.since(before).read(Purpose.VERIFY) is None, "what failed may have read some"
        await source.close()


async def test_a_question_about_one_key_reads_as_much_whatever_the_size(tmp_path: Path) -> None:
    """A follow run asks for each row that it removes whether the primary has it."""
    read: dict[int, dict[str, int | None]] = {}
    for episodes in (60, 600):
        path = tmp_path / f"{episodes}.db"
        generate(path, 7, episodes, patterns=8, step_bytes=50)
        with Sqld(path) as server:
            source = remote(server.url)
            schema = (await source.probe()).schema
            read[episodes] = {}
            for table in TABLES:
                shown = f"SELECT hex({statements.key(table)}) FROM {statements.relation(table, schema)} LIMIT 1"
                with closing(sqlite3.connect(path)) as db:
                    (key,) = db.execute(shown).fetchone()
                before = source.counters
                assert list(await source.existing(table, [key])) == [key]
                read[episodes][table] = source.counters.since(before).read(Purpose.VERIFY)
            await source.close()
    assert read[60] == read[600]
    assert all((rows or 0) <= 40 for rows in read[600].values()), read
