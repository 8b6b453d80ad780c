"""How an operation ended, in words: the last step of a plan's dialog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from console.views.hints import hint_of
from console.views.plan import PAUSES, named, wrapped
from console.views.text import clean_text
from storage_sync.reports import sentences
from storage_sync.values import visible
from storage_sync.values.events import Refused
from storage_sync.values.outcome import CheckStatus, Outcome, Plan, Word
from storage_sync.values.planned import file_back
from storage_sync.values.snapshot import RunSummary
from widgets import fmt
from widgets.glyphs import Look, Role, Tone
from widgets.line import Line, Piece, first_that_fits, fit, muted, plain, toned, width_of

LABELS = 12
MOST_WARNINGS = 3
_COMPARING = frozenset({"sync", "repair"})
"""Commands whose plan says by table what they write."""


def lines(
    outcome: Outcome, width: int, look: Look, *, since: str = "", timed: bool = False, plan: Plan | None = None
) -> list[Line]:
    """The body of the dialog at `width` cells. `since`: what `proved_since` says; `timed`: syncs start by
    themselves; `plan`: what was agreed to."""
    facts = [*_head(outcome, width, look, since), (), *_facts(outcome, width, look, plan)]
    if not since:
        facts.extend(_comes_back(outcome, width, look, timed=timed))
    facts.extend(_warnings(outcome, width, look))
    facts.extend(_next(outcome, width, look))
    return [fit(line, width, look.glyphs) for line in facts]


def proved_since(run_id: str, newest_first: Sequence[RunSummary]) -> str:
    """The first run after `run_id` that proved the cache, as `s-8cbd5d at 15:00:19Z`; '' for none."""
    found = ""
    for run in newest_first:
        if run.id == run_id:
            return found
        if run.generation is not None and not run.followed:
            found = f"{run.id} at {fmt.clock(run.started_at)}"
    return ""


def _comes_back(outcome: Outcome, width: int, look: Look, *, timed: bool) -> list[Line]:
    many = outcome.extra.get("comes_back") if outcome.cache_writes.commits else None
    if not many:
        return []
    told = sentences.coming_back(many)
    return _wrapped_fact("note", f"{fmt.begin(told)}.{f' {PAUSES}' if timed else ''}", width, look)


def refusal_lines(refused: Refused, width: int, look: Look) -> list[Line]:
    """The core would not do it, or could not."""
    said = _failure(visible.without_place(refused.reason), width, look)
    if hint := hint_of(refused):
        said.extend(_wrapped_fact("next", hint, width, look))
    return [fit(line, width, look.glyphs) for line in said]


def _failure(text: str, width: int, look: Look) -> list[Line]:
    """The whole of what went wrong: the end of it often says why."""
    mark = look.glyphs.role_width + 1
    first, *more = wrapped(clean_text(text, look), width - mark)
    return [toned(Role.FAILED, first, glyphs=look.glyphs), *(plain(f"{' ' * mark}{line}") for line in more)]


def _wrapped_fact(label: str, text: str, width: int, look: Look) -> list[Line]:
    lines = wrapped(clean_text(text, look), width - LABELS - 1)
    return [_fact("" if place else label, plain(line)) for place, line in enumerate(lines)]


def _head(outcome: Outcome, width: int, look: Look, since: str) -> list[Line]:
    if outcome.error is not None:
        return _failure(visible.without_place(outcome.error.message), width, look)
    told = sentences.headline(outcome)
    proof = outcome.proof
    root = clean_text(proof.root[:8], look) if proof is not None else ""
    head = toned(role_of(outcome), fmt.begin(told), glyphs=look.glyphs)
    if proof is not None:
        read_back = f"   commit g-{proof.generation} read back"
        head = (*head, *muted(first_that_fits((f"{read_back}, root {root}", read_back, ""), width - width_of(head))))
    if proof is not None or outcome.command not in sentences.NOT_PROVING:
        return [head]
    if since:
        after = f"{since} proved the cache again."
    elif _done(outcome):
        after = "The next sync proves the cache again."
    else:
        after = "The cache differs from what was proven until the next sync."
    indent = " " * (look.glyphs.role_width + 1)
    return [head, *(plain(f"{indent}{line}") for line in wrapped(clean_text(after, look), width - len(indent)))]


def role_of(outcome: Outcome) -> Role:
    """No more than was proven: rejected rows and failed checks are never green."""
    clean = not sentences.rejected_rows(outcome) and not sentences.failed_checks(outcome)
    well = sentences.verdict(outcome) is Word.IN_SYNC or _done(outcome)
    return Role.OK if well and clean else Role.ATTENTION


def _done(outcome: Outcome) -> bool:
    """A change that asks no primary did what it was to do, and left everything else as it was proven."""
    return outcome.command in sentences.NOT_PROVING and outcome.verdict is Word.UNKNOWN


def _facts(outcome: Outcome, width: int, look: Look, plan: Plan | None) -> list[Line]:
    facts = [_fact("rows", plain(_rows(outcome)))]
    if plan is not None and (said := _unlike(outcome, plan)):
        facts.append(_fact("", muted(said)))
    some = outcome.extra.get("changed_rows")
    if isinstance(some, Sequence):
        told = named([str(one) for one in some], sentences.tally(outcome).touched)
        facts.extend(_fact("", plain(clean_text(one, look))) for one in told)
    aside = outcome.extra.get("set_aside")
    if isinstance(aside, int) and aside:
        facts.append(
            _fact("quarantined", plain(f"{fmt.plural(aside, 'row')}; u lists {_them(aside)}, to restore some or all"))
        )
    rejected = sentences.rejected_rows(outcome)
    if rejected:
        rows = f"{fmt.plural(rejected, 'row')} of the primary; u shows {_them(rejected)}"
        facts.append(_fact("rejected", plain(rows)))
    kept = sum(count.cache_only or 0 for count in outcome.counts.values())
    if kept:
        facts.append(_fact("kept", plain(sentences.only_in_cache(sentences.tally(outcome)))))
    extra = outcome.extra
    for label, path in (("old file", extra.get("kept")), ("restored", extra.get("file_restored"))):
        if path:
            facts.append(_fact(label, plain(clean_text(PurePath(path).name, look))))
    staged = outcome.extra.get("staged")
    if staged is not None:
        where = clean_text(PurePath(staged["path"]).name, look)
        facts.append(_fact("staged", plain(f"{where}; R puts it in place once the cache is free")))
    purged = outcome.extra.get("purge")
    if purged is not None:
        facts.append(_fact("purged", plain(f"{fmt.plural(purged['removed'], 'row')}, for good")))
    if outcome.checks:
        facts.extend(_checks(outcome, width, look))
    transfer, took = outcome.transfer, outcome.seconds.total
    # a primary that is a file is read without requests
    sent = f"   {fmt.plural(transfer.requests, 'request')}   {fmt.size(transfer.bytes_received)} received"
    facts.append(_fact("took", plain(f"{fmt.took(took)}{sent if transfer.requests else ''}")))
    if outcome.undoable:
        facts.append(_fact("undo", plain(f"U undoes the whole run {clean_text(outcome.run_id, look)}")))
    return facts


def _rows(outcome: Outcome) -> str:
    back = file_back(outcome.proposal) if "file_restored" in outcome.extra else None
    none = "none changed" if back is None else f"{back.rows:,} in the file that is back"
    done = sentences.tally(outcome).words if outcome.error is None else sentences.done_before_failure(outcome)
    return done or none


def _unlike(outcome: Outcome, plan: Plan) -> str:
    """How many rows more or fewer were written than the plan had; '' where it says the same or nothing was done."""
    if outcome.error is not None or not outcome.cache_writes.commits or outcome.command not in _COMPARING:
        return ""
    done = sentences.tally(outcome)
    planned = sum(change.insert + change.update for change in plan.changes.values())
    more = done.new + done.changed - planned
    if not more:
        return ""
    return f"{abs(more):,} {'more' if more > 0 else 'fewer'} to write than in the plan: rows changed meanwhile"


def _them(many: int) -> str:
    return "it" if many == 1 else "them"


def _checks(outcome: Outcome, width: int, look: Look) -> list[Line]:
    failed = sentences.failed_checks(outcome)
    made = [check for check in outcome.checks if check.made_at is None]
    passed = sum(check.status is CheckStatus.PASS for check in made)
    none = (CheckStatus.SKIPPED, CheckStatus.UNKNOWN)
    left = [check.name for check in outcome.checks if check.status in none or check not in made]
    not_made = f"; not run: {clean_text(sentences.check_names(left), look)}" if left else ""
    if failed:
        told = f"{passed} ok, failed: {clean_text(sentences.check_names(failed), look)}{not_made}"
    else:
        told = f"{fmt.plural(passed, 'check')} ok{not_made}"
    tone = Tone.FAILED if failed else Tone.PLAIN
    parts = wrapped(told, width - LABELS - 1)
    return [_fact("" if place else "validated", (Piece(part, tone),)) for place, part in enumerate(parts)]


def _warnings(outcome: Outcome, width: int, look: Look) -> list[Line]:
    """Whole and in the plain colour: what has to be acted on is the head and the next step."""
    shown = outcome.warnings[:MOST_WARNINGS]
    more = len(outcome.warnings) - len(shown)
    said = [
        _fact("" if place else "note", plain(part))
        for text in shown
        for place, part in enumerate(wrapped(clean_text(text, look), width - LABELS - 1))
    ]
    return [*said, _fact("", muted(f"and {more} more, L shows them"))] if more else said


def _next(outcome: Outcome, width: int, look: Look) -> list[Line]:
    hint = hint_of(outcome.error) if outcome.error is not None else ""
    return _wrapped_fact("next", hint, width, look) if hint else []


def _fact(label: str, value: Line) -> Line:
    return (*muted(f" {label.ljust(LABELS)}"), *value)
