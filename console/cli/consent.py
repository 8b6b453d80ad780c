"""Plan, question, work: how a command that changes what an operator may miss is run (docs/cli.md#consent)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from msgspec.structs import replace

from console.cli import output
from console.cli.invocation import Invocation
from storage_sync.values.errors import GuardStopped, UsageError
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Plan

PRIMARY_ROW = "primary"
"""The last row of every plan; it is not a step."""


def with_consent(
    invocation: Invocation,
    options: Options,
    run: Callable[[Options], Outcome],
    *,
    plan_only: bool,
    yes: bool,
    writes_cache: bool = True,
) -> Outcome:
    """Plan first, ask on a terminal unless `yes`, then do what was planned and nothing else.

    GuardStopped with `--read-only`, UsageError without a terminal and `yes`, or after a no.
    """
    if writes_cache and not plan_only and invocation.loaded().settings.access == "read-only":
        raise GuardStopped("--read-only: this would write the cache", hint="--plan works with it")
    planned = run(replace(options, plan_only=True))
    plan = planned.proposal
    if planned.error is not None or plan is None or plan_only or not work_of(plan):
        return planned
    if not yes:
        output.say(invocation, plan_text(invocation, plan))
        _ask()
    return run(replace(options, expected_plan=plan))


def work_of(plan: Plan) -> bool:
    """Whether the plan has anything to do."""
    return any(row.step != PRIMARY_ROW for row in plan.rows)


def plan_text(invocation: Invocation, plan: Plan) -> str:
    """The plan as a person reads it before the question."""
    from storage_sync.reports.document import number, size, table
    from storage_sync.reports.sentences import plan_reads, plan_takes
    from storage_sync.values.visible import spoken

    rows = [
        (row.text, number(row.rows) if row.rows else "", size(row.bytes) if row.bytes else "", row.undo)
        for row in plan.rows
    ]
    lines = table(
        ("plan", "rows", "bytes", "undo"),
        rows,
        width=output.width_of(sys.stderr),
        colour=invocation.colour(sys.stderr),
    )
    facts = {"reads": plan_reads(plan), "takes": plan_takes(plan) if work_of(plan) else ""}
    said = [f"{label}: {text}" for label, text in facts.items() if text]
    return "\n".join([*lines, *said, *(f"note: {spoken(text)}" for text in plan.lost)])


def _ask() -> None:
    """UsageError unless somebody at a terminal says yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("this needs consent; nothing was done", hint="look at --plan, then give --yes")
    sys.stderr.write("Do it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("you did not agree; nothing was done", hint="--plan shows the plan again")
