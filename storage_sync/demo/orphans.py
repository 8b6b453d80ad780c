"""Embeddings in the demo's cache that belong to nothing, or are no vector."""

from __future__ import annotations

import random
import time
import uuid

from storage_sync import _native
from storage_sync.demo.demo import Demo

SHORT = 192
SHORT_HEAD = b"\xc0\x01"
"""The length of a vector of `SHORT` numbers as the cache writes it, in as many bytes as that of a whole one."""


def leave_orphans(demo: Demo, numbers: random.Random) -> None:
    """Write, as an application does: two embeddings of an episode and one of a pattern that are in neither store, a
    vector of zeros, one of another dimension, and a good one that has no owner by its name. `numbers` choose the keys.

    `_native.DatabaseAlreadyOpen` when somebody else holds the cache.
    """
    file = _native.CacheFile.open(str(demo.cache), "read")
    try:
        values = [value for _, value in file.page("embeddings", None, 5)]
    finally:
        file.close()
    length = len(SHORT_HEAD)
    rows = [
        (f"episode_{_id(numbers)}", values[0]),
        (f"episode_{_id(numbers)}", values[1]),
        (f"pattern_{_id(numbers)}", values[2]),
        (f"query:{_word(numbers)}", values[3][:length] + bytes(len(values[3]) - length)),
        (f"query:{_word(numbers)}", SHORT_HEAD + values[3][length : length + 4 * SHORT]),
        (f"query:{_word(numbers)}", values[4]),
    ]
    changes = [("embeddings", key, None, value) for key, value in rows]
    _native.edit(str(demo.cache), changes, {}, None, int(time.time() * 1000))


def _id(numbers: random.Random) -> str:
    return str(uuid.UUID(int=numbers.getrandbits(128), version=4))


def _word(numbers: random.Random) -> str:
    return f"{numbers.getrandbits(32):08x}"
