"""A follow run over the models: what stands above the marks of a primary, and the product's own decisions about it.

See docs/protocol.md#follow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

from storage_sync.primary.above import FURTHER, LAST_ROWID, MOST_ABOVE, Above, Child, Written
from storage_sync.sync.overlay import AS_PROVEN, DIFFERS, Known, Limits, changes
from storage_sync.values.followed import Ending, FollowEnded
from storage_sync.values.marks import Anchor, Marks
from tests.model.cache_model import Cache, File
from tests.model.primary_model import (
    EMBEDDINGS,
    EPISODES,
    PATTERNS,
    RELATIONSHIPS,
    TABLES,
    Key,
    Primary,
    Row,
    Scope,
    State,
)
from tests.model.strategies import Current, Staged, Strategy
from tests.model.sync_model import NO_CONSENT, End, Ended, Kill, attempt, epoch_of

SOURCES = {EPISODES: EPISODES, RELATIONSHIPS: "episode_relationships", PATTERNS: PATTERNS, EMBEDDINGS: EMBEDDINGS}
TAGS = "episode_tags"
DEPTHS = {RELATIONSHIPS: 3, TAGS: 4}
BELOW_ALL = -LAST_ROWID - 1
ROUNDS = 3


class Since(NamedTuple):
    """What a follow run goes on from: the marks of the last run, and what it was made of."""

    marks: Marks
    scope: Scope
    generation: int


def hexed(text: str) -> str:
    return text.encode().hex().upper()


def digest(row: Row) -> str:
    return hashlib.sha256(repr((row.text, row.start, sorted(row.tags), row.links)).encode()).hexdigest()[:32]


class Lines(NamedTuple):
    """The rows of one source table as (rowid, name, what takes it away), highest first."""

    rows: tuple[Anchor, ...]

    def ends(self, depth: int) -> tuple[Anchor, ...]:
        found = list(self.rows[:depth])
        for below in FURTHER if depth > 1 else ():
            found += [row for row in self.rows if row.rowid <= self.rows[0].rowid - below][:1]
        return tuple(sorted(set(found), key=lambda anchor: -anchor.rowid))


def lines(state: State, scope: Scope) -> dict[str, Lines]:
    """Every source table that is followed."""
    tables = (
        EPISODES,
        RELATIONSHIPS,
        *([PATTERNS] if scope.patterns else []),
        *([EMBEDDINGS] if scope.embeddings else []),
    )
    found = {
        SOURCES[table]: _sorted(_anchor(key, row) for key, row in state.items() if key[0] == table) for table in tables
    }
    tagged = ((key[1], row) for key, row in state.items() if key[0] == EPISODES and row.tags)
    found[TAGS] = _sorted(
        Anchor(row.tagged, hexed(f"{name}:{sorted(row.tags)}"), (hexed(name),)) for name, row in tagged
    )
    return found


def _anchor(key: Key, row: Row) -> Anchor:
    if key[0] == EMBEDDINGS:
        return Anchor(row.rowid, hexed(row.links[1]))
    return Anchor(row.rowid, hexed(key[1]), tuple(map(hexed, row.links)) if key[0] == RELATIONSHIPS else ())


def _sorted(anchors: Iterable[Anchor]) -> Lines:
    return Lines(tuple(sorted(anchors, key=lambda anchor: -anchor.rowid)))


def marks_of(state: State, scope: Scope, index: int | None) -> Marks:
    found = lines(state, scope)
    return Marks(1, {name: rows.ends(DEPTHS.get(name, 1)) for name, rows in found.items()}, index)


def above(state: State, scope: Scope, before: Marks, index: int | None, unknown: Iterable[str]) -> Above:
    """What the statement of a follow run answers (`primary/above.py`)."""
    now = lines(state, scope)
    floors = {name: anchors[0].rowid if anchors else BELOW_ALL for name, anchors in before.tables.items()}
    rewritten = {row.key for row in now[EPISODES].rows if row.rowid > floors[EPISODES]}
    for name in (SOURCES[RELATIONSHIPS], TAGS):
        floors[name] = _safe_floor(before.tables[name], now[name], rewritten)
    stands = {
        name: row.key
        for name, anchors in before.tables.items()
        for row in now[name].rows
        if anchors and name not in (SOURCES[RELATIONSHIPS], TAGS) and row.rowid == anchors[0].rowid
    }
    child = partial(_child, state)
    fresh = {
        table: [(key, row) for key, row in state.items() if key[0] == table and row.rowid > floors[SOURCES[table]]]
        for table in TABLES
        if SOURCES[table] in floors
    }
    below = [
        (key, row)
        for key, row in state.items()
        if key[0] in (RELATIONSHIPS, EMBEDDINGS) and SOURCES[key[0]] in floors and row.rowid <= floors[SOURCES[key[0]]]
    ]
    episodes = tuple(
        Written(
            hexed(key[1]), digest(row), row.start, tuple(child(other, it) for other, it in below if key[1] in it.links)
        )
        for key, row in fresh[EPISODES]
    )
    tagged = tuple(
        Written(hexed(key[1]), digest(row), row.start)
        for key, row in state.items()
        if key[0] == EPISODES and row.tags and row.tagged > floors[TAGS] and row.rowid <= floors[EPISODES]
    )
    patterns = tuple(
        Written(hexed(key[1]), digest(row), None, tuple(child(o, it) for o, it in below if it.links[1:] == (key[1],)))
        for key, row in fresh.get(PATTERNS, [])
    )
    rows = tuple(child(key, row) for table in (RELATIONSHIPS, EMBEDDINGS) for key, row in fresh.get(table, []))
    starts = {hexed(name): state[EPISODES, name].start for name in unknown if (EPISODES, name) in state}
    marks = marks_of(state, scope, index)
    cascaded = {name: floors[name] for name in (SOURCES[RELATIONSHIPS], TAGS)}
    return Above(marks, cascaded, stands, episodes, tagged, patterns, rows, starts)


def _safe_floor(anchors: tuple[Anchor, ...], now: Lines, rewritten: set[str]) -> int:
    if not anchors:
        return BELOW_ALL
    there = {(row.rowid, row.key) for row in now.rows}
    for anchor in anchors:
        if (anchor.rowid, anchor.key) in there and rewritten.isdisjoint(anchor.parents):
            return anchor.rowid
    return LAST_ROWID if now.rows and now.rows[0].rowid > MOST_ABOVE else BELOW_ALL


def _child(state: State, key: Key, row: Row) -> Child:
    if key[0] == RELATIONSHIPS:
        return Child(key[0], hexed(key[1]), digest(row), tuple(map(hexed, row.links)))
    kind, owner = row.links
    there = tuple(str(int((table, owner) in state)) for table in (EPISODES, PATTERNS))
    return Child(key[0], hexed(key[1]), digest(row), (hexed(kind.rstrip("s")), hexed(owner), *there))


def known_of(file: File, scope: Scope) -> Known:
    """The proven rows, as far as the cache still says what they are."""
    states: dict[tuple[str, bytes], int] = {}
    starts: dict[bytes, int | None] = {}
    owners: dict[tuple[str, bytes], tuple[bytes, ...]] = {}
    for key, entry in file.ledger.items():
        if not scope.covers(key, entry.links):
            continue
        place = (key[0], key[1].encode())
        as_proven = file.rows.get(key) == entry.value
        states[place] = AS_PROVEN if as_proven else DIFFERS
        if key[0] == EPISODES:
            start = entry.value.shared[1]
            starts[place[1]] = start if as_proven and isinstance(start, int) else None
        elif key[0] == RELATIONSHIPS:
            if not as_proven:
                raise FollowEnded(Ending.CACHE_CHANGED)
            owners[place] = tuple(one.encode() for one in entry.links)
        elif key[0] == EMBEDDINGS:
            owners[place] = (entry.links[0].rstrip("s").encode(), entry.links[1].encode())
    return Known(states, starts, owners)


def following(since: Since, index: bool, file: File, found: list[Marks]) -> Strategy:
    """A strategy of `sync_model`: only what was written since, laid over what is listed."""

    def strategy(
        primary: Primary, scope: Scope, current: Current, notes: Mapping[str, object], listed: Mapping[Key, object]
    ) -> Staged:
        known = known_of(file, scope)
        unknown = [key.decode() for key in known.unknown_starts]
        for _ in range(ROUNDS):
            state = primary.request()
            at = primary.replication_index if index else None
            seen = above(state, scope, since.marks, at, unknown)
            if at is not None and since.marks.index is not None and at < since.marks.index:
                raise FollowEnded(Ending.EPOCH)
            overlay = changes(known, since.marks, seen, Limits(scope.window, scope.patterns))
            if seen.nothing and at != since.marks.index:
                raise FollowEnded(Ending.UNEXPLAINED)
            marks, rows = dict(listed), dict[Key, Row]()
            later = primary.request()
            for (table, name), wanted in overlay.items():
                key = (table, name.decode())
                marks.pop(key, None)
                if wanted is None:
                    continue
                row = later.get(key)
                if row is None or digest(row) != wanted:
                    break
                marks[key], rows[key] = row.digest(), row
            else:
                # what the cache does not hold any more is fetched too, as it was proven
                for own in (one for one in marks if one not in rows and not current(one, marks[one])):
                    if own not in later or later[own].digest() != marks[own]:
                        break
                    rows[own] = later[own]
                else:
                    found.append(seen.marks)
                    return Staged(marks, rows, {})
        raise FollowEnded(Ending.MOVING)

    return strategy


def follow(
    primary: Primary, cache: Cache, scope: Scope, since: Since | None, *, source: str = "here", index: bool
) -> tuple[Ended | None, Since | None]:
    """One follow run, and what the next one goes on from; FollowEnded where a proof is due."""
    look = cache.file
    stamped = look.checkpoint
    if since is None or stamped is None:
        raise FollowEnded(Ending.NO_MARKS)
    if since.scope != scope or stamped.source != source:
        raise FollowEnded(Ending.CONFIGURATION)
    if stamped.generation != cache.acknowledged or since.generation != stamped.generation:
        raise FollowEnded(Ending.GENERATION)
    if index and epoch_of(primary, stamped, source) != stamped.epoch:
        raise FollowEnded(Ending.EPOCH)
    found: list[Marks] = []
    strategy = following(since, index, look, found)
    ended = attempt(primary, cache, look, scope, source, NO_CONSENT, Kill.NEVER, strategy)
    if ended is None or ended.end is not End.PROVEN or cache.file.checkpoint is None:
        return ended, None
    return ended, Since(found[-1], scope, cache.file.checkpoint.generation)
