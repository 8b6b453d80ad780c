"""The manifest of a real server against the judge, over what do-memory wrote and over what it never would."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from storage_sync.demo.demo import generate
from storage_sync.primary.manifest import MARK
from storage_sync.primary.schema import SEEKS
from storage_sync.primary.source import connect
from tests.primary import bodies
from tests.primary.conftest import Wanted
from tests.primary.judge import Judge, Manifest, half
from tests.support.sqld import Sqld

SCOPED = "emb_v1:local:a/b:c:2#r1:{}:{}"
ABSENT = "99999999-9999-4999-8999-999999999999"


REALS = (
    "SELECT confidence c FROM heuristics UNION SELECT weight FROM episode_relationships"
    " UNION SELECT weight FROM episode_pattern_relationships"
)


async def judge(url: str, path: Path) -> Judge:
    source = connect(url)
    client = source.client  # type: ignore[attr-defined]
    printed = await client.execute(f"SELECT c, printf('%!.17g',c) FROM ({REALS}) WHERE typeof(c)='real'")
    await source.close()
    for value, text in printed.rows:
        assert float(text) == pytest.approx(value, rel=1e-15)
    return Judge(path, dict(printed.rows))


async def manifest(url: str, wanted: Wanted) -> Manifest:
    return bodies.manifest(await body(url, wanted))


async def body(url: str, wanted: Wanted, known: object = None, *, many: bool = False) -> bytes:
    source = connect(url)
    try:
        return await bodies.whole(source.manifest(wanted, json.dumps(known or {}), many=many))
    finally:
        await source.close()


async def judged(url: str, path: Path, wanted: Wanted) -> Manifest:
    return (await judge(url, path)).manifest(wanted.window, patterns=wanted.patterns, embeddings=wanted.embeddings)


@pytest.mark.parametrize("name", ["small", "cli", "batch", "v47-small", "medium"])
async def test_what_do_memory_wrote(name: str, originals: Callable[[str], Path]) -> None:
    path = originals(name)
    with Sqld(path) as server:
        for wanted in (Wanted(), Wanted(window=7), Wanted(window=0), Wanted(window=30, patterns=False)):
            assert await manifest(server.url, wanted) == await judged(server.url, path, wanted)
        wanted = Wanted(embeddings=False)
        assert await manifest(server.url, wanted) == await judged(server.url, path, wanted)


def spoil(path: Path) -> None:
    """Values that a column should not hold, and text that a careless encoding would confuse."""
    with closing(sqlite3.connect(path)) as db:
        ids = [row[0] for row in db.execute("SELECT episode_id FROM episodes ORDER BY start_time DESC LIMIT 6")]
        db.execute(
            "UPDATE episodes SET task_description='a'||char(0)||'b|4|text', outcome=NULL WHERE episode_id=?", ids[:1]
        )
        db.execute("UPDATE episodes SET end_time=1.5, context=x'00ff7c' WHERE episode_id=?", ids[1:2])
        db.execute(
            "UPDATE episodes SET start_time=start_time, end_time=0.1, reflection='' WHERE episode_id=?", ids[2:3]
        )
        db.execute(
            "UPDATE episodes SET task_description='Zażółć gęślą 名前 🜁', steps=? WHERE episode_id=?", ("|" * 9, ids[3])
        )
        db.executemany(
            "INSERT INTO episode_tags(episode_id,tag) VALUES(?,?)",
            [(ids[4], tag) for tag in ("a,b", "1:a", "", "名", "Z", "a")],
        )
        db.execute("UPDATE heuristics SET confidence=0.1")
        db.execute("UPDATE heuristics SET confidence=1e300 WHERE rowid=(SELECT max(rowid) FROM heuristics)")
        db.execute("UPDATE heuristics SET confidence='much' WHERE rowid=(SELECT min(rowid) FROM heuristics)")
        db.execute("UPDATE episode_relationships SET weight=NULL, priority=2.5 WHERE rowid=1")
        db.execute("UPDATE episode_summaries SET summary_embedding=NULL WHERE rowid=1")
        db.execute("UPDATE episode_summaries SET summary_embedding='text' WHERE rowid=2")
        db.commit()


def owners(path: Path) -> dict[str, str]:
    """Rewrites the owners of some embeddings; the new item_id of each by what it is."""
    with closing(sqlite3.connect(path)) as db:
        inside, outside = (
            db.execute(f"SELECT episode_id FROM episodes ORDER BY start_time {way},episode_id LIMIT 1").fetchone()[0]
            for way in ("DESC", "ASC")
        )
        (pattern,) = db.execute("SELECT pattern_id FROM patterns LIMIT 1").fetchone()
        kinds = {
            "in": (SCOPED.format("episode", inside), "embedding"),
            "out": (SCOPED.format("episode", outside), "embedding"),
            "pattern": (SCOPED.format("pattern", pattern), "embedding"),
            "lost episode": (SCOPED.format("episode", ABSENT), "embedding"),
            "lost pattern": (ABSENT, "pattern"),
            "bare episode": (outside, "embedding"),
            "bare pattern": (pattern, "embedding"),
            "bare nobody": (ABSENT, "embedding"),
            "not a uuid": (SCOPED.format("episode", ABSENT.replace("9", "X")), "embedding"),
            "upper case": (SCOPED.format("episode", ABSENT.replace("9", "A")), "embedding"),
            "text": ("query:authentication", "embedding"),
            "unknown type": (inside, "wish:list"),
        }
        ids = [
            row[0] for row in db.execute("SELECT embedding_id FROM embeddings WHERE item_id>'' LIMIT ?", (len(kinds),))
        ]
        for (item, kind), row in zip(kinds.values(), ids, strict=True):
            db.execute("UPDATE embeddings SET item_id=?,item_type=? WHERE embedding_id=?", (item, kind, row))
        db.commit()
    return {name: item for name, (item, _) in kinds.items()}


async def test_values_that_do_not_belong_there(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("small")
    spoil(path)
    with Sqld(path) as server:
        for wanted in (Wanted(), Wanted(window=5)):
            assert await manifest(server.url, wanted) == await judged(server.url, path, wanted)


@pytest.mark.parametrize("at_once", [1, 3])
async def test_relationships_wherever_the_window_ends(at_once: int, copy_of: Callable[[str], Path]) -> None:
    """Between episodes of different times, among episodes of one time, with the last episode and beyond it."""
    path = copy_of("small")
    with closing(sqlite3.connect(path)) as db:
        ids = [row[0] for row in db.execute("SELECT episode_id FROM episodes ORDER BY episode_id LIMIT 9")]
        db.execute(f"DELETE FROM episodes WHERE episode_id NOT IN ({','.join('?' * len(ids))})", ids)
        db.executemany(
            "UPDATE episodes SET start_time=? WHERE episode_id=?",
            [(1_000 - place // at_once, one) for place, one in enumerate(ids)],
        )
        db.execute("DELETE FROM episode_relationships")
        db.executemany(
            "INSERT INTO episode_relationships"
            "(relationship_id,from_episode_id,to_episode_id,relationship_type,created_at) VALUES(?,?,?,'follows',1)",
            [(f"r-{one[:8]}-{other[:8]}", one, other) for one in ids for other in ids if one != other],
        )
        db.commit()
    with Sqld(path) as server:
        for window in range(1, len(ids) + 2):
            wanted = Wanted(window=window)
            assert await manifest(server.url, wanted) == await judged(server.url, path, wanted), window


async def test_a_proof_reads_the_window_once_wherever_it_ends(tmp_path: Path) -> None:
    """Rows read for each expected one are within 5 % at each size, and fewer than 3.5 of them."""
    costs = []
    for episodes in (600, 3_000):
        path = tmp_path / f"{episodes}.db"
        generate(path, 7, episodes, patterns=40)
        with Sqld(path) as server:
            for window in (400, 401, 402, 403):
                wanted = Wanted(window=window)
                whole = await manifest(server.url, wanted)
                source = connect(server.url)
                measured = await source.measure(wanted)
                assert measured is not None
                costs.append(measured.proof / sum(rows for rows, _, _ in whole.roots.values()))
                await source.close()
    assert max(costs) < 3.5
    assert max(costs) / min(costs) < 1.05


async def test_owners_of_embeddings(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("small")
    items = owners(path)
    with Sqld(path) as server:
        for wanted in (Wanted(), Wanted(window=5), Wanted(window=5, patterns=False)):
            assert await manifest(server.url, wanted) == await judged(server.url, path, wanted)
        found = await manifest(server.url, Wanted(window=5))
        entries = ",".join(bucket.entries for bucket in found.buckets.values())
        held = {name: item.encode().hex().upper() in entries for name, item in items.items() if name != "lost pattern"}
        assert held == {name: name not in ("out", "lost episode", "bare episode") for name in held}


def marks(families: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for family in families:
        mark = half(family.encode())[:MARK]
        found[mark[:2]] = found.get(mark[:2], "") + mark
    return found


@pytest.mark.parametrize("many", [False, True], ids=["one text", "row by row"])
async def test_of_a_family_that_is_known_only_the_mark_comes(many: bool, copy_of: Callable[[str], Path]) -> None:
    path = copy_of("small")
    wanted = Wanted()
    with Sqld(path) as server:
        full = bodies.families(await body(server.url, wanted, many=many))
        assert bodies.manifest(await body(server.url, wanted, many=many)) == await judged(server.url, path, wanted)
        known = marks(full)
        assert bodies.families(await body(server.url, wanted, known, many=many)) == [
            half(family.encode())[:MARK] for family in full
        ]
        source = connect(server.url)
        client = source.client  # type: ignore[attr-defined]
        (moved,) = (await client.execute("SELECT episode_id FROM episodes ORDER BY start_time DESC LIMIT 1")).rows[0]
        (gone,) = (await client.execute("SELECT heuristic_id FROM heuristics LIMIT 1")).rows[0]
        await client.execute("DELETE FROM heuristics WHERE heuristic_id=?", [gone])
        await client.execute("UPDATE episodes SET reward='null' WHERE episode_id=?", [moved])
        await source.close()
        after = bodies.families(await body(server.url, wanted, known, many=many))
        assert len(after) == len(full) - 1
        (came,) = (family for family in after if ":" in family)
        assert moved in came


async def test_a_list_that_is_longer_than_a_text_comes_row_by_row(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("cli")
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "INSERT INTO heuristics WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)"
            " SELECT printf('%02000d', i), 'c', 'a', 0.5, '{}', 1, 1 FROM n"
        )
        db.commit()
    with Sqld(path) as server:
        assert await manifest(server.url, Wanted()) == await judged(server.url, path, Wanted())


async def test_an_empty_primary_of_do_memory(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("cli")
    with closing(sqlite3.connect(path)) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
            if not name.startswith(("sqlite_", "libsql_", "idx_")):
                db.execute(f"DELETE FROM {name}")
        db.commit()
    with Sqld(path) as server:
        found = await manifest(server.url, Wanted())
    assert found == Manifest(dict.fromkeys(range(10), (0, "0", "")), {})


@pytest.mark.parametrize("table", ["", *sorted({table for table, _ in SEEKS})])
async def test_without_an_index_the_manifest_is_the_same(table: str, copy_of: Callable[[str], Path]) -> None:
    """Of each table that is entered by an index, what an old or foreign schema may lack; '': of all of them."""
    path = copy_of("v47-small")
    with Sqld(path) as server:
        expected = await judged(server.url, path, Wanted(window=20))
    with closing(sqlite3.connect(path)) as db:
        for name in [table] if table else [table for table, _ in SEEKS]:
            without_indexes(db, name)
        db.commit()
    with Sqld(path) as server:
        source = connect(server.url)
        schema = (await source.probe()).schema
        await source.close()
        assert not [seek for seek in schema.seeks if seek[0] == table or not table]
        assert await manifest(server.url, Wanted(window=20)) == expected


def without_indexes(db: sqlite3.Connection, table: str) -> None:
    """The table as it was, without keys: a rowid table has its own order only."""
    db.execute("PRAGMA foreign_keys=OFF")
    db.execute("PRAGMA legacy_alter_table=ON")
    made = "SELECT name FROM sqlite_master WHERE type='index' AND tbl_name=? AND sql<>''"
    for (index,) in db.execute(made, [table]).fetchall():
        db.execute(f'DROP INDEX "{index}"')
    columns = ",".join(f"{name} {kind}" for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})").fetchall())
    db.execute(f"ALTER TABLE {table} RENAME TO keyed")
    db.execute(f"CREATE TABLE {table}({columns})")
    db.execute(f"INSERT INTO {table} SELECT * FROM keyed")
    db.execute("DROP TABLE keyed")


async def test_an_episode_that_is_there_twice(copy_of: Callable[[str], Path]) -> None:
    """Only a table without its key can have one; its family counts once all the same."""
    path = copy_of("v47-small")
    with closing(sqlite3.connect(path)) as db:
        without_indexes(db, "episodes")
        db.execute("CREATE INDEX by_id ON episodes(episode_id)")
        db.execute("INSERT INTO episodes SELECT * FROM episodes WHERE rowid=1")
        db.commit()
    with Sqld(path) as server:
        assert await manifest(server.url, Wanted()) == await judged(server.url, path, Wanted())


def beside(path: Path) -> list[str]:
    """Hex keys of all embeddings, as far as a proof may be told to look for them."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT item_id, item_type FROM embeddings WHERE item_id IS NOT NULL").fetchall()
    prefixes = {"embedding": "", "episode": "episode_", "pattern": "pattern_"}
    return [(prefixes.get(kind, f"{kind}:") + item).encode().hex().upper() for item, kind in rows]


async def told(url: str, wanted: Wanted, imprint: str = "", beside: list[str] | None = None) -> tuple[Manifest, str]:
    """A manifest, and its imprint."""
    source = connect(url)
    try:
        body = await bodies.whole(source.manifest(wanted, "{}", imprint=imprint, beside=beside))
        return bodies.manifest(body), bodies.plain(bodies.rows(body)[0])[0] or ""
    finally:
        await source.close()


def uncounted(found: Manifest) -> Manifest:
    roots: dict[int, tuple[int, str | None, str]] = {
        t: (rows, None, root) for t, (rows, _, root) in found.roots.items() if rows
    }
    return Manifest(roots, found.buckets)


@pytest.mark.parametrize("name", ["small", "cli", "batch", "v47-small", "medium"])
async def test_a_proof_lists_what_a_look_at_everything_lists(name: str, originals: Callable[[str], Path]) -> None:
    """Of what do-memory writes, nothing hangs on nothing."""
    path = originals(name)
    with Sqld(path) as server:
        for wanted in (Wanted(), Wanted(window=7), Wanted(window=0), Wanted(window=30, patterns=False)):
            whole, imprint = await told(server.url, wanted)
            assert await told(server.url, wanted, beside=[]) == (uncounted(whole), imprint)
            assert await told(server.url, wanted, imprint) == (Manifest({}, {}), imprint)
            assert await told(server.url, wanted, imprint, []) == (Manifest({}, {}), imprint)


async def test_a_proof_lists_what_it_is_told_of(copy_of: Callable[[str], Path]) -> None:
    """Whatever the embeddings are; what is named although something leads to it is listed once."""
    path = copy_of("small")
    items = owners(path)
    with Sqld(path) as server:
        for wanted in (Wanted(), Wanted(window=5), Wanted(window=5, patterns=False), Wanted(window=0)):
            whole, imprint = await told(server.url, wanted)
            assert await told(server.url, wanted, beside=beside(path)) == (uncounted(whole), imprint)
        found, _ = await told(server.url, Wanted(window=5), beside=[])
    listed = {
        bytes.fromhex(entry.partition(":")[0]).decode()
        for (table, _), bucket in found.buckets.items()
        if table == 9
        for entry in bucket.entries.split(",")
    }
    held = {name for name, item in items.items() if item in listed}
    assert held == {"in", "pattern", "bare pattern", "text"}


async def test_the_imprint_moves_with_every_row(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("v47-small")
    with Sqld(path) as server:
        seen = {(await told(server.url, Wanted(), beside=[]))[1]}
        source = connect(server.url)
        client = source.client  # type: ignore[attr-defined]
        changes = (
            "UPDATE episodes SET reward='null' WHERE rowid=(SELECT max(rowid) FROM episodes)",
            "DELETE FROM episode_tags WHERE rowid=(SELECT max(rowid) FROM episode_tags)",
            "UPDATE patterns SET pattern_type=pattern_type||' ' WHERE rowid=1",
            "DELETE FROM heuristics WHERE rowid=(SELECT max(rowid) FROM heuristics)",
            "UPDATE recommendation_sessions SET payload=payload||' '",
            "UPDATE recommendation_feedback SET payload=payload||' '",
            "UPDATE episode_relationships SET created_by='x'",
            "UPDATE embeddings SET embedding_data=embedding_data||' ' WHERE rowid=(SELECT max(rowid) FROM embeddings)",
        )
        moved = 0
        for sql in changes:
            touched = (await client.execute(sql)).rows_affected
            now = (await told(server.url, Wanted(), beside=[]))[1]
            assert touched == 0 or now not in seen, sql
            moved += now not in seen
            seen.add(now)
        await source.close()
    assert moved >= 5
