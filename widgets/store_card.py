"""Health of one store: a headline with role, word and place, then facts."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from widgets.facts import Fact, label_width, paint_facts
from widgets.glyphs import Look, Role
from widgets.line import Line, Piece, first_that_fits, toned

WORD_COLUMN = 13


class StoreCard(Struct, frozen=True):
    """`places`: where the store is, longest wording first."""

    title: str
    role: Role
    word: str
    places: tuple[str, ...]
    facts: tuple[Fact, ...]
    right: str = ""

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        used = 3 + look.glyphs.role_width + WORD_COLUMN
        place = first_that_fits(self.places, width - used)
        word = self.word.ljust(WORD_COLUMN)
        head: Line = (Piece(" "), *toned(self.role, word, glyphs=look.glyphs), Piece(f" {place}"))
        # a whole fact goes on below where that takes no other fact its line
        return [head, *paint_facts(self.facts, width, look, label_width(width), height - 1, least=1)]
