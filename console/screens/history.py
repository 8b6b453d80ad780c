"""History: what ran, how it ended, and whether it can be resumed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from console.bindings import bindings
from console.keys import HISTORY
from console.screens.listing import Column, Listing, ListScreen
from console.views.frame import Frame
from storage_sync.model import RunSummary, Word
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.glyphs import Role
from widgets.line import Line, muted, plain, toned

_COLUMNS = (
    Column(" run", 10),
    Column("started", 13),
    Column("kind", 8, wide=90),
    Column("+new", 6, right=True),
    Column("~chg", 6, right=True),
    Column("-gone", 6, right=True),
    Column("took", 7, right=True),
    Column("exit", 4, right=True, wide=90),
    Column("result", 0),
)
_QUIET_EXITS = frozenset({6, 11})


class HistoryScreen(ListScreen):
    name_id = HISTORY
    BINDINGS: ClassVar[list[BindingType]] = bindings(HISTORY)

    def listing(self, frame: Frame) -> Listing:
        history = frame.snapshot.history
        ratio = f"{history.ok_ratio * 100:.1f} % ended proven" if history.ok_ratio is not None else ""
        return Listing(
            title=frame.label(f"Runs · {history.runs:,}"),
            right=ratio,
            columns=_COLUMNS,
            rows=tuple(_row(frame, run) for run in history.last),
            empty="nothing has run yet",
        )

    def details(self, frame: Frame, index: int) -> FactList:
        runs = frame.snapshot.history.last
        if not 0 <= index < len(runs):
            return FactList("Run", "", ())
        return _details(frame, runs[index])


def role_of(run: RunSummary) -> Role:
    if run.exit_code == 0:
        return Role.OK
    if run.exit_code in _QUIET_EXITS:
        return Role.OFF
    return Role.ATTENTION if run.exit_code in {1, 7, 10, 130, 143} else Role.FAILED


def result_words(frame: Frame, result: str) -> str:
    """How a run ended: a verdict's word as words, anything else as it was said."""
    return frame.clean(result.replace("_", " ").lower() if result in set(Word) else result)


def _row(frame: Frame, run: RunSummary) -> tuple[Line, ...]:
    return (
        plain(f" {frame.clean(run.id)}"),
        plain(fmt.when(run.started_at)),
        plain(frame.clean(run.kind)),
        plain(f"{run.new:,}"),
        plain(f"{run.changed:,}"),
        plain(f"{run.gone:,}"),
        plain(fmt.took(run.took_s)),
        plain(f"{run.exit_code}"),
        toned(role_of(run), result_words(frame, run.result), glyphs=frame.look.glyphs),
    )


def _details(frame: Frame, run: RunSummary) -> FactList:
    rows = run.new + run.changed + run.gone
    rate = f"{rows / run.took_s:,.0f} rows/s" if rows and run.took_s > 0 else ""
    after = "not known" if run.generation is None else f"g-{run.generation}"
    facts = (
        Fact("started", plain(f"{fmt.when(run.started_at)}"), extra=muted(f"{frame.ago(run.started_at)} ago")),
        Fact("why", plain(frame.clean(run.trigger))),
        Fact("rows", plain(f"+{run.new:,}  ~{run.changed:,}  -{run.gone:,}"), extra=muted(rate)),
        Fact("transfer", plain(f"{fmt.plural(run.requests, 'request')}, {fmt.size(run.bytes_received)} received")),
        Fact("result", toned(role_of(run), result_words(frame, run.result), glyphs=frame.look.glyphs)),
        Fact("after", plain(after)),
        Fact("resume", plain("s goes on where it stopped") if run.resumable else muted("nothing to resume")),
    )
    title = f"{frame.clean(run.id)} · {frame.clean(run.kind)}"
    return FactList(frame.label(title), f"exit {run.exit_code}", facts)
