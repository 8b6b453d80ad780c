"""The manifest computed a second time, row by row in Python, from the SQLite file.

Shares no code with the statements that it judges.

See docs/protocol.md#digests, docs/projection.md.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

Cell = bytes | bytearray | int | float | None
Row = dict[str, Cell]

TABLES: dict[int, tuple[str, str]] = {
    0: (
        "episodes",
        """episode_id task_type task_description context start_time end_time steps outcome reward reflection patterns
        heuristics checkpoints metadata""",
    ),
    1: ("episode_summaries", "episode_id summary_text key_concepts key_steps summary_embedding"),
    2: (
        "episode_relationships",
        """relationship_id from_episode_id to_episode_id relationship_type reason created_by priority weight metadata
        created_at""",
    ),
    3: ("recommendation_sessions", "session_id episode_id payload"),
    4: ("recommendation_feedback", "session_id payload"),
    5: ("patterns", "pattern_id pattern_type"),
    6: ("heuristics", "heuristic_id condition_text action_text confidence evidence created_at updated_at"),
    7: (
        "procedural_memory",
        """procedural_id name description context steps effectiveness source_episodes source_patterns created_at
        updated_at""",
    ),
    8: (
        "episode_pattern_relationships",
        "relationship_id episode_id pattern_id relationship_type weight metadata created_at",
    ),
    9: ("embeddings", "item_id item_type embedding_data embedding_vector dimension"),
}
UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


class Bucket(NamedTuple):
    rows: int
    entries: str
    digest: str


class Manifest(NamedTuple):
    roots: dict[int, tuple[int, str | None, str]]
    """Table number: expected rows, rows of the source table as text, root."""
    buckets: dict[tuple[int, str], Bucket]


def half(text: bytes) -> str:
    return hashlib.sha3_256(text).digest()[:16].hex().upper()


def element(value: Cell, printed: Mapping[float, str] | None) -> bytes:
    if value is None:
        return b"null"
    if isinstance(value, int):
        kind, text = b"integer", str(value).encode()
    elif isinstance(value, float):
        kind, text = b"real", (fifteen(value) if printed is None else printed[value].encode())
    elif isinstance(value, bytearray):
        kind, text = b"text", bytes(value)
    else:
        kind, text = b"blob", value
    return b"|".join((kind, str(len(text)).encode(), text))


def fifteen(value: float) -> bytes:
    return sqlite_print("%!.15g", value)


def sqlite_print(form: str, value: float) -> bytes:
    with closing(sqlite3.connect(":memory:")) as memory:
        (text,) = memory.execute("SELECT printf(?,?)", (form, value)).fetchone()
    return str(text).encode()


class Judge:
    """All rows of one file, judged in memory.

    `printed`: what the server prints for each real of a real column; its 17th digit is SQLite's secret.
    """

    def __init__(self, path: Path, printed: Mapping[float, str]) -> None:
        self._printed = printed
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.text_factory = bytearray
            self._rows: dict[int, list[Row]] = {}
            for number, (name, columns) in TABLES.items():
                cursor = connection.execute(f"SELECT {','.join(columns.split())} FROM {name} NOT INDEXED")
                self._rows[number] = [dict(zip(columns.split(), row, strict=True)) for row in cursor]
            self._tags: dict[bytes, list[bytes]] = defaultdict(list)
            for episode, tag in connection.execute("SELECT episode_id,tag FROM episode_tags"):
                self._tags[bytes(episode)].append(bytes(tag))

    def manifest(self, window: int, *, patterns: bool = True, embeddings: bool = True) -> Manifest:
        roots: dict[int, tuple[int, str | None, str]] = {}
        buckets: dict[tuple[int, str], Bucket] = {}
        newest = sorted(self._rows[0], key=lambda row: (-number_of(row["start_time"]), raw(row["episode_id"])))
        inside = {raw(row["episode_id"]) for row in newest[:window]}
        for number in TABLES:
            if (number in (5, 6, 7, 8) and not patterns) or (number == 9 and not embeddings):
                continue
            rows = [row for row in self._rows[number] if self._expected(number, row, inside, patterns=patterns)]
            entries: dict[str, list[tuple[str, str]]] = defaultdict(list)
            for row in rows:
                key = self._key(number, row).hex().upper()
                entries[key[-4:]].append((key, half(self._canonical(number, row))))
            text = ""
            for bucket in sorted(entries):
                some = sorted(entries[bucket])
                digest = half("".join(digest for _, digest in some).encode())
                joined = ",".join(f"{key}:{digest}" for key, digest in some)
                buckets[number, bucket] = Bucket(len(some), joined, digest)
                text += bucket + digest
            roots[number] = (len(rows), str(len(self._rows[number])), half(text.encode()) if text else "")
        return Manifest(roots, buckets)

    def _ids(self, number: int) -> set[bytes]:
        first = TABLES[number][1].split()[0]
        return {raw(row[first]) for row in self._rows[number]}

    def _key(self, number: int, row: Row) -> bytes:
        first = raw(row[TABLES[number][1].split()[0]])
        if number != 9:
            return first
        kind = raw(row["item_type"])
        if kind == b"embedding":
            return first
        return kind + (b"_" if kind in (b"episode", b"pattern") else b":") + first

    def _canonical(self, number: int, row: Row) -> bytes:
        reals = ("weight", "confidence")
        parts = [element(value, self._printed if name in reals else None) for name, value in row.items()]
        if number == 0:
            tags = sorted(self._tags[raw(row["episode_id"])])
            parts += [b"tags", b",".join(str(len(tag)).encode() + b":" + tag for tag in tags)]
        return b"|".join(parts)

    def _owner(self, row: Row) -> tuple[str, bytes] | None:
        """(kind, id) that the embedding names by its form; a bare id names nobody who is not there."""
        kind, item = raw(row["item_type"]), raw(row["item_id"])
        if kind in (b"episode", b"pattern"):
            return kind.decode(), item
        if kind != b"embedding":
            return None
        if UUID.match(item[-36:]) and item[:-36].endswith((b":episode:", b":pattern:")):
            return ("episode" if item[:-36].endswith(b":episode:") else "pattern"), item[-36:]
        if UUID.match(item):
            for name, number in (("episode", 0), ("pattern", 5)):
                if item in self._ids(number):
                    return name, item
        return None

    def _expected(self, number: int, row: Row, inside: set[bytes], *, patterns: bool) -> bool:
        if number in (0, 1, 3, 8):
            here = raw(row["episode_id"]) in inside
            return here and (number != 8 or raw(row["pattern_id"]) in self._ids(5))
        if number == 2:
            return raw(row["from_episode_id"]) in inside and raw(row["to_episode_id"]) in inside
        if number == 4:
            sessions = {raw(s["session_id"]) for s in self._rows[3] if raw(s["episode_id"]) in inside}
            return raw(row["session_id"]) in sessions
        if number == 9:
            owner = self._owner(row)
            if owner is None:
                return True
            return owner[1] in inside if owner[0] == "episode" else patterns and owner[1] in self._ids(5)
        return True


def raw(value: Cell) -> bytes:
    if value is None:
        return b""
    return bytes(value) if isinstance(value, (bytes, bytearray)) else str(value).encode()


def number_of(value: Cell) -> int:
    assert isinstance(value, int)
    return value
