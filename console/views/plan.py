"""A plan in words: what would change, what a guard says, what is lost, and what must be typed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial

from console.views.access import why_only_looking
from console.views.hints import hint_of
from console.views.text import clean_text
from storage_sync.reports import sentences
from storage_sync.service.schedule import PLAN_READ_S
from storage_sync.values import visible
from storage_sync.values.outcome import Plan
from storage_sync.values.planned import PRIMARY, file_back, has_work, is_empty, rows_removed, rows_written
from widgets import fmt
from widgets.glyphs import Look, Role, Tone
from widgets.line import Line, Piece, fit, muted, plain, toned
from widgets.plan_table import PlanStep, PlanTable

LABELS = 10
CARRIES = frozenset({"carry", "keep"})
"""Steps of a new file whose rows are the same as in the old one."""
WAIT = f"Automatic syncs wait while this is open, at most {PLAN_READ_S / 60:.0f} min."
PAUSES = "P pauses the scheduled syncs."


def blocked_by(plan: Plan, access: str) -> str:
    """Why the run button is off; empty when it may be pressed."""
    if is_empty(plan):
        return "there is nothing to do"
    if plan.refusal is not None:
        return "a guard stops it"
    looking = why_only_looking(access)
    return f"read-only: {looking}" if looking else ""


def run_label(name: str, plan: Plan) -> str:
    """`Repair 1,053`: the rows that it writes and removes, as the total says them; none of a plan that is stopped."""
    if plan.refusal is not None:
        return name
    rows = rows_written(plan) + rows_removed(plan)
    return f"{name} {rows:,}" if rows else name


def lines(plan: Plan, width: int, access: str, look: Look, *, timed: bool = False) -> list[Line]:
    """The body of the dialog at `width` cells. `timed`: syncs start by themselves, and wait for it."""
    if is_empty(plan):
        return [fit(row, width, look.glyphs) for row in _nothing(plan, width, look)]
    stopped = "A guard stops this plan. It would do this" if plan.refusal is not None else ""
    rows = (
        plain(f"Nothing has been changed. {stopped or 'The plan would do this'}, in order:"),
        (),
        *PlanTable(_steps(plan, look)).lines(width, 99, look),
        (),
        *_facts(plan, width, access, look, timed=timed),
        *((_fact("syncs", plain(WAIT)),) if timed else ()),
    )
    return [fit(row, width, look.glyphs) for row in rows]


def _nothing(plan: Plan, width: int, look: Look) -> list[Line]:
    """That there is nothing to do, and what was found instead."""
    found = [clean_text(text, look) for text in plan.lost]
    said = [line for text in found for line in wrapped(f"{fmt.begin(text).removesuffix('.')}.", width)]
    return [plain("There is nothing to do: no row would change. Nothing has been changed."), *map(plain, said)]


def phrase_line(plan: Plan, look: Look) -> Line:
    """What must be typed, and why."""
    why = "removes over 100 rows or 10 % of a table"
    if plan.level >= 3:
        removes = f"to remove {fmt.plural(plan.gone, 'row')} that the primary lost"
        why = removes if plan.consent else "it replaces what is there"
    typed = clean_text(plan.phrase or "", look)
    return (*muted(" confirm   "), *plain(f"type  {typed}"), *muted(f"   {why}"))


def _steps(plan: Plan, look: Look) -> tuple[PlanStep, ...]:
    clean = partial(clean_text, look=look)
    listed = tuple(
        PlanStep(f"{number}", clean(row.text), row.rows, row.bytes, clean(row.undo))
        for number, row in enumerate((row for row in plan.rows if row.step != PRIMARY), start=1)
    )
    return (*listed, PlanStep("-", PRIMARY, 0, 0, "never written"))


def _facts(plan: Plan, width: int, access: str, look: Look, *, timed: bool) -> list[Line]:
    """What stops it and what is lost come first: where rows are few, the rest has to be scrolled to."""
    clean = partial(clean_text, look=look)
    touched = sum(one.rows for one in plan.changes.values())
    takes = sentences.plan_takes(plan) if has_work(plan) else "no time"
    reads = sentences.plan_reads(plan)
    generation, root = plan.base
    short_root = clean(root[:8]) or "none"
    room = width - LABELS - 1
    lost = [
        _fact("" if place else "note", (Piece(text, Tone.ATTENTION),))
        for text_of_loss in plan.lost
        for place, text in enumerate(wrapped(clean(visible.without_place(text_of_loss)), room))
    ]
    blocked = blocked_by(plan, access)
    valid = (
        f"for the cache as it is, commit g-{generation} with root {short_root}. This plan is refused if the cache "
        "changes, or if more rows would be removed."
    )
    return [
        *((_fact("run", (Piece(f"off: {blocked}", Tone.ATTENTION),)),) if blocked else ()),
        *lost,
        *((_fact("", plain(PAUSES)),) if plan.comes_back and timed else ()),
        _fact("total", plain(_total(plan))),
        *(_fact("" if place else "rows", plain(clean(text))) for place, text in enumerate(named(plan.named, touched))),
        *(_fact("" if place else "guard", text) for place, text in enumerate(_guard(plan, width, look))),
        *(_fact("" if place else "tables", plain(text)) for place, text in enumerate(_tables(plan, width))),
        *((_fact("reads", plain(reads)),) if reads else ()),
        _fact("takes", plain(takes or "not known")),
        *(_fact("" if place else "valid", plain(text)) for place, text in enumerate(wrapped(valid, room))),
    ]


def wrapped(text: str, width: int) -> list[str]:
    """The whole text in lines of `width` cells; only a word that is longer is cut by the dialog."""
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]


def named(rows: Sequence[str], changed: int) -> list[str]:
    """`rows`, the first of so many that are changed, and how many there are beside them."""
    more = changed - len(rows)
    return [*rows, f"and {more:,} more"] if rows and more > 0 else list(rows)


def _total(plan: Plan) -> str:
    """The words that the result will have."""
    if (back := file_back(plan)) is not None:
        return sentences.file_words(back)
    carried = [row.rows for row in plan.rows if row.step in CARRIES]
    if carried:
        return sentences.rebuilt(sum(carried), rows_written(plan) - sum(carried), rows_removed(plan))
    return f"{rows_written(plan):,} written   {rows_removed(plan):,} removed   1 transaction"


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
    none = "the whole file is replaced" if file_back(plan) is not None else "no row changes"
    return packed if parts else [none]


def _gone(plan: Plan) -> str:
    """What the guard against shrinking weighs, which is not what a damaged file lost."""
    if not plan.gone:
        return "the primary lost none of the compared rows"
    share = f", up to {plan.removes_ratio * 100:.0f} % of a table" if plan.removes_ratio else ""
    told = "1 row is removed" if plan.gone == 1 else f"{fmt.plural(plan.gone, 'row')} are removed"
    if plan.consent:
        told = f"{fmt.plural(plan.gone, 'row')} would be removed"
    return f"{told} because the primary lost {'it' if plan.gone == 1 else 'them'}{share}"


def _guard(plan: Plan, width: int, look: Look) -> list[Line]:
    """What the guards say; nothing for a plan that asks no primary, because none applies there."""
    if plan.kind in sentences.NOT_PROVING and plan.refusal is None:
        return []
    if plan.refusal is None and plan.consent:
        role, said = Role.ATTENTION, f"{_gone(plan)}; needs your typed consent"
    elif plan.refusal is None:
        role, said = Role.OK, f"{_gone(plan)}{'; within the limit' if plan.gone else ''}"
    else:
        role, said = Role.FAILED, plan.refusal.message
        said = said if plan.consent else f"{said}; {hint_of(plan.refusal)}"
    first, *more = wrapped(clean_text(said, look), width - LABELS - 3)
    return [toned(role, first, glyphs=look.glyphs), *(plain(f"  {text}") for text in more)]
