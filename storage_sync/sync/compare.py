"""From a look at the cache to sealed rows of the primary, past the guards that need no plan."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.builds import build_of
from storage_sync.cache.copy import private_folder
from storage_sync.cache.identity import real_path
from storage_sync.cache.waiting_rows import Kept, WaitingNote
from storage_sync.files.ownership import why_not_kept
from storage_sync.primary.digests import CLIENT_DIGEST
from storage_sync.primary.source import LogStand
from storage_sync.sync import guard
from storage_sync.sync.audit import Question, probed, question
from storage_sync.sync.context import PAGE, Context, Projection
from storage_sync.sync.look import Look
from storage_sync.sync.overlay import Overlay
from storage_sync.sync.stage import Staged, Stager, Target, staged_from
from storage_sync.sync.table_counts import table_changes
from storage_sync.values.errors import GuardStopped, LocalIO
from storage_sync.values.followed import Followed
from storage_sync.values.marks import Marks
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import Proof
from storage_sync.values.snapshot import Phase


class Since(Struct, frozen=True):
    """What a follow run goes on from."""

    proof: Proof
    followed: Followed | None
    marks: Marks


class Compared(Struct, frozen=True):
    """The cache at one look against the primary at one instant."""

    look: Look
    projection: Projection
    staged: Staged
    audited_at: float | None = None
    """When every row of the primary was last looked at, UTC epoch seconds; None: not known."""
    waited: WaitingNote | None = None
    """The primary was not asked: these rows waited, and what is proven by them is proven of their moment."""
    since: Since | None = None
    """Only what was written since a proof was read: nothing is proven."""
    overlay: Overlay | None = None
    """What was read then, over the rows that were proven."""

    @property
    def changes(self) -> dict[str, _native.Changes]:
        return self.staged.staging.changes

    @property
    def followed_rows(self) -> int:
        """Rows that were added, changed or removed since the proof; 0 for what is a proof itself."""
        if self.since is None:
            return 0
        before = self.since.followed.changes if self.since.followed is not None else 0
        changed = table_changes(self.changes).values()
        return before + sum(one.rows for one in changed)

    @property
    def left_out_since(self) -> float | None:
        """When rows that only an audit finds were last looked for; None: now."""
        return None if self.staged.whole else self.audited_at

    @property
    def primary(self) -> Mapping[str, int]:
        """Rows of each source table that was counted."""
        return self.staged.primary


async def project(context: Context, look: Look) -> Projection:
    """Ask the primary what it can do; PrimarySchema and its kin when it cannot serve."""
    session = context.session
    context.tracker.step(Phase.MANIFEST)
    capabilities = await probed(context)
    digest = capabilities.digest or CLIENT_DIGEST
    log = session.source.log
    epoch = current_epoch(look, session.source.source_id, log.index)
    if epoch > known_log(look, session.source.source_id)[0]:
        # what this process heard last may be older than what another one has proven since
        log = await session.source.standing()
        epoch = current_epoch(look, session.source.source_id, log.index)
    return Projection(session.scope(digest, context.options.part), digest, epoch, log)


def current_epoch(look: Look, source_id: str, replication_index: int | None) -> int:
    """How often the server's replication index was seen to step back."""
    epoch, before = known_log(look, source_id)
    stepped_back = replication_index is not None and before is not None and replication_index < before
    return epoch + 1 if stepped_back else epoch


def known_log(look: Look, source_id: str) -> tuple[int, int | None]:
    """Epoch of the primary, and its replication index then, in which the file was proven last.

    The checkpoint says it, but for a log that stepped back and held the same rows: nothing is written for that, so the
    witness says it.
    """
    checkpoint, witness = look.checkpoint, look.witness
    if checkpoint is None or checkpoint.source_id != source_id:
        return 0, None
    proof = witness.proof if witness is not None else None
    if witness is None or proof is None or proof.epoch <= checkpoint.epoch:
        return checkpoint.epoch, checkpoint.replication_index
    if (proof.source_id, proof.generation, proof.root) == (source_id, look.generation, checkpoint.root):
        return proof.epoch, witness.replication_index
    return checkpoint.epoch, checkpoint.replication_index


@asynccontextmanager
async def compared(
    context: Context, look: Look, projection: Projection, *, waiting: Kept | None = None, keep: str | None = None
) -> AsyncIterator[Compared]:
    """Fetch and stage what differs, for the body of an `async with`; GuardStopped for a wrong source.

    Rows staged for a commit in place go when the body ends well, and stay for a resume when it does not.
    `waiting`: rows that an earlier run fetched. `keep`: file for the source rows; nothing can be committed then.
    """
    with _private_place(context, look, keep is not None) as place:
        target = replace(target_of(context, look, projection, place), keep=keep)
        if _keeps_rows(context, look):
            # every row goes into the file: what stays in memory is gone with this run
            target = replace(target, batch_rows=0)
        elif place is None and not target.sibling and not target.resumable:
            target = replace(target, resumable=await _planned_rows(context, look, target))
        async with _staged(context, look, projection, target, waiting) as comparison:
            yield comparison


@asynccontextmanager
async def _staged(
    context: Context, look: Look, projection: Projection, target: Target, waiting: Kept | None
) -> AsyncIterator[Compared]:
    session, draft = context.session, context.draft
    started = time.monotonic()
    context.tracker.path("sibling" if target.sibling else "in_place")
    rows = waiting.rows if waiting is not None else None
    asked = await question(context, look, projection, sibling=target.sibling)
    at = time.time()
    stager = Stager(
        session.source, projection.scope, look.scan, target, context.tracker, session.on_cache_thread, asked, rows
    )
    await _guard_source(context, look, projection, stager)
    staged = await stager.run(full=context.options.full)
    if stager.problem:
        draft.warn(stager.problem)
    spent = time.monotonic() - started
    draft.seconds = replace(draft.seconds, manifest=staged.manifest_s, fetch=max(spent - staged.manifest_s, 0.0))
    # what a run did not get into the cache stays for the next one; a sibling has the cache's name by then, or waits
    passing = context.options.plan_only or target.keep is not None
    close = staged.staging.discard if passing else staged.staging.close
    keeps = _keeps_rows(context, look)
    try:
        yield Compared(look, projection, staged, at if staged.whole else asked.audited_at)
        close = staged.staging.close if target.sibling or keeps else staged.staging.discard
    finally:
        await session.on_cache_thread(close)
    if keeps:
        await session.on_cache_thread(session.plan_rows.keep, Path(target.path), target.identity, look.generation)


def _keeps_rows(context: Context, look: Look) -> bool:
    """Rows of a file that becomes the cache lie otherwise than those of a plan."""
    return context.options.keeps_rows and context.options.plan_only and not look.sibling


async def _planned_rows(context: Context, look: Look, target: Target) -> bool:
    """Put what the plan of this run fetched where a run finds its rows; whether there was something that fits."""
    session = context.session
    try:
        return await session.on_cache_thread(
            session.plan_rows.take, Path(target.path), target.identity, look.generation
        )
    except OSError as error:
        context.draft.warn(f"the rows of the plan cannot be used and are fetched again: {error.strerror}")
        return False


async def fetched(
    context: Context, look: Look, projection: Projection, comparison: _native.Comparison, since: Since
) -> Compared | None:
    """The rows that a finished comparison asks for; None when they changed meanwhile. The staging is the caller's."""
    session = context.session
    target = target_of(context, look, projection)
    context.tracker.path("in_place")
    stager = Stager(
        session.source, projection.scope, look.scan, target, context.tracker, session.on_cache_thread, Question()
    )
    staged = await stager.fetched(comparison)
    if staged is None:
        return None
    # how many rows the source tables have was counted by the proof
    tables = look.checkpoint.tables if look.checkpoint is not None else {}
    counted = replace(staged, primary={table: facts.primary for table, facts in tables.items()})
    return Compared(look, projection, counted, since=since)


@asynccontextmanager
async def merged(context: Context, look: Look, kept: Kept) -> AsyncIterator[Compared | None]:
    """What waited against `look`, without a question to the primary; None when it is not all that the cache lacks."""
    session, note = context.session, kept.note
    projection = Projection(session.scope(note.digest), note.digest, note.epoch, LogStand())
    target = target_of(context, look, projection)
    context.tracker.path("sibling" if target.sibling else "in_place")
    context.tracker.step(Phase.FETCH)
    staged = await session.on_cache_thread(staged_from, kept.rows, note.root, projection.scope, look.scan, target)
    if staged is None:
        yield None
        return
    try:
        yield Compared(look, projection, staged, waited=note)
    finally:
        close = staged.staging.close if target.sibling else staged.staging.discard
        await session.on_cache_thread(close)


async def known_to_primary(context: Context, scan: _native.Scan, table: str) -> int:
    """How many of the rows that our ledger does not list are in the primary, inside the window or not."""
    known = 0
    after: str | None = None
    while keys := await context.session.on_cache_thread(scan.unlisted_keys, table, after, PAGE):
        known += len(await in_primary(context, table, keys))
        after = keys[-1]
    return known


async def in_primary(context: Context, table: str, keys: Sequence[str]) -> dict[str, bool]:
    """Those of the cache keys that the primary has, in the window or not, in order; whether what the row belongs to is
    there too."""
    found = await context.session.source.existing(table, [key.encode().hex().upper() for key in keys])
    return dict(sorted((bytes.fromhex(key).decode(), owned) for key, owned in found.items()))


async def guard_first_contact(context: Context, look: Look) -> None:
    """GuardStopped for a cache without our ledger that does not look like one of this primary.

    See docs/protocol.md#recovery.
    """
    if look.scan is None or look.checkpoint is not None or look.sibling or context.options.adopt:
        return
    if look.witness is not None and look.witness.source_id == context.session.source.source_id:
        # only our stamp is gone: the witness, which lies in another file, says what it was
        return
    episodes = look.scan.tables["episodes"]
    if episodes.listed:
        raise GuardStopped(
            "the cache has rows that this tool wrote, but no longer says from which primary; it was not changed",
            hint=NextStep.ADOPT_UNKNOWN,
        )
    cached = episodes.rows
    known = await known_to_primary(context, look.scan, "episodes")
    why = guard.implausible(cached, known, look.schema, wrong_types=False)
    if why is not None:
        raise GuardStopped(
            f"this cache does not look like one of this primary: {why}; nothing was changed",
            hint=NextStep.ADOPT_UNKNOWN,
        )


def source_guard(context: Context, look: Look, projection: Projection, root: str) -> GuardStopped | None:
    """The error for a cache that was proven against another primary, unless the content is the very same."""
    checkpoint = look.checkpoint
    if checkpoint is None:
        return None
    return guard.source_error(
        stamped=(checkpoint.source_id, known_log(look, checkpoint.source_id)[0]),
        now=(context.session.source.source_id, projection.epoch),
        same_root=root == checkpoint.root,
        consent=context.options.consent,
    )


def looking(context: Context, look: Look) -> Context:
    """For what changes nothing: rows of the same primary are compared whatever became of its log, which is then for
    `refusal_of` to say."""
    return replace(context, options=replace(context.options, adopt=True)) if _same_source(context, look) else context


async def refusal_of(context: Context, comparison: Compared) -> GuardStopped | None:
    """Why a sync would not take on what was compared, when its primary's log went back; a wrong source is raised."""
    look, staging = comparison.look, comparison.staged.staging
    error = source_guard(context, look, comparison.projection, comparison.staged.root)
    if error is None:
        return None
    if not _same_source(context, look):
        raise error
    if context.options.part is not None:
        # figures of a part would look like those of the whole
        return guard.stepped_back()
    changes = comparison.changes
    leaving = {table: staging.removals(table, None, one.remove) for table, one in changes.items() if one.remove}
    gone = sum([len(keys) - len(await in_primary(context, table, keys)) for table, keys in leaving.items()])
    return guard.stepped_back(sum(one.insert + one.update for one in changes.values()), gone)


def _same_source(context: Context, look: Look) -> bool:
    return look.checkpoint is not None and look.checkpoint.source_id == context.session.source.source_id


async def _guard_source(context: Context, look: Look, projection: Projection, stager: Stager) -> None:
    """Ask for the manifest alone before rows of what may be a wrong primary are fetched."""
    if source_guard(context, look, projection, root="") is None or not await stager.has_manifest():
        return
    comparison = await stager.compare()
    error = source_guard(context, look, projection, comparison.root)
    if error is not None and _same_source(context, look):
        # a row to fetch may be one that is refused, and one to remove may only have left the window
        differ, gone = sum(comparison.to_fetch.values()), sum(comparison.to_remove.values())
        raise guard.stepped_back(differ, gone, exact=False)
    if error is not None:
        raise error


@contextmanager
def _private_place(context: Context, look: Look, passing: bool) -> Iterator[Path | None]:
    """Where merged rows lie that are not committed, nobody's after it; None for a run that commits. LocalIO."""
    if not context.options.plan_only and not passing:
        yield None
        return
    state = context.session.state
    if state.copies is None:
        raise LocalIO(state.problem, hint="give a folder that can be written with --state-dir")
    if _keeps_rows(context, look):
        yield context.session.plan_rows.place(state.copies)
        return
    with private_folder(state.copies) as place:
        yield place


def target_of(context: Context, look: Look, projection: Projection, place: Path | None = None) -> Target:
    """Where the rows of this run wait: in the `place` of a plan, or beside the cache, where a later run finds them.

    The name beside the cache says source, epoch and configuration. LocalIO where a file in the place of the cache
    could not have its owner.
    """
    session = context.session
    what = (
        session.source.source_id,
        projection.epoch,
        projection.scope.config_hash,
        projection.digest,
        _native.ENCODING,
        # Rows on their way into a live file lie otherwise than in a file that becomes the cache itself.
        look.sibling,
    )
    identity = _native.digest("sha-256", repr(what).encode())
    if look.sibling and (why := why_not_kept(real_path(session.cache_path))):
        raise LocalIO(
            f"the new file could not get the owner of the old one: {why}; nothing was changed",
            hint="run it as the user who owns the cache, or as root",
        )
    path = build_of(session.cache_path, identity) if place is None else os.fspath(place / "plan.redb")
    return Target(
        path=path,
        sibling=look.sibling and place is None,
        identity=identity,
        batch_rows=session.settings.batch_size,
        resumable=place is None and Path(path).exists(),
        remembers=context.options.rebuilds and look.sibling and place is None,
    )
