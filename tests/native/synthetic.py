"""A primary in memory: rows, their digests, and the answers that a libSQL server would give about them.

Digests and manifests are made here with hashlib alone, so that they check the data plane instead of repeating it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from storage_sync import _native

WINDOW = 1000
REAL_COLUMNS = {"heuristics": {3}}
Column = str | int | float | bytes | None


class Tags(str):
    """The canonical tags text, the last column of an episode's row."""

    __slots__ = ()


Row = tuple[Column, ...]


def scope(*, patterns: bool = True, embeddings: bool = True, window: int = WINDOW) -> _native.Scope:
    return _native.Scope(digest="sha3-256", window=window, patterns=patterns, embeddings=embeddings)


def name(number: int) -> str:
    """The UUID of a number, spread over all buckets."""
    return str(uuid.UUID(bytes=hashlib.md5(str(number).encode()).digest(), version=4))


def heuristic(number: int, condition: str = "when", confidence: float = 0.5) -> Row:
    evidence = json.dumps({"episode_ids": [], "success_rate": 0.5, "sample_size": 2}, separators=(",", ":"))
    return (name(number), condition, "then", confidence, evidence, 1_700_000_000, 1_700_000_001)


def embedding(owner: str, kind: str = "embedding", values: Sequence[float] = (1.0, 2.5)) -> Row:
    text = "[" + ",".join(repr(float(value)) for value in values) + "]"
    return (owner, kind, text, struct.pack(f"<{len(values)}f", *values), len(values))


def source_key(table: str, row: Row) -> bytes:
    if table != "embeddings":
        return str(row[0]).encode()
    kind = str(row[1])
    prefix = {"episode": "episode_", "pattern": "pattern_", "embedding": ""}.get(kind, kind + ":")
    return (prefix + str(row[0])).encode()


def _canonical(row: Row) -> bytes:
    parts: list[bytes] = []
    for value in row:
        match value:
            case None:
                parts.append(b"null")
                continue
            case bytes():
                kind, text = b"blob", value
            case Tags():
                parts += [b"tags", value.encode()]
                continue
            case str():
                kind, text = b"text", value.encode()
            case int():
                kind, text = b"integer", str(value).encode()
            case float():
                kind, text = b"real", _real(value).encode()
        parts += [kind, str(len(text)).encode(), text]
    return b"|".join(parts)


def _real(value: float) -> str:
    text = f"{value:.17g}"
    return text if "." in text or "e" in text else f"{text}.0"


def half(data: bytes) -> str:
    return hashlib.sha3_256(data).hexdigest()[:32].upper()


def row_digest(row: Row) -> str:
    return half(_canonical(row))


def imprint_of(families: Iterable[str]) -> str:
    return half("".join(half(family.encode()) for family in families).encode())


@dataclass
class Primary:
    """Rows by cache table; change them between syncs."""

    rows: dict[str, list[Row]] = field(default_factory=dict)

    def keyed(self, table: str) -> list[tuple[str, str]]:
        """(hex key, digest) in order."""
        return sorted((source_key(table, row).hex().upper(), row_digest(row)) for row in self.rows.get(table, []))

    def buckets(self, table: str) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for key, digest in self.keyed(table):
            found.setdefault(key[-4:], []).append((key, digest))
        return dict(sorted(found.items()))

    def bucket_digests(self, table: str) -> dict[str, str]:
        return {
            bucket: half("".join(digest for _, digest in rows).encode()) for bucket, rows in self.buckets(table).items()
        }

    def table_root(self, table: str) -> str:
        text = "".join(bucket + digest for bucket, digest in self.bucket_digests(table).items())
        return half(text.encode()) if text else ""

    def root(self, wanted: _native.Scope) -> str:
        text = f"enc=1;window={WINDOW};patterns={int('patterns' in wanted.tables)}"
        text += f";embeddings={int('embeddings' in wanted.tables)};"
        for table in wanted.tables:
            text += f"{table}:{len(self.rows.get(table, []))}:{self.table_root(table)};"
        return hashlib.sha3_256(text.encode()).hexdigest()

    def manifest(self, wanted: _native.Scope) -> bytes:
        """The body of the manifest's response, each row a family of its own."""
        counts = ",".join(f"{TABLES.index(table)}:{len(self.rows.get(table, []))}" for table in wanted.tables)
        listed = self.families(wanted)
        return cursor([[(imprint_of(listed), 1, counts, ";".join(listed))]])

    def families(self, wanted: _native.Scope) -> list[str]:
        return [f"{TABLES.index(table)}.{key}:{digest}" for table in wanted.tables for key, digest in self.keyed(table)]

    def select(self, table: str, keys: Iterable[str] | None = None) -> list[Row]:
        """Rows as a fetch selects them, a real as text followed by its storage class."""
        wanted = None if keys is None else set(keys)
        rows = [
            row for row in self.rows.get(table, []) if wanted is None or source_key(table, row).hex().upper() in wanted
        ]
        return [tuple(_select(table, row)) for row in rows]


TABLES = _native.Scope(digest="sha3-256", window=1, patterns=True, embeddings=True).tables


def _select(table: str, row: Row) -> Iterator[Column]:
    for place, value in enumerate(row):
        if place in REAL_COLUMNS.get(table, ()):
            yield _real(value) if isinstance(value, float) else value
            yield "real" if isinstance(value, float) else "null" if value is None else "text"
        else:
            yield value


def typed(rows: Iterable[Row]) -> list[Row]:
    """Rows with every column as its storage class and its bytes."""
    out: list[Row] = []
    for row in rows:
        columns: list[Column] = []
        for value in row:
            match value:
                case None:
                    columns += ["null", None]
                case bytes():
                    columns += ["blob", value]
                case str():
                    columns += ["text", value.encode()]
                case int():
                    columns += ["integer", str(value).encode()]
                case float():
                    columns += ["real", _real(value).encode()]
        out.append(tuple(columns))
    return out


def _cell(value: Column) -> dict[str, object]:
    match value:
        case None:
            return {"type": "null"}
        case bytes():
            return {"type": "blob", "base64": base64.b64encode(value).decode().rstrip("=")}
        case str():
            return {"type": "text", "value": value}
        case int():
            return {"type": "integer", "value": str(value)}
        case float():
            return {"type": "float", "value": value}


def cursor(steps: Sequence[Sequence[Row]], *, end: bool = True) -> bytes:
    """The body of a cursor whose steps answered these rows."""
    lines: list[object] = [{"baton": None, "base_url": None}]
    for step, rows in enumerate(steps):
        lines.append({"type": "step_begin", "step": step, "cols": []})
        lines += [{"type": "row", "row": [_cell(value) for value in row]} for row in rows]
        lines.append({"type": "step_end", "affected_row_count": 0, "last_insert_rowid": None})
    if end:
        lines.append({"type": "replication_index", "replication_index": None})
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()


def pipeline(rows: Sequence[Row]) -> bytes:
    """The body of a pipeline whose one execute answered these rows."""
    result = {"cols": [], "rows": [[_cell(value) for value in row] for row in rows], "affected_row_count": 0}
    results = [
        {"type": "ok", "response": {"type": "execute", "result": result}},
        {"type": "ok", "response": {"type": "close"}},
    ]
    return json.dumps({"baton": None, "base_url": None, "results": results}).encode()


def sqlite_rows(rows: Iterable[Row]) -> list[tuple[object, ...]]:
    """Rows as SQLite hands them over: text as stored in a bytearray."""
    return [tuple(bytearray(value.encode()) if isinstance(value, str) else value for value in row) for row in rows]
