"""Embeddings of the cache without their owner, and otherwise broken vectors (`console.md` 5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import orjson

from storage_sync import _native
from storage_sync.errors import StorageSyncError
from storage_sync.model import Orphan, Outcome, Word
from storage_sync.sync.compare import in_primary
from storage_sync.sync.context import PAGE, Context
from storage_sync.sync.look import Look, looked

NAMED = 100_000
"""Rows that one answer names at most."""


async def run_orphans(context: Context) -> Outcome:
    """All of them with owner, reason and norm. The primary is asked for the owners; without it the reason stays
    `owner unknown`."""
    draft = context.draft
    async with looked(context.session, context.tracker, draft, writing=False) as look:
        draft.verdict = Word.UNKNOWN
        if look.scan is None or look.copy is None:
            return draft.outcome()
        orphaned, keys = await context.session.on_cache_thread(look.scan.orphaned_embeddings, NAMED)
        dimension = context.session.settings.embedding_dimension
        bad, bad_keys = await context.session.on_cache_thread(look.scan.bad_vectors, dimension, NAMED)
        owners = await _owners_in_primary(context, keys)
        values = await context.session.on_cache_thread(_values, look, [*keys, *bad_keys])
        without_owner = [_orphan(key, owner_reason(key, owners), owners.get(owner_of(key)[1]), values) for key in keys]
        seen = set(keys)
        broken = [_orphan(key, vector_reason(values.get(key)), None, values) for key in bad_keys if key not in seen]
        draft.orphans = (*without_owner, *broken)
        rows = look.scan.tables["embeddings"].rows
        draft.extra["orphan_counts"] = {"orphaned": orphaned, "broken": bad, "embeddings": rows}
        draft.received(context.session.source.counters)
    return draft.outcome()


async def _owners_in_primary(context: Context, keys: Iterable[str]) -> dict[str, bool]:
    """Which owners the primary has; empty when it cannot be asked."""
    by_kind: dict[str, list[str]] = {"episode": [], "pattern": []}
    for key in keys:
        kind, owner = owner_of(key)
        if kind in by_kind:
            by_kind[kind].append(owner)
    found: dict[str, bool] = {}
    try:
        for kind, owners in by_kind.items():
            for first in range(0, len(owners), PAGE):
                page = owners[first : first + PAGE]
                there = set(await in_primary(context, f"{kind}s", page))
                found |= {owner: owner in there for owner in page}
    except StorageSyncError as error:
        context.draft.warn(f"the primary could not be asked for the owners: {error.message}")
    return found


def owner_of(key: str) -> tuple[str, str]:
    """Kind and id of the owner that a key names; ("none", "") for a key that names none (`projection.md`)."""
    for kind in ("episode", "pattern"):
        if key.startswith(f"{kind}_") and len(key) == len(kind) + 37:
            return kind, key[len(kind) + 1 :]
        if f":{kind}:" in key[-46:]:
            return kind, key[-36:]
    return "none", ""


def owner_reason(key: str, owners: Mapping[str, bool]) -> str:
    """Why it is an orphan, as far as the primary tells."""
    _, owner = owner_of(key)
    if owner not in owners:
        return "owner unknown"
    return "not cached" if owners[owner] else "owner nowhere"


def vector_reason(value: np.ndarray | None) -> str:
    """What is wrong with a vector that has an owner."""
    if value is None or not value.size or not np.isfinite(value).all() or not value.any():
        return "bad values"
    return "wrong dimension"


def decode(data: bytes) -> np.ndarray:
    """f32 values of a cached embedding. ValueError when it does not decode."""
    return np.array(orjson.loads(_native.decode_value("embeddings", data)), dtype="<f4")


def _values(look: Look, keys: list[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    if look.copy is None:
        return found
    for first in range(0, len(keys), PAGE):
        page = keys[first : first + PAGE]
        for key, data in zip(page, look.copy.file.get("embeddings", page), strict=True):
            try:
                found[key] = decode(data or b"")
            except ValueError:
                continue
    return found


def _orphan(key: str, reason: str, in_primary_: bool | None, values: Mapping[str, np.ndarray]) -> Orphan:
    kind, owner = owner_of(key)
    value = values.get(key)
    return Orphan(
        key=key,
        reason=reason,
        owner_kind=kind,
        owner_id=owner,
        in_primary=in_primary_,
        dimension=int(value.size) if value is not None else None,
        norm=float(np.linalg.norm(value)) if value is not None and np.isfinite(value).all() else None,
        bytes=int(value.nbytes) if value is not None else 0,
    )
