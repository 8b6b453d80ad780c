"""Commands of an operator beside the sync: undo, quarantine, orphans, detach, compact, peek."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from console.cli.consent import plan_text, with_consent, work_of
from console.cli.invocation import USUAL, Answer, Invocation, Limits
from console.cli.running import run_operation
from storage_sync.service.operations import (
    Compact,
    Detach,
    Expect,
    Operation,
    Peek,
    Purge,
    QuarantineOrphans,
    Restore,
    Retry,
    Undo,
)
from storage_sync.values.errors import GuardStopped, UsageError
from storage_sync.values.extra import Peek as PeekFields
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome


def _changed(
    invocation: Invocation,
    operation: Operation,
    *,
    plan_only: bool,
    yes: bool,
    done: Callable[[Outcome], str],
    limits: Limits = USUAL,
) -> Answer:
    """Run it with consent. The text is the plan if only that was asked for, otherwise one sentence."""
    outcome = with_consent(
        invocation,
        Options(),
        lambda options: run_operation(invocation, operation, invocation.request(options, limits=limits, primary=False)),
        plan_only=plan_only,
        yes=yes,
        writes_cache=operation.writes,
    )
    plan = outcome.proposal
    if outcome.error is not None or plan is None:
        return Answer(outcome)
    if not work_of(plan):
        return Answer(outcome, "\n".join(["Nothing to do.", *plan.lost]))
    return Answer(outcome, plan_text(invocation, plan) if plan_only else done(outcome))


def _rows(outcome: Outcome) -> str:
    """What a change did, and how it is undone."""
    from storage_sync.reports import sentences

    told = sentences.line(outcome)
    back = f"; storage-sync undo {outcome.run_id} undoes it" if outcome.undoable else ""
    return f"{told[:1].upper()}{told[1:]}{back}."


def undo(invocation: Invocation, run_id: str | None, *, plan_only: bool, yes: bool, limits: Limits) -> Answer:
    return _changed(invocation, Undo(run_id), plan_only=plan_only, yes=yes, done=_rows, limits=limits)


def restore(invocation: Invocation, ids: Sequence[str], *, plan_only: bool, yes: bool) -> Answer:
    restored = Restore(tuple(_number(text) for text in ids))
    return _changed(invocation, restored, plan_only=plan_only, yes=yes, done=_rows)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(
            f"{text!r} is not the id of a quarantined row",
            hint="ids are numbers; storage-sync quarantine list shows them",
        )
    return int(text)


def purge(invocation: Invocation, *, plan_only: bool, yes: bool) -> Answer:
    def told(outcome: Outcome) -> str:
        from storage_sync.reports.sentences import plural

        return f"{plural(outcome.extra['purge']['removed'], 'old row')} deleted."

    return _changed(invocation, Purge(), plan_only=plan_only, yes=yes, done=told)


def retry(invocation: Invocation, ids: Sequence[str], *, limits: Limits) -> Answer:
    request = invocation.request(limits=limits)
    if request.settings.access == "read-only":
        raise GuardStopped("--read-only: a retry writes the cache", hint="storage-sync quarantine list works with it")

    outcome = run_operation(invocation, Retry(tuple(ids)), request)
    told = outcome.extra.get("retried")
    if outcome.error is not None or told is None:
        return Answer(outcome)
    lines = [*(f"accepted: {one}" for one in told["accepted"]), *(f"rejected: {one}" for one in told["refused"])]
    return Answer(outcome, "\n".join(lines))


def set_orphans_aside(invocation: Invocation, keys: Sequence[str], *, plan_only: bool, yes: bool) -> Answer:
    return _changed(invocation, QuarantineOrphans(tuple(keys)), plan_only=plan_only, yes=yes, done=_rows)


def expect_orphans(invocation: Invocation, keys: Sequence[str], note: str) -> Answer:
    outcome = run_operation(invocation, Expect(tuple(keys), note), invocation.request(primary=False))
    if outcome.error is not None:
        return Answer(outcome)
    many = len(set(keys))
    return Answer(outcome, f"{many} embedding{'' if many == 1 else 's'} marked as expected.")


def detach(invocation: Invocation, *, plan_only: bool, yes: bool, limits: Limits) -> Answer:
    return _changed(
        invocation,
        Detach(),
        plan_only=plan_only,
        yes=yes,
        limits=limits,
        done=lambda _: "Nothing of this tool is left in the cache; do-memory's rows are as they were.",
    )


def compact(invocation: Invocation, *, plan_only: bool, limits: Limits) -> Answer:
    request = invocation.request(Options(plan_only=plan_only), limits=limits, primary=False)
    if request.settings.access == "read-only" and not plan_only:
        raise GuardStopped("--read-only: compact would write the cache", hint="compact --plan works")

    outcome = run_operation(invocation, Compact(), request)
    told = outcome.extra.get("compact")
    if outcome.error is not None or told is None:
        return Answer(outcome)
    from storage_sync.reports.document import size

    if told["bytes_after"] is None:
        text = (
            f"The file has {size(told['bytes_before'])} now; how much space redb can free is known only after compact"
        )
    else:
        held = f"the lock was held for {(told['lock_seconds'] or 0.0) * 1000:.0f} ms"
        text = f"{size(told['bytes_before'])} before, {size(told['bytes_after'])} after; {held}"
    return Answer(outcome, f"{text}.")


def peek(invocation: Invocation) -> Answer:
    outcome = run_operation(invocation, Peek(), invocation.request(primary=False))
    told = outcome.extra.get("peek")
    if outcome.error is not None or told is None:
        return Answer(outcome)
    return Answer(outcome, peek_text(invocation, outcome, told))


def peek_text(invocation: Invocation, outcome: Outcome, told: PeekFields) -> str:
    """The report of the copy, and what was copied."""
    import sys
    import time

    from console.cli.output import width_of
    from storage_sync.reports.document import report, size

    holders = ", ".join(told["held_by"]) or "nobody"
    lines = [
        f"a private copy of {told['copied_at']}: {size(told['copy_bytes'])} in {told['copy_seconds'] * 1000:.0f} ms, "
        f"attempt {told['attempts']}; the cache is held by {holders}",
        f"generation {told['generation']}, proved {told['proved_at'] or 'never'}"
        + (f", followed at {told['followed_at']}" if told["followed_at"] else "")
        if told["generation"] is not None
        else "this tool has not synced it yet: there is no generation and no proof",
    ]
    return "\n\n".join(
        part
        for part in (report(outcome, width_of(sys.stdout), invocation.colour(), now=time.time()), "\n".join(lines))
        if part
    )
