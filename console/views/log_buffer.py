"""The log that the screens show: bounded, by level, drawn row by row."""

from __future__ import annotations

from storage_sync.values import visible
from storage_sync.values.events import LogLine
from widgets import fmt
from widgets.glyphs import GlyphSet, Tone
from widgets.line import Line, Piece, cell

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


def draw(line: LogLine, glyphs: GlyphSet) -> Line:
    """One line of the log; its texts come from outside."""
    ascii_only = glyphs.is_ascii
    return (
        Piece(f" {fmt.bare_clock(line.at)}  ", Tone.MUTED),
        *cell(visible.clean(line.level, ascii_only=ascii_only), 6, glyphs, tone=_TONES.get(line.level, Tone.PLAIN)),
        *cell(visible.clean(line.area, ascii_only=ascii_only), 8, glyphs, tone=Tone.MUTED),
        Piece(visible.clean(line.text, ascii_only=ascii_only)),
    )
