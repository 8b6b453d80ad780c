"""Two lines that answer first: the verdict, and what to do next with the real key in it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.reactive import reactive

from widgets.glyphs import Look, Role, Tone
from widgets.line import Line, Piece, first_that_fits, fit
from widgets.painted import Painted


@dataclass(frozen=True, slots=True)
class VerdictText:
    """`sentence` and `next`: wordings, longest first; the first that fits is drawn."""

    role: Role
    word: str
    sentence: tuple[str, ...]
    next: tuple[str, ...]


class VerdictLine(Painted):
    """Always two rows high."""

    DEFAULT_CSS = """
    VerdictLine { height: 2; width: 1fr; }
    """

    value: reactive[VerdictText | None] = reactive(None, repaint=False)

    def painted(self, width: int, height: int) -> list[Line]:
        return [] if self.value is None else paint(self.value, width, self.look)


def paint(value: VerdictText, width: int, look: Look) -> list[Line]:
    """Verdict and next line at `width` cells, their texts in one column."""
    glyphs = look.glyphs
    column = max(9, len(value.word) + 2)
    used = 2 + glyphs.role_width + column
    tone = Tone(value.role.value)
    word = Piece(value.word.ljust(column), Tone.STRONG)
    first = (
        Piece(" "),
        Piece(f"{glyphs.of(value.role)} ", tone),
        word,
        Piece(first_that_fits(value.sentence, width - used)),
    )
    second = (Piece(f" {'next'.ljust(used - 1)}", Tone.MUTED), Piece(first_that_fits(value.next, width - used)))
    return [fit(first, width, glyphs), fit(second, width, glyphs)]
