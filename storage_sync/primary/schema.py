"""Source tables and columns of the primary, by generation (docs/formats.md#tables-of-the-primary)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

from storage_sync.values.errors import PrimarySchema
from storage_sync.values.outcome import PATTERN_TABLES, TABLES

Kind = Literal["text", "integer", "real", "blob"]


class SourceTable(Struct, frozen=True):
    """Where the rows of one cache table come from. `columns` in canonical order; the first makes the key."""

    cache: str
    name: str
    columns: tuple[tuple[str, Kind], ...]


def _table(cache: str, name: str, text: str) -> SourceTable:
    kinds: dict[str, Kind] = {"i": "integer", "r": "real", "b": "blob"}
    words = (word.partition(":") for word in text.split())
    return SourceTable(cache, name, tuple((column, kinds.get(kind, "text")) for column, _, kind in words))


SOURCES: Mapping[str, SourceTable] = MappingProxyType(
    {
        source.cache: source
        for source in (
            _table(
                "episodes",
                "episodes",
                "episode_id task_type task_description context start_time:i end_time:i steps outcome reward reflection"
                " patterns heuristics checkpoints metadata",
            ),
            _table(
                "summaries",
                "episode_summaries",
                "episode_id summary_text key_concepts key_steps summary_embedding:b",
            ),
            _table(
                "relationships",
                "episode_relationships",
                "relationship_id from_episode_id to_episode_id relationship_type reason created_by priority:i weight:r"
                " metadata created_at:i",
            ),
            _table("recommendation_sessions", "recommendation_sessions", "session_id episode_id payload"),
            _table("recommendation_feedback", "recommendation_feedback", "session_id payload"),
            _table("patterns", "patterns", "pattern_id pattern_type"),
            _table(
                "heuristics",
                "heuristics",
                "heuristic_id condition_text action_text confidence:r evidence created_at:i updated_at:i",
            ),
            _table(
                "procedural",
                "procedural_memory",
                "procedural_id name description context steps effectiveness source_episodes source_patterns"
                " created_at:i updated_at:i",
            ),
            _table(
                "episode_pattern_relationships",
                "episode_pattern_relationships",
                "relationship_id episode_id pattern_id relationship_type weight:r metadata created_at:i",
            ),
            _table(
                "embeddings",
                "embeddings",
                "item_id item_type embedding_data embedding_vector:b dimension:i",
            ),
        )
    }
)
"""The ten source tables by the name of their cache table."""

EMBEDDING_TABLES = (
    "embeddings",
    "embeddings_384",
    "embeddings_1024",
    "embeddings_1536",
    "embeddings_3072",
    "embeddings_other",
)
"""The one table of the default build, and those of a multi-dimension build; all that exist are read as one."""

TAG_TABLE = "episode_tags"
TAG_COLUMNS = ("episode_id", "tag")
REVISION_TABLE = "episode_revisions"
METADATA_TABLE = "metadata"
BESIDE_TABLES = (REVISION_TABLE, METADATA_TABLE)
"""What do-memory keeps beside its rows: never fetched, looked at when a poll asks whether anything changed."""

CHILD_SEEKS = {
    "summaries": ("episode_summaries", "episode_id"),
    "relationships": ("episode_relationships", "from_episode_id"),
    "recommendation_sessions": ("recommendation_sessions", "episode_id"),
    "recommendation_feedback": ("recommendation_feedback", "session_id"),
    "episode_pattern_relationships": ("episode_pattern_relationships", "episode_id"),
}
"""Of each table of an episode's family: the index that leads to its rows."""

SEEKS = (
    ("episodes", "start_time"),
    ("episodes", "episode_id"),
    *CHILD_SEEKS.values(),
    ("episode_relationships", "to_episode_id"),
    ("recommendation_sessions", "session_id"),
    ("episode_pattern_relationships", "pattern_id"),
    ("patterns", "pattern_id"),
    ("episode_tags", "episode_id"),
    ("episode_revisions", "modified_at_ms"),
    ("metadata", "key"),
    ("embeddings", "item_id"),
)
"""Tables that are entered by a column of an index; without the index the same question would scan the table."""

UNIQUE = (("episodes", "episode_id"), ("patterns", "pattern_id"))
"""Tables whose rows are families of their own, with the column that names each once."""

REQUIRED = ("episodes", "patterns", "heuristics")
"""Without these it is not a do-memory primary; the others came later and count as empty when absent."""

LATE_COLUMNS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("episodes", "heuristics"): "'[]'",
        ("episodes", "checkpoints"): "'[]'",
        ("episode_relationships", "weight"): "NULL",
    }
)
"""Columns that do-memory added to existing tables, with what an older row means."""


def names_to_look_for() -> dict[str, list[str]]:
    """Every source table that may exist, with the columns that we read."""
    wanted = {source.name: [column for column, _ in source.columns] for source in SOURCES.values()}
    for name in EMBEDDING_TABLES:
        wanted[name] = [column for column, _ in SOURCES["embeddings"].columns]
    wanted[TAG_TABLE] = list(TAG_COLUMNS)
    return wanted


class Projection(Struct, frozen=True):
    """What is wanted of a primary: the window and the two switches (docs/projection.md)."""

    window: int
    patterns: bool = True
    embeddings: bool = True
    part: tuple[int, int] | None = None
    """Only one part of the rows: its number, from 1 on, and how many there are."""

    def __post_init__(self) -> None:
        if self.window < 0:
            raise ValueError("the window cannot be negative")

    @property
    def tables(self) -> tuple[str, ...]:
        """Cache tables, in the order of their numbers."""
        return tuple(
            table
            for table in TABLES
            if (self.patterns or table not in PATTERN_TABLES) and (self.embeddings or table != "embeddings")
        )


class Schema(Struct, frozen=True):
    """What one primary has of it."""

    tables: frozenset[str]
    """Source tables that exist, under their own names."""
    late: frozenset[tuple[str, str]] = frozenset()
    """Of `LATE_COLUMNS`, those that are not there."""
    rowids: frozenset[str] = frozenset()
    """Tables that have a rowid (not a view, not WITHOUT ROWID)."""
    seeks: frozenset[tuple[str, str]] = frozenset()
    """Of `SEEKS`, the columns that an index begins with."""
    unique: frozenset[str] = frozenset()
    """Of `UNIQUE`, the tables in which a unique index holds that."""
    revisions: bool = False
    """Whether `episode_revisions` exists."""
    metadata: bool = False
    """Whether `metadata` exists."""
    keyless: bool = False
    """Whether an episode may be there without an id: do-memory declares it NOT NULL, a view or a copy may not."""
    long_tags: bool = False
    """Whether an episode was met whose tags are together longer than the longest text of the server."""

    @property
    def generation(self) -> str:
        """`0.1.47` when such a do-memory opened this primary once, else `0.1.40`."""
        return "0.1.47" if self.revisions else "0.1.40"

    @property
    def item_index(self) -> bool:
        """Whether `embeddings` can be walked in the order of item_id."""
        return ("embeddings", "item_id") in self.seeks

    @property
    def embedding_tables(self) -> tuple[str, ...]:
        return tuple(name for name in EMBEDDING_TABLES if name in self.tables)

    @property
    def multi_dimension(self) -> bool:
        return self.embedding_tables not in ((), ("embeddings",))


def judge(found: Mapping[str, frozenset[str]]) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Existing tables and absent late columns, from the missing columns of each table that exists.

    PrimarySchema names what a primary lacks.
    """
    absent = [name for name in REQUIRED if name not in found]
    if not any(name in found for name in EMBEDDING_TABLES):
        absent.append("embeddings")
    if absent:
        raise PrimarySchema(f"the primary has no table {', '.join(absent)}: do-memory has not set it up")
    late: set[tuple[str, str]] = set()
    for name, missing in found.items():
        late |= {(name, column) for column in missing if (name, column) in LATE_COLUMNS}
        for column in sorted(missing):
            if (name, column) not in LATE_COLUMNS:
                raise PrimarySchema(f"the primary's table {name} has no column {column}")
    return frozenset(found), frozenset(late)
