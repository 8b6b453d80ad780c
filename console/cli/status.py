"""`status`: what it exits with, and its line for a monitoring system. Light to import: scripts call it often."""

from __future__ import annotations

import time

from msgspec.structs import replace

from console.cli.invocation import Answer, Invocation
from storage_sync.values.outcome import Outcome, Word

_NAGIOS = {
    Word.IN_SYNC: 0,
    Word.STALE: 1,
    Word.EMPTY: 1,
    Word.DRIFT: 2,
    Word.DAMAGED: 2,
    Word.REFUSED: 2,
    Word.UNKNOWN: 3,
}
_NAGIOS_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_VERDICT_EXITS = {Word.IN_SYNC: 0, Word.DAMAGED: 5, Word.REFUSED: 9}
STALE_EXIT = 10
LOOK_AGAIN_S = 0.5


def status(invocation: Invocation, *, check: bool, max_age: float | None, nagios: bool) -> Answer:
    """Exit 0 unless `status` itself fails; with one of the three options, by what was found (docs/cli.md)."""
    if check:
        from console.cli.running import run_operation
        from storage_sync.service.operations import Status

        outcome = run_operation(invocation, Status(), invocation.request())
    else:
        from storage_sync.reports.status import status_quick

        outcome = status_quick(invocation.request(primary=False))
    outcome = judged(outcome, check=check, max_age=max_age, now=time.time())
    if not nagios:
        return Answer(outcome)
    code = nagios_code(outcome)
    return Answer(replace(outcome, exit_code=code), nagios_line(outcome, code, time.time()), raw=True)


def wait_in_sync(invocation: Invocation, seconds: float, *, check: bool) -> Answer:
    """The first status that is IN_SYNC, with exit 0; after so many seconds the last one, with the code of what it
    says."""
    ends = time.monotonic() + seconds
    pause = invocation.loaded().settings.poll_s if check else LOOK_AGAIN_S
    while True:
        outcome = status(invocation, check=check, max_age=None, nagios=False).outcome
        if outcome.verdict is Word.IN_SYNC and outcome.error is None:
            return Answer(replace(outcome, exit_code=0))
        left = ends - time.monotonic()
        if left <= 0:
            return Answer(judged(outcome, check=True, max_age=None, now=time.time()))
        time.sleep(min(pause, left))


def judged(outcome: Outcome, *, check: bool, max_age: float | None, now: float) -> Outcome:
    """The outcome with the exit code that the options ask for; an error keeps its own."""
    if outcome.error is not None or (not check and max_age is None):
        return outcome
    code = outcome.exit_code or (_VERDICT_EXITS.get(outcome.verdict, 1) if check else 0)
    if max_age is not None and code in (0, 1):
        age = outcome.proof.age(now) if outcome.proof is not None else None
        if age is None or age > max_age:
            code = STALE_EXIT
        elif not check and (outcome.verdict in (Word.DRIFT, Word.DAMAGED) or outcome.extra.get("proof_holds") is False):
            # A young proof says nothing of a file that changed since.
            code = _VERDICT_EXITS.get(outcome.verdict, 1)
    hint = "storage-sync sync" if code in (1, STALE_EXIT) else None
    return replace(outcome, exit_code=code, next_action=outcome.next_action or hint)


def nagios_code(outcome: Outcome) -> int:
    """0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; rejected rows and failed checks are at least a WARNING."""
    from storage_sync.reports.sentences import failed_checks, rejected_rows, verdict

    code = _NAGIOS[verdict(outcome)]
    if rejected_rows(outcome) or failed_checks(outcome):
        code = max(code, 1)
    return max(code, 1) if outcome.exit_code == STALE_EXIT and code < 3 else code


def nagios_line(outcome: Outcome, code: int, now: float) -> str:
    """One line with performance data: the proof's age, rows in the cache and rejected rows."""
    from storage_sync.reports.sentences import sentence, tally
    from storage_sync.values.visible import spoken

    told = spoken(outcome.error.message if outcome.error is not None else sentence(outcome)).replace("|", "/")
    data = []
    if outcome.proof is not None and (age := outcome.proof.age(now)) is not None:
        data.append(f"proof_age={age:.0f}s")
    if outcome.counts:
        data.append(f"rows={sum(counts.cache or 0 for counts in outcome.counts.values())}")
    if (rejected := tally(outcome).rejected) is not None:
        data.append(f"refused={rejected}")
    tail = f" | {' '.join(data)}" if data else ""
    return f"STORAGE_SYNC {_NAGIOS_WORDS[code]} - {outcome.verdict.value}: {told}{tail}"
