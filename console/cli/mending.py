"""Commands of an operator beside the sync: undo, quarantine, orphans, detach, compact, peek."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from console.cli.consent import plan_text, with_consent, work_of
from console.cli.invocation import USUAL, Answer, Invocation, Limits
from storage_sync.values.errors import GuardStopped, UsageError
from storage_sync.values.outcome import Outcome

if TYPE_CHECKING:
    from storage_sync.config.request import Request


def _run(invocation: Invocation, request: Request, kind: str, **arguments: object) -> Outcome:
    """One operation of the core in a loop of its own; `kind`: one of `storage_sync.service.jobs.KINDS`."""
    from console.cli.running import run_core
    from storage_sync.service.jobs import KINDS

    work = KINDS[kind].work(arguments)

    async def operation(progress: Any, cancel: Any) -> Outcome:
        from storage_sync.service import operations

        return await operations.mend(invocation.command, request, work, progress, cancel)

    return run_core(invocation, operation)


def _changed(
    invocation: Invocation,
    kind: str,
    *,
    plan_only: bool,
    yes: bool,
    done: Callable[[Outcome], str],
    limits: Limits = USUAL,
    writes_cache: bool = True,
    **arguments: object,
) -> Answer:
    """With consent; for people the plan where only that was asked for, else one sentence."""
    outcome = with_consent(
        invocation,
        lambda *flags: invocation.request(*flags, limits=limits, primary=False),
        lambda request: _run(invocation, request, kind, **arguments),
        plan_only=plan_only,
        yes=yes,
        writes_cache=writes_cache,
    )
    plan = outcome.proposal
    if outcome.error is not None or plan is None:
        return Answer(outcome)
    if not work_of(plan):
        return Answer(outcome, "\n".join(["Nothing to do.", *plan.lost]))
    return Answer(outcome, plan_text(invocation, plan) if plan_only else done(outcome))


def _rows(outcome: Outcome) -> str:
    """How many rows a change touched, and how it is taken back."""
    from storage_sync.reports import sentences

    told = sentences.line(outcome)
    return f"{told[:1].upper()}{told[1:]}; storage-sync undo {outcome.run_id} takes it back."


def undo(invocation: Invocation, run_id: str | None, *, plan_only: bool, yes: bool, limits: Limits) -> Answer:
    def told(outcome: Outcome) -> str:
        kept = outcome.extra.get("file_restored")
        return f"{kept} is the cache again." if kept else _rows(outcome)

    return _changed(invocation, "undo", plan_only=plan_only, yes=yes, done=told, limits=limits, run_id=run_id)


def restore(invocation: Invocation, ids: Sequence[str], *, plan_only: bool, yes: bool) -> Answer:
    numbers = [_number(text) for text in ids]

    return _changed(invocation, "restore", plan_only=plan_only, yes=yes, done=_rows, ids=numbers)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"{text!r} is no quarantined row", hint="their ids are numbers: storage-sync quarantine list")
    return int(text)


def purge(invocation: Invocation, *, plan_only: bool, yes: bool) -> Answer:
    def told(outcome: Outcome) -> str:
        from storage_sync.reports.sentences import plural

        found = outcome.extra.get("purge")
        return f"{plural(found['removed'] if isinstance(found, dict) else 0, 'old row')} forgotten."

    return _changed(invocation, "purge", plan_only=plan_only, yes=yes, done=told, writes_cache=False)


def retry(invocation: Invocation, ids: Sequence[str], *, limits: Limits) -> Answer:
    request = invocation.request(limits=limits)
    if request.settings.access == "read-only":
        raise GuardStopped("--read-only: a retry writes the cache", hint="storage-sync quarantine list works with it")

    outcome = _run(invocation, request, "retry", ids=ids)
    told = outcome.extra.get("retried")
    if outcome.error is not None or not isinstance(told, dict):
        return Answer(outcome)
    lines = [f"{word}: {one}" for word in ("accepted", "refused") for one in told[word]]
    return Answer(outcome, "\n".join(lines))


def set_orphans_aside(invocation: Invocation, keys: Sequence[str], *, plan_only: bool, yes: bool) -> Answer:
    return _changed(invocation, "set_aside", plan_only=plan_only, yes=yes, done=_rows, keys=keys)


def expect_orphans(invocation: Invocation, keys: Sequence[str], note: str) -> Answer:
    outcome = _run(invocation, invocation.request(primary=False), "expect", keys=keys, note=note)
    if outcome.error is not None:
        return Answer(outcome)
    many = len(set(keys))
    return Answer(outcome, f"{many} embedding{'' if many == 1 else 's'} expected from now on.")


def detach(invocation: Invocation, *, plan_only: bool, yes: bool, limits: Limits) -> Answer:
    return _changed(
        invocation,
        "detach",
        plan_only=plan_only,
        yes=yes,
        limits=limits,
        done=lambda _: "Nothing of this tool is left in the cache; do-memory's rows are as they were.",
    )


def compact(invocation: Invocation, *, plan_only: bool, limits: Limits) -> Answer:
    request = invocation.request(*(["plan"] if plan_only else []), limits=limits, primary=False)
    if request.settings.access == "read-only" and not plan_only:
        raise GuardStopped("--read-only: compact would write the cache", hint="compact --plan works")

    outcome = _run(invocation, request, "compact")
    told = outcome.extra.get("compact")
    if outcome.error is not None or not isinstance(told, dict):
        return Answer(outcome)
    from storage_sync.reports.document import size

    if told["bytes_after"] is None:
        text = f"The file has {size(told['bytes_before'])} now; how much of it redb gives back is known after compact"
    else:
        held = f"the lock was held for {told['lock_seconds'] * 1000:.0f} ms"
        text = f"{size(told['bytes_before'])} before, {size(told['bytes_after'])} after; {held}"
    return Answer(outcome, f"{text}.")


def peek(invocation: Invocation) -> Answer:
    outcome = _run(invocation, invocation.request("plan", primary=False), "peek")
    told = outcome.extra.get("peek")
    if outcome.error is not None or not isinstance(told, dict):
        return Answer(outcome)
    return Answer(outcome, peek_text(invocation, outcome, told))


def peek_text(invocation: Invocation, outcome: Outcome, told: dict[str, Any]) -> str:
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
