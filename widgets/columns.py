"""Facts in two columns where there is room, else one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from widgets.facts import Fact, paint_fact
from widgets.glyphs import Look
from widgets.line import Line, fit

WIDE = 90
"""Cells from which there are two columns."""


@dataclass(frozen=True, slots=True)
class TwoColumns:
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
            return [paint_fact(fact, width, look, self.labels) for fact in facts[:height]]
        half = width // 2
        found: list[Line] = []
        for left, right in zip_longest(self.first, self.second):
            one = paint_fact(left, half, look, self.labels) if left is not None else ()
            two = paint_fact(right, width - half, look, self.labels) if right is not None else ()
            found.append((*fit(one, half, look.glyphs), *two))
        return found[:height]
