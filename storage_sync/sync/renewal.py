"""A proof made again without reading a row: nobody wrote to either side since the last one.

A primary that sends a replication index says with it whether anything was written since its rows were read. Where the
index stands where it stood before that reading, over the very connections of then, and the file holds what was proven,
both are equal still.
"""

from __future__ import annotations

import time

from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.identity import read_identity
from storage_sync.reports.document import rfc3339
from storage_sync.sync.context import Context, Projection
from storage_sync.sync.look import Look
from storage_sync.sync.prove import told
from storage_sync.sync.session import Reading
from storage_sync.values.marks import Marks
from storage_sync.values.outcome import Outcome
from storage_sync.values.snapshot import Phase


async def renewed(context: Context, look: Look, projection: Projection) -> Outcome | None:
    """The outcome of a renewal; None where the rows of the primary have to be read."""
    session = context.session
    reading = session.reading
    if reading is None or look.scan is None or not _stands(context, look, projection, reading, time.time()):
        return None
    if await session.on_cache_thread(_native.root_of, look.scan, projection.scope) != reading.proof.root:
        return None
    context.tracker.step(Phase.MANIFEST)
    if await session.source.standing() != reading.log or look.identity is None:
        return None
    if look.identity != read_identity(session.cache_path):
        return None
    context.draft.extra["renewed"] = {"read_at": rfc3339(reading.at)}
    proof = replace(reading.proof, at=time.time(), identity=look.identity)
    session.reading = replace(reading, proof=proof)
    return await told(context, look, proof, reading.facts, marks=_kept(look, reading))


def _kept(look: Look, reading: Reading) -> Marks | None:
    """The marks of that reading: nobody wrote since, so a follow run goes on from there."""
    witness = look.witness
    last = witness.proof if witness is not None else None
    if witness is None or last is None or witness.followed is not None:
        return None
    same = (last.root, last.generation, last.source_id) == (
        reading.proof.root,
        reading.proof.generation,
        reading.proof.source_id,
    )
    return witness.marks if same else None


def _stands(context: Context, look: Look, projection: Projection, reading: Reading, now: float) -> bool:
    """Whether the reading speaks of this file, this primary and these settings, by all that needs no question."""
    options, proof, checkpoint = context.options, reading.proof, look.checkpoint
    if not options.renews or options.full or options.adopt or options.plan_only or options.part is not None:
        return False
    if look.scan is None or not look.scan.clean or look.scan.index_drifted or look.replaces is not None:
        return False
    return (
        checkpoint is not None
        and checkpoint.enc == _native.ENCODING
        # its root may be of wider settings than the proof's: what the file holds is hashed again before it is renewed
        and look.generation == proof.generation
        and (proof.source_id, proof.epoch) == (context.session.source.source_id, projection.epoch)
        and (proof.digest, proof.config_hash) == (projection.digest, projection.scope.config_hash)
        and 0 <= now - reading.at < context.session.settings.audit_s
    )
