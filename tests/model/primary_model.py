"""A primary in a few dictionaries: what applications do to it, and what each kind of request answers.

States are immutable mappings, so that a snapshot costs nothing. Rowids, stamps and cascades follow
docs/protocol.md#why-digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, NamedTuple
from uuid import UUID

EPISODES, RELATIONSHIPS, PATTERNS, EMBEDDINGS = "episodes", "relationships", "patterns", "embeddings"
TABLES = (EPISODES, RELATIONSHIPS, PATTERNS, EMBEDDINGS)

Key = tuple[str, str]
Digest = tuple[object, ...]


class Row(NamedTuple):
    """One row of any table; `links` are the owners or ends, `stamp` is created_at or updated_at in seconds."""

    text: str
    rowid: int
    stamp: int
    start: int = 0
    tags: frozenset[str] = frozenset()
    links: tuple[str, ...] = ()
    tagged: int = 0
    """Highest rowid of its tags, which lie in a table of their own."""

    def digest(self) -> Digest:
        """What the projection compares; neither rowid nor stamp is in it."""
        return (self.text, self.start, self.tags, self.links)


State = Mapping[Key, Row]


class Scope(NamedTuple):
    window: int = 4
    patterns: bool = True
    embeddings: bool = True

    def covers(self, key: Key, links: tuple[str, ...]) -> bool:
        """Whether the row belongs to what the switches leave on; `links` tell whose embedding it is."""
        table = key[0]
        if table == PATTERNS:
            return self.patterns
        if table == EMBEDDINGS:
            return self.embeddings and (self.patterns or not links or links[0] != PATTERNS)
        return True


def project(state: State, scope: Scope) -> dict[Key, Row]:
    """The expected rows of one state (docs/projection.md)."""
    episodes = sorted((key for key in state if key[0] == EPISODES), key=lambda key: (-state[key].start, key[1]))
    chosen = {key[1] for key in episodes[: scope.window]}

    def wanted(key: Key, row: Row) -> bool:
        if not scope.covers(key, row.links):
            return False
        if key[0] == EPISODES:
            return key[1] in chosen
        if key[0] == RELATIONSHIPS:
            return set(row.links) <= chosen
        if key[0] == EMBEDDINGS:
            kind, owner = row.links
            return owner in chosen if kind == EPISODES else (PATTERNS, owner) in state
        return True

    return {key: row for key, row in state.items() if wanted(key, row)}


class NetworkFault(Exception):
    """The request did not come back."""


@dataclass
class Primary:
    """The server. Every request may be preceded by writes of others and may fail."""

    random: Random
    state: State = field(default_factory=dict)
    clock: int = 1000
    replication_index: int = 0
    busy: float = 0.0
    """How likely somebody writes before a request."""
    faults: float = 0.0
    seen: list[State] = field(default_factory=list)
    """Every state since `watch()`."""
    backups: list[State] = field(default_factory=list)

    # ------------------------------------------------------------------------------------ requests

    def watch(self) -> None:
        self.seen = [self.state]

    def request(self) -> State:
        """The state that the next statement sees."""
        if self.random.random() < self.faults:
            raise NetworkFault
        while self.random.random() < self.busy:
            self.write()
        return self.state

    # -------------------------------------------------------------------------------------- writes

    def _set(self, state: State) -> None:
        self.state = state
        self.replication_index += 1
        self.seen.append(state)

    def _put(self, key: Key, row: Row) -> None:
        self._set({**self.state, key: row})

    def _drop(self, gone: Iterable[Key]) -> None:
        left = set(gone)
        self._set({key: row for key, row in self.state.items() if key not in left})

    def _next_rowid(self, table: str) -> int:
        return 1 + max((row.rowid for key, row in self.state.items() if key[0] == table), default=0)

    def _next_tag(self, state: State | None = None) -> int:
        return 1 + max((row.tagged for row in (state or self.state).values()), default=0)

    def _text(self) -> str:
        """Always of one length, so that lengths tell nothing."""
        return f"{self.random.randrange(10**6):06d}"

    def _pick(self, *tables: str) -> Key | None:
        keys = sorted(key for key in self.state if key[0] in (tables or TABLES))
        return self.random.choice(keys) if keys else None

    def _name(self) -> str:
        return str(UUID(int=self.random.getrandbits(128)))

    def _tags(self) -> frozenset[str]:
        return frozenset(self.random.sample(("a", "b", "c"), self.random.randrange(4)))

    def insert(self, start: int | None = None) -> None:
        self.clock += self.random.choice((0, 0, 1, 5))
        name = self._name()
        begun = self.clock if start is None else start
        self._put((EPISODES, name), Row(self._text(), self._next_rowid(EPISODES), self.clock, begun))
        if self.random.random() < 0.5:
            self.tag((EPISODES, name))
        if self.random.random() < 0.5:
            self._embed(EPISODES, name)

    def back_dated(self) -> None:
        self.insert(self.clock - self.random.randrange(1, 50))

    def pattern(self) -> None:
        name = self._name()
        self._put((PATTERNS, name), Row(self._text(), self._next_rowid(PATTERNS), self.clock))
        if self.random.random() < 0.5:
            self._embed(PATTERNS, name)

    def _embed(self, kind: str, owner: str) -> None:
        row = Row(self._text(), self._next_rowid(EMBEDDINGS), self.clock, links=(kind, owner))
        self._put((EMBEDDINGS, f"{kind.rstrip('s')}_{owner}"), row)

    def embed(self) -> None:
        """The embedding of a row that is there already, or again."""
        key = self._pick(EPISODES, PATTERNS)
        if key is not None:
            self._embed(*key)

    def relate(self) -> None:
        ends = sorted(key[1] for key in self.state if key[0] == EPISODES)
        if len(ends) > 1:
            pair = tuple(self.random.sample(ends, 2))
            if not any(key[0] == RELATIONSHIPS and row.links == pair for key, row in self.state.items()):
                row = Row(self._text(), self._next_rowid(RELATIONSHIPS), self.clock, links=pair)
                self._put((RELATIONSHIPS, self._name()), row)

    def rewrite(self) -> None:
        """INSERT OR REPLACE: a new rowid, tags and relationships fall to the cascade, tags return later."""
        key = self._pick()
        if key is None:
            return
        old = self.state[key]
        rowid = self._next_rowid(key[0])
        new = old._replace(text=self._text(), rowid=rowid, stamp=self.clock, tags=frozenset(), tagged=0)
        related = self._related(key[1]) if key[0] == EPISODES else []
        self._set({**{other: row for other, row in self.state.items() if other not in related}, key: new})
        if old.tags:
            self._put(key, new._replace(tags=old.tags, tagged=self._next_tag()))

    def _related(self, episode: str) -> list[Key]:
        return [key for key, row in self.state.items() if key[0] == RELATIONSHIPS and episode in row.links]

    def update(self) -> None:
        """In place: same rowid, same length, in the same second."""
        key = self._pick()
        if key is not None:
            self._put(key, self.state[key]._replace(text=self._text()))

    def tag(self, key: Key | None = None) -> None:
        chosen = key or self._pick(EPISODES)
        if chosen is not None:
            tags = self._tags()
            untagged = {**self.state, chosen: self.state[chosen]._replace(tagged=0)}
            self._put(chosen, self.state[chosen]._replace(tags=tags, tagged=self._next_tag(untagged) if tags else 0))

    def delete(self) -> None:
        key = self._pick()
        if key is not None:
            self._drop([key, *(self._related(key[1]) if key[0] == EPISODES else [])])

    def delete_newest_and_insert(self) -> None:
        """The rowid of the deleted row is used again."""
        newest = max((key for key in self.state if key[0] == EPISODES), key=lambda k: self.state[k].rowid, default=None)
        if newest is not None:
            self._drop([newest, *self._related(newest[1])])
            self.insert()

    def clock_jump(self) -> None:
        self.clock += self.random.randrange(-100, 100)

    def bulk(self) -> None:
        for _ in range(self.random.randrange(2, 6)):
            self.insert()

    def vacuum(self) -> None:
        """Rowids are numbered anew."""
        numbered: dict[Key, Row] = {}
        for table in TABLES:
            rows = sorted((key for key in self.state if key[0] == table), key=lambda key: self.state[key].rowid)
            numbered |= {key: self.state[key]._replace(rowid=i + 1) for i, key in enumerate(rows)}
        self._set(numbered)

    def back_up(self) -> None:
        self.backups.append(self.state)

    def restore(self) -> None:
        """An old backup is put back: the replication index starts again."""
        if self.backups:
            self._set(self.random.choice(self.backups))
            self.replication_index = 0

    WRITES: ClassVar[tuple[Callable[[Primary], None], ...]] = ()

    def write(self) -> None:
        """One write of an application, as likely as it is in life but for the odd ones."""
        self.random.choice(Primary.WRITES)(self)


OWN_WRITES = ("insert", "insert", "pattern", "relate", "relate", "rewrite", "rewrite", "rewrite", "back_dated", "embed")
"""What do-memory writes by itself: no row is updated in place or deleted."""

Primary.WRITES = (
    Primary.insert,
    Primary.insert,
    Primary.pattern,
    Primary.relate,
    Primary.rewrite,
    Primary.rewrite,
    Primary.update,
    Primary.tag,
    Primary.delete,
    Primary.delete_newest_and_insert,
    Primary.back_dated,
)
