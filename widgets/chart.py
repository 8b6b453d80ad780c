"""Small charts in text: one row of blocks, its scale in words below it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from widgets import fmt
from widgets.glyphs import GlyphSet, Look, Role
from widgets.line import Line, muted, rule

EACH = 3
"""Lines of one chart: its hairline, its blocks, its scale."""


@dataclass(frozen=True, slots=True)
class Chart:
    """`samples`: newest last, None failed. `scale`: what the heights mean, in words; longest wording first."""

    title: str
    samples: tuple[float | None, ...]
    scale: tuple[str, ...]
    right: str = ""

    def body(self, width: int, look: Look) -> list[Line]:
        """The two lines below the hairline."""
        if not self.samples:
            return [muted(" nothing to draw yet"), ()]
        words = next((text for text in self.scale if len(text) < width), self.scale[-1] if self.scale else "")
        return [muted(f" {blocks(self.samples, max(1, width - 2), look.glyphs)}"), muted(f" {words}")]


@dataclass(frozen=True, slots=True)
class ChartStack:
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
        for number, chart in enumerate(self.charts):
            if number and height - len(found) < EACH:
                break
            if number:
                found.append(rule(chart.title, chart.right, width, look))
            found.extend(chart.body(width, look))
        return found


def blocks(samples: Sequence[float | None], width: int, glyphs: GlyphSet) -> str:
    """All samples in `width` blocks, newest right; a block is the largest of its samples, so spikes stay.

    A block with a failed sample and no other is drawn as failed.
    """
    return fmt.spark(bucketed(samples, width), width, glyphs, failed=glyphs.roles[Role.FAILED][:1])


def bucketed(samples: Sequence[float | None], width: int) -> list[float | None]:
    """The samples in at most `width` buckets of about equal size; each is its largest sample, None when all failed."""
    if len(samples) <= width:
        return list(samples)
    places = [number * len(samples) // width for number in range(width + 1)]
    return [max((value for value in samples[a:b] if value is not None), default=None) for a, b in pairwise(places)]


def quantile(samples: Sequence[float | None], share: float) -> float | None:
    """The sample that `share` of the known ones do not exceed; None without any."""
    known = sorted(value for value in samples if value is not None and math.isfinite(value))
    return known[min(len(known) - 1, int(share * len(known)))] if known else None
