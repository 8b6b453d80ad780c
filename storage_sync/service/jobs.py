"""The kinds of work that the core does one after the other, each named once (docs/architecture.md#threads).

A kind that changes the cache runs from a plan that somebody read; a sync also by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from storage_sync.service.operations import Work
from storage_sync.service.schedule import Trigger
from storage_sync.sync.context import Context
from storage_sync.sync.plan import ALLOW_SHRINK, REPLACES, phrase_for
from storage_sync.values.errors import CacheDamaged, UsageError
from storage_sync.values.outcome import Outcome, Plan

Arguments = Mapping[str, object]
DELIVER = "deliver"
"""Flag of a sync that commits what waits, and asks the primary for nothing that is there."""
STAGE = "stage"
"""Compares a held file and lets wait what it lacks."""
RECHECK = "recheck"
"""Judges a held file by what is known; too frequent to be told as a run."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`command`: its name in documents and history. `work`: what to do, made of the arguments; UsageError for ones
    that do not fit."""

    command: str
    work: Callable[[Arguments], Work]
    planned: bool = False
    """It changes something, and so runs only from a plan."""
    writes: bool = False
    """It may write the cache."""
    judges: bool = False
    """It compares with the primary, and so its verdict is the cache's."""
    flags: frozenset[str] = frozenset()
    level: int = 1
    """The least level of its plans (docs/console.md#plans)."""


@dataclass(frozen=True, slots=True)
class Job:
    """One operation in the queue."""

    kind: str
    trigger: Trigger
    flags: frozenset[str] = frozenset()
    arguments: Arguments = field(default_factory=dict)
    command_id: int | None = None
    plan: Plan | None = None
    """The plan that it executes."""

    @property
    def plans(self) -> bool:
        return "plan" in self.flags

    @property
    def remembered(self) -> bool:
        """Whether the history keeps it."""
        kind = KINDS[self.kind]
        return not self.plans and (kind.planned or kind.writes or kind.judges)


def request_flags(job: Job) -> frozenset[str]:
    """For the request: what only looks compares as a plan does."""
    kind = KINDS[job.kind]
    chosen = frozenset(name for name in ("discard", "staged", "swap", ALLOW_SHRINK) if job.arguments.get(name))
    flags = job.flags | kind.flags | chosen
    return flags if kind.planned or kind.writes else flags | {"plan"}


def work_of(job: Job) -> Work:
    """UsageError for arguments that do not fit."""
    if job.kind == "sync" and DELIVER in job.flags:
        return _delivering(repairs="repair" in job.flags)
    if job.kind == "sync" and "repair" in job.flags:
        from storage_sync.recovery.ladder import run_sync_repairing

        return run_sync_repairing
    return KINDS[job.kind].work(job.arguments)


def weighed(job: Job, plan: Plan, cached: Mapping[str, int], profile: str) -> Plan:
    """The plan that `job` made, with what must be typed before it may run. `cached`: rows of each table now."""
    given = bool(job.arguments.get(ALLOW_SHRINK))
    level = max(plan.level, KINDS[job.kind].level, REPLACES if given else 0)
    phrase = plan.phrase or phrase_for(level, plan.changes, cached, profile)
    return replace(plan, level=level, phrase=phrase, consent=ALLOW_SHRINK if given else plan.consent)


# ------------------------------------------------------------------------------------------------ works


def _sync(_: Arguments) -> Work:
    from storage_sync.sync.run import run_sync

    return run_sync


def _repair(_: Arguments) -> Work:
    from storage_sync.recovery.ladder import run_repair

    return run_repair


def _rebuild(arguments: Arguments) -> Work:
    from storage_sync.recovery.rebuild import run_rebuild

    async def work(context: Context) -> Outcome:
        return await run_rebuild(context, discard=bool(arguments.get("discard")), swap=bool(arguments.get("swap")))

    return work


def _verify(arguments: Arguments) -> Work:
    from storage_sync.verify.verify import run_verify

    async def work(context: Context) -> Outcome:
        return await run_verify(context, deep=bool(arguments.get("deep")))

    return work


def _stage(_: Arguments) -> Work:
    from storage_sync.sync.run import run_staging

    return run_staging


def _delivering(*, repairs: bool) -> Work:
    from storage_sync.sync.run import run_waiting

    async def work(context: Context) -> Outcome:
        try:
            return await run_waiting(context)
        except CacheDamaged:
            if not repairs:
                raise
            from storage_sync.recovery.ladder import run_repair

            return await run_repair(context)

    return work


def _recheck(_: Arguments) -> Work:
    from storage_sync.verify.recheck import run_recheck

    return run_recheck


def _peek(_: Arguments) -> Work:
    from storage_sync.edits.peek import run_peek

    return run_peek


def _undo(arguments: Arguments) -> Work:
    from storage_sync.edits.undo import run_undo

    run_id = arguments.get("run_id")

    async def work(context: Context) -> Outcome:
        return await run_undo(context, str(run_id) if run_id is not None else None)

    return work


def _restore(arguments: Arguments) -> Work:
    from storage_sync.edits.quarantine import run_restore

    ids = [int(one) for one in _list(arguments, "ids", int)]

    async def work(context: Context) -> Outcome:
        return await run_restore(context, ids)

    return work


def _purge(_: Arguments) -> Work:
    from storage_sync.edits.quarantine import run_purge

    return run_purge


def _retry(arguments: Arguments) -> Work:
    from storage_sync.edits.quarantine import run_retry

    ids = _texts(arguments, "ids")

    async def work(context: Context) -> Outcome:
        return await run_retry(context, ids)

    return work


def _set_aside(arguments: Arguments) -> Work:
    from storage_sync.edits.orphans import run_set_aside

    keys = _texts(arguments, "keys")

    async def work(context: Context) -> Outcome:
        return await run_set_aside(context, keys)

    return work


def _expect(arguments: Arguments) -> Work:
    from storage_sync.edits.orphans import run_expect

    keys = _texts(arguments, "keys")

    async def work(context: Context) -> Outcome:
        return await run_expect(context, keys, str(arguments.get("note", "")))

    return work


def _unexpect(arguments: Arguments) -> Work:
    from storage_sync.edits.orphans import run_unexpect

    keys = _texts(arguments, "keys")

    async def work(context: Context) -> Outcome:
        return await run_unexpect(context, keys)

    return work


def _detach(_: Arguments) -> Work:
    from storage_sync.edits.detach import run_detach

    return run_detach


def _compact(_: Arguments) -> Work:
    from storage_sync.edits.detach import run_compact

    return run_compact


def _texts(arguments: Arguments, name: str) -> list[str]:
    return [str(one) for one in _list(arguments, name, str)]


def _list(arguments: Arguments, name: str, kind: type[int | str]) -> Sequence[int | str]:
    """UsageError unless it is a list of that kind with something in it."""
    value = arguments.get(name)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(one, kind) for one in value):
        raise UsageError(f"nothing was named ({name})", hint="mark or choose at least one row")
    return cast("Sequence[int | str]", value)


KINDS: Mapping[str, Kind] = {
    "sync": Kind("sync", _sync, planned=True, writes=True, judges=True),
    "adopt": Kind("sync", _sync, planned=True, writes=True, judges=True, flags=frozenset({"adopt"}), level=3),
    "repair": Kind("repair", _repair, planned=True, writes=True, judges=True, level=2),
    "rebuild": Kind("rebuild", _rebuild, planned=True, writes=True, judges=True, level=3),
    "undo": Kind("undo", _undo, planned=True, writes=True, level=2),
    "restore": Kind("quarantine", _restore, planned=True, writes=True),
    "purge": Kind("quarantine", _purge, planned=True, level=3),
    "set_aside": Kind("orphans", _set_aside, planned=True, writes=True, level=2),
    "detach": Kind("detach", _detach, planned=True, writes=True, level=3),
    "compact": Kind("compact", _compact, planned=True, writes=True),
    "retry": Kind("quarantine", _retry, writes=True, judges=True),
    "expect": Kind("orphans", _expect),
    "unexpect": Kind("orphans", _unexpect),
    "verify": Kind("verify", _verify, judges=True),
    "peek": Kind("peek", _peek),
    STAGE: Kind("sync", _stage, writes=True, judges=True),
    RECHECK: Kind("recheck", _recheck),
}
"""By the name that `make_plan` and the queue know."""
