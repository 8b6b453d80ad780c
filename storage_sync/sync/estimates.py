"""What watching a primary will cost, said before the first proof against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from storage_sync.reports import costs
from storage_sync.sync.context import Context, Projection
from storage_sync.sync.look import Look
from storage_sync.values.errors import StorageSyncError


@asynccontextmanager
async def estimated(
    context: Context, look: Look, projection: Projection
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Measure beside what the body does; what it gets waits until that was said."""
    if not _is_first(context, look):
        yield _nothing
        return
    telling = asyncio.create_task(_tell(context, projection))

    async def told() -> None:
        await telling

    try:
        yield told
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _nothing() -> None:
    """Nothing is to be said."""


def _is_first(context: Context, look: Look) -> bool:
    options = context.options
    if not options.estimates or options.plan_only or options.part is not None:
        return False
    witness = look.witness
    return witness is None or witness.source_id != context.session.source.source_id


async def _tell(context: Context, projection: Projection) -> None:
    settings = context.session.settings
    try:
        measured = await context.session.source.measure(projection.scope)
    except StorageSyncError as error:
        context.tracker.note(f"what watching this primary costs is not known: {error.message}")
        return
    if measured is None:
        return
    context.draft.extra["costs"] = costs.to_json(measured, settings)
    context.tracker.note(f"what watching this primary costs: {costs.told(measured, settings)}")
