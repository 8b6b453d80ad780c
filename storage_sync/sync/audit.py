"""What a proof need not read again, and what it leaves to the audit (docs/protocol.md#what-a-proof-reads).

An audit looks at every embedding of the primary and counts its tables; a proof looks at those that something leads to,
and at those that it knows. Both are otherwise the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.identity import real_path
from storage_sync.primary.capabilities import Capabilities, read_probe
from storage_sync.state.imprint import read_imprint, write_imprint
from storage_sync.sync.context import Context, Projection
from storage_sync.sync.look import Look
from storage_sync.values.errors import LocalIO, PrimaryRefused
from storage_sync.values.imprint import KnownImprint

MOST_BESIDE = 2_000
"""Embeddings that nothing leads to, above which looking at all of them is cheaper than asking for each."""


class Question(Struct, frozen=True):
    """What a comparison asks for; by default everything."""

    imprint: str = ""
    """Of the rows that the cache holds; '' where it is not known, or something is to be written anyway."""
    beside: Sequence[str] | None = None
    """Hex keys of embeddings that nothing leads to, and that are asked for by name; None: an audit."""
    audited_at: float | None = None
    """When the last audit was, UTC epoch seconds; None: never, as far as is known."""


async def question(context: Context, look: Look, projection: Projection, *, sibling: bool) -> Question:
    """What this run asks the primary; an audit where one is due, and where there is no ledger to stand on."""
    known = await _known(context)
    fits = known is not None and (known.source_id, known.config_hash) == (
        context.session.source.source_id,
        projection.scope.config_hash,
    )
    if known is None or not fits or sibling or look.scan is None:
        return Question()
    audited_at = known.audited_at or None
    options = context.options
    age = time.time() - known.audited_at
    if options.audits or options.part is not None or not 0 <= age < context.session.settings.audit_s:
        return Question(audited_at=audited_at)
    beside = await context.session.on_cache_thread(look.scan.beside_keys, projection.scope)
    if len(beside) > MOST_BESIDE:
        return Question(audited_at=audited_at)
    imprint = await context.session.on_cache_thread(_imprint_of, look, look.scan, projection, known)
    return Question(imprint, beside, audited_at)


def _imprint_of(look: Look, scan: _native.Scan, projection: Projection, known: KnownImprint) -> str:
    """The imprint of what is in the cache, '' where nobody gave it, or where equal rows would be written anyway.
    Blocking."""
    checkpoint = look.checkpoint
    if checkpoint is None or not scan.clean or scan.index_drifted or look.replaces is not None:
        return ""
    if (checkpoint.enc, checkpoint.source_id) != (_native.ENCODING, known.source_id):
        return ""
    # the checkpoint's root may be of wider settings
    return known.imprint if _native.root_of(scan, projection.scope) == known.root else ""


async def remember(
    context: Context, projection: Projection, root: str, imprint: str | None, audited_at: float | None
) -> None:
    """Keep the imprint of what was proven, for the next proof; a warning where that cannot be."""
    session = context.session
    known = KnownImprint(
        path=real_path(session.cache_path),
        source_id=session.source.source_id,
        config_hash=projection.scope.config_hash,
        root=root,
        imprint=imprint or "",
        audited_at=audited_at or 0.0,
        schema=session.source.known_schema,
    )
    if not known.imprint or known == await _known(context):
        return
    await _keep(context, known)


async def probed(context: Context) -> Capabilities:
    """What the primary can do; where its schema is the one that an earlier process saw, only that is asked."""
    source = context.session.source
    if source.known_schema is None and source.counters.requests == 0:
        known = await _known(context)
        if known is not None and known.schema is not None and known.schema.source_id == source.source_id:
            with suppress(PrimaryRefused):
                # what was kept and cannot be read is asked for again
                read_probe(known.schema.answer)
                source.known_schema = known.schema
    return await source.probe()


async def audit_again(context: Context) -> None:
    """An audit found what no proof would: the next run has to be one, so that it mends it."""
    known = await _known(context)
    if known is not None and known.audited_at:
        await _keep(context, replace(known, audited_at=0.0))


async def _known(context: Context) -> KnownImprint | None:
    session = context.session
    if not session.state.usable:
        return None
    return await session.on_cache_thread(read_imprint, session.state.folder, session.cache_path)


async def _keep(context: Context, known: KnownImprint) -> None:
    session = context.session
    if not session.state.usable:
        return
    try:
        await session.on_cache_thread(write_imprint, session.state.folder, known)
    except LocalIO as error:
        context.draft.warn(f"the next proof will read more than necessary: {error.message}")
