"""The steps of a plan: what each does, rows, bytes, and how it is undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widgets import fmt
from widgets.glyphs import GlyphSet, Look, Tone
from widgets.line import Line, Piece, cell

STEP, TEXT, ROWS, BYTES, UNDO = 4, 32, 8, 11, 24


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
        glyphs = look.glyphs
        text = max(20, min(TEXT, width - STEP - ROWS - BYTES - UNDO))
        head = _row("", "step", "rows", "bytes", "undo", text, glyphs, Tone.MUTED)
        return [head, *(_step(step, text, glyphs) for step in self.steps)]


def _step(step: PlanStep, text: int, glyphs: GlyphSet) -> Line:
    amount = "-" if step.bytes is None else fmt.size(step.bytes)
    return _row(step.step, step.text, fmt.count(step.rows), amount, step.undo, text, glyphs, Tone.PLAIN)


def _row(step: str, text: str, rows: str, amount: str, undo: str, width: int, glyphs: GlyphSet, tone: Tone) -> Line:
    return (
        *cell(f" {step}", STEP, glyphs, tone=Tone.MUTED),
        *cell(text, width, glyphs, tone=tone),
        *cell(rows, ROWS, glyphs, right=True, tone=tone),
        *cell(amount, BYTES, glyphs, right=True, tone=tone),
        Piece(f"  {undo}", Tone.MUTED),
    )
