"""The way of a run from the primary to the cache; or what the last one did and when the next one comes."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from widgets import fmt
from widgets.facts import Fact, paint_facts
from widgets.glyphs import GlyphSet, Look, Role, Tone
from widgets.line import Line, Piece, first_that_fits, fit, muted, spread, width_of

LABELS = 9
FIRST_SHARE = 0.6
"""Of the way, up to what is between its ends."""


class Step(Struct, frozen=True):
    """`seconds`: how long it took, or has run; None before it."""

    name: str
    role: Role
    seconds: float | None = None


class Stop(Struct, frozen=True):
    """A place on the way; `words` stand below its name."""

    name: str
    words: str = ""


class Pipe(Struct, frozen=True):
    """A part of the way: how much of it is done, 0 to 1 or None, and what goes through it; longest wording first."""

    fraction: float | None
    words: tuple[str, ...]


class Way(Struct, frozen=True):
    """From the primary to the cache, and what stands between them."""

    primary: Stop
    fetch: Pipe
    between: Stop
    commit: Pipe
    cache: Stop


class Progress(Struct, frozen=True):
    """`percent`: of the running step; `amounts`: how far it is, in words; `eta`: '' where it is not known."""

    way: Way
    percent: str
    amounts: tuple[str, ...]
    steps: tuple[Step, ...]
    rates: tuple[float, ...]
    bytes: str
    eta: str
    kept: Line
    hint: Line
    hint_short: Line = ()


class SyncMeter(Struct, frozen=True):
    """`progress` while something runs, `facts` otherwise."""

    title: str
    right: str
    progress: Progress | None
    facts: tuple[Fact, ...] = ()

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        if self.progress is None:
            return paint_facts(self.facts, width, look, LABELS + 1, height, least=1)
        run, glyphs = self.progress, look.glyphs
        above, below = _way(run.way, run.percent, width, glyphs)
        if height <= 2:
            return [above, _steps(run, width, glyphs, tail=_eta(run))]
        if height == 3:
            return [above, below, _steps(run, width, glyphs, tail=_eta(run))]
        if height == 4:
            return [above, below, _steps(run, width, glyphs, tail=_eta(run)), _kept(run, width, glyphs)]
        return [above, below, _steps(run, width, glyphs), _figures(run, width, glyphs), _kept(run, width, glyphs)]


def _way(way: Way, percent: str, width: int, glyphs: GlyphSet) -> tuple[Line, Line]:
    """The way as a line with its stops and pipes, and what is to be said of each below it."""
    tail = f"  {percent.rjust(5)} " if percent else " "
    last = width - len(tail) - max(len(way.cache.name), len(way.cache.words))
    middle = 1 + int((last - 1) * FIRST_SHARE)
    above: list[Piece] = [Piece(" ")]
    below: list[Piece] = [Piece(" ")]
    for stop, pipe, start, end in (
        (way.primary, way.fetch, 1, middle),
        (way.between, way.commit, middle, last),
    ):
        filled, rest = fmt.bar(pipe.fraction, max(0, end - start - len(stop.name) - 2), glyphs)
        above.extend((Piece(f"{stop.name} ", Tone.STRONG), Piece(filled), Piece(f"{rest} ", Tone.MUTED)))
        column = max(len(stop.name), len(stop.words)) + 2
        room = max(0, end - start - column - 1)
        said = first_that_fits((*pipe.words, ""), room)
        below.extend((Piece(stop.words.ljust(column), Tone.MUTED), Piece(said.ljust(room + 1))))
    above.extend((Piece(way.cache.name, Tone.STRONG), Piece(tail.rjust(width - last - len(way.cache.name)))))
    below.append(Piece(way.cache.words, Tone.MUTED))
    return fit(tuple(above), width, glyphs), fit(tuple(below), width, glyphs)


def _steps(run: Progress, width: int, glyphs: GlyphSet, tail: str = "") -> Line:
    end: Line = muted(f"  {tail} ") if tail else ()
    room = width - width_of(end)
    untimed = tuple(replace(step, seconds=None) for step in run.steps)
    lines = (
        _step_line(run.steps, glyphs),
        _short_step_line(run.steps, glyphs),
        _short_step_line(untimed, glyphs),
        _short_step_line(_waiting_counted(untimed), glyphs),
    )
    line = next((one for one in lines if width_of(one) <= room), lines[-1])
    return (*fit(line, room, glyphs), *end)


def _step_line(steps: tuple[Step, ...], glyphs: GlyphSet) -> Line:
    """Each step with the time that it took: where the time goes."""
    pieces: list[Piece] = [Piece(" ")]
    for step in steps:
        tone = Tone.MUTED if step.role is Role.OFF else Tone.PLAIN
        took = f"{fmt.took(step.seconds)} " if step.seconds is not None else ""
        pieces.extend((Piece(glyphs.roles[step.role], Tone(step.role.value)), Piece(f" {step.name} ", tone)))
        pieces.append(Piece(took, Tone.MUTED))
    return tuple(pieces)


def _short_step_line(steps: tuple[Step, ...], glyphs: GlyphSet) -> Line:
    """The steps that are done are counted."""
    done = [step for step in steps if step.role is Role.OK]
    if not done:
        return _step_line(steps, glyphs)
    took = sum(step.seconds or 0.0 for step in done)
    counted = Step(f"{len(done)} done", Role.OK, took or None)
    return _step_line((counted, *(step for step in steps if step.role is not Role.OK)), glyphs)


def _waiting_counted(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    waiting = sum(step.role is Role.OFF for step in steps)
    counted = (Step(f"{waiting} to go", Role.OFF),) if waiting else ()
    return (*(step for step in steps if step.role is not Role.OFF), *counted)


def _eta(run: Progress) -> str:
    return f"ETA {run.eta}" if run.eta else ""


def _figures(run: Progress, width: int, glyphs: GlyphSet) -> Line:
    spark = fmt.spark(run.rates, 12, glyphs, failed=" ")
    most = f" to {max(run.rates):,.0f}" if run.rates else ""
    parts: list[tuple[str, str]] = [("rows/s", f"{spark}{most}"), *([("ETA", run.eta)] if run.eta else [])]
    amounts = [("", amount) for amount in run.amounts]
    parts.extend([*amounts[:1], *([("bytes", run.bytes)] if run.bytes else []), *amounts[1:]])
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
