"""Made-up plans, and the pictures of the core while and after one runs: for pictures and tests. Deterministic."""

from __future__ import annotations

from dataclasses import replace

from console.scenes import plan, scene
from storage_sync.model import LockState, Plan, PlanRow, Snapshot, TableChange


def plan_of(kind: str) -> Plan:
    """A made-up plan of a sync, a repair or a rebuild."""
    made = plan(removed=0)
    if kind == "repair":
        rows = (
            PlanRow("1", "open, let redb repair what it can", 0, None, "not needed"),
            PlanRow("2", "refetch rows that cannot be read", 3, 14_438, "old bytes set aside"),
            PlanRow("3", "set aside orphaned embeddings", 23, 35_328, "set aside, 30 days"),
        )
        changes = {"episodes": TableChange(0, 3, 0), "embeddings": TableChange(0, 0, 23)}
        return replace(made, id="p-7f31", kind=kind, rows=rows, changes=changes, removes_ratio=0.01, level=2)
    if kind == "rebuild":
        rows = (
            PlanRow("1", "build a new file from the primary", 2_880, 11_848_908, "live file unchanged"),
            PlanRow("2", "compare, read back, root must match", 0, 6_396_313, "live file unchanged"),
            PlanRow("3", "put it in place, keep the old file", 0, 10_276_045, "u puts it back"),
        )
        built = {"episodes": 1000, "relationships": 432, "patterns": 412, "heuristics": 96, "embeddings": 940}
        changes = {name: TableChange(many, 0, 0) for name, many in built.items()}
        lost = ("cache-only rows of the damaged file cannot be read; last seen 7",)
        return replace(
            made, id="p-7f40", kind=kind, rows=rows, changes=changes, lost=lost, takes_s=25.0, level=3, phrase="prod-eu"
        )
    return plan()


def repairing() -> Snapshot:
    """The damaged cache while it is repaired."""
    damaged, running = scene("damaged").snapshot, scene("running").snapshot.run
    run = None if running is None else replace(running, kind="repair")
    return replace(damaged, seq=2, run=run, cache=replace(damaged.cache, lock=LockState.OURS))


def repaired() -> Snapshot:
    """The cache after the repair."""
    return replace(scene("in_sync").snapshot, seq=3)
