"""Commands that ask the core: status, ping, sync, verify, diff, orphans, doctor."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from console.cli.invocation import Answer, Invocation, Limits
from console.cli.local import differing_here
from storage_sync.config.do_memory import speaks_of_it
from storage_sync.service import operations
from storage_sync.service.operations import Operation
from storage_sync.values.errors import GuardStopped, UsageError
from storage_sync.values.filters import Row, fits, parse
from storage_sync.values.options import Options
from storage_sync.values.outcome import Orphan, Outcome, Word
from storage_sync.values.part import Part

if TYPE_CHECKING:
    from storage_sync.config.request import Request

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
LISTED = ("key", "owner", "reason", "dim", "norm", "bytes")
"""Fields that a listed orphan has, and a filter on the command line may name."""


# -------------------------------------------------------------------------------------------- status


def status(invocation: Invocation, *, check: bool, max_age: float | None, nagios: bool) -> Answer:
    """Exit 0 unless it fails itself; with one of the three options by what it found (docs/cli.md)."""
    if check:
        from console.cli.running import run_operation

        outcome = run_operation(invocation, operations.Status(), invocation.request())
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


# ------------------------------------------------------------------------------------ asks the primary


def ping(invocation: Invocation) -> Answer:
    return _asked(invocation, operations.Ping(), invocation.request(cache=False))


def sync(invocation: Invocation, operation: operations.Sync, options: Options, limits: Limits) -> Answer:
    request = invocation.request(replace(options, estimates=True), limits=limits)
    if request.settings.access == "read-only" and not options.plan_only:
        raise GuardStopped("--read-only: sync would write the cache", hint="storage-sync sync --plan works")
    return _asked(invocation, operation, request)


def verify(invocation: Invocation, operation: operations.Verify, subset: str | None, limits: Limits) -> Answer:
    options = Options(part=Part.read(subset) if subset is not None else None)
    return _asked(invocation, operation, invocation.request(options, limits=limits))


def diff(invocation: Invocation, operation: operations.Diff, limits: Limits) -> Answer:
    return _asked(invocation, operation, invocation.request(limits=limits))


def doctor(invocation: Invocation) -> Answer:
    # what is not named is a finding of its own; a primary that is named is asked as a sync asks it, with the token
    named = invocation.loaded().settings.primary is not None
    request = invocation.request(primary=named, cache=False)
    answer = _asked(invocation, operations.Doctor(), request)
    answer = _with_warnings(answer, map(str, differing_here(invocation)))
    if not speaks_of_it(invocation.env):
        return answer
    from storage_sync.primary.server_choice import other_stores

    return _with_warnings(answer, other_stores(request.settings, invocation.env))


def _with_warnings(answer: Answer, told: Iterable[str]) -> Answer:
    return replace(answer, outcome=replace(answer.outcome, warnings=(*answer.outcome.warnings, *told)))


def _asked(invocation: Invocation, operation: Operation, request: Request) -> Answer:
    """Run it; the metrics file is written after what judges the cache."""
    from console.cli.running import run_operation

    outcome = run_operation(invocation, operation, request)
    answer = Answer(replace(outcome, warnings=(*invocation.oddities(), *outcome.warnings)))
    if not operation.judges:
        return answer
    from console.cli.remembered import with_metrics

    return with_metrics(invocation, answer)


# ------------------------------------------------------------------------------------------- orphans


def orphans(invocation: Invocation, *, filter_text: str, reason: str | None, form: str) -> Answer:
    from storage_sync.embeddings.words import FIELDS, reason_named

    terms = parse(filter_text, {name: field for name, field in FIELDS.items() if name in LISTED})
    named = reason_named(reason) if reason is not None else None
    outcome = _orphans(invocation)
    keep = tuple(
        orphan
        for orphan in outcome.orphans
        if (named is None or orphan.reason == named) and fits(row_of(orphan), terms)
    )
    outcome = replace(outcome, orphans=keep, extra={**outcome.extra, "orphans_found": len(outcome.orphans)})
    if form == "table" or invocation.machine:
        return Answer(outcome)
    return Answer(outcome, _as_jsonl(keep) if form == "jsonl" else _as_csv(keep), raw=True)


def chosen_orphans(
    invocation: Invocation, keys: Sequence[str], *, filter_text: str, reason: str | None
) -> Sequence[str] | Answer:
    """The keys typed, or those that fit; the answer of the listing when that failed."""
    if bool(keys) == bool(filter_text or reason):
        raise UsageError("name keys, or give --filter or --reason", hint="storage-sync orphans list names them")
    if keys:
        return keys
    listed = orphans(invocation, filter_text=filter_text, reason=reason, form="table")
    if listed.outcome.error is not None or not listed.outcome.orphans:
        return listed
    return [orphan.key for orphan in listed.outcome.orphans]


def orphan(invocation: Invocation, key: str) -> Answer:
    outcome = _orphans(invocation)
    found = tuple(orphan for orphan in outcome.orphans if orphan.key == key)
    if not found and outcome.error is None:
        raise UsageError(f"no orphan has the key {key!r}", hint="storage-sync orphans list names them")
    return Answer(replace(outcome, orphans=found))


def _orphans(invocation: Invocation) -> Outcome:
    return _asked(invocation, operations.Orphans(), invocation.request()).outcome


def row_of(orphan: Orphan) -> Row:
    """What a filter looks at."""
    return {
        "key": orphan.key,
        "owner": f"{orphan.owner_kind} {orphan.owner_id}",
        "reason": orphan.reason,
        "dim": orphan.dimension,
        "norm": orphan.norm,
        "bytes": orphan.bytes,
    }


def _as_jsonl(orphans: Iterable[Orphan]) -> str:
    from console.cli.output import json_text
    from storage_sync.reports.document import orphan_json

    return "\n".join(json_text({"v": 1, **orphan_json(orphan)}, indent=False) for orphan in orphans)


def _as_csv(orphans: Iterable[Orphan]) -> str:
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("key", "reason", "owner_kind", "owner_id", "in_primary", "dimension", "norm", "bytes"))
    for orphan in orphans:
        known = ("" if value is None else value for value in (orphan.in_primary, orphan.dimension, orphan.norm))
        writer.writerow((orphan.key, orphan.reason, orphan.owner_kind, orphan.owner_id, *known, orphan.bytes))
    return out.getvalue()
