"""Primaries whose columns hold what no column should hold."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import sqlite3
import struct
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.support import stores

Value = str | int | float | bytes | bytearray | None
Row = dict[str, Value]

SOURCES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "episodes": ("episodes", ("episode_id",)),
    "summaries": ("episode_summaries", ("episode_id",)),
    "relationships": ("episode_relationships", ("relationship_id",)),
    "recommendation_sessions": ("recommendation_sessions", ("session_id",)),
    "recommendation_feedback": ("recommendation_feedback", ("session_id",)),
    "patterns": ("patterns", ("pattern_id",)),
    "heuristics": ("heuristics", ("heuristic_id",)),
    "procedural": ("procedural_memory", ("procedural_id",)),
    "episode_pattern_relationships": ("episode_pattern_relationships", ("relationship_id",)),
    "embeddings": ("embeddings", ("embedding_id", "item_id")),
}
"""Cache table to the primary's table and its columns that must differ from row to row."""


@dataclass(frozen=True)
class Text:
    """Text of these bytes, which need not be UTF-8."""

    data: bytes


def _packed(data: bytes) -> str:
    """As do-memory compresses a long column."""
    return f"__compressed__:gzip:{len(data)}\n{base64.b64encode(gzip.compress(data, mtime=0)).decode()}"


KINDS: Mapping[str, Value | Text] = {
    "nothing": None,
    "an empty text": "",
    "a blank": " ",
    "a word": "word",
    "an empty blob": b"",
    "a blob": b"\x00\xff",
    "a text as a blob": b"[]",
    "zero": 0,
    "minus one": -1,
    "a byte too far": 256,
    "more than 32 bits": 1 << 40,
    "more than a float counts": (1 << 53) + 1,
    "the largest integer": (1 << 63) - 1,
    "the smallest integer": -(1 << 63),
    "the year 10000": 253_402_300_800,
    "before all time": -62_135_596_801,
    "a real": 0.1,
    "a whole real": 2.0,
    "minus zero": -0.0,
    "a tiny real": 5e-324,
    "a huge real": 1.7976931348623157e308,
    "infinity": float("inf"),
    "an integer as text": "12",
    "a real as text": "1.50",
    "not UTF-8": Text(b"a\xff\xfe"),
    "half a character": Text("ä".encode()[:1]),
    "a surrogate": Text(b"\xed\xa0\x80"),
    "a zero byte inside": Text(b"a\x00b"),
    "a zero byte first": Text(b"\x00"),
    "a byte order mark": "\ufeff{}",
    "right to left": "\u202eabc\u2066",
    "an emoji": "\U0001f9e0" * 40,
    "a long text": "x" * 300_000,
    "a UUID in capitals": "9F0E7C52-0D3B-4C1E-8B1A-6A1B2C3D4E5F",
    "a UUID in braces": "{9f0e7c52-0d3b-4c1e-8b1a-6a1b2c3d4e5f}",
    "a UUID without dashes": "9f0e7c520d3b4c1e8b1a6a1b2c3d4e5f",
    "a UUID that names nobody": "9f0e7c52-0d3b-4c1e-8b1a-6a1b2c3d4e5f",
    "half a UUID": "9f0e7c52-0d3b",
    "broken JSON": "{broken",
    "JSON that ends early": '{"a":[1,2',
    "JSON and more": "{} {}",
    "JSON null": "null",
    "JSON true": "true",
    "a JSON number": "1",
    "a JSON text": '"word"',
    "an empty list": "[]",
    "an empty object": "{}",
    "a list of null": "[null]",
    "a list of lists": "[[[]]]",
    "a list of objects": "[{}]",
    "a list of texts": '["a","a",""]',
    "a list of numbers": "[1,2.5,-0]",
    "a list with NaN": "[NaN]",
    "a list with infinity": "[1e999]",
    "a list of what no float holds": "[1e39,1e-50]",
    "JSON with half a surrogate": '["\\ud800"]',
    "JSON with a zero byte": '"\\u0000"',
    "JSON with a key twice": '{"a":1,"a":2}',
    "JSON with an unknown variant": '{"Unheard":{"of":1}}',
    "a deep list": "[" * 200 + "]" * 200,
    "a bottomless list": "[" * 5_000 + "]" * 5_000,
    "JSON with a huge number": "1" + "0" * 400,
    "JSON with blanks": " \n[ 1 , 2 ]\t",
    "a compressed text": _packed(b"[]"),
    "a compressed object": _packed(b"{}"),
    "a compressed text of another size": _packed(b"[]").replace(":2\n", ":3\n"),
    "a compressed word": _packed(b"word"),
    "compressed garbage": "__compressed__:gzip:2\nAAAA",
    "a compression without text": "__compressed__:gzip:2",
    "an unknown compression": "__compressed__:zip:2\nAAAA",
    "a bomb": _packed(bytes(8 << 20)),
    "a date": "2026-11-23T00:00:00Z",
    "a statement": "'); DROP TABLE episodes; --",
    "an escape": "\x1b[31m",
}
"""Put into each column of each table in turn."""


class Base:
    """One sound row of each table, and the rows that they belong to."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, Row] = {}
        with closing(sqlite3.connect(path)) as db:
            db.row_factory = sqlite3.Row
            for table, (source, _) in SOURCES.items():
                names = [row["name"] for row in db.execute(f"PRAGMA table_info({source})")]
                self.rows[table] = dict(db.execute(f"SELECT {','.join(names)} FROM {source} LIMIT 1").fetchone())


def loosened(folder: Path) -> Path:
    """A primary whose columns take values of any kind; two rows of a table may even have one key."""
    path = stores.primary("small", folder)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA legacy_alter_table = ON")
        for source, _ in SOURCES.values():
            names = ",".join(row[1] for row in db.execute(f"PRAGMA table_info({source})"))
            db.execute(f"CREATE TABLE loose({names})")
            db.execute(f"INSERT INTO loose SELECT {names} FROM {source}")
            db.execute(f"DROP TABLE {source}")
            db.execute(f"ALTER TABLE loose RENAME TO {source}")
        db.commit()
    return path


def fresh(name: str) -> str:
    return str(uuid.UUID(bytes=hashlib.md5(name.encode(), usedforsecurity=False).digest(), version=4))


class Hostile:
    """A loosened primary that takes more and more rows, most of them spoilt; `rows` counts those by cache table."""

    def __init__(self, folder: Path) -> None:
        self.path = loosened(folder)
        self._base = Base(self.path).rows
        # an embedding of this kind needs no owner
        self._base["embeddings"] |= {"item_type": "embedding"}
        self._waiting: dict[str, list[Mapping[str, Value | Text]]] = {table: [] for table in SOURCES}

    def columns(self, table: str) -> list[str]:
        return list(self._base[table])

    def sound(self, table: str, name: str) -> Row:
        """A row that nobody would refuse, under a key of its own; what it belongs to is added with it."""
        row = dict(self._base[table])
        for column in SOURCES[table][1]:
            was, now = str(row[column]), fresh(f"{table} {name}")
            if (table, column) == ("embeddings", "item_id"):
                now = f"query:{name}"
            row = _renamed(row, was, now)
        if table == "summaries":
            self._owned("episodes", "episode_id", str(row["episode_id"]))
        if table == "recommendation_feedback":
            self._owned("recommendation_sessions", "session_id", str(row["session_id"]))
        return row

    def _owned(self, table: str, column: str, key: str) -> None:
        was = str(self._base[table][column])
        row = self._base[table]
        self.add(table, _renamed(row, was, key))

    def add(self, table: str, row: Mapping[str, Value | Text]) -> None:
        self._waiting[table].append(row)

    def write(self) -> None:
        """Everything that was added, into the file."""
        with closing(sqlite3.connect(self.path)) as db:
            for table, rows in self._waiting.items():
                names = self.columns(table)
                marks = ",".join("iif(?,CAST(? AS TEXT),?)" for _ in names)
                db.executemany(
                    f"INSERT INTO {SOURCES[table][0]}({','.join(names)}) VALUES({marks})",
                    ([part for name in names for part in _bound(row[name])] for row in rows),
                )
                rows.clear()
            db.commit()


def _renamed(row: Row, was: str, now: str) -> Row:
    return {name: value.replace(was, now) if isinstance(value, str) else value for name, value in row.items()}


def _bound(value: Value | Text) -> tuple[bool, Value, Value]:
    return (True, value.data, None) if isinstance(value, Text) else (False, None, value)


# ------------------------------------------------------------------------------------- fuzzed rows


def fuzzed(draw: random.Random, row: Mapping[str, Value]) -> dict[str, Value | Text]:
    """The row with one to three columns spoilt."""
    spoilt: dict[str, Value | Text] = dict(row)
    for column in draw.sample(sorted(row), min(draw.choice((1, 1, 1, 2, 3)), len(row))):
        spoilt[column] = _spoilt(draw, row[column])
    return spoilt


def _spoilt(draw: random.Random, value: Value) -> Value | Text:
    if draw.random() < 0.15:
        return draw.choice(list(KINDS.values()))
    match value:
        case str():
            return _text(draw, value)
        case bytes():
            return bytes(_edited(draw, value))
        case int():
            near = value + draw.randint(-9, 9)
            return draw.choice((near, -value, value << draw.randrange(30), float(value), str(value)))
        case float():
            bits = struct.unpack("<Q", struct.pack("<d", value))[0] ^ 1 << draw.randrange(64)
            (number,) = struct.unpack("<d", struct.pack("<Q", bits))
            return draw.choice((float(number), int(value), -value))
        case _:
            return draw.choice(("", "null", 0, b"", "{}"))


def _text(draw: random.Random, value: str) -> Value | Text:
    if draw.random() < 0.6:
        try:
            tree = json.loads(value)
        except ValueError:
            pass
        else:
            bent = json.dumps(_bent(draw, tree), ensure_ascii=draw.random() < 0.5, separators=(",", ":"))
            return Text(bent.encode(errors="surrogatepass"))
    return Text(bytes(_edited(draw, value.encode())))


def _edited(draw: random.Random, data: bytes) -> bytearray:
    edited = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        place = draw.randrange(len(edited) + 1)
        end = place + draw.choice((0, 1, 1, 4, 40))
        edited[place:end] = draw.choice((b"", draw.randbytes(1), draw.randbytes(3), bytes(edited[place:end]) * 2))
    return edited


SCALARS = (
    *(None, True, False, 0, -1, 1 << 31, 1 << 63, 1 << 64, -(1 << 63) - 1, 0.5, 1e39, -0.0, 1e-320),
    *("", "x", "\ud83d", "\0"),
)


def _bent(draw: random.Random, tree: object) -> object:
    """The tree with one place of it changed."""
    if draw.random() < 0.25 or not isinstance(tree, dict | list) or not tree:
        return draw.choice((*SCALARS, [], {}, [tree], {"a": tree}, [tree, tree]))
    if isinstance(tree, list):
        place = draw.randrange(len(tree))
        before, after = tree[:place], tree[place + 1 :]
        return draw.choice(([*before, *after], [*before, _bent(draw, tree[place]), *after], [*tree, *tree]))
    key = draw.choice(sorted(tree))
    rest = {name: value for name, value in tree.items() if name != key}
    bent = {**tree, key: _bent(draw, tree[key])}
    return draw.choice((rest, bent, bent, {**rest, key + "x": tree[key]}, {**tree, "more": 1}))
