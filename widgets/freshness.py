"""How fresh the cache is: the proof's age, what it is behind by, and when it is looked at next."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from widgets import fmt
from widgets.facts import Fact, paint_fact
from widgets.glyphs import GlyphSet, Look, Role, Tone
from widgets.line import Line, Piece, cell, muted

LABELS = 11
WIDE = 48


class Lag(Struct, frozen=True):
    """Rows of one table that the cache has not, has otherwise, or has too many."""

    name: str
    new: int
    changed: int
    gone: int


class Freshness(Struct, frozen=True):
    """`behind` is the total, None when it is not known (`behind_note` then says since when, longest wording first)."""

    title: str
    right: str
    proof: Fact
    behind: Lag | None
    behind_note: tuple[str, ...]
    tables: tuple[Lag, ...]
    notes: tuple[Fact, ...]
    next: Fact

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        head = [paint_fact(self.proof, width, look, LABELS), self._behind(width, look)]
        last = paint_fact(self.next, width, look, LABELS)
        room = max(0, height - len(head) - 1)
        tables = self._tables(room, width, look.glyphs)
        notes = [paint_fact(note, width, look, LABELS) for note in self.notes[: room - len(tables)]]
        return [*head, *tables, *notes, last]

    def _behind(self, width: int, look: Look) -> Line:
        if self.behind is None:
            mark = Piece(f"{look.glyphs.of(Role.UNKNOWN)} ", Tone.UNKNOWN)
            value, *short = ((mark, Piece(note)) for note in self.behind_note)
            return paint_fact(Fact("behind", value, short=tuple(short)), width, look, LABELS)
        total = self.behind
        words = (" new", " changed", " gone") if width >= WIDE else ("", "", " rows")
        numbers = _numbers(total, width, words)
        return paint_fact(Fact("behind", numbers), width, look, LABELS)

    def _tables(self, room: int, width: int, glyphs: GlyphSet) -> list[Line]:
        if room <= 0:
            return []
        shown = self.tables[:room]
        lines = [_lag(row, width, glyphs) for row in shown]
        left = len(self.tables) - len(shown)
        if left > 0:
            rest = self.tables[room - 1 :]
            lines[-1] = muted(f"  {glyphs.plain('…')} {fmt.plural(len(rest), 'more table')}")
        return lines


def _lag(row: Lag, width: int, glyphs: GlyphSet) -> Line:
    return (*cell(f"  {row.name}", LABELS + 1, glyphs, tone=Tone.MUTED), *_numbers(row, width, ("", "", "")))


def _numbers(row: Lag, width: int, words: tuple[str, str, str]) -> Line:
    """The three counts in columns; the words behind them take the columns' gaps."""
    gaps = (0, 4, 11) if width >= WIDE else (0, 0, 0)
    numbers = (fmt.signed(row.new, "+"), fmt.signed(row.changed, "~"), fmt.signed(row.gone, "-"))
    pieces: list[Piece] = []
    used = 0
    for place, (number, word, gap) in enumerate(zip(numbers, words, gaps, strict=True)):
        start = (6, 13, 20)[place] + gap
        pieces.extend((Piece(number.rjust(max(len(number) + (1 if place else 0), start - used))), *muted(word)))
        used = start + len(word)
    return tuple(pieces)
