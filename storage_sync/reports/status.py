"""Plain `status`: what is known without asking the primary. Light to import, for scripts that call it often."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from storage_sync.cache import servers
from storage_sync.cache.states import judge_file
from storage_sync.cache.waiting_rows import read_waiting, waiting_json
from storage_sync.config.places import default_state_dir, state_directory
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.reports.document import holder_json, rfc3339
from storage_sync.reports.sentences import CAUSED, FROM_THE_FUTURE, a, cause_of, next_step
from storage_sync.state.directory import open_state_dir
from storage_sync.state.witness import proof_still_speaks, read_witness
from storage_sync.values.errors import ConfigError, StorageSyncError, exit_code_of
from storage_sync.values.extra import RowsRead, Waiting
from storage_sync.values.next_step import in_commands
from storage_sync.values.outcome import CacheState, Outcome, Proof, Word, error_value
from storage_sync.values.witness import Witness

if TYPE_CHECKING:
    from storage_sync.state.history import History

_AGAINST = frozenset({Word.STALE, Word.DRIFT, Word.DAMAGED, Word.REFUSED})


def status_quick(request: Request) -> Outcome:
    """The file's states and the last proof, which is only repeated as IN_SYNC while it is at most `staleness_s` old and
    the file is the one that it was made of, or one whose rows are (docs/cli.md#verdicts)."""
    settings = request.settings
    try:
        if settings.cache is None:
            raise ConfigError("no cache is set", hint="give --cache PATH, or storage-sync config init")
        cache = os.fspath(settings.cache)
        state = open_state_dir(state_directory(settings) or default_state_dir(settings.cache), cache, create=False)
        witness, why = read_witness(state.folder, cache)
        judgement = judge_file(cache, witnessed=witness is not None)
    except StorageSyncError as failure:
        return Outcome(
            "status", Word.UNKNOWN, exit_code_of(failure), error=error_value(failure), next_action=failure.hint
        )
    states = frozenset(judgement.states)
    now = time.time()
    last = witness.proof if witness is not None else None
    future = last is not None and last.age(now) is None
    if future:
        last = None
    proof, again = proof_still_speaks(witness, judgement.identity) if last is not None else None, None
    if proof is None and witness is not None and last is not None and judgement.openable:
        from storage_sync.reports.reread import reread

        again = reread(judgement, state, witness, last)
        proof = last if not again.why else None
    since, cause, read, held = _remembered(state.history, proof, settings, now)
    against = since if proof is not None or again is None else again.why
    damaged = again is not None and again.damaged
    verdict = _verdict(states, proof if not against else None, settings.staleness_s, now, damaged=damaged)
    warnings = tuple(
        finding.evidence
        for finding in judgement.findings
        if finding.state.damaged or finding.state.other_version or finding.state.locked
    )
    warnings += tuple(servers.warning(one) for one in servers.in_memory_only(cache, judgement.holders))
    next_action = next((in_commands(finding.next_step) for finding in judgement.findings if finding.next_step), None)
    if verdict is Word.UNKNOWN and next_action is None:
        next_action = "storage-sync status --check"
    if last is not None:
        next_action = next_action or next_step((), last.refused or 0)
    followed = witness.followed if witness is not None and last is not None else None
    return Outcome(
        "status",
        verdict,
        0,
        states=judgement.states,
        followed=followed,
        proof=last,
        look=again.look if again is not None else None,
        warnings=(*warnings, *(text for text in (why, against, FROM_THE_FUTURE if future else "", held) if text)),
        next_action=next_action,
        extra={
            "cache": {
                "path": judgement.path,
                "size": judgement.size,
                "free_bytes": judgement.free_bytes,
                "lock": [holder_json(holder) for holder in judgement.holders],
                "findings": [
                    {
                        "state": str(finding.state),
                        "evidence": finding.evidence,
                        "next_step": in_commands(finding.next_step),
                    }
                    for finding in judgement.findings
                ],
            },
            "proof_age_seconds": _rounded(last, now),
            **({"followed_age_seconds": round(max(now - followed.at, 0.0), 1)} if followed is not None else {}),
            "proof_holds": proof is not None and not against,
            **({"cause": cause} if cause and against and verdict in CAUSED else {}),
            "rows_read": read,
            "waiting": _waiting(cache, witness),
        },
    )


def _rounded(proof: Proof | None, now: float) -> float | None:
    age = proof.age(now) if proof is not None else None
    return round(age, 1) if age is not None else None


def _waiting(cache: str, witness: Witness | None) -> Waiting | None:
    """What waits for the cache to be free, as far as it can be told without opening the cache; None: nothing does."""
    kept = read_waiting(cache).kept
    if kept is None or (witness is not None and witness.generation != kept.note.generation):
        return None
    return waiting_json(kept.note) if kept.note.rows else None


def _remembered(
    history: Path, proof: Proof | None, settings: Settings, now: float
) -> tuple[str, str, RowsRead | None, str]:
    """`_said_since`, `cause_of` and `_rows_read` of this history; of one that is not there, nothing."""
    if not history.exists():
        return "", "", None, ""
    from storage_sync.state.history import History

    with History.open(history, lambda _: None, read_only=True) as book:
        said = _said_since(book, proof) if proof is not None else ""
        # of a file that is the proven one there is none
        return (said, cause_of(book.runs()) if proof is None else "", *_rows_read(book, settings, now))


def _said_since(book: History, proof: Proof) -> str:
    """What a later run found against this proof; empty when none did, or when none is remembered."""
    for run in book.runs(proof.at):
        verdict = (book.document(run.id) or {}).get("verdict")
        if verdict in _AGAINST:
            return f"{a(run.kind)} after the last proof ended with {verdict}: {run.result}"
        if verdict == Word.IN_SYNC:
            break
    return ""


def _rows_read(book: History, settings: Settings, now: float) -> tuple[RowsRead | None, str]:
    """What the primary read for this cache, by its own word, None where it said nothing; and how `rows_read_per_day`
    holds back what starts by itself, '' where it does not."""
    from storage_sync.reports.budget import of_history, told
    from storage_sync.values.snapshot import Hold

    read, budget = book.rows_read(now), of_history(book, settings, now)
    held = told(budget, settings) if budget is not None and budget.hold is not Hold.NOT else ""
    if read is None:
        return None, held
    document: RowsRead = {
        "today": read.today,
        "since": rfc3339(read.since),
        "a_month": read.a_month(now),
        "pace_of_seconds": round(read.lasted_s(now)),
        "complete": not read.unmetered,
    }
    if budget is not None:
        document |= {"per_day": budget.a_day, "hold": budget.hold.value, "until": rfc3339(budget.until)}
    return document, held


def _verdict(
    states: frozenset[CacheState], proof: Proof | None, staleness_s: float, now: float, *, damaged: bool
) -> Word:
    if any(state.absent for state in states):
        return Word.EMPTY
    if damaged or any(state.damaged or state.other_version for state in states):
        return Word.DAMAGED
    if CacheState.FOREIGN in states:
        return Word.REFUSED
    age = proof.age(now) if proof is not None else None
    if age is not None and age <= staleness_s:
        return Word.IN_SYNC
    return Word.UNKNOWN
