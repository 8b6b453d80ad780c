"""A vector as a picture: its course in blocks, how its numbers are spread, all of them as hex and decimal. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from msgspec import Struct

from widgets.facts import Fact, paint_fact, parts
from widgets.glyphs import GlyphSet, Look
from widgets.line import Line, Piece, muted, plain

LABELS = 10
KEPT = 2
"""Lines of a list below its first that stay, whatever is left out."""


class VectorView(Struct, frozen=True):
    """`facts` above, `tail` below what is drawn of the numbers; `short` facts instead, where rows are few.

    `means`: None where a part has no finite number. `histogram`: counts over equal parts of -`bound` … `bound`.
    """

    title: str
    right: str
    facts: tuple[Fact, ...]
    short: tuple[Fact, ...]
    tail: tuple[Fact, ...]
    means: tuple[float | None, ...] = ()
    count: int = 0
    histogram: tuple[int, ...] = ()
    bound: float = 0.0
    last: tuple[Fact, ...] = ()
    """At the foot, whatever is left out above it."""

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        """The whole picture where it fits, maybe with a shorter list; else `short` and the tail that has room."""
        room = max(0, height - len(self.last))
        facts = [part for fact in self.facts for part in parts(fact, width - LABELS - 1, look)]
        whole = [*facts, *self._pictures(look.glyphs)]
        tail = self._tail(room - len(whole))
        short = [part for fact in self.short for part in parts(fact, width - LABELS - 1, look)]
        chosen = [*whole, *tail] if len(whole) + len(tail) <= room else [*short, *self.tail]
        return [paint_fact(fact, width, look, LABELS) for fact in (*chosen[:room], *self.last)]

    def _tail(self, room: int) -> tuple[Fact, ...]:
        """The tail, in so many lines where leaving out some without a label of their own makes it fit."""
        over = len(self.tail) - room
        more = [place for place, fact in enumerate(self.tail) if not fact.label][KEPT:]
        if not 0 < over <= len(more):
            return self.tail
        gone = set(more[-over:])
        return tuple(fact for place, fact in enumerate(self.tail) if place not in gone)

    def _pictures(self, glyphs: GlyphSet) -> list[Fact]:
        if not self.means:
            return []
        each = math.ceil(self.count / len(self.means))
        said = f"{len(self.means)} means of {each} values" if each > 1 else f"{len(self.means)} values"
        spread = f"{self.count:,} values, {len(self.histogram)} buckets"
        bars = blocks([float(many) for many in self.histogram], glyphs, 0.0)
        ends = f"{self.bound:.2f}"
        return [
            Fact("values", plain(course(self.means, glyphs)), extra=muted(said)),
            Fact("histogram", plain(f"-{ends} {bars} {ends}"), extra=muted(spread)),
        ]


def course(values: Sequence[float | None], glyphs: GlyphSet) -> str:
    """One block a value, scaled to their own least and largest; a blank where there is no number."""
    known = [value for value in values if value is not None]
    return blocks(values, glyphs, min(known, default=0.0))


def blocks(values: Sequence[float | None], glyphs: GlyphSet, least: float) -> str:
    """One block a value, from `least` to the largest."""
    span = max((value for value in values if value is not None), default=0.0) - least
    steps = len(glyphs.sparks) - 1

    def block(value: float | None) -> str:
        if value is None:
            return " "
        return glyphs.sparks[int(max(0.0, value - least) / span * steps + 0.5) if span > 0 else 0]

    return "".join(block(value) for value in values)


CELL = 32
"""Cells of one number: its place, its octets, its decimal."""


def across(width: int) -> int:
    """How many numbers stand on one line."""
    return max(1, (width - 1) // CELL)


def number_rows(values: bytes, width: int) -> int:
    """Lines that it takes to show every number."""
    return -(-(len(values) // 4) // across(width))


def number_head(width: int) -> Line:
    """The heads above the numbers."""
    return (Piece(" "), *(muted(f"{'place':>6}  {'hex':<8}  {'number':<14}") * across(width)))


def number_line(values: bytes, index: int, width: int) -> Line:
    """Line `index` of all numbers (f32, little-endian): place, hex as the number reads, decimal."""
    many = across(width)
    pieces: list[Piece] = [Piece(" ")]
    for place in range(index * many, min((index + 1) * many, len(values) // 4)):
        (number,) = struct.unpack_from("<f", values, place * 4)
        octets = values[place * 4 : place * 4 + 4][::-1].hex()
        decimal = f"{number: .7g}"
        pieces += [*muted(f"{place:>6}  "), *plain(octets), *plain(f" {decimal:<14} ")]
    return tuple(pieces)
