"""What a repair or a rebuild would do, as an operator reads it before it happens. Pure."""

from __future__ import annotations

from msgspec import to_builtins
from msgspec.structs import replace

from storage_sync.recovery.diagnosis import RepairStep, Situation
from storage_sync.reports.sentences import plural
from storage_sync.values.extra import Extra, Rung
from storage_sync.values.outcome import Outcome, PlanRow

_NAMES = {
    RepairStep.NONE: "nothing to repair",
    RepairStep.OPEN: "let redb repair the file when it is opened",
    RepairStep.REFETCH: "fetch again the rows whose bytes are not what was proven",
    RepairStep.REBUILD: "build a new cache and keep the old file",
}


def noted(extra: Extra, situation: Situation) -> None:
    """Note the step in a command's own fields, behind those before it."""
    steps = extra.setdefault("ladder", [])
    if not (steps and situation.step is RepairStep.NONE):
        steps.append(_told(situation))


def _told(situation: Situation) -> Rung:
    told = Rung(rung=situation.step.value, what=_NAMES[situation.step], why=situation.why)
    if situation.rotten:
        told["rotten_rows"] = situation.rotten
    return told


def planned(situation: Situation, outcome: Outcome, facts: Extra) -> Outcome:
    """The outcome of a plan with its steps: for people as the proposal, for programs as `steps`."""
    rows = tuple(_rows(situation, outcome, facts))
    lost = _lost(situation, facts)
    proposal = outcome.proposal
    if proposal is not None:
        proposal = replace(proposal, kind=outcome.command, rows=rows, lost=(situation.why, *lost), level=2)
    extra: Extra = {**outcome.extra, **facts, "steps": [to_builtins(row) for row in rows], "lost": list(lost)}
    return replace(outcome, proposal=proposal, extra=extra, next_action=f"storage-sync {outcome.command} --yes")


def _lost(situation: Situation, facts: Extra) -> tuple[str, ...]:
    """What the new cache cannot have; the old file is kept anyway."""
    rescue = situation.rescue
    if rescue is None:
        strangers = situation.strangers
        return (f"tables that are not do-memory's stay in the old file: {', '.join(strangers)}",) if strangers else ()
    if rescue.unopened:
        return ("no row can be read from the damaged file; rows that only it had are missing from the new cache",)
    gaps = {name: table.gaps for name, table in rescue.tables.items() if table.gaps}
    if not gaps:
        return ()
    told = ", ".join(f"{plural(count, 'part')} of the table {name}" for name, count in gaps.items())
    kept = facts["rebuild"]["cache_only_rows"]
    saved = f" {plural(kept, 'cache-only row')} could be read and {'is' if kept == 1 else 'are'} carried over."
    return (
        f"{told} cannot be read. Rows there that the primary has are fetched; those that only the cache had are lost, "
        f"and cannot be counted.{saved if kept else ''}",
    )


def _rows(situation: Situation, outcome: Outcome, facts: Extra) -> list[PlanRow]:
    size = situation.look.judgement.size
    fetched = sum(change.insert + change.update for change in outcome.plan.values())
    staged = _staged_bytes(outcome)
    never = PlanRow("primary", "primary", 0, 0, "never written")
    match situation.step:
        case RepairStep.NONE:
            return [never]
        case RepairStep.OPEN:
            return [PlanRow("open", "redb repairs the file", 0, size, "not needed"), never]
        case RepairStep.REFETCH:
            rotten = PlanRow("aside", "quarantine the damaged bytes", situation.rotten, None, "restorable")
            return [PlanRow("fetch", "fetch and replace rows", fetched, staged, "undo"), rotten, never]
    rebuild = facts["rebuild"]
    # a file that was damaged is never restored
    back = "no" if situation.damaged else "undo"
    rows = [
        PlanRow(
            "carry",
            "carry over proven rows",
            rebuild["carried_rows"],
            None,
            "not needed",
        ),
        PlanRow("keep", "carry over cache-only rows", rebuild["cache_only_rows"], None, "not needed"),
        PlanRow("fetch", "fetch rows", fetched, staged, back),
    ]
    if dropped := sum(change.remove for change in outcome.plan.values()):
        text = "leave out rows gone from the window or the primary"
        rows.append(
            PlanRow("drop", text, dropped, None, "restorable if the primary lost them" if situation.damaged else back)
        )
    if situation.rescue is not None:
        aside = sum(table.aside for table in situation.rescue.tables.values())
        rows.append(PlanRow("aside", "quarantine rows that cannot be proven", aside, None, "restorable"))
    if situation.look.replaces is not None:
        kept = f"keep the old file as <name>.{situation.look.replaces}-<time>"
        rows.append(PlanRow("file", kept, 0, size, "not needed" if situation.damaged else back))
    return [*rows, never]


def _staged_bytes(outcome: Outcome) -> int | None:
    proposal = outcome.proposal
    return next((row.bytes for row in proposal.rows if row.step == "fetch"), None) if proposal is not None else None
