"""Facts in two columns where there is room, else one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from msgspec import Struct

from widgets.facts import Fact, paint_facts
from widgets.glyphs import Look
from widgets.line import EMPTY, Line, Piece, fit

GAP = 1
WIDE = 90
"""Cells from which there are two columns."""


class TwoColumns(Struct, frozen=True):
    """`labels`: width of the label column. `narrow`: what one column shows, in its order; by default all of them."""

    title: str
    right: str
    first: tuple[Fact, ...]
    second: tuple[Fact, ...] = ()
    narrow: tuple[Fact, ...] = ()
    labels: int = 10

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        if width < WIDE:
            facts = self.narrow or (*self.first, *self.second)
            return paint_facts(facts, width, look, self.labels, height)
        half = width // 2
        first = paint_facts(self.first, half - GAP, look, self.labels, height)
        second = paint_facts(self.second, width - half, look, self.labels, height)
        pairs = zip_longest(first, second, fillvalue=EMPTY)
        return [(*fit(one, half - GAP, look.glyphs), Piece(" " * GAP), *two) for one, two in pairs][:height]
