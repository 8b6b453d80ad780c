"""A plan: what a run would change, as an operator reads it before it happens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from msgspec.structs import replace

from storage_sync.reports.sentences import plural
from storage_sync.values.errors import GuardStopped
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import Plan, PlanRow, TableChange, error_value

TYPED_ROWS = 100
TYPED_SHARE = 0.1
ADOPT = "adopt"
REPLACES = 3
"""Level of a plan that replaces everything, or cannot be undone."""


def make_plan(
    *,
    changes: Mapping[str, TableChange],
    cached: Mapping[str, int],
    generation: int,
    base_root: str,
    root: str,
    staged_bytes: int,
    removes_ratio: float,
    compared: int,
    reads: int,
    profile: str,
    refusal: GuardStopped | None,
    refused_rows: int,
    gone: int,
) -> Plan:
    """The sync's plan. `cached`: rows of each table now; `generation`, `base_root`: what it was made for."""
    inserted = sum(change.insert for change in changes.values())
    updated = sum(change.update for change in changes.values())
    removed = sum(change.remove for change in changes.values())
    rows = [
        PlanRow("fetch", "fetch new rows", inserted, staged_bytes if inserted else 0, "undo"),
        PlanRow("replace", "replace changed rows", updated, None, "undo"),
        PlanRow("remove", "remove rows gone from the window or the primary", removed, None, "undo"),
        PlanRow("primary", "primary", 0, 0, "never written"),
    ]
    if refused_rows:
        rows.insert(3, PlanRow("refuse", "reject rows that cannot be represented", refused_rows, None, "not needed"))
    level = 2 if removed else 1
    identity = hashlib.blake2s(
        f"{generation}:{base_root}:{root}:{inserted}:{updated}:{removed}".encode(), digest_size=4
    )
    return Plan(
        id=f"p-{identity.hexdigest()}",
        kind="sync",
        base=(generation, base_root),
        root=root,
        changes=dict(changes),
        rows=tuple(rows),
        removes_ratio=removes_ratio,
        lost=(),
        level=level,
        phrase=phrase_for(level, changes, cached, profile),
        refusal=error_value(refusal) if refusal else None,
        consent=NextStep.ALLOW_SHRINK if refusal else None,
        gone=gone,
        compared=compared,
        reads=reads,
    )


def adoption(plan: Plan, *, rows: int, cache_only: int, size: int | None) -> Plan:
    """`plan`, which says what differs, for a new cache of `rows`: nothing is carried over, and the old
    file, which alone holds what only the cache had, stays beside it."""
    left = (
        [f"left only in the old file: {plural(plan.gone, 'row')} that the primary no longer has"] if plan.gone else []
    )
    left += [f"left only in the old file: {plural(cache_only, 'row')} that only the cache has"] if cache_only else []
    steps = (
        PlanRow("fetch", "build a new file of all rows", rows, None, "undo"),
        PlanRow("file", "keep the old file as <name>.old-<time>", 0, size, "not needed"),
        *(row for row in plan.rows if row.step in ("refuse", "primary")),
    )
    return replace(plan, kind=ADOPT, rows=steps, lost=(*left, *plan.lost), level=REPLACES)


def outdated() -> GuardStopped:
    """For a plan that was made of another cache than the one that is there."""
    return GuardStopped("the cache has changed since this plan was made; nothing was done", hint="make a new plan")


def require_base(plan: Plan | None, base: tuple[int, str]) -> None:
    """GuardStopped when the cache, whose stamp says `base`, is not what the plan was made for; None: there is none."""
    if plan is not None and plan.base != base:
        raise outdated()


def require_current(plan: Plan | None, base: tuple[int, str], root: str, gone: int) -> None:
    """The same before the commit. The primary may have changed, or a busy one would let no plan pass; but not so that
    more rows, `gone`, go for good than were agreed to."""
    if plan is None:
        return
    if plan.kind != ADOPT:
        require_base(plan, base)
    if plan.root != root and gone > plan.gone:
        raise GuardStopped(
            f"the primary has changed since this plan was made: {plural(gone, 'row')} would be removed instead of "
            f"{plan.gone:,}; nothing was done",
            hint="make a new plan",
        )


def phrase_for(level: int, changes: Mapping[str, TableChange], cached: Mapping[str, int], profile: str) -> str | None:
    """What must be typed before a plan may run (docs/console.md#plans): the profile's name, or None for nothing.

    `cached`: rows that each table has in the cache that the plan was made for.
    """
    removed = sum(change.remove for change in changes.values())
    large = any(change.remove > TYPED_SHARE * cached[table] for table, change in changes.items() if change.remove)
    return profile if level >= REPLACES or removed > TYPED_ROWS or large else None
