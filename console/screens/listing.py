"""A list with details below or beside it: the shape of Validation, Orphans, History and Config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from console.screens.base import BaseScreen
from console.views.frame import Frame
from widgets.facts import Fact, FactList
from widgets.glyphs import GlyphSet, Look, Tone
from widgets.line import Line, Piece, cell, fit, width_of
from widgets.panel import Panel
from widgets.virtual_table import VirtualTable


@dataclass(frozen=True, slots=True)
class Column:
    """`width` in cells; 0 takes what is left. `wide`: only drawn where the list has at least so many cells."""

    title: str
    width: int
    right: bool = False
    wide: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """`rows`: cells of each row, in the order of the columns, as lines. `title` and `right`: of the list's rule."""

    title: str
    right: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Line, ...], ...]
    empty: str


class ListScreen(BaseScreen):
    """A subclass gives the listing and the details of the chosen row."""

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self._frame: Frame | None = None
        self._listing: Listing | None = None
        self.list_title = Panel(look, id="list-title", focusable=False)
        self.table = VirtualTable(look, id="list")
        self.detail = Panel(look, id="detail")

    def compose_body(self) -> ComposeResult:
        with Container(id="panes"):
            with Vertical(id="list-pane"):
                yield self.list_title
                yield self.table.add_class("first")
                yield from self.compose_below_list()
            with Vertical(id="detail-pane"):
                yield self.detail

    def compose_below_list(self) -> ComposeResult:
        yield from ()

    def listing(self, frame: Frame) -> Listing:
        raise NotImplementedError

    def details(self, frame: Frame, index: int) -> FactList:
        raise NotImplementedError

    def show_body(self, frame: Frame) -> None:
        self._frame = frame
        self._listing = self.listing(frame)
        listing = self._listing
        table = self.table
        table.empty = listing.empty

        def row(index: int, width: int) -> Line:
            return table_row(listing.columns, listing.rows[index], width, self.look.glyphs)

        table.show(len(listing.rows), row, listing)
        head = (Fact("", table_head(listing.columns, table.size.width, self.look.glyphs)),)
        place = f"{table.cursor + 1}/{len(listing.rows)}" if listing.rows else ""
        right = "   ".join(part for part in (listing.right, place) if part)
        self.list_title.value = FactList(listing.title, right, head, labels=-1)
        self._show_details()

    def _show_details(self) -> None:
        if self._frame is not None and self._listing is not None:
            self.detail.value = self.details(self._frame, self.table.cursor)

    def on_virtual_table_moved(self, _event: VirtualTable.Moved) -> None:
        if self._frame is not None:
            self.show_body(self._frame)


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
