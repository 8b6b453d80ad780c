"""The checks, always in the same order, each with expected and actual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from widgets import fmt
from widgets.glyphs import GlyphSet, Look, Role, Tone
from widgets.line import Line, Piece, first_that_fits, fit, muted, plain, width_of

LABEL_WIDE = 26
LABEL_NARROW = 22
WIDE = 44


@dataclass(frozen=True, slots=True)
class CheckRow:
    """`texts`: the result, longest wording first. `short` is the label on a narrow panel."""

    role: Role
    label: str
    short: str
    texts: tuple[str, ...]
    age: str


@dataclass(frozen=True, slots=True)
class CheckList:
    title: str
    right: str
    rows: tuple[CheckRow, ...]
    empty: str = ""
    """What is said where there is no row."""

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        if not self.rows:
            return [muted(f" {self.empty}")]
        with_summary = height > min(5, len(self.rows))
        room = height - 1 if with_summary else height
        lines = [_row(row, width, look.glyphs) for row in self.rows[:room]]
        return [*lines, self._summary()] if with_summary else lines

    def _summary(self) -> Line:
        words = ((Role.OK, "ok"), (Role.FAILED, "failed"), (Role.UNKNOWN, "unknown"), (Role.NONE, "skipped"))
        parts: list[Piece] = [Piece(f" {fmt.plural(len(self.rows), 'check')}:", Tone.MUTED)]
        for role, word in words:
            number = sum(row.role is role for row in self.rows)
            if number:
                tone = Tone.FAILED if role is Role.FAILED else Tone.PLAIN
                parts.extend((Piece(f"  {number} ", tone), Piece(word, Tone.MUTED)))
        return tuple(parts)


def _row(row: CheckRow, width: int, glyphs: GlyphSet) -> Line:
    column = LABEL_WIDE if width >= WIDE else LABEL_NARROW
    label = row.label if cell_len(row.label) <= column else row.short
    mark = Piece(f" {glyphs.of(row.role)} ", Tone(row.role.value))
    head: Line = (mark, *fit(plain(label), column, glyphs))
    room = width - width_of(head) - 1
    with_age = row.age and width >= WIDE
    dated = tuple(f"{text}  {row.age.rjust(4)}" for text in row.texts) if with_age else ()
    text = first_that_fits((*dated, *row.texts), room)
    return (*head, *plain(" " * max(1, room - cell_len(text) + 1)), *plain(text))
