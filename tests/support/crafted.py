"""A cache whose tables hold what nobody would have written there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from storage_sync import _native

PAGE = 500


def craft(cache: Path, changes: Mapping[tuple[str, str], bytes | None]) -> None:
    """Write the cache again with these values by table and key; None takes a row out. Clean, and soundly closed."""
    made = cache.with_name("crafted")
    source = _native.CacheFile.open(str(cache), "read")
    target = _native.Salvage(str(made))
    left = dict(changes)
    for stat in source.tables():
        if (stat.key_type, stat.value_type) != ("&str", "&[u8]"):
            continue
        after: str | None = None
        while rows := source.page(stat.name, after, PAGE):
            after = rows[-1][0]
            kept = [(key, left.pop((stat.name, key), value)) for key, value in rows]
            target.put(stat.name, [(key, value) for key, value in kept if value is not None])
    for (table, key), value in left.items():
        if value is not None:
            target.put(table, [(key, value)])
    target.close()
    source.close()
    made.replace(cache)
