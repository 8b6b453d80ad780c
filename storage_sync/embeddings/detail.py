"""Facts about one row of the index: owner, cause, the vector's own figures, what lies near it.

See docs/console.md#orphans.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from storage_sync.embeddings.index import Floats, OrphanIndex, Row
from storage_sync.embeddings.reason import Reason

MEANS = 48
BUCKETS = 14
NEAREST = 5


class VectorFacts(Struct, frozen=True):
    """`low` and `high` of the finite numbers, None without one. `means`: at most 48, each of equally many numbers;
    `histogram`: how many finite numbers fall into each of 14 equal parts of -`bound` … `bound`."""

    count: int
    low: float | None
    high: float | None
    nans: int
    infinities: int
    means: tuple[float, ...]
    histogram: tuple[int, ...]
    bound: float


class Detail(Struct, frozen=True):
    """What is known of one row. `values`: its octets, f32 little-endian when `vector` is there, else as they lie.

    `why`: what makes such a row; it starts with "likely" where no record proves it. `reattach`: '' when a sync
    fetches the owner, else why not.
    """

    revision: int
    row: Row
    number: int
    title_from: str
    why: str
    vector: VectorFacts | None
    values: bytes
    twins: tuple[str, ...]
    reattach: str


class Neighbour(Struct, frozen=True):
    """A vector of the same dimension; `cosine` from -1 to 1."""

    key: str
    cosine: float
    title: str | None
    reason: Reason


class Neighbours(Struct, frozen=True):
    """The nearest of one row, nearest first; none for a vector that has no direction."""

    revision: int
    number: int
    nearest: tuple[Neighbour, ...]


def detail(index: OrphanIndex, number: int) -> Detail:
    """IndexError for no such row. Blocking for one read of a few KiB."""
    row = index.row(number)
    values = index.vectors.value(number) if index.vectors is not None and row.in_cache else b""
    return Detail(
        revision=index.revision,
        row=row,
        number=number,
        title_from=index.title_from.get(number, "cache" if row.title is not None else ""),
        why=why(index, row),
        vector=facts(values) if row.dimension is not None else None,
        values=values,
        twins=twins(index, number),
        reattach=_reattach(index, number, row),
    )


def facts(values: bytes) -> VectorFacts:
    """Figures of the numbers of one vector (f32, little-endian)."""
    numbers = np.frombuffer(values, "<f4").astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    bound = float(np.abs(finite).max()) if finite.size else 0.0
    histogram = (
        np.histogram(finite, BUCKETS, (-bound or -1.0, bound or 1.0))[0] if finite.size else np.zeros(BUCKETS, int)
    )
    return VectorFacts(
        count=len(numbers),
        low=float(finite.min()) if finite.size else None,
        high=float(finite.max()) if finite.size else None,
        nans=int(np.isnan(numbers).sum()),
        infinities=int(np.isinf(numbers).sum()),
        means=_means(numbers),
        histogram=tuple(int(many) for many in histogram),
        bound=bound,
    )


def _means(numbers: Floats) -> tuple[float, ...]:
    """NaN where a part has a number that is not finite."""
    if not len(numbers):
        return ()
    parts = np.array_split(np.where(np.isfinite(numbers), numbers, np.nan), min(MEANS, len(numbers)))
    return tuple(float(part.mean()) for part in parts)


def neighbours(index: OrphanIndex, number: int, count: int = NEAREST) -> Neighbours:
    """By cosine over all vectors of the same dimension. Blocking: reads every vector once."""
    nearest: tuple[Neighbour, ...] = ()
    if index.vectors is not None and number < index.total:
        cosines = np.frombuffer(index.vectors.cosines(number), "<f8")
        ranked = np.where(np.isnan(cosines), -np.inf, cosines)
        best = np.argpartition(-ranked, min(count, len(ranked) - 1))[:count]
        ordered = sorted((row for row in best.tolist() if ranked[row] > -np.inf), key=lambda row: (-ranked[row], row))
        nearest = tuple(
            Neighbour(index.keys[row], float(cosines[row]), index.titles[row], index.reason(row)) for row in ordered
        )
    return Neighbours(index.revision, number, nearest)


def twins(index: OrphanIndex, number: int, most: int = 3) -> tuple[str, ...]:
    """Keys of other rows with the very same value."""
    if index.vectors is None or number >= index.total:
        return ()
    digests = np.frombuffer(index.vectors.digests, "V16")
    rows = np.flatnonzero(digests == digests[number])
    return tuple(index.keys[row] for row in rows.tolist() if row != number)[:most]


def why(index: OrphanIndex, row: Row) -> str:
    """What of do-memory makes such a row; never more than a record proves."""
    id_ = row.owner_id[:8]
    match row.reason:
        case Reason.OWNER_NOWHERE if row.key.startswith(("episode_", "pattern_")):
            owner = "episode" if row.key.startswith("episode_") else "pattern"
            return (
                f"neither store has its {owner}: do-memory probably deleted the vector by the key '{id_}…', "
                f"not '{owner}_{id_}…'"
            )
        case Reason.OWNER_NOWHERE:
            return "neither store has its owner: probably deleted by plain id, which misses keys with a scope"
        case Reason.DELETED_UPSTREAM:
            return (
                "the cache has its owner, but the primary has deleted it; the next sync removes it from the cache too"
            )
        case Reason.NOT_IN_WINDOW:
            return (
                "the primary has its owner, which is older than the episodes that the cache keeps; "
                "the vector stayed in the cache"
            )
        case Reason.NOT_CACHED:
            return "the primary has the owner and the cache should too; the owner's row is missing or was rejected"
        case Reason.OWNER_UNKNOWN:
            return f"the primary could not be asked: {index.primary_problem}" if index.primary_problem else "not asked"
        case Reason.NOT_UPSTREAM:
            return (
                "the primary has no such vector: probably an application wrote it only into the cache; "
                "its key names no owner by design"
            )
        case Reason.BAD_VALUES:
            return "NaN, infinity, nothing but zeros, or bytes that are not a vector: no search can use it"
        case Reason.WRONG_DIMENSION:
            return f"vectors here have {index.dimension} numbers; probably of another embedding model"
        case Reason.DUPLICATE:
            return "not an error, and no check counts it: the same vector is also stored under another key"
        case Reason.TEXT_NEWER:
            return (
                "suspected: the owner was written after its vector; "
                "neither store records which text a vector was made from"
            )
        case Reason.MISSING:
            return "the owner is cached but has no embedding; others of its kind have one"
        case _:
            return "its owner is in the cache"


def _reattach(index: OrphanIndex, number: int, row: Row) -> str:
    if number in index.reattach:
        return ""
    if row.reason is Reason.NOT_IN_WINDOW:
        return "the owner is outside the window; a larger max_episodes_cache would fetch it"
    if row.reason is Reason.OWNER_NOWHERE:
        return "its owner is gone"
    if row.reason is Reason.OWNER_UNKNOWN:
        return "not known whether the primary has the owner"
    if row.reason is Reason.NOT_CACHED:
        return "patterns are not synced (sync_patterns)"
    return "the owner is in the cache" if row.owner_in_cache else "it names no owner"
