"""The queue of the core: one operation after the other, and what a plan needs before it may run."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from storage_sync.service.operations import Operation
from storage_sync.service.schedule import Trigger
from storage_sync.sync.plan import REPLACES
from storage_sync.values.next_step import NextStep
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Plan


class Job(Struct, frozen=True):
    """One operation in the queue."""

    operation: Operation
    trigger: Trigger
    options: Options = USUAL
    command_id: int | None = None
    waited: bool = False
    """It was due while a person read a plan."""

    @property
    def plans(self) -> bool:
        return self.options.plan_only

    @property
    def remembered(self) -> bool:
        """Whether the history keeps it."""
        return not self.plans and self.operation.remembered


def weighed(job: Job, plan: Plan, profile: str) -> Plan:
    """The plan that `job` made, with what must be typed where the kind of work asks for it; what its rows ask for was
    decided where they were counted."""
    options = job.options
    level = max(plan.level, job.operation.level, REPLACES if options.allow_shrink or options.adopt else 0)
    phrase = profile if level >= REPLACES else plan.phrase
    if options.stage_only:
        # nothing is replaced before the rebuild that puts it in place, which is typed
        phrase = None
    return replace(
        plan, level=level, phrase=phrase, consent=NextStep.ALLOW_SHRINK if options.allow_shrink else plan.consent
    )
