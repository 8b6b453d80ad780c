"""How many rows a plan touches, and whether there is anything to do at all. Pure."""

from __future__ import annotations

from storage_sync.values.outcome import Plan, PlanRow

PRIMARY = "primary"
"""A plan may list the primary as a step of its own."""
FILE = "file"
"""The step of an undo that makes an old file the cache again; its rows are those that this file holds."""
WRITES = frozenset({"fetch", "replace", "carry", "keep", "restore", "insert", "update"})
"""Steps whose rows are written: into the cache, or into the file that becomes it."""
REMOVES = frozenset({"remove", "drop", "set-aside", "purge", "detach"})
_ALWAYS = frozenset({"sync"})
"""Kinds whose plan lists its steps even when they have no rows."""


def rows_written(plan: Plan) -> int:
    return sum(row.rows for row in plan.rows if row.step in WRITES)


def rows_removed(plan: Plan) -> int:
    return sum(row.rows for row in plan.rows if row.step in REMOVES)


def file_back(plan: Plan | None) -> PlanRow | None:
    """The step that makes an old file the cache again; None in a plan of anything else."""
    return next((row for row in plan.rows if row.step == FILE), None) if plan and plan.kind == "undo" else None


def has_work(plan: Plan) -> bool:
    """Whether running the plan would do anything."""
    if plan.kind in _ALWAYS:
        return bool(rows_written(plan) + rows_removed(plan))
    return any(row.step != PRIMARY for row in plan.rows)


def is_empty(plan: Plan) -> bool:
    """Whether there is nothing to run, and no guard that stops it either."""
    return plan.refusal is None and not has_work(plan)
