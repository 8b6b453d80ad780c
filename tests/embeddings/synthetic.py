"""Caches of made-up embeddings, without a primary."""

from __future__ import annotations

import math
import random
import struct
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from storage_sync import _native
from storage_sync.embeddings.index import Found, OrphanIndex, Remembered, Told, build, found_in
from tests.native import journey
from tests.native.synthetic import Primary
from tests.native.synthetic import scope as scope_of

SCOPE = "emb_v1:local:mini:3#r1"
NOW = 1_795_392_000.0


def identity(number: int) -> str:
    return str(uuid.UUID(int=number + (4 << 76) + (8 << 60)))


def value(numbers: Sequence[float]) -> bytes:
    """As do-memory writes it: a varint count, then f32s."""
    count, head = len(numbers), bytearray()
    while count >= 0x80:
        head.append(count & 0x7F | 0x80)
        count >>= 7
    head.append(count)
    return bytes(head) + struct.pack(f"<{len(numbers)}f", *numbers)


def unit(rng: random.Random, dimension: int) -> list[float]:
    numbers = [rng.gauss(0, 1) for _ in range(dimension)]
    norm = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / norm for number in numbers]


def cache_of(folder: Path, embeddings: Mapping[str, bytes], episodes: Mapping[str, bytes] | None = None) -> Path:
    """A cache file with these rows."""
    path = folder / "made.redb"
    journey.build(Primary(), path, scope_of())
    rows = [("embeddings", key, None, data) for key, data in embeddings.items()]
    rows += [("episodes", key, None, data) for key, data in (episodes or {}).items()]
    for first in range(0, len(rows), 5000):
        _native.edit(str(path), rows[first : first + 5000], {}, 2 + first, int(NOW * 1000))
    return path


def read(cache: Path) -> _native.Embeddings:
    file = _native.CacheFile.open(str(cache), "read")
    try:
        return file.embeddings(str(cache.parent))
    finally:
        file.close()


def index_of(
    cache: Path, told: Told | None = None, remembered: Remembered | None = None, dimension: int | None = None
) -> OrphanIndex:
    found: Found = found_in(read(cache))
    return build(found, told or Told(), remembered or Remembered(), dimension=dimension, generation=7, at=NOW)
