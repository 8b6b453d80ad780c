"""Two lines that answer first: the verdict as a bar, and what to do next with the real key in it."""

from __future__ import annotations

from msgspec import Struct
from textual.reactive import reactive

from widgets.glyphs import BARS, Look, Role, Tone
from widgets.line import Line, Piece, first_that_fits, fit
from widgets.painted import Painted


class VerdictText(Struct, frozen=True):
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
    """Verdict and next line at `width` cells, their texts in one column; the bar is as wide as the terminal."""
    glyphs = look.glyphs
    column = max(9, len(value.word) + 2)
    used = 2 + glyphs.role_width + column
    said = first_that_fits(value.sentence, width - used)
    bar = fit((Piece(f" {glyphs.of(value.role)} {value.word.ljust(column)}{said}"),), width, glyphs)
    tone = BARS.get(value.role, Tone.BAR_QUIET)
    first = tuple(Piece(piece.text, tone) for piece in bar)
    second = (Piece(f" {'next'.ljust(used - 1)}", Tone.MUTED), Piece(first_that_fits(value.next, width - used)))
    return [first, fit(second, width, glyphs)]
