"""Commands that ask the core: ping, sync, verify, diff, orphans, doctor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from console.cli.invocation import Answer, Invocation, Limits
from storage_sync.service import operations
from storage_sync.service.operations import Operation
from storage_sync.values.errors import GuardStopped, UsageError
from storage_sync.values.options import Options
from storage_sync.values.outcome import Orphan, Outcome
from storage_sync.values.part import Part

if TYPE_CHECKING:
    from storage_sync.config.request import Request
    from storage_sync.values.filters import Row

LISTED = ("key", "owner", "reason", "dim", "norm", "bytes")
"""Fields that a listed orphan has, and a filter on the command line may name."""


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
    from console.cli.local import differing_here
    from storage_sync.config.do_memory import speaks_of_it

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
    from storage_sync.embeddings.wanted import FIELDS, reason_named
    from storage_sync.values.filters import fits, parse

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
    """The typed keys, or the keys that match the filter; the answer of the listing if that failed."""
    if bool(keys) == bool(filter_text or reason):
        raise UsageError("give keys, or --filter, or --reason", hint="storage-sync orphans list shows the keys")
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
        raise UsageError(f"no orphan has the key {key!r}", hint="storage-sync orphans list shows the keys")
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
