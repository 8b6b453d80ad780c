"""Take in what was written since the last proof, without one (docs/protocol.md#follow).

do-memory writes most rows by INSERT OR REPLACE, so what it wrote stands above the highest rowid that was there. A
follow run reads that and what hangs on it, and ends, so that a proof is due, wherever that would not be the whole
truth. It is no proof: deletions, updates in place and a highest rowid that was given again are found by one.
"""

from __future__ import annotations

import time

from msgspec.structs import replace

from storage_sync import _native
from storage_sync.primary.above import Above, missing
from storage_sync.primary.source import projection_of
from storage_sync.sync.compare import Compared, Since, current_epoch, fetched
from storage_sync.sync.context import Context, Projection
from storage_sync.sync.last_comparison import LastComparison
from storage_sync.sync.look import Look
from storage_sync.sync.overlay import Known, Limits, Overlay, Place, changes
from storage_sync.sync.proven_rows import known_rows
from storage_sync.values.followed import Ending, Followed, FollowEnded
from storage_sync.values.marks import Marks
from storage_sync.values.outcome import Proof, TableChange, Word
from storage_sync.values.witness import Witness

ROUNDS = 3
"""How often rows may change between the statement that names them and their fetch."""


def refuses(context: Context, look: Look, projection: Projection, now: float) -> Since:
    """What a follow run goes on from. FollowEnded where only a proof will do, by all that needs no question."""
    witness, checkpoint, scan = look.witness, look.checkpoint, look.scan
    session = context.session
    if checkpoint is None or scan is None or witness is None or witness.proof is None:
        raise FollowEnded(Ending.NO_MARKS)
    proof, taken_in = _gone_on_from(witness, witness.proof, session.known)
    if checkpoint.source_id != session.source.source_id or proof.source_id != checkpoint.source_id:
        raise FollowEnded(Ending.SOURCE)
    if checkpoint.epoch != projection.epoch or proof.epoch != projection.epoch:
        raise FollowEnded(Ending.EPOCH)
    if checkpoint.enc != _native.ENCODING:
        raise FollowEnded(Ending.ENCODING)
    if proof.config_hash != projection.scope.config_hash:
        raise FollowEnded(Ending.CONFIGURATION)
    if checkpoint.digest != projection.digest or proof.digest != projection.digest:
        raise FollowEnded(Ending.DIGEST)
    generation, root = witness.stand or (0, "")
    if not checkpoint.generation == witness.generation == generation:
        raise FollowEnded(Ending.GENERATION)
    if checkpoint.config_hash != proof.config_hash:
        # a proof under these settings found nothing to write, so only the rows themselves say that the file holds it:
        # the root of the checkpoint is of other settings
        if not scan.clean:
            raise FollowEnded(Ending.CONFIGURATION)
    elif checkpoint.root != root:
        raise FollowEnded(Ending.GENERATION)
    if scan.clean and _native.root_of(scan, projection.scope) != root:
        raise FollowEnded(Ending.GENERATION, "its rows do not match its root")
    age = proof.age(now)
    if age is None or age > session.settings.staleness_s:
        raise FollowEnded(Ending.TOO_OLD)
    marks = witness.marks
    if marks is None:
        raise FollowEnded(Ending.NO_MARKS)
    return Since(proof, taken_in, marks)


def _gone_on_from(witness: Witness, proof: Proof, compared: LastComparison | None) -> tuple[Proof, Followed | None]:
    """The newest proof of what the cache holds, and what was taken in since.

    A verify or a plan proves too, and writes no witness. The marks are older then: they lead to more rows than changed.
    """
    newer = compared.proof if compared is not None and compared.verdict is Word.IN_SYNC else None
    if newer is None or newer.at <= proof.at or (newer.generation, newer.root) != witness.stand:
        return proof, witness.followed
    same = (newer.source_id, newer.epoch, newer.config_hash, newer.digest)
    if same != (proof.source_id, proof.epoch, proof.config_hash, proof.digest):
        return proof, witness.followed
    return newer, None


async def marked(context: Context, look: Look, projection: Projection) -> Projection:
    """With the marks from before its rows are read. Where nobody wrote since the last ones, those are kept, unasked.

    Only a first run in a process has asked the primary for its index just now.
    """
    session, witness = context.session, look.witness
    if witness is not None and witness.proof is not None and session.reading is None and not context.options.follows:
        kept, proof = witness.marks, witness.proof
        of_them = (proof.source_id, proof.epoch, proof.config_hash, proof.digest)
        wanted = (session.source.source_id, projection.epoch, projection.scope.config_hash, projection.digest)
        if kept is not None and kept.index is not None and kept.index == projection.log.index and of_them == wanted:
            return replace(projection, marks=kept)
    marks = await session.source.marks(projection.scope)
    # where the log went back while the process ran, this may be the first answer that says so
    epoch = current_epoch(look, session.source.source_id, session.source.log.index)
    return replace(projection, marks=marks, epoch=epoch)


async def followed(context: Context, look: Look, projection: Projection) -> Compared:
    """What was written since the last proof, fetched and staged.

    The staging is the caller's to close. FollowEnded where only a proof will do.
    """
    since, known = await _known(context, look, projection)
    for _ in range(ROUNDS):
        marks, found, comparison = await _overlaid(context, look, projection, since, known)
        compared = await fetched(context, look, replace(projection, marks=marks), comparison, since)
        if compared is not None:
            return replace(compared, overlay=Overlay(known, found))
    raise FollowEnded(Ending.MOVING)


async def written(context: Context, look: Look, projection: Projection) -> dict[str, TableChange]:
    """Rows by table that differ from the last proof by what was written since. FollowEnded where only a proof will
    do."""
    since, known = await _known(context, look, projection)
    _, found, comparison = await _overlaid(context, look, projection, since, known)
    added = [place for place, digest in found.items() if digest is not None and place not in known.states]
    plan: dict[str, TableChange] = {}
    for table in {*comparison.to_fetch, *comparison.to_remove}:
        new = sum(place[0] == table for place in added)
        fetch, gone = comparison.to_fetch.get(table, 0), comparison.to_remove.get(table, 0)
        if fetch or gone:
            plan[table] = TableChange(new, fetch - new, gone)
    return plan


async def _known(context: Context, look: Look, projection: Projection) -> tuple[Since, Known]:
    """What a follow run goes on from, and the proven rows. FollowEnded."""
    session, scope = context.session, projection.scope
    since = refuses(context, look, projection, time.time())
    capabilities = await session.source.probe()
    if why := missing(projection_of(scope), capabilities.schema):
        raise FollowEnded(Ending.SHAPE, why)
    if look.scan is None:
        raise FollowEnded(Ending.NO_MARKS)
    known, session.proven_rows = await session.on_cache_thread(known_rows, session.proven_rows, look, look.scan, scope)
    return since, known


async def _overlaid(
    context: Context, look: Look, projection: Projection, since: Since, known: Known
) -> tuple[Marks, dict[Place, str | None], _native.Comparison]:
    """Where the tables end now, the rows written since, and the proven rows laid over by them. FollowEnded."""
    session, scope = context.session, projection.scope
    starts = [key.hex().upper() for key in known.unknown_starts]
    seen = await session.source.above(scope, since.marks, starts)
    _same_log(since.marks, seen.marks)
    limits = Limits(scope.window, session.settings.sync_patterns)
    found = await session.on_cache_thread(changes, known, since.marks, seen, limits)
    if seen.nothing:
        _nothing_happened(context, since.marks, seen)
    if look.scan is None:
        raise FollowEnded(Ending.NO_MARKS)
    rows = [_change(place, digest) for place, digest in found.items()]
    return seen.marks, found, await session.on_cache_thread(_native.Comparison.of_changes, scope, look.scan, rows)


def _change(place: Place, digest: str | None) -> tuple[str, bytes, list[str]]:
    table, key = place
    return table, key, [digest] if digest is not None else []


def _same_log(before: Marks, now: Marks) -> None:
    if (before.index is None) is not (now.index is None) or (before.index or 0) > (now.index or 0):
        raise FollowEnded(Ending.EPOCH)


def _nothing_happened(context: Context, before: Marks, seen: Above) -> None:
    """FollowEnded where something was written and it is not known what."""
    now, session = seen.marks, context.session
    # a file sends no index, and a process that has not watched it cannot know that nobody wrote
    unwatched = session.reading is None and session.settings.reads_a_file
    moved = now.index != before.index if now.index is not None else context.options.moved or unwatched
    if moved and before.beside == now.beside:
        raise FollowEnded(Ending.UNEXPLAINED)
