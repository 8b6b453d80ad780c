"""The steps of a plan: what each does, rows, bytes, and how it is undone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from msgspec import Struct
from rich.cells import cell_len

from widgets import fmt
from widgets.glyphs import GlyphSet, Look, Tone
from widgets.line import Line, Piece, cell

STEP, GAP = 4, 2
UNDO_SHARE = 2
"""How a step is undone takes at most this part of the width that both wordings have."""


class PlanStep(Struct, frozen=True):
    """`bytes` None: not known or not a matter of bytes."""

    step: str
    text: str
    rows: int
    bytes: int | None
    undo: str


class PlanTable(Struct, frozen=True):
    steps: tuple[PlanStep, ...]
    title: str = ""
    right: str = ""

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        """Each column is as wide as its widest value; where there is no room, both wordings go on below."""
        cells = [("", "step", "rows", "bytes", "undo"), *(_cells(step) for step in self.steps)]
        text, rows, amount, undo = (max(cell_len(row[place]) for row in cells) for place in range(1, 5))
        room = max(UNDO_SHARE, width - STEP - rows - amount - 3 * GAP)
        if text + undo > room:
            undo = min(undo, max(room - text, room // UNDO_SHARE))
            text = room - undo
        widths = (text, rows + GAP, amount + GAP, undo)
        tones = (Tone.MUTED, *(Tone.PLAIN for _ in self.steps))
        return [line for row, tone in zip(cells, tones, strict=True) for line in _row(row, widths, look.glyphs, tone)]


def _cells(step: PlanStep) -> tuple[str, str, str, str, str]:
    amount = "-" if step.bytes is None else fmt.size(step.bytes)
    return (step.step, step.text, fmt.count(step.rows), amount, step.undo)


def _row(
    cells: tuple[str, str, str, str, str], widths: tuple[int, int, int, int], glyphs: GlyphSet, tone: Tone
) -> list[Line]:
    step, text, rows, amount, undo = cells
    parts = zip_longest(textwrap.wrap(text, widths[0]) or [""], textwrap.wrap(undo, widths[3]), fillvalue="")
    return [
        (
            *cell("" if place else f" {step}", STEP, glyphs, tone=Tone.MUTED),
            *cell(said, widths[0], glyphs, tone=tone),
            *cell("" if place else rows, widths[1], glyphs, right=True, tone=tone),
            *cell("" if place else amount, widths[2], glyphs, right=True, tone=tone),
            Piece(f"{' ' * GAP}{back}", Tone.MUTED),
        )
        for place, (said, back) in enumerate(parts)
    ]
