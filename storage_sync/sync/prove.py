"""Root equality, and everything that is said because of it: proof, witness, counts, checks."""

from __future__ import annotations

import time
from collections.abc import Mapping

from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.identity import real_path
from storage_sync.checks.checks import all_checks
from storage_sync.checks.facts import CheckScope, FileFacts, TableFacts
from storage_sync.reports.document import rfc3339
from storage_sync.reports.sentences import next_step, plural, rows
from storage_sync.state.witness import write_witness
from storage_sync.sync.audit import remember
from storage_sync.sync.compare import Compared, Since, known_to_primary
from storage_sync.sync.context import Context
from storage_sync.sync.inspection import marked_file_facts
from storage_sync.sync.known import known_of
from storage_sync.sync.look import Look
from storage_sync.sync.proven_rows import rows_taken_in
from storage_sync.sync.session import Reading
from storage_sync.sync.table_counts import pending_facts, proven_facts, table_counts
from storage_sync.values.errors import PrimaryRefused, PrimarySchema, PrimaryUnavailable, RowsRefused
from storage_sync.values.followed import Followed
from storage_sync.values.marks import Marks
from storage_sync.values.outcome import (
    OF_THE_PROOF,
    WARN_ONLY,
    Check,
    CheckStatus,
    FileIdentity,
    Outcome,
    Proof,
    TableCounts,
    Word,
)
from storage_sync.values.snapshot import Phase
from storage_sync.values.witness import Witness

DROPPED_WITH_EPISODE = {
    "summaries": "summary",
    "relationships": "relationship",
    "episode_pattern_relationships": "episode_pattern_relationship",
}
"""What do-memory loses in the primary when it rewrites an episode (docs/formats.md#cascades)."""


async def proven(context: Context, compared: Compared, look: Look, generation: int) -> Outcome:
    """The file of `look` holds the root that was compared: acknowledge it and say all about it.

    RowsRefused under `--strict`.
    """
    if compared.since is not None:
        return await _taken_in(context, compared, compared.since, look, generation)
    facts = proven_facts(compared.changes, compared.primary)
    proof = make_proof(context, compared, generation, look.identity)
    source, log = context.session.source, compared.projection.log
    asked = compared.waited is None and context.options.part is None
    # an index that stepped back meanwhile came from a server that lags behind another
    stands = asked and log.index is not None and source.log.steps_back == log.steps_back
    context.session.reading = Reading(proof.at, log, proof, facts) if stands else None
    _warn_dropped(context, compared)
    staged = compared.staged
    marks = compared.projection.marks if asked else None
    outcome = await told(context, look, proof, facts, asks=compared.waited is None, whole=staged.whole, marks=marks)
    await remember(context, compared.projection, staged.root, staged.imprint, compared.audited_at)
    return outcome


async def _taken_in(context: Context, compared: Compared, since: Since, look: Look, generation: int) -> Outcome:
    """The file of `look` holds what was followed: acknowledge that, and say what was proven before and when."""
    session = context.session
    session.reading = None
    if compared.overlay is not None:
        scope, patterns = compared.projection.scope, session.settings.sync_patterns
        session.proven_rows = await session.on_cache_thread(
            rows_taken_in, compared.overlay, look, scope, patterns=patterns
        )
    changes = compared.followed_rows
    before = since.followed.changes if since.followed is not None else 0
    at = time.time()
    # a run that found nothing leaves the time of the last change
    last = at if changes != before or since.followed is None else since.followed.at
    followed = Followed(changes, last, generation, compared.staged.root)
    refused = sum(one.refused for one in compared.changes.values())
    proof = replace(since.proof, identity=look.identity, refused=refused)
    context.draft.followed = followed
    context.draft.extra["proof_age_seconds"] = round(proof.age(at) or 0.0, 1)
    context.draft.extra["followed_age_seconds"] = round(at - last, 1)
    _warn_dropped(context, compared)
    facts = proven_facts(compared.changes, compared.primary)
    return await told(context, look, proof, facts, marks=compared.projection.marks, followed=followed)


async def told(
    context: Context,
    look: Look,
    proof: Proof,
    facts: Mapping[str, TableFacts],
    *,
    asks: bool = True,
    whole: bool = False,
    marks: Marks | None = None,
    followed: Followed | None = None,
) -> Outcome:
    """Acknowledge a proof and say all about it. RowsRefused under `--strict`.

    `asks`: whether the primary may be asked how many rows only the cache has. `whole`: all of it was looked at now.
    `marks`: where a follow run goes on. `followed`: the proof is an earlier one, and this was taken in since.
    """
    draft = context.draft
    draft.proof = proof
    draft.states = look.states
    unlisted, beyond = await _outside_if_told(context, look, asks=asks)
    draft.counts = count(look.scan, facts, unlisted, beyond, proof.audited_at)
    if look.scan is not None:
        draft.extra["payload_bytes"] = look.scan.payload_bytes
    await _acknowledge(context, proof, unlisted, beyond, marks, followed)
    draft.verdict = Word.IN_SYNC
    await keep_known(context, look)
    file = await context.session.on_cache_thread(marked_file_facts, context.session, look)
    draft.checks = all_checks(check_scope(context, None if whole else proof.audited_at), file, facts)
    if followed is not None:
        # counts of whole tables and the equality of each row are the proof's
        draft.counts = {
            name: replace(one, primary=None, as_of=proof.audited_at if one.primary is not None else one.as_of)
            for name, one in draft.counts.items()
        }
        draft.checks = tuple(_at_proof(check, proof.at) for check in draft.checks)
    for check in draft.checks:
        if check.status is CheckStatus.FAIL and check.name in WARN_ONLY:
            draft.warn(f"{check.name}: {check.detail}")
    if proof.refused:
        said = f"{rows(proof.refused)} of the primary {'was' if proof.refused == 1 else 'were'} rejected"
        draft.exit_code = 7
        draft.warn(said)
        draft.next_action = next_step((), proof.refused)
        if context.options.strict:
            raise RowsRefused(f"{said} (--strict)")
    return draft.outcome()


def _at_proof(check: Check, at: float) -> Check:
    """What only a proof can check, with its result and its time: this run did not make it."""
    if check.name not in OF_THE_PROOF or check.status is CheckStatus.SKIPPED:
        return check
    return Check(check.name, CheckStatus.PASS, None, None, f"at the last proof, {rfc3339(at)}", made_at=at)


async def keep_known(context: Context, look: Look) -> None:
    """Remember what was found of `look`, for the next copy of the same ledger."""
    session, draft = context.session, context.draft
    plan = {} if draft.verdict is Word.IN_SYNC else dict(draft.plan)
    session.known = await session.on_cache_thread(known_of, look, draft.verdict, draft.proof, plan)


def not_proven(context: Context, compared: Compared, look: Look) -> Outcome:
    """Somebody wrote between the commit and the proof: say so, claim nothing."""
    draft = context.draft
    draft.warn("the cache changed right after the commit, so it is not proven")
    draft.verdict = Word.DRIFT
    draft.exit_code = 1
    draft.states = look.states
    draft.next_action = "storage-sync sync"
    draft.counts = count(look.scan, proven_facts(compared.changes, compared.primary), _unlisted(look), None)
    return draft.outcome()


def check_scope(context: Context, audited_at: float | None = None) -> CheckScope:
    """`audited_at`: when the last audit was, for a comparison that was none."""
    settings = context.session.settings
    return CheckScope(
        settings.max_episodes_cache, settings.sync_patterns, settings.sync_embeddings, context.options.part, audited_at
    )


def make_proof(context: Context, compared: Compared, generation: int, identity: FileIdentity | None) -> Proof:
    return Proof(
        root=compared.staged.root,
        digest=compared.projection.digest,
        generation=generation,
        source_id=context.session.source.source_id,
        epoch=compared.projection.epoch,
        at=time.time() if compared.waited is None else compared.waited.at,
        config_hash=compared.projection.scope.config_hash,
        identity=identity,
        refused=sum(one.refused for one in compared.changes.values()),
        audited_at=compared.audited_at,
    )


async def tell_unwritten(context: Context, compared: Compared, look: Look, file: FileFacts | None = None) -> None:
    """Counts and checks of a cache that was compared and not written to. `file`: what is known of it already."""
    draft = context.draft
    facts = pending_facts(compared.changes, compared.primary)
    draft.counts = count(look.scan, facts, *await outside(context, look), compared.audited_at)
    if file is None:
        file = await context.session.on_cache_thread(marked_file_facts, context.session, look)
    draft.checks = all_checks(check_scope(context, compared.left_out_since), file, facts)


async def outside(context: Context, look: Look) -> tuple[dict[str, int], dict[str, int]]:
    """Rows of the file that our ledger does not list, and those of them that the primary has outside the window.

    The primary is asked only when the number is not the one of the last proof, so that a sync with nothing to do
    costs one request.
    """
    unlisted = _unlisted(look)
    if look.scan is None:
        return unlisted, {}
    witness = look.witness
    if witness is not None and dict(witness.unlisted) == unlisted and witness.generation == look.generation:
        return unlisted, dict(witness.beyond)
    in_scope = context.session.scope("blake3").tables
    beyond = {name: await known_to_primary(context, look.scan, name) for name in unlisted if name in in_scope}
    return unlisted, {name: rows for name, rows in beyond.items() if rows}


def count(
    scan: _native.Scan | None,
    facts: Mapping[str, TableFacts],
    unlisted: Mapping[str, int],
    beyond: Mapping[str, int] | None,
    audited_at: float | None = None,
) -> dict[str, TableCounts]:
    """Counts of every table that is in the file or expected in it. `beyond`: None when it could not be asked for.
    `audited_at`: when the primary's tables were last counted."""
    cached = {name: table.rows for name, table in scan.tables.items()} if scan is not None else dict.fromkeys(facts, 0)
    known = {name: unlisted.get(name, 0) for name in cached if beyond is not None or name not in unlisted}
    return table_counts(facts, cached, known, beyond or {}, audited_at)


async def _outside_if_told(context: Context, look: Look, *, asks: bool) -> tuple[dict[str, int], dict[str, int] | None]:
    """The same for a cache that is proven already: a primary that went away meanwhile, or is not to be asked, takes
    nothing from the proof."""
    if asks:
        try:
            return await outside(context, look)
        except (PrimaryUnavailable, PrimaryRefused, PrimarySchema) as error:
            context.draft.warn(f"how many rows only the cache has is not known: {error.message}")
    return _unlisted(look), None


def _unlisted(look: Look) -> dict[str, int]:
    """Rows of the file that our ledger does not list, by table."""
    tables = look.scan.tables if look.scan is not None else {}
    return {name: table.cache_only for name, table in tables.items() if table.cache_only}


async def _acknowledge(
    context: Context,
    proof: Proof,
    unlisted: Mapping[str, int],
    beyond: Mapping[str, int] | None,
    marks: Marks | None,
    followed: Followed | None,
) -> None:
    witness = Witness(
        path=real_path(context.session.cache_path),
        generation=followed.generation if followed is not None else proof.generation,
        root=followed.root if followed is not None else proof.root,
        source_id=proof.source_id,
        at=followed.at if followed is not None else proof.at,
        identity=proof.identity,
        proof=proof,
        # without the second figure the next run has to ask again
        unlisted=unlisted if beyond is not None else {},
        beyond=beyond or {},
        replication_index=context.session.source.replication_index,
        followed=followed,
        marks=marks,
    )
    await acknowledged(context, witness)


async def acknowledged(context: Context, witness: Witness) -> None:
    """Write the witness; a warning where the state folder cannot be used."""
    context.tracker.step(Phase.WITNESS)
    state = context.session.state
    if not state.usable:
        context.draft.warn(f"no witness was written: {state.problem}")
        return
    await context.session.on_cache_thread(write_witness, state.folder, witness)


def _warn_dropped(context: Context, compared: Compared) -> None:
    lost = {name: one.remove for name, one in compared.changes.items() if name in DROPPED_WITH_EPISODE and one.remove}
    if lost:
        many = sum(lost.values())
        text = ", ".join(plural(number, DROPPED_WITH_EPISODE[name], name) for name, number in lost.items())
        them, their = ("it", "its") if many == 1 else ("them", "their")
        context.draft.warn(
            f"{plural(many, 'row')} removed ({text}): the primary no longer has {them}; "
            f"do-memory deletes {them} when it rewrites {their} episode"
        )
