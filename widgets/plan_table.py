"""The steps of a plan: what each does, rows, bytes, and how it is undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from widgets import fmt
from widgets.glyphs import GlyphSet, Look, Tone
from widgets.line import Line, Piece, cell

STEP, LEAST_TEXT, GAP = 4, 20, 2


@dataclass(frozen=True, slots=True)
class PlanStep:
    """`bytes` None: not known or not a matter of bytes."""

    step: str
    text: str
    rows: int
    bytes: int | None
    undo: str


@dataclass(frozen=True, slots=True)
class PlanTable:
    steps: tuple[PlanStep, ...]
    title: str = ""
    right: str = ""

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        """Each column is as wide as its widest value; the text gives way where there is no room."""
        cells = [("", "step", "rows", "bytes", "undo"), *(_cells(step) for step in self.steps)]
        text, rows, amount, undo = (max(cell_len(row[place]) for row in cells) for place in range(1, 5))
        text = max(LEAST_TEXT, min(text, width - STEP - rows - amount - undo - 3 * GAP))
        widths = (text, rows + GAP, amount + GAP)
        return [_row(row, widths, look.glyphs, Tone.PLAIN if place else Tone.MUTED) for place, row in enumerate(cells)]


def _cells(step: PlanStep) -> tuple[str, str, str, str, str]:
    amount = "-" if step.bytes is None else fmt.size(step.bytes)
    return (step.step, step.text, fmt.count(step.rows), amount, step.undo)


def _row(cells: tuple[str, str, str, str, str], widths: tuple[int, int, int], glyphs: GlyphSet, tone: Tone) -> Line:
    step, text, rows, amount, undo = cells
    return (
        *cell(f" {step}", STEP, glyphs, tone=Tone.MUTED),
        *cell(text, widths[0], glyphs, tone=tone),
        *cell(rows, widths[1], glyphs, right=True, tone=tone),
        *cell(amount, widths[2], glyphs, right=True, tone=tone),
        Piece(f"{' ' * GAP}{undo}", Tone.MUTED),
    )
