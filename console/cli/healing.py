"""`repair` and `rebuild`: the plan, the question, the work (docs/cli.md#consent)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from console.cli.consent import plan_text, with_consent
from console.cli.invocation import Answer, Invocation, Limits
from storage_sync.values.errors import GuardStopped, UsageError
from storage_sync.values.outcome import Outcome

if TYPE_CHECKING:
    from storage_sync.config.request import Request


def repair(invocation: Invocation, flags: Sequence[str], *, plan_only: bool, yes: bool, limits: Limits) -> Answer:
    return _run(invocation, "repair", flags, plan_only, yes, limits)


def rebuild(invocation: Invocation, flags: Sequence[str], *, plan_only: bool, yes: bool, limits: Limits) -> Answer:
    if "swap" in flags and ("staged" in flags or "discard" in flags):
        raise UsageError("--swap finishes what --staged prepared", hint="give one of --staged, --discard and --swap")
    return _run(invocation, "rebuild", flags, plan_only, yes, limits)


def _run(invocation: Invocation, name: str, flags: Sequence[str], plan_only: bool, yes: bool, limits: Limits) -> Answer:
    def request(*more: str) -> Request:
        return invocation.request(*flags, *more, limits=limits)

    def run(asked: Request) -> Outcome:
        # The primary may move between question and work: the work brings what it is then.
        return _asked(invocation, name, replace(asked, expected_plan=None))

    if yes and not plan_only:
        now = request()
        if now.settings.access == "read-only":
            raise GuardStopped("--read-only: this would write the cache", hint="--plan works with it")
        return _told(invocation, run(now))
    outcome = with_consent(invocation, request, run, plan_only=plan_only, yes=False)
    if plan_only and outcome.error is None and outcome.proposal is not None and not invocation.machine:
        return Answer(outcome, plan_text(invocation, outcome.proposal))
    return _told(invocation, outcome)


def _told(invocation: Invocation, outcome: Outcome) -> Answer:
    from console.cli.remembered import with_metrics

    answer = Answer(replace(outcome, warnings=(*invocation.oddities(), *outcome.warnings)))
    return with_metrics(invocation, answer)


def _asked(invocation: Invocation, name: str, request: Request) -> Outcome:
    from console.cli.running import run_core

    async def work(progress: Any, cancel: Any) -> Outcome:
        from storage_sync.service import operations

        operation = operations.repair if name == "repair" else operations.rebuild
        return await operation(request, progress, cancel)

    return run_core(invocation, work)
