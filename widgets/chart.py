"""Charts in text: one row of blocks with its scale in words, and with more room axes with units and time. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from widgets import fmt
from widgets.glyphs import GlyphSet, Look, Role, Tone
from widgets.line import Line, Piece, muted, rule

EACH = 3
"""Lines of a small chart: its hairline, its blocks, its scale."""
LEAST = 4
"""Lines below the hairline from which a chart has axes: three of blocks, one of time."""
WITH_LINE = 6
"""Lines from which the axis of time has a line of its own."""
LABELS = 6
"""Cells of the labels beside the blocks, at least: axes below each other begin in one column."""
BAR_MOST = 8
"""Cells of one sample where there are few."""
TICK_CELLS = 10
"""Cells between two moments on the axis of time, at least."""
NOTHING: Final = math.nan
"""No sample: drawn as a blank, never as 0."""

Samples = Sequence[float | None]
"""Newest last. None: what was tried failed; `NOTHING`: nothing was tried."""
Word = Callable[[float], str]

_TICKS_S = (10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400)
_STEPS = (1.0, 2.0, 5.0, 10.0)
_NOW, _LAST = "now", "last"


def round_up(number: float) -> float:
    """The next of 1, 2, 5, 10, 20, …: the top of an axis."""
    if number <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(number))
    return next((step * unit for step in _STEPS if step * unit >= number), number)


def round_up_s(seconds: float) -> float:
    """The same for a span: tens of seconds, minutes, hours."""
    if seconds <= _TICKS_S[0]:
        return round_up(seconds)
    return float(next((tick for tick in _TICKS_S if tick >= seconds), round_up(seconds / 86_400) * 86_400))


class Chart(Struct, frozen=True):
    """`scale`: what the heights mean, in words; longest wording first.

    `word`, `top`: a value with its unit, and the top of the axis for the largest one. `step_s`: seconds between two
    samples: the newest are drawn; None where they are not equally far apart: all are drawn, and `oldest` says
    when the first one was. `limit`: what is above it stands out. `empty`: what is said where there is no sample.
    """

    title: str
    samples: tuple[float | None, ...]
    scale: tuple[str, ...]
    right: str = ""
    word: Word = fmt.compact
    top: Callable[[float], float] = round_up
    step_s: float | None = None
    oldest: str = ""
    limit: float | None = None
    empty: str = ""

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        return self.body(width, height, look)

    def body(self, width: int, height: int, look: Look) -> list[Line]:
        """The lines below the hairline."""
        if all(value is not None and math.isnan(value) for value in self.samples):
            return [muted(f" {self.empty}"), *((),) * (height - 1)]
        if height >= LEAST:
            return self._with_axes(width, height, look.glyphs)
        words = next((text for text in self.scale if len(text) < width), self.scale[-1] if self.scale else "")
        return [muted(f" {blocks(self.samples, max(1, width - 2), look.glyphs)}"), muted(f" {words}")]

    def _with_axes(self, width: int, height: int, glyphs: GlyphSet) -> list[Line]:
        line = height >= WITH_LINE
        rows = height - (2 if line else 1)
        # the top is that of what is seen
        top = self.top(_most(self._columns(max(1, width - LABELS - 4))))
        labels = {0: self.word(top), rows - 1: "0"}
        if rows >= WITH_LINE - 1 and rows % 2:
            labels[rows // 2] = self.word(top / 2)
        room = max(LABELS, *(len(label) for label in labels.values()))
        cells = max(1, width - room - 4)
        columns = self._columns(cells)
        drawn: list[Line] = []
        for row in range(rows):
            mark = glyphs.plain("┤" if row in labels else "│")
            head = Piece(f" {labels.get(row, '').rjust(room)} {mark}", Tone.MUTED)
            drawn.append((head, *self._row(columns, rows - 1 - row, rows, top, glyphs)))
        if line:
            drawn.append(muted(f" {' ' * room} {glyphs.plain('└')}{glyphs.rule * cells}"))
        drawn.append(muted(f" {' ' * room}  {self._times(cells)}"))
        return drawn

    def _columns(self, cells: int) -> list[float | None]:
        """One value a cell, newest right; where there are few samples that are no moments, each is a bar."""
        if self.step_s is not None:
            found = list(self.samples[-cells:])
        else:
            each = max(1, min(BAR_MOST, cells // len(self.samples)))
            bar = max(1, each - 1)
            bars = bucketed(self.samples, cells)
            found = [cell for value in bars for cell in (*(value,) * bar, *(NOTHING,) * (each - bar))]
        return [*(NOTHING,) * (cells - len(found)), *found]

    def _row(self, columns: Sequence[float | None], above: int, rows: int, top: float, glyphs: GlyphSet) -> Line:
        """The cells `above` so many others; pieces of one tone are one."""
        pieces: list[Piece] = []
        for value in columns:
            text, tone = self._cell(value, above, rows, top, glyphs)
            if pieces and pieces[-1].tone is tone:
                pieces[-1] = Piece(pieces[-1].text + text, tone)
            else:
                pieces.append(Piece(text, tone))
        return tuple(pieces)

    def _cell(self, value: float | None, above: int, rows: int, top: float, glyphs: GlyphSet) -> tuple[str, Tone]:
        if value is None and not above:
            return glyphs.roles[Role.FAILED][:1], Tone.FAILED
        if value is None or not math.isfinite(value):
            return " ", Tone.MUTED
        steps = len(glyphs.sparks)
        filled = round(min(1.0, max(0.0, value) / top) * rows * steps) - above * steps
        if not above:
            # a 0 that is known is seen
            filled = max(1, filled)
        tone = Tone.ATTENTION if self.limit is not None and value > self.limit else Tone.MUTED
        return (glyphs.sparks[min(filled, steps) - 1], tone) if filled > 0 else (" ", Tone.MUTED)

    def _times(self, cells: int) -> str:
        """The axis below the columns: how long ago, or since when."""
        if self.step_s is None:
            return self.oldest[: max(0, cells - len(_LAST) - 2)].ljust(cells - len(_LAST)) + _LAST
        step_s = self.step_s
        tick = next((tick for tick in _TICKS_S if tick / step_s >= TICK_CELLS), _TICKS_S[-1])
        text = _NOW.rjust(cells)
        for number in range(1, int((cells - 1) * step_s / tick) + 1):
            label = f"-{fmt.target(number * tick)}".replace(" ", "")
            place = cells - 1 - round(number * tick / step_s)
            if place + len(label) < cells - len(_NOW):
                text = text[:place] + label + text[place + len(label) :]
        return text


class ChartStack(Struct, frozen=True):
    """Charts one below the other, as many as there is room for; the first one's hairline is the panel's."""

    charts: tuple[Chart, ...]

    @property
    def title(self) -> str:
        return self.charts[0].title if self.charts else ""

    @property
    def right(self) -> str:
        return self.charts[0].right if self.charts else ""

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        found: list[Line] = []
        shown = self.charts[: max(1, (height + 1) // EACH)]
        for number, chart in enumerate(shown):
            if number:
                found.append(rule(chart.title, chart.right, width, look))
            # what is left is shared by the charts that are left, hairlines included
            left = len(shown) - number
            found.extend(chart.body(width, (height - len(found) - left + 1) // left, look))
        return found


def blocks(samples: Samples, width: int, glyphs: GlyphSet) -> str:
    """All samples in `width` blocks, newest right; a block is the largest of its samples, so spikes stay.

    A block with a failed sample and no other is drawn as failed.
    """
    return fmt.spark(bucketed(samples, width), width, glyphs, failed=glyphs.roles[Role.FAILED][:1])


def bucketed(samples: Samples, width: int) -> list[float | None]:
    """The samples in at most `width` buckets of about equal size, each as its largest sample.

    Without any that is known: None when one failed, else `NOTHING`.
    """
    if len(samples) <= width:
        return list(samples)
    places = [number * len(samples) // width for number in range(width + 1)]
    return [_largest(samples[a:b]) for a, b in pairwise(places)]


def _largest(samples: Samples) -> float | None:
    known = _known(samples)
    return max(known) if known else None if None in samples else NOTHING


def _most(samples: Samples) -> float:
    """The top of what is known, 0 without any."""
    return max(_known(samples), default=0.0)


def _known(samples: Samples) -> list[float]:
    return [value for value in samples if value is not None and math.isfinite(value)]


def quantile(samples: Samples, share: float) -> float | None:
    """The sample that `share` of the known ones do not exceed; None without any."""
    known = sorted(_known(samples))
    return known[min(len(known) - 1, int(share * len(known)))] if known else None
