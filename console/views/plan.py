"""A plan in words: what would change, what a guard says, what is lost, and what must be typed."""

from __future__ import annotations

from collections.abc import Mapping

from storage_sync.model import Plan
from widgets import fmt
from widgets.glyphs import Look, Role, Tone
from widgets.line import Line, Piece, fit, muted, plain
from widgets.plan_table import PlanStep, PlanTable

PHRASE_ROWS = 100
PHRASE_SHARE = 0.1
LABELS = 10
PRIMARY = "primary"
"""A core may list the primary as a step of its own; it is said once, at the end."""


def rows_changed(plan: Plan) -> int:
    return sum(change.insert + change.update + change.remove for change in plan.changes.values())


def rows_removed(plan: Plan) -> int:
    return sum(change.remove for change in plan.changes.values())


def phrase_of(plan: Plan, profile: str, counts: Mapping[str, int]) -> str:
    """What must be typed before the plan may run; empty for nothing (`console.md` 2.2)."""
    if plan.phrase:
        return plan.phrase
    large = any(
        change.remove > PHRASE_SHARE * counts[table]
        for table, change in plan.changes.items()
        if change.remove and counts.get(table)
    )
    return (profile or "default") if rows_removed(plan) > PHRASE_ROWS or large or plan.level >= 3 else ""


def blocked_by(plan: Plan, access: str) -> str:
    """Why the run button is off; empty when it may be pressed."""
    if plan.refusal is not None:
        return "a guard stops it"
    if access != "rw":
        return "look only: W allows writes again"
    return "" if rows_changed(plan) else "there is nothing to do"


def title(plan: Plan, profile: str, look: Look) -> str:
    words = f"{plan.kind.capitalize()} · {profile or 'default'} · plan {plan.id}"
    return look.glyphs.plain(fmt.clean(words, ascii_only=look.glyphs.is_ascii))


def run_label(plan: Plan) -> str:
    return f"{plan.kind.capitalize()} {rows_changed(plan):,}" if rows_changed(plan) else plan.kind.capitalize()


def lines(plan: Plan, width: int, access: str, look: Look) -> list[Line]:
    """The body of the dialog at `width` cells."""
    rows = (
        plain("Nothing has been changed. This plan would do, in order:"),
        (),
        *PlanTable(_steps(plan, look)).lines(width, 99, look),
        (),
        *_facts(plan, width, access, look),
    )
    return [fit(row, width, look.glyphs) for row in rows]


def _steps(plan: Plan, look: Look) -> tuple[PlanStep, ...]:
    def clean(text: str) -> str:
        return fmt.clean(text, ascii_only=look.glyphs.is_ascii)

    listed = tuple(
        PlanStep(f"{number}", clean(row.text), row.rows, row.bytes, clean(row.undo))
        for number, row in enumerate((row for row in plan.rows if row.step != PRIMARY), start=1)
    )
    return (*listed, PlanStep("-", PRIMARY, 0, 0, "never written"))


def _facts(plan: Plan, width: int, access: str, look: Look) -> list[Line]:
    def clean(text: str) -> str:
        return fmt.clean(text, ascii_only=look.glyphs.is_ascii)

    written = rows_changed(plan) - rows_removed(plan)
    takes = f"about {fmt.took(plan.takes_s)}" if plan.takes_s else "not known yet" if rows_changed(plan) else "no time"
    generation, root = plan.base
    short_root = clean(root[:8]) or "none"
    facts = [
        _fact("total", plain(f"{written:,} written   {rows_removed(plan):,} removed   1 transaction")),
        *(_fact("" if place else "tables", plain(text)) for place, text in enumerate(_tables(plan, width))),
        _fact("guard", _guard(plan, look)),
        _fact("takes", plain(takes)),
        _fact("valid", plain(f"for g-{generation}, root {short_root}; refused if either has moved")),
    ]
    facts.extend(_fact("lost", (Piece(clean(text), Tone.ATTENTION),)) for text in plan.lost)
    blocked = blocked_by(plan, access)
    if blocked:
        facts.append(_fact("run", (Piece(f"off: {blocked}", Tone.ATTENTION),)))
    return facts


def _fact(label: str, value: Line) -> Line:
    return (*muted(f" {label.ljust(LABELS)}"), *value)


def _tables(plan: Plan, width: int) -> list[str]:
    """Changes by table, as many on a line as fit."""
    parts = [
        f"{name} +{change.insert:,} ~{change.update:,} -{change.remove:,}"
        for name, change in plan.changes.items()
        if change.insert or change.update or change.remove
    ]
    packed = [""]
    for part in parts:
        longer = f"{packed[-1]}   {part}" if packed[-1] else part
        if packed[-1] and len(longer) > width - LABELS - 1:
            packed.append(part)
        else:
            packed[-1] = longer
    return packed if parts else ["no row changes"]


def _guard(plan: Plan, look: Look) -> Line:
    mark = look.glyphs.roles
    if plan.refusal is not None:
        said = fmt.clean(f"{plan.refusal.message}; {plan.refusal.hint}", ascii_only=look.glyphs.is_ascii)
        return (Piece(f"{mark[Role.FAILED]} ", Tone.FAILED), Piece(said))
    share = f"removes {plan.removes_ratio * 100:.0f} % of the rows in the cache; passes"
    return (Piece(f"{mark[Role.OK]} ", Tone.OK), Piece(share))
