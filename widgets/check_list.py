"""The checks, always in the same order, each with expected and actual."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct
from rich.cells import cell_len

from widgets import fmt
from widgets.glyphs import GlyphSet, Look, Role, Tone
from widgets.line import Line, Piece, first_that_fits, fit, muted, plain, width_of

LABEL_WIDE = 26
LABEL_NARROW = 22
WIDE = 44


class CheckRow(Struct, frozen=True):
    """`texts`: the result, longest wording first."""

    role: Role
    label: str
    texts: tuple[str, ...]
    age: str


class CheckList(Struct, frozen=True):
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
        return [*lines, self._summary(width)] if with_summary else lines

    def _summary(self, width: int) -> Line:
        """Every row is counted under its sign, so that the parts add up to the whole."""
        by_role = Counter(row.role for row in self.rows)
        parts: list[Piece] = []
        for role in sorted(by_role, key=list(_SAID).index):
            tone = Tone.FAILED if role is Role.FAILED else Tone.PLAIN
            parts.extend((Piece(f"  {by_role[role]} ", tone), Piece(_SAID[role], Tone.MUTED)))
        whole: Line = (Piece(f" {fmt.plural(len(self.rows), 'check')}:", Tone.MUTED), *parts)
        return whole if width_of(whole) <= width else tuple(parts)


_SAID: Mapping[Role, str] = {
    Role.OK: "ok",
    Role.ATTENTION: "warned",
    Role.FAILED: "failed",
    Role.UNKNOWN: "unknown",
    Role.NONE: "skipped",
    Role.RUNNING: "running",
    Role.OFF: "waiting",
}


def _row(row: CheckRow, width: int, glyphs: GlyphSet) -> Line:
    column = LABEL_WIDE if width >= WIDE else LABEL_NARROW
    mark = Piece(f" {glyphs.of(row.role)} ", Tone(row.role.value))
    head: Line = (mark, *fit(plain(row.label), column, glyphs))
    room = width - width_of(head) - 1
    with_age = row.age and width >= WIDE
    dated = tuple(f"{text}  {row.age.rjust(4)}" for text in row.texts) if with_age else ()
    text = first_that_fits((*dated, *row.texts), room)
    return (*head, *plain(" " * max(1, room - cell_len(text) + 1)), *plain(text))
