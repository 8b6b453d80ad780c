"""`ping`: does the primary answer, does it know us, what can it do."""

from __future__ import annotations

import statistics

from storage_sync.primary.source import LocalSource, Source
from storage_sync.sync.context import Context
from storage_sync.values.outcome import Outcome, Word

PINGS = 5


def _proof(source: Source, digest: str | None) -> str:
    """What a proof costs there, as a sentence."""
    if isinstance(source, LocalSource):
        return "a proof reads every expected row from the file; a follow run reads only the rows that were written"
    if digest is None:
        return "no digest function: a proof transfers every expected row, a follow run only the rows that were written"
    return (
        "a proof reads every expected row on the server, and transfers keys and digests, or one digest if none changed"
    )


async def run_ping(context: Context) -> Outcome:
    """Probe once, then a few small statements on the same connection. `extra` holds what was learned."""
    source, draft = context.session.source, context.draft
    capabilities = await source.probe()
    times = [await source.ping() for _ in range(PINGS)]
    draft.verdict = Word.UNKNOWN
    draft.extra["ping"] = {
        "url": source.url,
        "source_id": source.source_id,
        "proxy": source.proxy or None,
        "latency_ms": {
            "min": round(min(times), 3),
            "median": round(statistics.median(times), 3),
            "max": round(max(times), 3),
        },
        "authentication": "accepted" if context.session.token is not None else "none needed",
        "server": capabilities.server,
        "digest": capabilities.digest,
        "proof": _proof(source, capabilities.digest),
        "generation": capabilities.generation,
        "foreign_keys": capabilities.foreign_keys,
        "replication_index": source.replication_index,
        "access": capabilities.access,
    }
    return draft.outcome()
