"""How fresh the cache is: the proof's age, what it is behind by, and when it is looked at next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widgets import fmt
from widgets.facts import Fact, paint_fact
from widgets.glyphs import GlyphSet, Look, Role, Tone
from widgets.line import Line, Piece, cell, muted

LABELS = 11


@dataclass(frozen=True, slots=True)
class Lag:
    """Rows of one table that the cache has not, has otherwise, or has too many."""

    name: str
    new: int
    changed: int
    gone: int


@dataclass(frozen=True, slots=True)
class Freshness:
    """`behind` is the total, None when it is not known (`behind_note` then says since when)."""

    title: str
    right: str
    proof: Fact
    behind: Lag | None
    behind_note: str
    tables: tuple[Lag, ...]
    notes: tuple[Fact, ...]
    next: Fact

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        head = [paint_fact(self.proof, width, look, LABELS), self._behind(width, look)]
        last = paint_fact(self.next, width, look, LABELS)
        room = max(0, height - len(head) - 1)
        tables = self._tables(room, look.glyphs)
        notes = [paint_fact(note, width, look, LABELS) for note in self.notes[: room - len(tables)]]
        return [*head, *tables, *notes, last]

    def _behind(self, width: int, look: Look) -> Line:
        if self.behind is None:
            value: Line = (Piece(f"{look.glyphs.of(Role.UNKNOWN)} ", Tone.UNKNOWN), Piece(self.behind_note))
            return paint_fact(Fact("behind", value), width, look, LABELS)
        total = self.behind
        words = (
            *cell(fmt.signed(total.new, "+"), 6, look.glyphs, right=True),
            *muted(" new"),
            *cell(fmt.signed(total.changed, "~"), 7, look.glyphs, right=True),
            *muted(" changed"),
            *cell(fmt.signed(total.gone, "-"), 7, look.glyphs, right=True),
            *muted(" gone"),
        )
        short = (
            Piece(f"{fmt.signed(total.new, '+')}  {fmt.signed(total.changed, '~')}  {fmt.signed(total.gone, '-')}"),
            *muted(" rows"),
        )
        note: Line = muted(self.behind_note)
        return paint_fact(Fact("behind", words, extra=note, short=short), width, look, LABELS - 1)

    def _tables(self, room: int, glyphs: GlyphSet) -> list[Line]:
        if room <= 0:
            return []
        shown = self.tables[:room]
        lines = [_lag(row, glyphs) for row in shown]
        left = len(self.tables) - len(shown)
        if left > 0:
            rest = self.tables[room - 1 :]
            lines[-1] = muted(f"  {glyphs.plain('…')} {fmt.plural(len(rest), 'more table')}")
        return lines


def _lag(row: Lag, glyphs: GlyphSet) -> Line:
    return (
        *cell(f"  {row.name}", LABELS, glyphs, tone=Tone.MUTED),
        *cell(fmt.signed(row.new, "+"), 6, glyphs, right=True),
        *cell(fmt.signed(row.changed, "~"), 11, glyphs, right=True),
        *cell(fmt.signed(row.gone, "-"), 15, glyphs, right=True),
    )
