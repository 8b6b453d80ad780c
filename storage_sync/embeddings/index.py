"""The index of one scan: each embedding as a row of frozen columns, published once (docs/console.md#orphans)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from storage_sync import _native
from storage_sync.embeddings.reason import Reason

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

Label = tuple[str, tuple[str, ...]]
"""Domain and tags of an owner."""
Cell = TypeVar("Cell", bound=np.generic)

DECODES, FINITE, NON_ZERO = 1, 2, 4
USABLE = DECODES | FINITE | NON_ZERO
UUID_LENGTH = 36


REASONS = tuple(Reason)
"""By their code, which is their place in the order."""
CODES: Mapping[Reason, int] = {reason: code for code, reason in enumerate(REASONS)}


class Owner:
    """Codes of `_native.Embeddings.owners`."""

    NONE, EPISODE, PATTERN, EPISODE_GONE, PATTERN_GONE, BARE = range(6)

    KINDS = ("none", "episode", "pattern", "episode", "pattern", "none")


YES, NO, UNKNOWN = 1, 0, -1
"""What a store was found to hold: int8 codes."""


class Tally(Struct, frozen=True):
    """Rows of one reason and the octets of their values."""

    rows: int
    bytes: int


class Row(Struct, frozen=True):
    """One row for whoever draws or exports it; None is unknown. Times are UTC epoch seconds, sizes octets."""

    key: str
    reason: Reason
    owner_kind: str
    owner_id: str
    title: str | None
    owner_in_cache: bool | None
    owner_in_primary: bool | None
    in_cache: bool
    in_primary: bool | None
    dimension: int | None
    norm: float | None
    bytes: int
    first_seen: float | None
    expected: str | None
    """Why an operator expects it."""
    label: Label | None = None
    """Of the owner, last known."""


def _no_labels() -> Ints:
    return np.zeros((0, 2), np.int64)


class OrphanIndex(Struct, frozen=True, eq=False):
    """Rows in key order, those of missing embeddings last. Arrays are read-only; safe to read from any thread."""

    revision: int
    """Grows with each scan."""
    scanned_at: float
    generation: int | None
    total: int
    """Embeddings in the cache."""
    keys: tuple[str, ...]
    reasons: Bytes
    owners: Bytes
    dimensions: Ints
    """-1: unknown."""
    norms: Floats
    """NaN: unknown."""
    sizes: Ints
    first_seen: Floats
    """NaN: unknown."""
    expected: Mapping[int, str]
    """Row to note."""
    titles: tuple[str | None, ...]
    """Title of the owner, last known."""
    title_from: Mapping[int, str]
    """For each row whose title is no longer in the cache: where the title comes from."""
    owners_in_primary: npt.NDArray[np.int8]
    in_primary: npt.NDArray[np.int8]
    vectors: _native.Embeddings | None
    primary_problem: str = ""
    """Why the primary said nothing, '' when it did."""
    reattach: frozenset[int] = frozenset()
    """Rows whose owner a sync fetches."""
    dimension: int | None = None
    """That vectors should have."""
    counts: Mapping[Reason, Tally] = field(default_factory=dict)
    lower_keys: tuple[str, ...] = ()
    lower_titles: tuple[str, ...] = ()
    """'' for an unknown one. Both are what a filter looks into."""
    titled: Bools = field(default_factory=lambda: np.zeros(0, bool))
    """Rows with a title."""
    title_ranks: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Place of each row when sorted by title."""
    labels: tuple[Label, ...] = ()
    """Each once."""
    labelled: Ints = field(default_factory=_no_labels)
    """Pairs in row order: a row whose owner's label is known, and its place in `labels`. No column: most have none."""

    def __len__(self) -> int:
        return len(self.keys)

    def reason(self, row: int) -> Reason:
        return REASONS[int(self.reasons[row])]

    def owner_id(self, row: int) -> str:
        """'' without an owner."""
        return self.keys[row][-UUID_LENGTH:] if int(self.owners[row]) in _NAMED else ""

    def label(self, row: int) -> Label | None:
        """None for an unknown one."""
        # not `searchsorted`: it copies a column of another integer type
        place = bisect_left(self.labelled[:, 0], row)
        there = place < len(self.labelled) and int(self.labelled[place, 0]) == row
        return self.labels[int(self.labelled[place, 1])] if there else None

    def label_places(self) -> npt.NDArray[np.int32]:
        """Of every row, its place in `labels`; -1 for an unknown one."""
        places = np.full(len(self), -1, np.int32)
        places[self.labelled[:, 0]] = self.labelled[:, 1]
        return places

    def row(self, row: int) -> Row:
        """IndexError for no such row."""
        owner, dimension, norm = int(self.owners[row]), int(self.dimensions[row]), float(self.norms[row])
        seen = float(self.first_seen[row])
        return Row(
            key=self.keys[row],
            reason=self.reason(row),
            owner_kind=Owner.KINDS[owner],
            owner_id=self.owner_id(row),
            title=self.titles[row],
            owner_in_cache=None if owner in (Owner.NONE, Owner.BARE) else owner in (Owner.EPISODE, Owner.PATTERN),
            owner_in_primary=_told(int(self.owners_in_primary[row])),
            in_cache=row < self.total,
            in_primary=_told(int(self.in_primary[row])),
            dimension=dimension if dimension >= 0 else None,
            norm=norm if norm == norm else None,
            bytes=int(self.sizes[row]),
            first_seen=seen if seen == seen else None,
            expected=self.expected.get(row),
            label=self.label(row),
        )


_NAMED = frozenset({Owner.EPISODE, Owner.PATTERN, Owner.EPISODE_GONE, Owner.PATTERN_GONE})


def _told(code: int) -> bool | None:
    return None if code == UNKNOWN else code == YES


class Found(Struct, frozen=True, eq=False):
    """What the file alone says: columns of its embeddings, then of the embeddings that are missing."""

    vectors: _native.Embeddings
    keys: tuple[str, ...]
    owners: Bytes
    flags: Bytes
    dimensions: Ints
    norms: Floats
    sizes: Ints
    titles: tuple[str | None, ...]
    twins: Bools
    """Rows whose bytes another row has too, or whose owner the row of a bare key has too."""
    labels: tuple[Label, ...] = ()
    labelled: Ints = field(default_factory=_no_labels)
    """As in `OrphanIndex`."""

    @property
    def total(self) -> int:
        return len(self.vectors)

    @property
    def missing(self) -> range:
        """Rows of owners that no embedding names."""
        return range(self.total, len(self.keys))

    def owner_ids(self, *codes: int) -> list[str]:
        """Ids of the owners with one of these codes, each once, in order."""
        rows = np.flatnonzero(np.isin(self.owners, codes))
        return sorted({self.keys[row][-UUID_LENGTH:] for row in rows.tolist()})


def found_in(vectors: _native.Embeddings) -> Found:
    """Columns of what the data plane read. Blocking for a moment with many rows."""
    keys = vectors.keys
    owners = np.frombuffer(vectors.owners, np.uint8)
    flags = np.frombuffer(vectors.flags, np.uint8)
    sizes = np.diff(np.frombuffer(vectors.ends, "<u8").astype(np.int64), prepend=np.int64(0))
    lone = [
        *_lone(keys, owners, Owner.EPISODE, vectors.lone_episodes),
        *_lone(keys, owners, Owner.PATTERN, vectors.lone_patterns),
    ]
    more = len(lone)
    return Found(
        vectors=vectors,
        keys=(*keys, *(key for key, _, _, _ in lone)),
        owners=_frozen(np.concatenate([owners, np.array([code for _, code, _, _ in lone], np.uint8)])),
        flags=_frozen(np.concatenate([flags, np.full(more, USABLE, np.uint8)])),
        dimensions=_frozen(np.concatenate([np.where(flags & DECODES, sizes // 4, -1), np.full(more, -1)])),
        norms=_frozen(np.concatenate([np.frombuffer(vectors.norms, "<f8"), np.full(more, np.nan)])),
        sizes=_frozen(np.concatenate([sizes, np.zeros(more, np.int64)])),
        titles=(*vectors.titles, *(title for _, _, title, _ in lone)),
        labels=tuple((domain, tuple(tags)) for domain, tags in vectors.labels),
        labelled=_frozen(_labelled(vectors.labelled, len(keys), [label for _, _, _, label in lone])),
        twins=_frozen(np.concatenate([_twins(vectors, owners, keys), np.zeros(more, bool)])),
    )


def _labelled(here: bytes, total: int, lone: list[int | None]) -> Ints:
    missing = [(total + row, place) for row, place in enumerate(lone) if place is not None]
    pairs = np.frombuffer(here, "<u4").reshape(-1, 2).astype(np.int32)
    return np.concatenate([pairs, np.array(missing, np.int32).reshape(-1, 2)])


def _lone(
    keys: list[str], owners: Bytes, code: int, ids: list[tuple[str, str | None, int | None]]
) -> list[tuple[str, int, str | None, int | None]]:
    """Keys that the embeddings of these owners would have, by the commonest form among their kind; none of a kind
    that has no embedding at all."""
    rows = np.flatnonzero(owners == code).tolist()
    if not rows:
        return []
    forms: dict[str, int] = {}
    for row in rows:
        form = keys[row][:-UUID_LENGTH]
        forms[form] = forms.get(form, 0) + 1
    form = max(forms, key=lambda one: (forms[one], one))
    return [(form + identity, code, title, label) for identity, title, label in ids]


def _twins(vectors: _native.Embeddings, owners: Bytes, keys: list[str]) -> Bools:
    digests = np.frombuffer(vectors.digests, "V16")
    _, places, many = np.unique(digests, return_inverse=True, return_counts=True)
    same: Bools = many[places] > 1
    named = np.flatnonzero(np.isin(owners, (Owner.EPISODE, Owner.PATTERN, Owner.BARE))).tolist()
    bare = [row for row in named if len(keys[row]) == UUID_LENGTH]
    known = set(keys) if bare else set()
    for row in bare:
        if f"episode_{keys[row]}" in known or f"pattern_{keys[row]}" in known:
            same[row] = True
    return same


def commonest_dimension(found: Found) -> int | None:
    """Of the vectors that decode; the largest of several."""
    dimensions = found.dimensions[: found.total]
    known = dimensions[dimensions >= 0]
    if not known.size:
        return None
    values, many = np.unique(known, return_counts=True)
    return int(values[many == many.max()].max())


class Told(Struct, frozen=True):
    """What the primary said. Sets of ids and keys; None: it was not asked, or did not answer."""

    owners: frozenset[str] | None = None
    window: frozenset[str] | None = None
    """Episodes inside the window, of those that are in the primary and not in the cache."""
    embeddings: Mapping[str, bool] = field(default_factory=dict)
    """Keys that it was asked for, and whether it has them."""
    newer: frozenset[str] | None = None
    """Keys of embeddings that are older than their owner's text."""
    problem: str = ""
    patterns: bool = True
    """Whether a sync fetches patterns."""


class Remembered(Struct, frozen=True):
    """What the state folder knows. `first_seen` and `expected` by key; `titles`: owner id to title and its origin;
    `labels`: owner id to label."""

    first_seen: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    labels: Mapping[str, Label] = field(default_factory=dict)


def judged(found: Found, told: Told, dimension: int | None) -> Bytes:
    """The reason of each row, as codes. `dimension` None: the commonest one is meant."""
    reasons = np.full(len(found.keys), CODES[Reason.ATTACHED], np.uint8)
    wanted = dimension if dimension is not None else commonest_dimension(found)

    def put(rows: Bools, reason: Reason) -> None:
        reasons[rows & (reasons > CODES[reason])] = CODES[reason]

    missing = np.arange(len(found.keys)) >= found.total
    put(missing, Reason.MISSING)
    here = ~missing
    if told.newer is not None:
        put(here & _among(found.keys, told.newer), Reason.TEXT_NEWER)
    put(found.twins, Reason.DUPLICATE)
    absent = frozenset(key for key, there in told.embeddings.items() if not there)
    raw = np.isin(found.owners, (Owner.NONE, Owner.BARE))
    put(here & raw & _among(found.keys, absent), Reason.NOT_UPSTREAM)
    if wanted is not None:
        put(here & (found.dimensions != wanted), Reason.WRONG_DIMENSION)
    put(here & (found.flags != USABLE), Reason.BAD_VALUES)
    gone = np.isin(found.owners, (Owner.EPISODE_GONE, Owner.PATTERN_GONE))
    put(gone, Reason.OWNER_UNKNOWN)
    if told.owners is not None:
        ids = [key[-UUID_LENGTH:] for key in found.keys]
        upstream = _among(ids, told.owners)
        put(np.isin(found.owners, (Owner.EPISODE, Owner.PATTERN)) & ~upstream & here, Reason.DELETED_UPSTREAM)
        reasons[gone & ~upstream] = CODES[Reason.OWNER_NOWHERE]
        outside = upstream & (found.owners == Owner.EPISODE_GONE)
        if told.window is not None:
            outside &= ~_among(ids, told.window)
            reasons[gone & upstream & ~outside] = CODES[Reason.NOT_CACHED]
            reasons[gone & outside] = CODES[Reason.NOT_IN_WINDOW]
    return reasons


def _among(texts: tuple[str, ...] | list[str], known: frozenset[str]) -> Bools:
    return np.fromiter((text in known for text in texts), bool, len(texts))


def build(
    found: Found,
    told: Told,
    remembered: Remembered,
    *,
    dimension: int | None,
    generation: int | None,
    at: float,
) -> OrphanIndex:
    """The index of one scan. `dimension`: the declared one; None: the commonest is meant."""
    reasons = judged(found, told, dimension)
    many = len(found.keys)
    titles, origins = list(found.titles), {}
    places = {label: place for place, label in enumerate(found.labels)}
    labelled: list[tuple[int, int]] = []
    for row in np.flatnonzero(np.isin(found.owners, (Owner.EPISODE_GONE, Owner.PATTERN_GONE))).tolist():
        known = remembered.titles.get(found.keys[row][-UUID_LENGTH:])
        if known is not None:
            titles[row], origins[row] = known
        label = remembered.labels.get(found.keys[row][-UUID_LENGTH:])
        if label is not None:
            labelled.append((row, places.setdefault(label, len(places))))
    seen = np.fromiter((remembered.first_seen.get(key, np.nan) for key in found.keys), np.float64, many)
    marked = {row: note for row, key in enumerate(found.keys) if (note := remembered.expected.get(key)) is not None}
    fetched = reasons == CODES[Reason.NOT_CACHED]
    if not told.patterns:
        fetched &= found.owners != Owner.PATTERN_GONE
    sizes = found.sizes
    tallies = {
        reason: Tally(int(rows.sum()), int(sizes[rows].sum()))
        for reason, code in CODES.items()
        if (rows := reasons == code).any()
    }
    return OrphanIndex(
        revision=int(at * 1000),
        scanned_at=at,
        generation=generation,
        total=found.total,
        keys=found.keys,
        reasons=_frozen(reasons),
        owners=found.owners,
        dimensions=found.dimensions,
        norms=found.norms,
        sizes=sizes,
        first_seen=_frozen(seen),
        expected=marked,
        titles=tuple(titles),
        title_from=origins,
        owners_in_primary=_owners_told(found, told),
        in_primary=_embeddings_told(found, told),
        vectors=found.vectors,
        primary_problem=told.problem,
        reattach=frozenset(np.flatnonzero(fetched).tolist()),
        dimension=dimension if dimension is not None else commonest_dimension(found),
        counts=tallies,
        lower_keys=tuple(key if key.islower() else key.lower() for key in found.keys),
        lower_titles=tuple("" if title is None else title.lower() for title in titles),
        titled=_frozen(np.array([bool(title) for title in titles], bool)),
        title_ranks=_frozen(_ranks(titles)),
        labels=tuple(places),
        labelled=_frozen(_in_row_order(found.labelled, labelled)),
    )


def _in_row_order(pairs: Ints, more: list[tuple[int, int]]) -> Ints:
    every = np.concatenate([pairs, np.array(more, pairs.dtype).reshape(-1, 2)])
    found: Ints = every[np.argsort(every[:, 0], kind="stable")]
    return found


def _ranks(titles: list[str | None]) -> Ints:
    """Unknown titles come last."""
    order = sorted(range(len(titles)), key=lambda row: (titles[row] is None, (titles[row] or "").lower()))
    ranks = np.empty(len(titles), np.int64)
    ranks[order] = np.arange(len(titles))
    return ranks


def _owners_told(found: Found, told: Told) -> npt.NDArray[np.int8]:
    codes = _codes([key[-UUID_LENGTH:] for key in found.keys], told.owners)
    codes = codes.copy()
    codes[np.isin(found.owners, (Owner.NONE, Owner.BARE))] = UNKNOWN
    return _frozen(codes)


def _embeddings_told(found: Found, told: Told) -> npt.NDArray[np.int8]:
    answers = {None: UNKNOWN, True: YES, False: NO}
    return _frozen(np.array([answers[told.embeddings.get(key)] for key in found.keys], np.int8))


def _codes(texts: tuple[str, ...] | list[str], known: frozenset[str] | None) -> npt.NDArray[np.int8]:
    if known is None:
        return _frozen(np.full(len(texts), UNKNOWN, np.int8))
    return _frozen(_among(texts, known).astype(np.int8))


def _frozen(array: npt.NDArray[Cell]) -> npt.NDArray[Cell]:
    array.setflags(write=False)
    return array
