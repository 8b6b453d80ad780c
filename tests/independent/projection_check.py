"""Is a cache file the projection of a primary? An answer from code that shares nothing with the product.

    python -m tests.independent.projection_check PRIMARY CACHE [--window N] [--no-patterns] [--no-embeddings]
        [--exact] [--json]

Reads the primary with `sqlite3` (a file, opened read-only) and the cache with `redb_reader`, and compares by
docs/projection.md. Exit 0: every expected row is there and equal; 1: rows are missing or differ, or, with `--exact`,
rows are there that the projection does not have.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import sqlite3
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.independent import rust_types as rt
from tests.independent.redb_reader import RedbFile
from tests.independent.rust_types import Unreadable

SOURCES = {
    "episodes": "episodes",
    "summaries": "episode_summaries",
    "relationships": "episode_relationships",
    "recommendation_sessions": "recommendation_sessions",
    "recommendation_feedback": "recommendation_feedback",
    "patterns": "patterns",
    "heuristics": "heuristics",
    "procedural": "procedural_memory",
    "episode_pattern_relationships": "episode_pattern_relationships",
}
EMBEDDING_TABLES = (
    "embeddings",
    "embeddings_384",
    "embeddings_1024",
    "embeddings_1536",
    "embeddings_3072",
    "embeddings_other",
)
PATTERN_TABLES = frozenset({"patterns", "heuristics", "procedural", "episode_pattern_relationships"})
MAX_EMBEDDING_BYTES = 1_000_000
EXPONENT = 0x7F800000
"""Of an f32; all ones: not finite."""

Row = Mapping[str, Any]


class Refused(ValueError):
    """A row of the primary that the cache cannot hold."""


@dataclass
class Report:
    """Keys by cache table; `refused` are rows of the primary that no cache can hold."""

    missing: dict[str, list[str]] = field(default_factory=dict)
    extra: dict[str, list[str]] = field(default_factory=dict)
    differing: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    equal: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def holds(self, *, exact: bool = False) -> bool:
        """No expected row is missing or differs; `exact`: and nothing else is there."""
        return not (self.missing or self.differing or self.notes or (exact and self.extra))

    def text(self) -> str:
        """One line a finding."""
        lines = [f"{table}: {self.equal.get(table, 0)} of {count} equal" for table, count in self.expected.items()]
        for word, found in (("missing", self.missing), ("extra", self.extra)):
            lines += [f"{table}: {word} {key}" for table, keys in found.items() for key in keys]
        for word, reasons in (("differs", self.differing), ("refused", self.refused)):
            lines += [f"{table}: {key} {word}: {why}" for table, keys in reasons.items() for key, why in keys.items()]
        return "\n".join([*lines, *self.notes])


# ----------------------------------------------------------------------------------- columns to values


def text(row: Row, column: str) -> str:
    value = row[column]
    if not isinstance(value, bytearray):
        raise Refused(f"{column}: a text is needed")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"{column}: {error}") from error


def optional(read: Callable[[Row, str], Any], row: Row, column: str) -> Any:
    return None if row[column] is None else read(row, column)


def integer(row: Row, column: str) -> int:
    value = row[column]
    if not isinstance(value, int):
        raise Refused(f"{column}: a whole number is needed")
    return value


def single(row: Row, column: str) -> int:
    value = row[column]
    # libSQL gives do-memory a real from a REAL alone
    if not isinstance(value, float):
        raise Refused(f"{column}: a real is needed")
    return rt.bits_of(value + 0.0)  # a REAL column knows no sign of zero


def plain_uuid(row: Row, column: str) -> str:
    value = text(row, column)
    if looks_like_uuid(value):
        return value
    raise Refused(f"{column}: {value!r} is no lower-case UUID")


def looks_like_uuid(value: str) -> bool:
    parts = value.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(c in "0123456789abcdef" for c in "".join(parts))


def parsed(row: Row, column: str, kind: rt.Kind) -> Any:
    packed = "task_type" in row and column in ("patterns", "heuristics", "metadata")
    source = expand(text(row, column)) if packed else text(row, column)
    try:
        return kind.from_json(rt.read_json(source))
    except (Unreadable, ValueError, RecursionError) as error:
        raise Refused(f"{column}: {error}") from error


def expand(value: str) -> str:
    """The text behind a `__compressed__:` form (gzip and lz4)."""
    if not value.startswith("__compressed__:"):
        return value
    try:
        return _unpacked(value).decode()
    except UnicodeDecodeError as error:
        raise Refused(f"what is compressed there is no text: {error}") from error


def _unpacked(value: str) -> bytes:
    try:
        return unpack(value)
    except (ValueError, OSError, EOFError, IndexError, zlib.error) as error:
        raise Refused(f"what is compressed there cannot be read: {error}") from error


def unpack(value: str) -> bytes:
    head, _, body = value.partition("\n")
    _, algorithm, size = head.split(":")
    packed = base64.b64decode(body)
    if algorithm == "gzip":
        data = gzip.decompress(packed)
        if len(data) != int(size):
            raise Refused("the compressed text has another size than it says")
        return data
    if algorithm == "lz4":
        return lz4_block(packed, int(size))
    raise Refused(f"compression {algorithm} is not known here")


def lz4_block(data: bytes, size: int) -> bytes:
    out, at = bytearray(), 0
    while at < len(data):
        token = data[at]
        at += 1
        count, at = _lz4_length(data, at, token >> 4)
        out += data[at : at + count]
        at += count
        if at >= len(data):
            break
        back = data[at] | data[at + 1] << 8
        count, at = _lz4_length(data, at + 2, token & 15)
        for _ in range(count + 4):
            out.append(out[-back])
    if len(out) != size:
        raise Refused("the compressed text has another size than it says")
    return bytes(out)


def _lz4_length(data: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        more = 255
        while more == 255:
            more = data[at]
            length += more
            at += 1
    return length, at


def maybe_json(row: Row, column: str, kind: rt.Kind) -> Any:
    if row[column] is None or text(row, column) == "null":
        return None
    return parsed(row, column, kind)


def seconds(row: Row, column: str) -> int:
    value = integer(row, column)
    if not -8_334_601_228_800 <= value <= 8_210_266_876_799:
        raise Refused(f"{column}: {value} is outside the calendar")
    return value


def reward(row: Row) -> Any:
    """A reward without `abstention_score` was written before that field existed and reads as none."""
    if row["reward"] is None or text(row, "reward") == "null":
        return None
    try:
        value = rt.read_json(text(row, "reward"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"reward: {error}") from error
    if not isinstance(value, dict) or "abstention_score" in value:
        return parsed(row, "reward", rt.REWARD)
    value["abstention_score"] = 0.0
    try:
        rt.REWARD.from_json(value)
    except Unreadable as error:
        raise Refused(f"reward: {error}") from error
    return None


def steps(row: Row) -> Any:
    """Steps, with the key `parameters` of old rows read as `parameters_json`."""
    try:
        value = rt.read_json(text(row, "steps"))
        for step in value if isinstance(value, list) else []:
            if isinstance(step, dict) and "parameters" in step and "parameters_json" not in step:
                step["parameters_json"] = json.dumps(step["parameters"], ensure_ascii=False, separators=(",", ":"))
        return rt.many(rt.STEP).from_json(value)
    except (ValueError, RecursionError) as error:
        raise Refused(f"steps: {error}") from error


def relation(row: Row) -> str:
    name = text(row, "relationship_type")
    if name not in rt.RELATION_NAMES:
        raise Refused(f"relationship_type: {name!r}")
    return name


def floats(row: Row, column: str) -> list[int]:
    blob = row[column]
    if not isinstance(blob, bytes):
        raise Refused(f"{column}: no list of f32")
    return _words(blob, column)


def _words(data: bytes, column: str) -> list[int]:
    if len(data) % 4:
        raise Refused(f"{column}: no list of f32")
    return list(struct.unpack(f"<{len(data) // 4}I", data))


def byte(row: Row, column: str) -> int:
    value = integer(row, column)
    if not 0 <= value <= 255:
        raise Refused(f"{column}: {value} does not fit")
    return value


# ------------------------------------------------------------------- what is compared, from the primary


def from_episode(row: Row) -> dict[str, Any]:
    task_type = {snake(name): name for name in rt.TASK_TYPES}.get(text(row, "task_type"))
    if task_type is None:
        raise Refused(f"task_type: {text(row, 'task_type')!r}")
    return {
        "episode_id": plain_uuid(row, "episode_id"),
        "task_type": (task_type, None),
        "task_description": text(row, "task_description"),
        "context": parsed(row, "context", rt.CONTEXT),
        "start_time": seconds(row, "start_time"),
        "end_time": optional(seconds, row, "end_time"),
        "steps": steps(row),
        "outcome": maybe_json(row, "outcome", rt.OUTCOME),
        "reward": reward(row),
        "reflection": maybe_json(row, "reflection", rt.REFLECTION),
        "patterns": parsed(row, "patterns", rt.many(rt.UUID)),
        "heuristics": parsed(row, "heuristics", rt.many(rt.UUID)),
        "metadata": parsed(row, "metadata", rt.MAP),
        "tags": sorted(row["tags"]),
        "checkpoints": parsed(row, "checkpoints", rt.many(rt.CHECKPOINT)),
    }


def snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def from_summary(row: Row) -> dict[str, Any]:
    return {
        "episode_id": plain_uuid(row, "episode_id"),
        "summary_text": text(row, "summary_text"),
        "key_concepts": parsed(row, "key_concepts", rt.many(rt.TEXT)),
        "key_steps": parsed(row, "key_steps", rt.many(rt.TEXT)),
        "summary_embedding": optional(floats, row, "summary_embedding"),
    }


def from_relationship(row: Row) -> dict[str, Any]:
    return {
        "id": plain_uuid(row, "relationship_id"),
        "from_episode_id": plain_uuid(row, "from_episode_id"),
        "to_episode_id": plain_uuid(row, "to_episode_id"),
        "relationship_type": (relation(row), None),
        "metadata": {
            "reason": optional(text, row, "reason"),
            "created_by": optional(text, row, "created_by"),
            "priority": optional(byte, row, "priority"),
            "weight": optional(single, row, "weight"),
            "custom_fields": parsed(row, "metadata", rt.MAP),
        },
        "created_at": seconds(row, "created_at"),
    }


def from_link(row: Row) -> dict[str, Any]:
    return {
        "id": plain_uuid(row, "relationship_id"),
        "episode_id": plain_uuid(row, "episode_id"),
        "pattern_id": plain_uuid(row, "pattern_id"),
        "relationship_type": (relation(row), None),
        "metadata": {
            "weight": optional(single, row, "weight"),
            "custom_fields": parsed(row, "metadata", rt.MAP),
        },
        "created_at": seconds(row, "created_at"),
    }


def from_heuristic(row: Row) -> dict[str, Any]:
    return {
        "heuristic_id": plain_uuid(row, "heuristic_id"),
        "condition": text(row, "condition_text"),
        "action": text(row, "action_text"),
        "confidence": single(row, "confidence"),
        "evidence": parsed(row, "evidence", rt.EVIDENCE),
        "created_at": seconds(row, "created_at"),
        "updated_at": seconds(row, "updated_at"),
    }


def from_procedural(row: Row) -> dict[str, Any]:
    return {
        "id": plain_uuid(row, "procedural_id"),
        "name": text(row, "name"),
        "description": text(row, "description"),
        "context": parsed(row, "context", rt.CONTEXT),
        "steps": parsed(row, "steps", rt.many(rt.PLAYBOOK_STEP)),
        "effectiveness": parsed(row, "effectiveness", rt.EFFECTIVENESS),
        "source_episodes": parsed(row, "source_episodes", rt.many(rt.UUID)),
        "source_patterns": parsed(row, "source_patterns", rt.many(rt.UUID)),
        "created_at": seconds(row, "created_at"),
        "updated_at": seconds(row, "updated_at"),
    }


def from_session(row: Row) -> dict[str, Any]:
    value: dict[str, Any] = parsed(row, "payload", rt.SESSION)
    if value["session_id"] != plain_uuid(row, "session_id") or value["episode_id"] != plain_uuid(row, "episode_id"):
        raise Refused("payload: other ids than the columns")
    return value


def from_feedback(row: Row) -> dict[str, Any]:
    value: dict[str, Any] = parsed(row, "payload", rt.FEEDBACK)
    if value["session_id"] != plain_uuid(row, "session_id"):
        raise Refused("payload: another id than the column")
    return value


def from_pattern(row: Row) -> str:
    plain_uuid(row, "pattern_id")
    return text(row, "pattern_type")


def from_embedding(row: Row) -> list[int]:
    if "\0" in text(row, "item_id"):
        raise Refused("item_id: a zero byte in a key")
    written = text(row, "embedding_data")
    if written.startswith("__compressed__:"):
        values = _words(_unpacked(written), "embedding_data")
    else:
        values = parsed(row, "embedding_data", rt.EMBEDDING)
    if not values or EXPONENT in map(EXPONENT.__and__, values):
        raise Refused("embedding_data: empty or not finite")
    if integer(row, "dimension") != len(values):
        raise Refused(f"dimension: {len(values)} values")
    if row["embedding_vector"] is not None and floats(row, "embedding_vector") != values:
        raise Refused("embedding_vector: not the values of embedding_data")
    if 4 * len(values) + 5 > MAX_EMBEDDING_BYTES:
        raise Refused("embedding_data: larger than do-memory accepts")
    return list(values)


FROM_PRIMARY: Mapping[str, Callable[[Row], Any]] = {
    "episodes": from_episode,
    "summaries": from_summary,
    "relationships": from_relationship,
    "recommendation_sessions": from_session,
    "recommendation_feedback": from_feedback,
    "patterns": from_pattern,
    "heuristics": from_heuristic,
    "procedural": from_procedural,
    "episode_pattern_relationships": from_link,
    "embeddings": from_embedding,
}
KEY_COLUMNS = {
    "episodes": "episode_id",
    "summaries": "episode_id",
    "relationships": "relationship_id",
    "recommendation_sessions": "session_id",
    "recommendation_feedback": "session_id",
    "patterns": "pattern_id",
    "heuristics": "heuristic_id",
    "procedural": "procedural_id",
    "episode_pattern_relationships": "relationship_id",
}
ID_FIELDS = {
    "episodes": "episode_id",
    "summaries": "episode_id",
    "relationships": "id",
    "recommendation_sessions": "session_id",
    "recommendation_feedback": "session_id",
    "heuristics": "heuristic_id",
    "procedural": "id",
    "episode_pattern_relationships": "id",
}

# ---------------------------------------------------------------------- what is compared, from the cache


def from_bytes(table: str, key: str, data: bytes) -> Any:
    """The compared part of one stored value; Unreadable when it does not decode or holds another id."""
    return compared(table, key, rt.CACHED[table].whole(data))


def from_reader(table: str, key: str, value: Any) -> Any:
    """The same, of a value that another program decoded and printed as JSON."""
    return compared(table, key, rt.CACHED[table].from_json(value))


def compared(table: str, key: str, value: Any) -> Any:
    if table == "patterns":
        if value[1]["id"] != key:
            raise Unreadable(f"holds the id {value[1]['id']}")
        return rt.PATTERN.debug(value)
    if table == "embeddings":
        return value
    if value[ID_FIELDS[table]] != key:
        raise Unreadable(f"holds the id {value[ID_FIELDS[table]]}")
    if table == "episodes":
        del value["applied_patterns"], value["salient_features"]
        value["tags"] = sorted(set(value["tags"]))
        value["start_time"] = value["start_time"][0]
        value["end_time"] = value["end_time"] and value["end_time"][0]
    elif table == "summaries":
        del value["created_at"]
    elif not table.startswith("recommendation_"):
        value.update({name: value[name][0] for name in ("created_at", "updated_at") if name in value})
    if table == "episode_pattern_relationships":
        value["metadata"] = {name: value["metadata"][name] for name in ("weight", "custom_fields")}
    return value


# --------------------------------------------------------------------------------------- the primary


class Primary:
    """Rows of a primary file that a cache of this scope must hold, by the rules of the projection."""

    def __init__(self, path: str | Path, window: int, patterns: bool, embeddings: bool) -> None:
        self.patterns, self.embeddings = patterns, embeddings
        connection = sqlite3.connect(f"file:{Path(path).resolve()}?mode=ro", uri=True)
        connection.text_factory = bytearray
        connection.row_factory = sqlite3.Row
        try:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            self._tables = {bytes(row[0]).decode() for row in names}
            connection.execute("BEGIN")
            self._read(connection, window)
        finally:
            connection.close()

    def _rows(self, connection: sqlite3.Connection, table: str, order: str = "") -> list[dict[str, Any]]:
        if table not in self._tables:
            return []
        # Named columns keep stock SQLite from answering out of the vector index, which is empty for it.
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} {order}")]

    def _read(self, connection: sqlite3.Connection, window: int) -> None:
        every = self._rows(connection, "episodes", "ORDER BY start_time DESC, episode_id")
        tags: dict[bytes, set[str]] = {}
        for row in self._rows(connection, "episode_tags"):
            tags.setdefault(bytes(row["episode_id"]), set()).add(_readable(row["tag"]))
        for row in every:
            row["tags"] = tags.get(_raw(row["episode_id"]), set())
        inside = every[:window]
        chosen = {_joined(row["episode_id"]) for row in inside} - {NOTHING}
        known = {_joined(row["episode_id"]) for row in every} - {NOTHING}
        rows = {name: self._rows(connection, source) for name, source in SOURCES.items() if name != "episodes"}
        all_patterns = {_joined(row["pattern_id"]) for row in rows["patterns"]} - {NOTHING}
        recommended = [row for row in rows["recommendation_sessions"] if _joined(row["episode_id"]) in chosen]
        sessions = {_joined(row["session_id"]) for row in recommended} - {NOTHING}
        keep: dict[str, Callable[[Row], bool]] = {
            "summaries": lambda r: _joined(r["episode_id"]) in chosen,
            "relationships": lambda r: {_joined(r["from_episode_id"]), _joined(r["to_episode_id"])} <= chosen,
            "recommendation_sessions": lambda r: _joined(r["episode_id"]) in chosen,
            "recommendation_feedback": lambda r: _joined(r["session_id"]) in sessions,
            "episode_pattern_relationships": lambda r: (
                _joined(r["episode_id"]) in chosen and _joined(r["pattern_id"]) in all_patterns
            ),
        }
        self.expected: dict[str, list[tuple[str, Row]]] = {}
        for table, column in KEY_COLUMNS.items():
            if table in PATTERN_TABLES and not self.patterns:
                continue
            source = inside if table == "episodes" else [r for r in rows[table] if keep.get(table, _always)(r)]
            self.expected[table] = [(_readable(row[column]), row) for row in source]
        self.skipped_owner: Callable[[str], bool] = lambda _: False
        if self.embeddings:
            found = [row for name in EMBEDDING_TABLES for row in self._rows(connection, name)]
            self._embeddings(found, chosen, known, all_patterns)

    def _embeddings(self, rows: Iterable[Row], chosen: set[Id], known: set[Id], patterns: set[Id]) -> None:
        def belongs(kind: str, owner: Id) -> bool:
            return owner in chosen if kind == "episode" else self.patterns and owner in patterns

        def wanted(row: Row) -> bool:
            kind, item = _joined(row["item_type"]), _joined(row["item_id"])
            for scope in ("episode", "pattern"):
                if kind == ("text", scope.encode()):
                    return belongs(scope, item)
            if kind not in (NOTHING, ("text", b"embedding")):
                return True
            name = _readable(row["item_id"])
            if isinstance(row["item_id"], bytearray):
                for scope in ("episode", "pattern"):
                    if looks_like_uuid(name[-36:]) and name[:-36].endswith(f":{scope}:"):
                        return belongs(scope, ("text", bytes(row["item_id"][-36:])))
            if looks_like_uuid(name):
                if item in known:
                    return item in chosen
                return item not in patterns or self.patterns
            return True

        found = [row for row in rows if wanted(row)]
        self.expected["embeddings"] = [(embedding_key(row), row) for row in found]

        def of_pattern(key: str) -> bool:
            bare = ("text", key.encode()) in patterns and ("text", key.encode()) not in known
            return key.startswith("pattern_") or key[:-36].endswith(":pattern:") or bare

        if not self.patterns:
            self.skipped_owner = of_pattern


def _always(_: Row) -> bool:
    return True


Id = tuple[str, Any]
NOTHING: Id = ("null", None)
"""NULL, which SQL finds equal to nothing, not even to itself."""


def _joined(value: Any) -> Id:
    """A column by which rows belong together, equal as SQL finds it: by class, numbers by their value."""
    if value is None:
        return NOTHING
    if isinstance(value, bytearray):
        return "text", bytes(value)
    return ("blob", value) if isinstance(value, bytes) else ("number", value)


def _raw(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | bytearray) else repr(value).encode()


def _readable(value: Any) -> str:
    return _raw(value).decode(errors="backslashreplace")


def embedding_key(row: Row) -> str:
    kind, item = _readable(row["item_type"]), _readable(row["item_id"])
    prefixes = {"episode": "episode_", "pattern": "pattern_", "embedding": ""}
    return prefixes.get(kind, f"{kind}:") + item


# ------------------------------------------------------------------------------------- the comparison


def check(
    primary: str | Path, cache: str | Path, *, window: int = 1000, patterns: bool = True, embeddings: bool = True
) -> Report:
    """Compare a cache file at rest with a primary file at rest."""
    file = RedbFile(cache)
    rows = {
        table: {key.decode(errors="backslashreplace"): value for key, value in file.rows(table)} for table in rt.CACHED
    }
    report = _report(Primary(primary, window, patterns, embeddings), rows, from_bytes)
    _check_index(report, file)
    _check_version(report, file)
    return report


def check_rows(
    primary: str | Path,
    rows: Mapping[str, Mapping[str, Any]],
    *,
    window: int = 1000,
    patterns: bool = True,
    embeddings: bool = True,
) -> Report:
    """Compare what another program read from a cache (JSON values by table and key) with a primary file."""
    return _report(Primary(primary, window, patterns, embeddings), rows, from_reader)


def moved(before: str | Path, after: str | Path, *, window: int = 1000) -> dict[str, dict[str, int]]:
    """What turns the projection of one state of a primary into that of a later one: insert, update, remove by table."""
    old, new = (Primary(path, window, patterns=True, embeddings=True).expected for path in (before, after))
    changes: dict[str, dict[str, int]] = {}
    for table in new:
        was = {key: FROM_PRIMARY[table](row) for key, row in old[table]}
        now = {key: FROM_PRIMARY[table](row) for key, row in new[table]}
        counted = {
            "insert": len(now.keys() - was.keys()),
            "update": sum(now[key] != was[key] for key in now.keys() & was.keys()),
            "remove": len(was.keys() - now.keys()),
        }
        if any(counted.values()):
            changes[table] = {kind: count for kind, count in counted.items() if count}
    return changes


Read = Callable[[str, str, Any], Any]


def _report(source: Primary, rows: Mapping[str, Mapping[str, Any]], read: Read) -> Report:
    report = Report()
    for table, wanted in source.expected.items():
        left = dict(rows.get(table, {}))
        _compare(report, table, wanted, left, read)
        extra = [key for key in left if not (table == "embeddings" and source.skipped_owner(key))]
        if extra:
            report.extra[table] = extra
    return report


def _compare(report: Report, table: str, wanted: list[tuple[str, Row]], cached: dict[str, Any], read: Read) -> None:
    report.expected[table] = len(wanted)
    twice = {key for key, count in Counter(key for key, _ in wanted).items() if count > 1}
    for key, row in wanted:
        try:
            if key in twice:
                raise Refused("the key stands there twice")
            if table == "embeddings" and _readable(row["item_type"]) not in ("episode", "pattern", "embedding"):
                raise Refused(f"item_type: {_readable(row['item_type'])!r}")
            value = FROM_PRIMARY[table](row)
        except Refused as reason:
            report.refused.setdefault(table, {})[key] = str(reason)
            continue
        if key not in cached:
            report.missing.setdefault(table, []).append(key)
            continue
        why = _difference(table, key, cached.pop(key), value, read)
        if why is None:
            report.equal[table] = report.equal.get(table, 0) + 1
        else:
            report.differing.setdefault(table, {})[key] = why


def _difference(table: str, key: str, data: Any, value: Any, read: Read) -> str | None:
    try:
        have = read(table, key, data)
    except Unreadable as error:
        return f"the cached value cannot be read: {error}"
    if have == value:
        return None
    if isinstance(have, dict):
        names = [name for name in value if have.get(name) != value[name]]
        return "; ".join(f"{name}: primary {value[name]!r}, cache {have.get(name)!r}" for name in names)[:2000]
    return f"primary {str(value)[:600]}, cache {str(have)[:600]}"


def _check_index(report: Report, file: RedbFile) -> None:
    """The index names the newest session by (time, session) of each episode that has one in the file."""
    newest: dict[str, tuple[tuple[int, int], str]] = {}
    for key, data in file.rows("recommendation_sessions"):
        session = rt.SESSION.whole(data)
        stamp = (session["timestamp"], key.decode())
        newest[session["episode_id"]] = max(stamp, newest.get(session["episode_id"], stamp))
    index = {key.decode(): value.decode() for key, value in file.rows("recommendation_episode_index")}
    wanted = {episode: stamp[1] for episode, stamp in newest.items()}
    for episode in sorted(wanted.keys() | index.keys()):
        if index.get(episode) != wanted.get(episode):
            report.notes.append(
                f"recommendation_episode_index: {episode} names {index.get(episode)}, newest is {wanted.get(episode)}"
            )


def _check_version(report: Report, file: RedbFile) -> None:
    version = dict(file.rows("schema_version")).get(b"version")
    if version != struct.pack("<Q", 4):
        report.notes.append(f"schema_version is {version!r}, not 4")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("primary", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--window", type=int, default=1000)
    parser.add_argument("--no-patterns", action="store_true")
    parser.add_argument("--no-embeddings", action="store_true")
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = check(
        options.primary,
        options.cache,
        window=options.window,
        patterns=not options.no_patterns,
        embeddings=not options.no_embeddings,
    )
    print(json.dumps(vars(report), ensure_ascii=False) if options.json else report.text())
    return 0 if report.holds(exact=options.exact) else 1


if __name__ == "__main__":
    raise SystemExit(main())
