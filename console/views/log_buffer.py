"""The log that the screens show: bounded, by level, drawn row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import cast

from msgspec import Struct

from storage_sync.values import visible
from storage_sync.values.events import LogLine
from storage_sync.values.visible import LONGEST
from widgets import fmt
from widgets.glyphs import GlyphSet, Tone
from widgets.line import Line, Piece, cell
from widgets.virtual_table import Ids

LINES_KEPT = 10_000
LEVELS = ("info", "warn", "fail")
LEVEL_WORDS = {"info": "all lines", "warn": "warnings and failures", "fail": "failures only"}
NO_RUN = "this line belongs to no run"
HEAD = 25
"""Cells before the text of a line: time, level, area."""
_TONES = {"info": Tone.MUTED, "warn": Tone.ATTENTION, "fail": Tone.FAILED}


class Journal:
    """Lines of each level and above, oldest first. `revision` changes with every line."""

    def __init__(self, limit: int = LINES_KEPT) -> None:
        self._limit = limit
        self._by_level: dict[str, list[LogLine]] = {level: [] for level in LEVELS}
        self.revision = 0

    def add(self, line: LogLine) -> None:
        self.revision += 1
        rank = LEVELS.index(line.level) if line.level in LEVELS else 0
        for level in LEVELS[: rank + 1]:
            kept = self._by_level[level]
            kept.append(line)
            if len(kept) > self._limit + self._limit // 10:
                del kept[: len(kept) - self._limit]

    def clear(self) -> None:
        self.revision += 1
        for kept in self._by_level.values():
            kept.clear()

    def lines(self, level: str) -> list[LogLine]:
        """The live list of a level; not to be changed."""
        return self._by_level[level]


class Part(Struct, frozen=True):
    """A row: the line, or one part of a line that is too long for a row. `place`: which part, from 0."""

    line: LogLine
    text: str
    place: int = 0


def folded(lines: Sequence[LogLine], width: int) -> list[Part]:
    """The rows of these lines in a list of so many cells: what is too long for one goes on below it."""
    room = width - HEAD if width > HEAD else LONGEST
    return [Part(line, text, place) for line in lines for place, text in enumerate(_parts(line.text, room))]


def last_line(rows: Sequence[Part]) -> int:
    """Where the newest line begins."""
    return len(rows) - 1 - rows[-1].place if rows else 0


def ids_of(rows: Sequence[Part]) -> Ids:
    """A line is found again also where it was folded in another way."""
    places: dict[tuple[LogLine, int], int] = {}

    def at(place: int) -> object:
        return rows[place].line, rows[place].place

    def index(held: object) -> int:
        if not places:
            places.update(((row.line, row.place), number) for number, row in enumerate(rows))
        line, part = cast("tuple[LogLine, int]", held)
        found = places.get((line, part), places.get((line, 0)))
        if found is None:
            raise ValueError("this line is not listed")
        return found

    return Ids(at, index)


def draw(row: Part, glyphs: GlyphSet) -> Line:
    """One row of the log; its texts come from outside."""
    ascii_only, line = glyphs.is_ascii, row.line
    text = Piece(visible.clean(row.text, ascii_only=ascii_only))
    if row.place:
        return Piece(" " * HEAD), text
    return (
        Piece(f" {fmt.bare_clock(line.at)}  ", Tone.MUTED),
        *cell(visible.clean(line.level, ascii_only=ascii_only), 6, glyphs, tone=_TONES.get(line.level, Tone.PLAIN)),
        *cell(visible.clean(line.area, ascii_only=ascii_only), 7, glyphs, tone=Tone.MUTED),
        Piece(" "),
        text,
    )


_UNIT = re.compile(r" (?:/|ms|s|min|h|d|B|KiB|MiB|GiB|%)(?!\w)")
_BEFORE_UNIT = frozenset("0123456789/")


def _parts(text: str, room: int) -> Iterator[str]:
    """The text in parts of at most `room` characters, cut between words where there are any."""
    while len(text) > room:
        cut = text.rfind(" ", 1, room + 1)
        while cut > 0 and _UNIT.match(text, cut) and text[:cut].rpartition(" ")[2][-1:] in _BEFORE_UNIT:
            # a number stays with its unit: `0.25 / s`
            cut = text.rfind(" ", 1, cut)
        cut = cut if cut > 0 else room
        yield text[:cut]
        text = text[cut:].removeprefix(" ")
    yield text
