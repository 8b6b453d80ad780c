"""What the last runs changed, one line a run. Pure."""

from __future__ import annotations

from console.views.frame import Frame
from console.views.run import result_words, what_changed
from console.views.runs import role_of
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.line import muted, plain, toned

LABELS = 10


def recent_runs(frame: Frame) -> FactList:
    """The newest first; History has all of them, with their rows."""
    runs = frame.snapshot.history.last
    if not runs:
        return FactList("Last runs", "", (Fact("", muted("nothing has run yet")),), LABELS)
    facts = tuple(
        Fact(
            fmt.clock(run.started_at),
            (*toned(role_of(run), frame.clean(run.word), glyphs=frame.look.glyphs), *plain(f"  {what_changed(run)}")),
            extra=muted(result_words(frame, run)),
        )
        for run in runs
    )
    return FactList("Last runs", f"{frame.snapshot.history.runs:,} in all, 4 shows them", facts, LABELS)
