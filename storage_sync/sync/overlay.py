"""From what stands above the marks to the rows that the cache must hold. Pure (docs/protocol.md#follow)."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from storage_sync.primary.above import LAST_ROWID, MOST_ABOVE, MOST_SCOPES, Above, Child, Written
from storage_sync.values.followed import Ending, FollowEnded
from storage_sync.values.marks import Anchor, Marks

AS_PROVEN, REJECTED, DIFFERS, ODD = 1, 2, 3, 4
"""What `_native.belongings` says of a row."""
LOST_WITH_EPISODE = frozenset({"summaries", "relationships", "episode_pattern_relationships"})
"""Rows that a rewriting of their episode takes away (docs/formats.md#cascades)."""
_OWNED = frozenset({"relationships", "recommendation_sessions", "episode_pattern_relationships"})
"""Tables whose rows say only in their value where they belong."""
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FLAG = {"0": False, "1": True}

Key = bytes
Place = tuple[str, Key]
"""Cache table and key."""


class Known(Struct, frozen=True):
    """The proven rows: by table, key and what they hang on (`_native.belongings`)."""

    states: Mapping[Place, int]
    starts: Mapping[Key, int | None]
    """Of the episodes of the window; None: the cache cannot say."""
    owners: Mapping[Place, tuple[Key, ...]]

    @property
    def unknown_starts(self) -> tuple[Key, ...]:
        """Episodes of the window whose start time only the primary can say."""
        return tuple(key for key, start in self.starts.items() if start is None)


class Limits(Struct, frozen=True):
    window: int
    patterns: bool


class Overlay(Struct, frozen=True):
    """The proven rows, and what differs from them: the digest of each row, None for one that is no longer expected."""

    known: Known
    found: Mapping[Place, str | None]


Belonging = tuple[str, str, int, str, str]
"""A row of `_native.belongings`."""


def known_of(rows: Iterable[Belonging]) -> Known:
    """FollowEnded where the cache does not say enough of what it holds."""
    states: dict[Place, int] = {}
    starts: dict[Key, int | None] = {}
    owners: dict[Place, tuple[Key, ...]] = {}
    for table, name, state, first, second in rows:
        key = name.encode()
        states[table, key] = state
        if state == ODD:
            raise FollowEnded(Ending.ODD, table)
        if table == "episodes":
            starts[key] = int(first) if state == AS_PROVEN else None
        elif table in _OWNED and state != AS_PROVEN:
            raise FollowEnded(Ending.CACHE_CHANGED if state == DIFFERS else Ending.REJECTED, table)
        elif table == "summaries":
            owners[table, key] = (key,)
        elif table == "embeddings" and first:
            owners[table, key] = (first.encode(), second.encode())
        elif table in _OWNED:
            owners[table, key] = tuple(one.encode() for one in (first, second) if one)
    return Known(states, starts, owners)


def taken_in(overlay: Overlay, rows: Iterable[Belonging]) -> Known | None:
    """The proven rows once the cache holds what was found; `rows`: what it says of the places that were found.

    None where that is not all that was expected of it.
    """
    try:
        new = known_of(rows)
    except FollowEnded:
        return None
    if new.states.keys() != {place for place, digest in overlay.found.items() if digest is not None}:
        return None
    before = overlay.known
    states, starts, owners = dict(before.states), dict(before.starts), dict(before.owners)
    for place in overlay.found:
        states.pop(place, None)
        owners.pop(place, None)
        if place[0] == "episodes":
            starts.pop(place[1], None)
    states.update(new.states)
    starts.update(new.starts)
    owners.update(new.owners)
    return Known(states, starts, owners)


def explained(before: Marks, seen: Above, rewritten: frozenset[str]) -> None:
    """FollowEnded unless every row at which a table ended is still there, or was rewritten, or went with one that was.

    `rewritten`: hex of the keys of episodes and patterns that stand above their marks.
    """
    if before.schema != seen.marks.schema:
        raise FollowEnded(Ending.SCHEMA)
    if set(before.tables) != set(seen.marks.tables):
        raise FollowEnded(Ending.SCHEMA, "it has other tables")
    for name, anchors in (*before.tables.items(), *seen.marks.tables.items()):
        if any(anchor.rowid == LAST_ROWID for anchor in anchors):
            raise FollowEnded(Ending.LAST_ROWID, name)
    above = {(row.table, row.key) for row in seen.rows} | {("episodes", one.key) for one in seen.episodes}
    above |= {("patterns", one.key) for one in seen.patterns}
    written = frozenset(key for _, key in above)
    for name, anchors in before.tables.items():
        if not anchors:
            continue
        if name in seen.floors:
            _cascade_explained(name, anchors, seen.floors[name], rewritten | written)
            continue
        stands = seen.stands.get(name)
        if stands == anchors[0].key:
            continue
        if stands is not None:
            raise FollowEnded(Ending.MARK_CHANGED, name)
        if anchors[0].key not in written and not _rewritten_embedding(name, anchors[0], seen):
            raise FollowEnded(Ending.MARK_FELL, name)


def _rewritten_embedding(name: str, anchor: Anchor, seen: Above) -> bool:
    """Its mark names the item, while a row's key says its type as well."""
    return name == "embeddings" and any(row.table == name and row.owners[1] == anchor.key for row in seen.rows)


def _cascade_explained(name: str, anchors: Sequence[Anchor], floor: int, written: frozenset[str]) -> None:
    """`written`: keys of what stands above its mark: the row itself, or what took it away."""
    for anchor in anchors:
        if anchor.rowid <= floor and floor != LAST_ROWID:
            return
        if written.isdisjoint((anchor.key, *anchor.parents)):
            raise FollowEnded(Ending.MARK_FELL, name)
    if floor == LAST_ROWID:
        raise FollowEnded(Ending.MARK_FELL, f"none of the marked rows of {name} is left")


def changes(known: Known, before: Marks, seen: Above, limits: Limits) -> dict[Place, str | None]:
    """What differs from the proven rows: the digest of each row now, None for one that is no longer expected.

    FollowEnded where that cannot be told.
    """
    if seen.count > MOST_ABOVE:
        raise FollowEnded(Ending.TOO_MANY, f"over {MOST_ABOVE:,}")
    if seen.scopes > MOST_SCOPES:
        raise FollowEnded(Ending.ODD, f"over {MOST_SCOPES} kinds of embedding keys")
    new_patterns = frozenset(one.key for one in seen.patterns)
    explained(before, seen, frozenset(one.key for one in seen.episodes) | new_patterns)
    window, left = _window(known, seen, limits.window)
    overlay = _Overlay(known)
    for place in known.states if left else ():
        if _leaves(place, known, left):
            overlay.gone(place)
    written = frozenset(_id(one.key) for one in seen.episodes)
    patterns = frozenset(_id(key) for key in new_patterns)
    for (table, key), owners in known.owners.items():
        if table in LOST_WITH_EPISODE and not (written.isdisjoint(owners) and patterns.isdisjoint(owners)):
            # a rewriting took it away; what is there now was read with its episode or pattern
            overlay.gone((table, key))
    for one in (*seen.episodes, *seen.tagged):
        overlay.put("episodes", one.key, one.digest, expected=_id(one.key) in window)
    for one in seen.patterns:
        overlay.put("patterns", one.key, one.digest, expected=True)
    for row in (*seen.rows, *(child for one in (*seen.episodes, *seen.patterns) for child in one.children)):
        overlay.put(row.table, row.key, row.digest, expected=expected(row, window, limits))
    return overlay.found


class _Overlay:
    """Gathers what changed; a row that was read counts, whatever was thought of it before."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self.found: dict[Place, str | None] = {}

    def gone(self, place: Place) -> None:
        if place in self._known.states:
            self.found[place] = None

    def put(self, table: str, key: str, digest: str, *, expected: bool) -> None:
        place = (table, _id(key))
        if not expected:
            self.gone(place)
            return
        before = self.found.get(place)
        if before is not None and before != digest:
            raise FollowEnded(Ending.ODD, f"{table} has two rows with the same key")
        self.found[place] = digest


def _window(known: Known, seen: Above, size: int) -> tuple[frozenset[Key], frozenset[Key]]:
    """The episodes of the window now, and those that left it; by arithmetic on starts that are proven."""
    old = {key: start for key, start in known.starts.items() if start is not None}
    answers = ((_id(key), start) for key, start in (seen.starts or {}).items())
    old |= {key: start for key, start in answers if start is not None and key in known.starts}
    for one in seen.tagged:
        _begun(one)
    written = {_id(one.key): _begun(one) for one in seen.episodes}
    if known.starts.keys() - old.keys() - written.keys():
        raise FollowEnded(Ending.CACHE_CHANGED, "the start time of an episode in the window is not known")
    pool = old | written
    # those that are too many, and the last that is in
    ends = heapq.nlargest(max(len(pool) - size, 0) + 1, _order(pool))
    # an episode that stood outside the window and was not written stands below each one of the old window
    if len(known.starts) >= size and (not old or ends[-1] > max(_order(old))):
        raise FollowEnded(Ending.WINDOW)
    window = frozenset(pool.keys() - {key for _, key in ends[:-1]})
    return window, frozenset(known.starts.keys() - window)


def _order(starts: Mapping[Key, int]) -> Iterator[tuple[int, Key]]:
    """Of the window: the newest is the least, and the key decides between those of one second."""
    return ((-start, key) for key, start in starts.items())


def _begun(one: Written) -> int:
    if not one.key or one.start is None:
        raise FollowEnded(Ending.ODD, "an episode without an id or a start time")
    return one.start


def _leaves(place: Place, known: Known, left: frozenset[Key]) -> bool:
    """Whether a proven row goes because an episode left the window."""
    table, key = place
    owners = known.owners.get(place, ())
    if table == "episodes":
        return key in left
    if table == "recommendation_feedback":
        session = known.owners.get(("recommendation_sessions", key), ())
        return not left.isdisjoint(session)
    if table == "embeddings":
        return bool(owners) and owners[0] in (b"episode", b"bare") and owners[1] in left
    return not left.isdisjoint(owners)


def expected(row: Child, window: frozenset[Key], limits: Limits) -> bool:
    """Whether the projection holds the row (docs/projection.md#expected-rows). FollowEnded for one of an odd form."""
    owners = row.owners
    match row.table:
        case "summaries" | "relationships" | "recommendation_sessions":
            return all(_owner(one) in window for one in owners)
        case "recommendation_feedback":
            return owners[0] is not None and _owner(owners[0]) in window
        case "episode_pattern_relationships":
            return _owner(owners[0]) in window and _FLAG[str(owners[2])]
        case "embeddings":
            return _expected_embedding(owners, window, limits)
        case _:
            return True


def _owner(one: str | None) -> Key:
    if not one:
        raise FollowEnded(Ending.ODD, "a row that belongs to no episode or pattern")
    return _id(one)


def _expected_embedding(owners: Sequence[str | None], window: frozenset[Key], limits: Limits) -> bool:
    kind, item = (_owner(one) for one in owners[:2])
    of_episode, of_pattern = (_FLAG.get(str(one)) for one in owners[2:])
    tail, scope = item[-36:], item[-45:-36]
    is_id = _UUID.fullmatch(tail) is not None
    bare = is_id and len(item) == len(tail)
    if kind == b"pattern":
        return limits.patterns and bare and bool(of_pattern)
    if kind == b"episode":
        return item in window
    if kind != b"embedding":
        raise FollowEnded(Ending.ODD, "an embedding of an unknown kind")
    if is_id and scope == b":episode:":
        return tail in window
    if is_id and scope == b":pattern:":
        return limits.patterns and bool(of_pattern)
    if bare and of_episode:
        return item in window
    return limits.patterns if bare and of_pattern else True


def _id(key: str) -> Key:
    if not key:
        raise FollowEnded(Ending.ODD, "a row without a key")
    return bytes.fromhex(key)
