"""Columns of a list: which are drawn at a width, and how a row and the head lie in them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from widgets.glyphs import GlyphSet, Tone
from widgets.line import Line, Piece, cell, fit, width_of


class Column(Struct, frozen=True):
    """`width` in cells; 0 takes what is left. `wide`: only drawn where the list has at least so many cells."""

    title: str
    width: int
    right: bool = False
    wide: int = 0


def _widths(columns: Sequence[Column], width: int) -> list[tuple[int, Column, int]]:
    """(index, column, cells) of the columns that are drawn at a width."""
    shown = [(index, column) for index, column in enumerate(columns) if width >= column.wide]
    fixed = sum(column.width for _, column in shown) + 2 * max(0, len(shown) - 1) + 1
    open_columns = sum(column.width == 0 for _, column in shown)
    each = max(4, (width - fixed) // open_columns) if open_columns else 0
    return [(index, column, column.width or each) for index, column in shown]


def table_head(columns: Sequence[Column], width: int, glyphs: GlyphSet) -> Line:
    parts: list[Line] = [
        cell(column.title, cells, glyphs, right=column.right, tone=Tone.MUTED)
        for _, column, cells in _widths(columns, width)
    ]
    return _joined(parts, start="")


def table_row(columns: Sequence[Column], cells: Sequence[Line], width: int, glyphs: GlyphSet) -> Line:
    parts: list[Line] = []
    for index, column, room in _widths(columns, width):
        content = cells[index]
        blank = room - width_of(content)
        if column.right and blank > 0:
            content = (Piece(" " * blank), *content)
        parts.append(fit(content, room, glyphs))
    return _joined(parts, start=" ")


def _joined(parts: Sequence[Line], *, start: str) -> Line:
    pieces: list[Piece] = [Piece(start)] if start else []
    for index, part in enumerate(parts):
        if index:
            pieces.append(Piece("  "))
        pieces.extend(part)
    return tuple(pieces)
