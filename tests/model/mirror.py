"""The model of a primary played on a real server: each change of state becomes the SQL that causes it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tests.independent.projection_check import from_bytes
from tests.independent.redb_reader import RedbFile
from tests.independent.rust_types import CACHED, float_of
from tests.model.primary_model import EMBEDDINGS, EPISODES, PATTERNS, RELATIONSHIPS, Digest, Key, Row, State
from tests.support import hrana

CONTEXT = json.dumps({"language": None, "framework": None, "complexity": "Simple", "domain": "d", "tags": []})
EFFECT = (
    "PatternEffectiveness { times_retrieved: 0, times_applied: 0, success_when_applied: 0, failure_when_applied: 0,"
    " avg_reward_delta: 0.0, last_used: 2026-08-01T06:00:00Z, created_at: 2026-08-01T06:00:00Z }"
)
PREFIXES = {EPISODES: "episode", PATTERNS: "pattern"}
EVERYTHING = (
    "episode_tags", "episode_relationships", "episode_summaries", "episode_pattern_relationships", "embeddings",
    "patterns", "heuristics", "procedural_memory", "recommendation_feedback", "recommendation_sessions", "episodes",
)  # fmt: skip


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _tags(key: Key, row: Row) -> list[str]:
    statements = [f"DELETE FROM episode_tags WHERE episode_id = {_quoted(key[1])}"]
    statements += [f"INSERT INTO episode_tags (episode_id, tag) VALUES ({_quoted(key[1])}, '{t}')" for t in row.tags]
    return statements


def _replace(key: Key, row: Row) -> list[str]:
    """The statements that put a row there anew, as do-memory writes it."""
    table, name = key
    if table == EPISODES:
        return [
            "INSERT OR REPLACE INTO episodes (episode_id, task_type, task_description, context, start_time, steps,"
            " outcome, reward, reflection, patterns, heuristics, checkpoints, metadata, domain)"
            f" VALUES ({_quoted(name)}, 'testing', '{row.text}', {_quoted(CONTEXT)}, {row.start}, '[]', 'null',"
            " 'null', 'null', '[]', '[]', '[]', '{}', 'd')",
            *_tags(key, row),
        ]
    if table == PATTERNS:
        return [
            "INSERT OR REPLACE INTO patterns (pattern_id, pattern_type, pattern_data, success_rate)"
            f" VALUES ({_quoted(name)}, {_quoted(_debug(name, row.text))}, '{{}}', 0.5)"
        ]
    if table == RELATIONSHIPS:
        ends = f"{_quoted(row.links[0])}, {_quoted(row.links[1])}"
        return [
            "INSERT OR REPLACE INTO episode_relationships (relationship_id, from_episode_id, to_episode_id,"
            f" relationship_type, reason, created_at) VALUES ({_quoted(name)}, {ends}, 'follows', '{row.text}', 1000)"
        ]
    kind, owner = row.links
    return [
        "INSERT OR REPLACE INTO embeddings (embedding_id, item_id, item_type, embedding_data, dimension, model)"
        f" VALUES ({_quoted(name)}, {_quoted(owner)}, '{PREFIXES[kind]}', '[{int(row.text)}.0,1.0]', 2, 'default')"
    ]


def _debug(name: str, text: str) -> str:
    return (
        f'ContextPattern {{ id: {name}, context_features: [], recommended_approach: "{text}", evidence: [],'
        f" success_rate: 0.5, effectiveness: {EFFECT} }}"
    )


def _update(key: Key, old: Row, row: Row) -> list[str]:
    """In place."""
    table, name = key
    if table == EPISODES:
        changed = f"task_description = '{row.text}', start_time = {row.start}"
        tags = _tags(key, row) if row.tags != old.tags else []
        return [f"UPDATE episodes SET {changed} WHERE episode_id = {_quoted(name)}", *tags]
    if table == PATTERNS:
        return [f"UPDATE patterns SET pattern_type = {_quoted(_debug(name, row.text))} WHERE pattern_id = '{name}'"]
    if table == RELATIONSHIPS:
        return [f"UPDATE episode_relationships SET reason = '{row.text}' WHERE relationship_id = '{name}'"]
    return [f"UPDATE embeddings SET embedding_data = '[{int(row.text)}.0,1.0]' WHERE embedding_id = {_quoted(name)}"]


def _delete(key: Key) -> str:
    names = {
        EPISODES: ("episodes", "episode_id"),
        PATTERNS: ("patterns", "pattern_id"),
        RELATIONSHIPS: ("episode_relationships", "relationship_id"),
        EMBEDDINGS: ("embeddings", "embedding_id"),
    }
    table, column = names[key[0]]
    return f"DELETE FROM {table} WHERE {column} = {_quoted(key[1])}"


ORDER = (EPISODES, PATTERNS, RELATIONSHIPS, EMBEDDINGS)


def statements(old: State, new: State) -> list[str]:
    """What turns one state of the real primary into the next."""
    wanted = [_delete(key) for key in old if key not in new]
    for key in sorted(new, key=lambda key: (ORDER.index(key[0]), new[key].rowid)):
        row, was = new[key], old.get(key)
        if was is None or was.rowid != row.rowid:
            wanted += _replace(key, row)
        elif was != row:
            wanted += _update(key, was, row)
    return wanted


def play(url: str, sql: Iterable[str]) -> None:
    """All of one change in one transaction."""
    listed = list(sql)
    if listed:
        hrana.execute(url, ["BEGIN", *listed, "COMMIT"])


def content(cache: Path) -> dict[Key, Digest]:
    """The rows of a cache file that our ledger claims as proved, in the model's terms."""
    file = RedbFile(cache)
    found: dict[Key, Digest] = {}
    for table in ORDER:
        proved = {
            key.split(b"/", 1)[1] for key, entry in file.rows("storage_sync_digest") if _proved(table, key, entry)
        }
        for key, data in file.rows(table):
            if key in proved:
                name = key.decode()
                found[(table, name)] = _digest(table, name, data)
    return found


def _proved(table: str, key: bytes, entry: bytes) -> bool:
    return key.startswith(table.encode() + b"/") and entry[0] == 1


def _digest(table: str, name: str, data: bytes) -> Digest:
    if table == PATTERNS:
        value = CACHED[table].whole(data)[1]
        return (value["recommended_approach"], 0, frozenset(), ())
    value = from_bytes(table, name, data)
    if table == EPISODES:
        return (value["task_description"], value["start_time"], frozenset(value["tags"]), ())
    if table == RELATIONSHIPS:
        return (value["metadata"]["reason"], 0, frozenset(), (value["from_episode_id"], value["to_episode_id"]))
    kind, owner = name.split("_", 1)
    return (f"{int(float_of(value[0])):06d}", 0, frozenset(), (f"{kind}s", owner))
