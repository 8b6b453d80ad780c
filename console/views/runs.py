"""Earlier runs: their rows, their charts, and one of them in detail. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from console.views.frame import Frame
from console.views.hints import hint_in
from console.views.run import PARTLY, left_over, result_words, transfer
from storage_sync.reports.run_groups import in_a_row
from storage_sync.reports.sentences import ended, undo_words
from storage_sync.values.answers import PastRun, RunDetail, Runs
from storage_sync.values.filters import NUMBER, TEXT, Fields, Row
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import HistoryView, RunSummary
from widgets import fmt
from widgets.chart import Chart, ChartStack, quantile, round_up_s
from widgets.columns import TwoColumns
from widgets.facts import Fact
from widgets.glyphs import Role
from widgets.line import Line, muted, plain, toned

_QUIET_EXITS = frozenset({6, 11})
_MIDDLING_EXITS = frozenset({1, 7, 10, 130, 143})
LONGEST_NOTE = 3
"""Warnings of a run that its panel shows."""


_UNPROVEN = frozenset({Word.STALE, Word.DRIFT, Word.UNKNOWN})
"""Verdicts of a run that did what it was to do, and that are no reason for a tick."""


def role_of(run: RunSummary) -> Role:
    if run.undone_by:
        return Role.OFF
    if run.exit_code == 0:
        return Role.ATTENTION if run.result in _UNPROVEN else Role.OK
    if run.exit_code in _QUIET_EXITS:
        return Role.OFF
    return Role.ATTENTION if run.exit_code in _MIDDLING_EXITS else Role.FAILED


def folded(newest_first: Sequence[PastRun]) -> tuple[PastRun, ...]:
    """Follow runs in a row as one, as `history` on the command line lists them."""
    groups = in_a_row(newest_first, lambda past: past.summary)
    return tuple(replace(newest, older=tuple(older)) if older else newest for newest, *older in groups)


def identity(past: PastRun) -> str:
    """What a line of the list is, while newer runs join it."""
    return past.all[-1].summary.id


def _result_of_all(frame: Frame, past: PastRun) -> str:
    """`3 followed since 14:02Z` for several."""
    many = f"{len(past.all):,} " if past.older else ""
    return f"{many}{result_words(frame, past.summary, short=True)}{_since(past)}"


def _since(past: PastRun) -> str:
    return f" since {fmt.when(past.all[-1].summary.started_at)}" if past.older else ""


def row(frame: Frame, past: PastRun, *, seconds: bool = False) -> tuple[Line, ...]:
    """Sums over what is shown as one. `seconds`: whether there is room for those of the time at which it started."""
    run, runs = past.summary, [one.summary for one in past.all]
    return (
        plain(f" {frame.clean(run.id)}"),
        plain(fmt.moment(run.started_at) if seconds else fmt.when(run.started_at)),
        plain(frame.clean(run.word)),
        plain(f"{sum(one.new for one in runs):,}"),
        plain(f"{sum(one.changed for one in runs):,}"),
        plain(f"{sum(one.gone for one in runs):,}"),
        plain("-" if past.rate is None or past.older else f"{past.rate:,.0f}"),
        plain(fmt.size(sum(one.bytes_received for one in runs))),
        plain(fmt.took(sum(one.took_s for one in runs))),
        plain(f"{run.exit_code}"),
        toned(role_of(run), _result_of_all(frame, past), glyphs=frame.look.glyphs),
    )


def narrow_row(frame: Frame, past: PastRun) -> tuple[Line, ...]:
    """The same where there is little room: of a run of today the time alone, and all changes in one."""
    run, runs = past.summary, [one.summary for one in past.all]
    new, changed, gone = (sum(rows) for rows in zip(*((one.new, one.changed, one.gone) for one in runs), strict=True))
    return (
        plain(f" {frame.clean(run.id)}"),
        plain(fmt.day_or_clock(run.started_at, frame.now)),
        plain(frame.clean(run.word)),
        plain(f"+{fmt.compact(new)} ~{fmt.compact(changed)} -{fmt.compact(gone)}"),
        plain(fmt.took(sum(one.took_s for one in runs))),
        toned(role_of(run), _result_of_all(frame, past), glyphs=frame.look.glyphs),
    )


def ended_words(history: HistoryView) -> str:
    """`42 of 43 ended in sync, 12 followed`; a follow run proves nothing and fails nothing."""
    told = [f"{history.in_sync:,} of {history.compared:,} ended in sync"] if history.compared else []
    return ", ".join([*told, *([f"{history.followed:,} followed"] if history.followed else [])])


FIELDS: Fields = {"id": TEXT, "kind": TEXT, "why": TEXT, "result": TEXT, "exit": NUMBER, "started": TEXT}


def row_of(past: PastRun) -> Row:
    """What the filter looks at."""
    run = past.summary
    return {
        "id": run.id,
        "kind": run.word,
        "why": run.trigger,
        "result": f"{ended(run.result)}{left_over(run)}{undo_words(run)}",
        "exit": run.exit_code,
        "started": fmt.when(run.started_at),
    }


def as_row(past: PastRun) -> Mapping[str, object]:
    """One line of an export."""
    run = past.summary
    return {
        "v": 1,
        "id": run.id,
        "kind": run.kind,
        "trigger": run.trigger,
        "started_at": run.started_at,
        "seconds": run.took_s,
        "insert": run.new,
        "update": run.changed,
        "remove": run.gone,
        "rows_per_second": past.rate,
        "proof_age_seconds": past.proof_age,
        "bytes_received": run.bytes_received,
        "requests": run.requests,
        "exit_code": run.exit_code,
        "result": run.result,
        "resumable": run.resumable,
        "generation": run.generation,
        "undoes": run.undoes,
        "undone_by": run.undone_by,
    }


# -------------------------------------------------------------------------------------------- charts


def charts(shown: Sequence[PastRun], runs: Runs | None) -> tuple[ChartStack, ChartStack]:
    """Left: rows a second and duration; right: age of the proof when a run began, and the primary's latency.

    `shown`: newest first, as the list has them; runs that did not end are drawn as failed. `runs`: None until the core
    has told them.
    """
    oldest_first = tuple(reversed(shown))
    bad = {past.summary.id for past in oldest_first if role_of(past.summary) is Role.FAILED}
    speeds = tuple(
        past.rate if past.summary.id not in bad else None
        for past in oldest_first
        if past.rate or past.summary.id in bad
    )
    took = tuple(past.summary.took_s if past.summary.id not in bad else None for past in oldest_first)
    ages = tuple(past.proof_age for past in oldest_first if past.proof_age is not None)
    pings = () if runs is None else tuple(ms for _, ms in runs.pings)
    first = fmt.when(oldest_first[0].summary.started_at) if oldest_first else ""
    of = f"{fmt.plural(len(shown), 'run')} since {first}" if shown else ""
    of_runs = partial(Chart, right=of, oldest=first)
    unread = "the history is being read" if runs is None else ""
    left = (
        of_runs("Rows/s", speeds, _rate_scale(speeds), empty=unread or "no run fetched rows yet"),
        of_runs(
            "Duration",
            took,
            _scale(took, fmt.took),
            word=fmt.short_took,
            top=round_up_s,
            empty=unread or "nothing has run yet",
        ),
    )
    since = fmt.when(runs.pings[0][0]) if runs is not None and runs.pings else ""
    failed = sum(ms is None for ms in pings)
    lost = f", {failed:,} failed" if failed else ""
    right = (
        of_runs(
            "Proof age",
            ages,
            _scale(ages, fmt.age),
            word=fmt.target,
            top=round_up_s,
            empty=unread or "no run began on a proven cache yet",
        ),
        Chart(
            "Latency",
            pings,
            _scale(pings, fmt.milliseconds),
            f"{fmt.plural(len(pings), 'ping')}{lost} since {since}" if since else "",
            word=fmt.milliseconds,
            oldest=since,
            empty=unread or "no ping is remembered",
        ),
    )
    return ChartStack(left), ChartStack(right)


def _rate_scale(samples: Sequence[float | None]) -> tuple[str, ...]:
    known = [value for value in samples if value is not None]
    if not known:
        return ("no run fetched rows",)
    median = quantile(known, 0.5)
    words = f"median {median:,.0f}   max {max(known):,.0f}"
    return (f"min {min(known):,.0f}   {words}", words)


def _scale(samples: Sequence[float | None], word: Callable[[float | None], str]) -> tuple[str, ...]:
    known = [value for value in samples if value is not None]
    if not known:
        return ("all of them failed",)
    p50, p95 = quantile(known, 0.5), quantile(known, 0.95)
    return (f"p50 {word(p50)}   p95 {word(p95)}   max {word(max(known))}", f"p95 {word(p95)}   max {word(max(known))}")


# -------------------------------------------------------------------------------------------- detail


def detail(frame: Frame, past: PastRun | None, found: RunDetail | None) -> TwoColumns:
    """One run: what it did on the left, how and why it ended on the right."""
    if past is None:
        return TwoColumns("Run", "", ())
    run = past.summary
    many = f" · newest of {len(past.all):,} follow runs" if past.older else ""
    title = f"{frame.clean(run.id)} · {frame.clean(run.word)}{many}"
    right = f"{'resumable · ' if run.resumable and not _overtaken(frame, run) else ''}exit {run.exit_code}"
    right = f"{right}: rejected rows" if run.exit_code == PARTLY else right
    known = found if found is not None and found.id == run.id else None
    document = known.document if known is not None else {}
    did, ended = _did(frame, past, known.steps if known is not None else None, document), _ended(frame, past, document)
    return TwoColumns(frame.label(title), frame.label(right), did, ended, narrow=_in_order((*ended, *did)))


def _in_order(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """What matters most first, for a panel that has no room for all."""
    places = {label: place for place, label in enumerate(_FIRST)}
    return tuple(sorted(facts, key=lambda fact: places.get(fact.label, len(places))))


_FIRST = (
    "result",
    "undone",
    "where",
    "program",
    "rows",
    "steps",
    "resume",
    "next",
    "transfer",
    "proof",
    "started",
    "tables",
    "why",
)


def _did(
    frame: Frame, past: PastRun, steps: Sequence[tuple[str, float]] | None, document: Mapping[str, object]
) -> tuple[Fact, ...]:
    """`steps`: None until the core has told them."""
    run = past.summary
    moved = f"+{run.new:,}  ~{run.changed:,}  -{run.gone:,}"
    rate = f"{past.rate:,.0f} rows/s" if past.rate is not None else ""
    parts = "   ".join(f"{frame.clean(name)} {fmt.took(seconds)}" for name, seconds in steps or () if name != "total")
    tables = "   ".join(_table_words(frame, document))
    return (
        Fact("started", plain(fmt.moment(run.started_at)), extra=muted(f"{frame.ago(run.started_at)} ago")),
        Fact("why", plain(frame.clean(run.trigger))),
        Fact("rows", plain(moved), extra=muted(rate)),
        *((Fact("tables", plain(tables), whole=True),) if tables else ()),
        Fact(
            "steps",
            plain(parts) if parts else muted("not known yet" if steps is None else "not recorded"),
            extra=muted(f"in all {fmt.took(run.took_s)}"),
            whole=True,
        ),
        Fact("transfer", plain(transfer(run))),
    )


def _table_words(frame: Frame, document: Mapping[str, object]) -> Iterator[str]:
    for table, change in _mapping(document.get("applied")).items():
        counts = _mapping(change)
        words = [f"{sign}{n:,}" for sign, n in zip("+~-", map(_number, map(counts.get, _CHANGES)), strict=True) if n]
        if words:
            yield f"{frame.clean(table)} {' '.join(words)}"


_CHANGES = ("insert", "update", "remove")


def _ended(frame: Frame, past: PastRun, document: Mapping[str, object]) -> tuple[Fact, ...]:
    run = past.summary
    error = _mapping(document.get("error"))
    hint = hint_in(error)
    warnings = document.get("warnings")
    notes = [str(one) for one in warnings] if isinstance(warnings, list) else []
    proof = _mapping(document.get("proof"))
    root = str(proof.get("root", ""))
    proved = f"g-{run.generation}" if run.generation is not None else ""
    made = f"{proved}   root {frame.clean(root[:16])}" if root else proved or "none made by this run"
    if run.followed:
        # the document has the proof that it goes on from
        last = proof.get("generation")
        made = f"no proof; followed{f', last proved g-{last}' if isinstance(last, int) else ''}"
    age = f"proof age at start {fmt.age(past.proof_age)}" if past.proof_age is not None else ""
    return (
        Fact("result", toned(role_of(run), result_words(frame, run), glyphs=frame.look.glyphs)),
        *((Fact("undone", plain(frame.clean(f"by {run.undone_by}"))),) if run.undone_by else ()),
        *((Fact("where", plain(frame.clean(str(error["message"]))), whole=True),) if error.get("message") else ()),
        *((Fact("next", plain(frame.clean(hint)), whole=True),) if hint and not _overtaken(frame, run) else ()),
        *_program(frame, run, document),
        Fact("proof", plain(made)),
        *((Fact("before", muted(age)),) if age else ()),
        *((Fact("resume", _resume(frame, run)),) if run.resumable else ()),
        *(
            Fact("note" if not number else "", plain(frame.clean(note)), whole=True)
            for number, note in enumerate(notes[:LONGEST_NOTE])
        ),
    )


def _program(frame: Frame, run: RunSummary, document: Mapping[str, object]) -> tuple[Fact, ...]:
    """What a program started with: by `exec`, or by itself as it was seen to take the lock."""
    start = run.start
    if start is None:
        return ()
    found = "" if start.found is None else f" of {fmt.plural(start.found, 'row')} found"
    behind = "not known how far behind" if start.behind is None else f"{start.behind:,} behind{found}"
    verdict = start.verdict.replace("_", " ").lower()
    delay = f"after {fmt.took(start.delay_s)}" if start.delay_s is not None else "by itself"
    pid = _mapping(document.get("holder")).get("pid")
    who = f", pid {pid}" if isinstance(pid, int) else ""
    return (Fact("program", plain(frame.clean(f"started {delay}{who}: {behind}, {verdict}")), whole=True),)


_RESUMED_BY = {"repair": "r", "rebuild": "R"}
"""Kinds of runs that a sync does not go on with."""


def _resume(frame: Frame, run: RunSummary) -> Line:
    """What of it can still be used; nothing once a later run proved the cache."""
    if _overtaken(frame, run):
        return muted("nothing: a later run proved the cache")
    return plain(f"{_RESUMED_BY.get(run.kind, 's')} goes on where it stopped")


def _overtaken(frame: Frame, run: RunSummary) -> bool:
    """Whether a later run proved the cache: what this one asked for is done."""
    return any(
        later.started_at > run.started_at and later.generation is not None and not later.followed
        for later in frame.snapshot.history.last
    )


def document_text(found: RunDetail) -> str:
    """The whole document as it was printed, for people."""
    return json.dumps(found.document, indent=2, ensure_ascii=False)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
