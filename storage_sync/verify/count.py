"""How far a held cache is behind, between two proofs: what was written to the primary since the last one."""

from __future__ import annotations

from storage_sync.sync.compare import project
from storage_sync.sync.context import Context
from storage_sync.sync.follow import written
from storage_sync.sync.inspection import looked
from storage_sync.values.followed import FollowEnded
from storage_sync.values.outcome import Outcome, Word


async def run_count(context: Context) -> Outcome:
    """The rows as `plan`, and the verdict STALE; UNKNOWN where only a proof can tell. The errors of `looked` and of the
    primary."""
    draft = context.draft
    draft.verdict = Word.UNKNOWN
    async with looked(context.session, context.tracker, draft, writing=False) as look:
        projection = await project(context, look)
        try:
            draft.plan = await written(context, look, projection)
        except FollowEnded as ended:
            draft.warn(str(ended))
        else:
            draft.verdict = Word.STALE
    return draft.outcome()
