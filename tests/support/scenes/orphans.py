"""A made-up list of embeddings, and what the core would answer about it: for pictures and tests. Deterministic."""

from __future__ import annotations

import math
import random
import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from msgspec.structs import replace

from storage_sync.embeddings.detail import Detail, Neighbour, Neighbours, detail, facts
from storage_sync.embeddings.index import USABLE, Found, OrphanIndex, Owner, Remembered, Told, build
from storage_sync.embeddings.query import select
from storage_sync.embeddings.reason import Reason
from storage_sync.service import commands
from storage_sync.service.commands import Command
from storage_sync.service.orphan_queries import resolve
from storage_sync.values.answers import Exported
from tests.support.scenes.snapshots import GENERATION, NOW

if TYPE_CHECKING:
    from storage_sync import _native

DIMENSION = 384
_DAY = 86_400.0
_GONE = (
    ("episode_7c1e02aa-41d3-4b5e-9c77-d1f00e5a90bd", "Retry policy for S3 uploads", 3.17),
    ("episode_7c1e9f10-0b6c-4b8e-8d35-50d1a6b112c4", "Tune HNSW build parameters", 3.17),
    ("episode_8102fe6d-92c7-4f7a-bb5e-6f6c0b11c05a", "Benchmark postcard decode", 2.8),
    ("pattern_1f90ab33-77aa-4d0e-9b1c-0d8f0a1ce7d2", None, 3.17),
    *(
        (f"episode_{number:08x}-1111-4222-8333-{number:012x}", None, 2.0)
        for number in range(2_415_919_104, 2_415_919_120)
    ),
)
_UPSTREAM = (
    ("episode_a90022ce-6c71-4d0b-a0f8-4c3f4a8e0f4b", "Migrate CI cache to zstd", 0.38),
    ("episode_a911d0c7-88e0-4a77-b1aa-92f0a1c377e1", "Fix clippy warnings in core", 0.38),
)
_OUTSIDE = ("episode_b0b0a9e4-1c55-4b5a-9a3e-0e7c1a2b3c4d",)
_REFETCH = ("episode_c4c4a9e4-2d66-4b5a-8a3e-1e7c1a2b3c4d",)
_RAW = ("legacy-note-17",)
_HEALTHY = 1_358


def index(*, keys: tuple[str, ...] = (), title: str | None = None) -> OrphanIndex:
    """`keys`: more embeddings whose owner is nowhere, all with this title."""
    gone = [*_GONE, *((key, title, 1.0) for key in keys)]
    rows: list[tuple[str, int, str | None, int]] = [
        *((key, _gone_code(key), None, 1) for key, _, _ in gone),
        *((key, Owner.EPISODE, text, 1) for key, text, _ in _UPSTREAM),
        *((key, Owner.EPISODE_GONE, None, 1) for key in (*_OUTSIDE, *_REFETCH)),
        *((key, Owner.NONE, None, 1) for key in _RAW),
        *((f"episode_{_healthy(number)}", Owner.EPISODE, "Profile the import path", 1) for number in range(_HEALTHY)),
    ]
    rows.sort(key=lambda row: row[0])
    lone = [(f"episode_dddd{number:04x}-aaaa-4bbb-8ccc-ddddeeee0000", "Write the release notes") for number in range(4)]
    many, total = len(rows) + len(lone), len(rows)
    dimensions, flags = np.full(many, DIMENSION), np.full(many, USABLE, np.uint8)
    norms, twins = np.linspace(0.9995, 1.0005, many), np.zeros(many, bool)
    healthy = [number for number, row in enumerate(rows) if row[2] == "Profile the import path"]
    dimensions[healthy[5]] = dimensions[healthy[9]] = 1536
    flags[healthy[12]] = 1
    twins[healthy[20:26]] = True
    dimensions[total:], norms[total:] = -1, np.nan
    norms[healthy[12]] = np.nan
    sizes = np.where(dimensions > 0, dimensions * 4, 0)
    all_keys = (*(row[0] for row in rows), *(key for key, _ in lone))
    owners = np.array([*(row[1] for row in rows), *(Owner.EPISODE for _ in lone)], np.uint8)
    found = Found(
        # only the number of its rows is asked for while an index is built
        vectors=cast("_native.Embeddings", _Rows(total)),
        keys=all_keys,
        owners=owners,
        flags=flags,
        dimensions=dimensions,
        norms=norms,
        sizes=sizes,
        titles=(*(row[2] for row in rows), *(text for _, text in lone)),
        twins=twins,
        labels=(("web", ("async", "retry")), ("ci", ())),
        labelled=np.array([(number, 0) for number in healthy] + [(number, 1) for number in range(total, many)]),
    )
    upstream = {key[-36:] for key in all_keys} - {key[-36:] for key, _, _ in (*gone, *_UPSTREAM)}
    told = Told(
        owners=frozenset(upstream),
        window=frozenset(key[-36:] for key in _REFETCH),
        embeddings=dict.fromkeys((*_RAW, *(one for one, _, _ in gone)), False),
        newer=frozenset(all_keys[number] for number in healthy[40:71]),
    )
    seen = {key: NOW - days * _DAY for key, _, days in (*gone, *_UPSTREAM)}
    seen |= dict.fromkeys(_RAW, NOW - 11.1 * _DAY)
    titles = {key[-36:]: (text, "quarantined from g-3988, 30 Aug 10:17Z") for key, text, _ in gone if text is not None}
    expected = {_RAW[0]: "kept by the notes plug-in", _OUTSIDE[0]: "older than the window, on purpose"}
    labels = {_GONE[0][0][-36:]: ("storage", ("aws", "s3"))}
    remembered = Remembered(seen, expected, titles, labels)
    made = build(found, told, remembered, dimension=DIMENSION, generation=GENERATION, at=NOW - 4)
    return replace(made, vectors=None)


class _Rows(SimpleNamespace):
    def __init__(self, many: int) -> None:
        super().__init__(many=many)

    def __len__(self) -> int:
        return int(self.many)


def _gone_code(key: str) -> int:
    return Owner.PATTERN_GONE if key.startswith("pattern_") else Owner.EPISODE_GONE


def _healthy(number: int) -> str:
    return f"eeee{number:04x}-1111-4222-8333-44445555{number:04x}"


def values(seed: int, dimension: int = DIMENSION) -> bytes:
    """Numbers of one made-up vector."""
    rng = random.Random(seed)
    numbers = [rng.gauss(0, 1) for _ in range(dimension)]
    norm = math.sqrt(sum(number * number for number in numbers))
    return struct.pack(f"<{dimension}f", *(number / norm for number in numbers))


def facts_of(made: OrphanIndex, number: int) -> Detail:
    """As the core would say it, with numbers of its own."""
    told = detail(made, number)
    dimension = told.row.dimension
    if dimension is None:
        return told
    octets = values(number, dimension)
    return replace(told, values=octets, vector=facts(octets))


def near(made: OrphanIndex, number: int) -> Neighbours:
    found = (
        Neighbour(f"episode_{_healthy(3)}", 0.981, "Retry policy for GCS uploads", Reason.ATTACHED),
        Neighbour(_GONE[1][0], 0.944, "Tune HNSW build parameters", Reason.OWNER_NOWHERE),
        Neighbour(_GONE[3][0], 0.937, None, Reason.OWNER_NOWHERE),
        Neighbour(f"episode_{_healthy(9)}", 0.912, "Profile the import path", Reason.ATTACHED),
    )
    return Neighbours(made.revision, number, tuple(one for one in found if one.key != made.keys[number]))


def answer(command: Command[Any], made: OrphanIndex | None = None) -> object:
    """What the core answers to a question about embeddings; KeyError for another kind."""
    match command:
        case commands.ScanOrphans():
            return made or index()
        case commands.QueryOrphans(asked, wanted):
            return select(asked, wanted, NOW)
        case commands.ShowOrphan(asked, number):
            return facts_of(asked, number)
        case commands.FindNeighbours(asked, number):
            return near(asked, number)
        case commands.ResolveMarks(asked, marks):
            return resolve(asked, marks, NOW)
        case commands.ExportOrphans(_, path):
            return Exported(path, 28, 12_345)
        case _:
            raise KeyError(type(command).__name__)


KINDS = (
    commands.ScanOrphans,
    commands.QueryOrphans,
    commands.ShowOrphan,
    commands.FindNeighbours,
    commands.ResolveMarks,
    commands.ExportOrphans,
)
