"""Labelled facts in a column: the body of the store cards and of several detail panels."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from msgspec import Struct

from widgets import fmt
from widgets.glyphs import GlyphSet, Look, Role
from widgets.line import EMPTY, Line, Piece, muted, plain, text_of, width_of

WIDE = 44
"""Cells from which a card uses its wider label column."""
SPARK_MOST = 17
SPARK_LEAST = 6
GAP = 3
MOST_LINES = 2
"""Lines of a fact that is shown whole, where there is no room for all of it; what is longer ends in an ellipsis."""
ALL_LINES = 99


class Fact(Struct, frozen=True):
    """One labelled line. `extra` and `spark` are left out, in that order of reluctance, where they do not fit.

    `spark`: samples, newest last, None failed. `short`: wordings for a narrower card, longest first; of them
    one that fits, else the last. `whole`: what does not fit goes on
    below, in the tone of its first piece.
    """

    label: str
    value: Line
    extra: Line = EMPTY
    spark: tuple[float | None, ...] | None = None
    short: tuple[Line, ...] = ()
    whole: bool = False
    scale: str = ""
    """What the height of `spark` means, in words."""


def label_width(width: int) -> int:
    return 10 if width >= WIDE else 9


def paint_fact(fact: Fact, width: int, look: Look, labels: int | None = None) -> Line:
    """The fact on one line of at most `width` cells; `labels` is the width of the label column."""
    column = labels if labels is not None else label_width(width)
    head: Line = (Piece(f" {fact.label.ljust(column)[:column]}", muted("")[0].tone),)
    room = width - width_of(head)
    wordings = (fact.value, *fact.short)
    value = next((one for one in wordings if width_of(one) <= room), wordings[-1])
    body = value
    if fact.extra:
        extra = _beside(value, fact.extra)
        if width_of(extra) <= room:
            body = extra
    if fact.spark is None:
        return (*head, *body)
    left = room - width_of(body) - GAP
    if left < SPARK_LEAST and body is not value:
        body = value
        left = room - width_of(body) - GAP
    if left < SPARK_LEAST:
        return (*head, *body)
    scale = f" {fact.scale}" if fact.scale and left >= SPARK_LEAST + 1 + len(fact.scale) else ""
    drawn = _spark(fact.spark, min(left - len(scale), SPARK_MOST), look.glyphs)
    return (*head, *body, *plain(" " * GAP), *drawn, *muted(scale))


def paint_facts(
    facts: Sequence[Fact], width: int, look: Look, labels: int, height: int, *, least: int = MOST_LINES
) -> list[Line]:
    """The facts one below the other on at most `height` lines. `least`: lines that a fact which is shown whole keeps,
    where that takes others theirs."""
    rows: list[Line] = []
    for most in sorted({ALL_LINES, MOST_LINES, least}, reverse=True):
        drawn = (part for fact in facts for part in parts(fact, width - labels - 1, look, most))
        rows = [paint_fact(part, width, look, labels) for part in drawn]
        if len(rows) <= height:
            break
    return rows[:height]


def parts(fact: Fact, room: int, look: Look, most: int = MOST_LINES) -> Iterable[Fact]:
    """The lines of one fact whose value has `room` cells: more than one only where it is shown whole."""
    if not fact.whole or most == 1 or width_of(fact.value) <= room or room <= 0:
        return (fact,)
    # what stands between wide gaps stays together
    said, gap, tied = text_of(fact.value), " " * GAP, "\N{NO-BREAK SPACE}"
    if gap in said:
        said = gap.join(part.replace(" ", tied) for part in said.split(gap))
    texts = textwrap.wrap(said, room, max_lines=most, placeholder=look.glyphs.ellipsis)
    tone = fact.value[0].tone
    return [
        Fact("" if place else fact.label, (Piece(text.replace(tied, " "), tone),)) for place, text in enumerate(texts)
    ]


def _beside(value: Line, extra: Line) -> Line:
    gap = max(GAP, 11 - width_of(value))
    return (*value, Piece(" " * gap), *extra)


def _spark(samples: Sequence[float | None], width: int, glyphs: GlyphSet) -> Line:
    failed = glyphs.roles[Role.FAILED]
    return muted(fmt.spark(samples, width, glyphs, failed=failed, spread=2))


class FactList(Struct, frozen=True):
    """A panel of facts only."""

    title: str
    right: str
    facts: tuple[Fact, ...]
    labels: int = 12

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        return paint_facts(self.facts, width, look, self.labels, height)
