"""Made-up plans, and the pictures of the core while and after one runs: for pictures and tests. Deterministic."""

from __future__ import annotations

from msgspec.structs import replace

from storage_sync.values.found import Found
from storage_sync.values.outcome import Plan, PlanRow, TableChange
from storage_sync.values.snapshot import LockState, Snapshot
from tests.support.scenes.snapshots import NOW, OF_FILE, plan, scene

FETCHED = {"episodes": TableChange(700), "patterns": TableChange(300), "embeddings": TableChange(700)}
"""What the repair has to ask the primary for."""


def plan_of(kind: str) -> Plan:
    """A made-up plan of a sync, a repair or a rebuild."""
    made = plan(removed=0)
    rows: tuple[PlanRow, ...]
    if kind == "repair":
        rows = (
            PlanRow("carry", "carry over proven rows", 1_180, None, "not needed"),
            PlanRow("keep", "carry over cache-only rows", 7, None, "not needed"),
            PlanRow("fetch", "fetch rows", 1_700, 8_912_896, "no"),
            PlanRow(
                "drop",
                "leave out rows gone from the window or the primary",
                3,
                None,
                "restorable if the primary lost them",
            ),
            PlanRow("aside", "quarantine rows that cannot be proven", 2, None, "restorable"),
            PlanRow("file", "keep the old file as <name>.corrupt-<time>", 0, 10_276_045, "not needed"),
        )
        lost = ("the cache is damaged: redb: Primary is corrupted despite 2-phase commit",)
        return replace(
            made, id="p-7f31", kind=kind, rows=rows, changes=FETCHED, lost=lost, looked_s=14.0, level=2, phrase=None
        )
    if kind == "rebuild":
        rows = (
            PlanRow("carry", "carry over proven rows", 0, None, "not needed"),
            PlanRow("keep", "carry over cache-only rows", 0, None, "not needed"),
            PlanRow("fetch", "fetch rows", 2_880, 11_848_908, "no"),
            PlanRow("file", "keep the old file as <name>.corrupt-<time>", 0, 10_276_045, "not needed"),
        )
        built = {"episodes": 1000, "relationships": 432, "patterns": 412, "heuristics": 96, "embeddings": 940}
        changes = {name: TableChange(many, 0, 0) for name, many in built.items()}
        lost = ("no row can be read from the damaged file; rows that only it had are missing from the new cache",)
        return replace(
            made,
            id="p-7f40",
            kind=kind,
            rows=rows,
            changes=changes,
            lost=lost,
            looked_s=25.0,
            level=3,
            phrase="prod-eu",
        )
    return plan()


def repairing() -> Snapshot:
    """The damaged cache while it is repaired."""
    damaged, running = scene("damaged").snapshot, scene("running").snapshot.run
    run = running and replace(
        running,
        id="s-4122",
        kind="repair",
        path="sibling",
        done=1_003,
        total=1_700,
        batch=11,
        batches=17,
        bytes=5_242_880,
        bytes_total=8_912_896,
        checkpoint_rows=1_000,
        eta_s=5.9,
        started_at=running.started_at - 4.4,
    )
    return replace(damaged, seq=2, run=run, cache=replace(damaged.cache, lock=LockState.OURS))


def repaired() -> Snapshot:
    """The cache after the repair."""
    snapshot = scene("in_sync").snapshot
    proof = snapshot.freshness.proof
    fresh = replace(snapshot.freshness, proof=None if proof is None else replace(proof, generation=4122, at=NOW))
    of_file = Found(4122, OF_FILE, NOW)
    cache = replace(snapshot.cache, generation=of_file, acked=4122)
    checks = tuple(replace(result, found=replace(result.found, at=NOW)) for result in snapshot.checks)
    return replace(snapshot, seq=3, freshness=fresh, cache=cache, checks=checks)
