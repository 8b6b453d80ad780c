"""`repair` and `rebuild`: the plan, the question, the work (docs/cli.md#consent)."""

from __future__ import annotations

from msgspec.structs import replace

from console.cli.consent import plan_text, with_consent
from console.cli.invocation import Answer, Invocation, Limits
from console.cli.running import run_operation
from storage_sync.service.operations import Rebuild, Repair
from storage_sync.values.errors import GuardStopped, UsageError
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome


def repair(invocation: Invocation, operation: Repair, *, plan_only: bool, yes: bool, limits: Limits) -> Answer:
    return _run(invocation, operation, Options(), plan_only, yes, limits)


def rebuild(
    invocation: Invocation, operation: Rebuild, *, staged: bool, plan_only: bool, yes: bool, limits: Limits
) -> Answer:
    if operation.swap and (staged or operation.discard):
        raise UsageError("--swap finishes what --staged prepared", hint="give one of --staged, --discard and --swap")
    return _run(invocation, operation, Options(stage_only=staged), plan_only, yes, limits)


def _run(
    invocation: Invocation, operation: Repair | Rebuild, options: Options, plan_only: bool, yes: bool, limits: Limits
) -> Answer:
    def run(asked: Options) -> Outcome:
        # The primary may change between question and work: the work brings what it is then.
        asked = replace(asked, expected_plan=None)
        return run_operation(invocation, operation, invocation.request(asked, limits=limits))

    if yes and not plan_only:
        if invocation.loaded().settings.access == "read-only":
            raise GuardStopped("--read-only: this would write the cache", hint="--plan works with it")
        return _told(invocation, run(options))
    outcome = with_consent(invocation, options, run, plan_only=plan_only, yes=False)
    if plan_only and outcome.error is None and outcome.proposal is not None and not invocation.machine:
        return Answer(outcome, plan_text(invocation, outcome.proposal))
    return _told(invocation, outcome)


def _told(invocation: Invocation, outcome: Outcome) -> Answer:
    from console.cli.remembered import with_metrics

    answer = Answer(replace(outcome, warnings=(*invocation.oddities(), *outcome.warnings)))
    return with_metrics(invocation, answer)
