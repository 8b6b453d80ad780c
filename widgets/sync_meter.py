"""Progress of a run, or what the last one did and when the next one comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widgets import fmt
from widgets.facts import Fact, paint_fact
from widgets.glyphs import GlyphSet, Look, Role, Tone
from widgets.line import Line, Piece, fit, muted, spread, width_of

BAR_SHARE = 0.6
LABELS = 9


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Progress:
    """`fraction` 0 to 1 or None when the total is not known; `percent` and `amounts` are its words."""

    fraction: float | None
    percent: str
    amounts: tuple[str, ...]
    steps: tuple[Step, ...]
    rates: tuple[float, ...]
    rate: str
    bytes: str
    eta: str
    kept: Line
    hint: Line
    hint_short: Line = ()


@dataclass(frozen=True, slots=True)
class SyncMeter:
    """`progress` while something runs, `facts` otherwise."""

    title: str
    right: str
    progress: Progress | None
    facts: tuple[Fact, ...] = ()

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        if self.progress is None:
            return [paint_fact(fact, width, look, LABELS + 1) for fact in self.facts[:height]]
        run = self.progress
        if height <= 2:
            return [_bar(run, width, look.glyphs), _steps(run, width, look.glyphs, tail=f"ETA {run.eta}")]
        figures = [_bar(run, width, look.glyphs), _steps(run, width, look.glyphs), _figures(run, width, look.glyphs)]
        return [*figures, _kept(run, width, look.glyphs)][:height]


def _bar(run: Progress, width: int, glyphs: GlyphSet) -> Line:
    words = "   ".join(part for part in (run.percent.rjust(5), *run.amounts) if part)
    room = min(int(width * BAR_SHARE), width - len(words) - 3)
    filled, rest = fmt.bar(run.fraction, room, glyphs)
    return (Piece(f" {filled}"), Piece(rest, Tone.MUTED), Piece(f" {words}"))


def _steps(run: Progress, width: int, glyphs: GlyphSet, tail: str = "") -> Line:
    end: Line = muted(f"  {tail} ") if tail else ()
    room = width - width_of(end)
    full = _step_line(run.steps, glyphs, skip_done_names=False)
    line = full if width_of(full) <= room else _step_line(run.steps, glyphs, skip_done_names=True)
    return (*fit(line, room, glyphs), *end)


def _step_line(steps: tuple[Step, ...], glyphs: GlyphSet, *, skip_done_names: bool) -> Line:
    pieces: list[Piece] = [Piece(" ")]
    done = sum(step.role is Role.OK for step in steps)
    if skip_done_names and done:
        pieces.extend((Piece(glyphs.roles[Role.OK], Tone.OK), Piece(f" {done} done ")))
    for step in steps:
        if skip_done_names and step.role is Role.OK:
            continue
        tone = Tone.MUTED if step.role is Role.OFF else Tone.PLAIN
        pieces.extend((Piece(glyphs.roles[step.role], Tone(step.role.value)), Piece(f" {step.name} ", tone)))
    return tuple(pieces)


def _figures(run: Progress, width: int, glyphs: GlyphSet) -> Line:
    spark = fmt.spark(run.rates, 12, glyphs, failed=" ")
    parts: list[tuple[str, str]] = [("rows/s", f"{spark} {run.rate.rjust(8)}"), ("bytes", run.bytes), ("ETA", run.eta)]
    pieces: list[Piece] = []
    for label, value in parts:
        part = (Piece(f" {label}  " if pieces else f" {label.ljust(LABELS)}", Tone.MUTED), Piece(value))
        gap = (Piece("   "),) if pieces else ()
        # a figure that does not fit is left out whole
        if pieces and width_of((*pieces, *gap, *part)) > width:
            break
        pieces.extend((*gap, *part))
    return fit(tuple(pieces), width, glyphs)


def _kept(run: Progress, width: int, glyphs: GlyphSet) -> Line:
    """What is kept and what a cancel does: the shorter wording where both do not fit, then what is kept alone."""
    kept = (Piece(" "), *run.kept)
    room = width - width_of(kept) - 3
    hint = next((words for words in (run.hint, run.hint_short) if words and width_of(words) <= room), ())
    return spread(kept, (Piece("  "), *hint, Piece(" ")), width, glyphs)
