"""A list of any length with a filter, an order, copy and export; each row is drawn when it is visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from msgspec import Struct
from rich.cells import cell_len
from textual.widgets import Input

from console.dialogs.export import ExportDialog
from console.flows.export import Exports
from console.link.requests import Desk
from console.screens.base import BaseScreen
from console.views.columns import Column, table_head, table_row
from console.views.entry import Entry
from console.views.frame import Frame
from console.views.hints import reason_and_hint
from console.views.text import clean_text
from storage_sync.service.commands import ExportRows
from storage_sync.values.errors import UsageError
from storage_sync.values.events import Refused
from storage_sync.values.filters import Fields, Row, Term, fits, parse
from widgets.glyphs import Look
from widgets.line import Line, Piece
from widgets.panel import Panel
from widgets.virtual_table import Ids, VirtualTable

T = TypeVar("T")
RULE = 6
"""Cells of a list's rule that are neither its title nor what stands at its right end."""
UNMEASURED = 100
GAP = "   "
SortKey = Callable[[T], tuple[bool, float | str]]


class RowList(Generic[T]):
    """The rows of one table, those that match the filter, in the chosen order. `revision` changes with each of them.

    `row`: what the filter looks at, by the names of `fields`. `identity`: what a row is, however it reads and wherever
    it stands: the cursor stays on it. `orders`: (name, key) of each order; without a
    chosen one rows stay as they came. `fold`: makes of rows as they came, without a filter, what is shown.
    """

    def __init__(
        self,
        row: Callable[[T], Row],
        fields: Fields,
        identity: Callable[[T], object],
        orders: Sequence[tuple[str, SortKey[T]]] = (),
        fold: Callable[[Sequence[T]], Sequence[T]] | None = None,
    ) -> None:
        self._row = row
        self._fold = fold
        self._fields = fields
        self._identity = identity
        self._terms: tuple[Term, ...] = ()
        self.problem = ""
        """Why the filter cannot be understood; the rows are those of the last one that could."""
        self._orders = tuple(orders)
        self._order = 0
        self._reversed = False
        self.items: tuple[T, ...] = ()
        self.shown: tuple[T, ...] = ()
        self.ids: tuple[object, ...] = ()
        """What each of the shown is."""
        self.query = ""
        self.revision = 0

    def put(self, items: tuple[T, ...]) -> None:
        """Other rows; equal ones change nothing."""
        if items != self.items:
            self.items = items
            self._arrange()

    def search(self, query: str) -> None:
        if query == self.query:
            return
        self.query, self.problem = query, ""
        try:
            self._terms = parse(query, self._fields)
        except UsageError as error:
            self.problem = f"{error.message}; {error.hint}"
        self._arrange()

    def sort(self) -> None:
        """The next order."""
        self._order = (self._order + 1) % (len(self._orders) + 1)
        self._reversed = False
        self._arrange()

    def reverse(self) -> None:
        self._reversed = not self._reversed
        self._arrange()

    @property
    def order_words(self) -> str:
        """`sort took ↑`, or nothing for rows as they came."""
        if not self._order and not self._reversed:
            return ""
        name = self._orders[self._order - 1][0] if self._order else "as it came"
        return f"sort {name} {'↓' if self._reversed else '↑'}"

    def at(self, index: int) -> T | None:
        return self.shown[index] if 0 <= index < len(self.shown) else None

    def _arrange(self) -> None:
        found = [item for item in self.items if fits(self._row(item), self._terms)]
        if self._order:
            found.sort(key=self._orders[self._order - 1][1])
        elif self._fold is not None and not self._terms:
            found = list(self._fold(found))
        if self._reversed:
            found.reverse()
        self.shown = tuple(found)
        self.ids = tuple(map(self._identity, found))
        self.revision += 1


def what_fits(parts: Sequence[str], first: Sequence[str], room: int) -> str:
    """As many of the parts as fit in `room` cells, in their order; those of `first` go before others."""
    kept: set[str] = set()
    for part in first:
        if part and sum(cell_len(one) + len(GAP) for one in (*kept, part)) - len(GAP) <= room:
            kept.add(part)
    return GAP.join(part for part in parts if part in kept)


class ListHead(Struct, frozen=True):
    """The rule of a list and the names of its columns; as wide as the list."""

    title: str
    right: str
    columns: tuple[Column, ...]

    def lines(self, width: int, height: int, look: Look) -> Sequence[Line]:
        return [(Piece(" "), *table_head(self.columns, width - 1, look.glyphs))]


class RowsScreen(BaseScreen):
    """What the lists of the screens have in common: box of the filter, copy, export, and words to the one who asked."""

    fills_list: ClassVar[str] = ""
    """Said behind "there is nothing to export": what would list something."""

    def __init__(self, look: Look, desk: Desk) -> None:
        super().__init__(look)
        self.desk = desk
        self._exports = Exports(look, desk, self._show_export, self.tell)
        self.frame: Frame | None = None
        self.list_title = Panel(look, id="list-title", focusable=False)
        self.table = VirtualTable(look, id="list")
        self.box = Entry(placeholder="words, field:word; ! inverts; esc clears", compact=True, id="filter")
        self.box.display = False

    # what a subclass gives

    def rows(self) -> RowList[Any]:
        """The list that filter, order, copy and export mean now."""
        raise NotImplementedError

    def as_row(self, item: Any) -> Mapping[str, object]:
        """One line of an export; plain JSON values."""
        raise NotImplementedError

    def exported(self) -> Sequence[Any]:
        """The rows of an export."""
        return self.rows().shown

    def export_name(self) -> str:
        return self.name_id

    def draw(self, frame: Frame) -> None:
        """All panels."""
        raise NotImplementedError

    # drawing

    def show_body(self, frame: Frame) -> None:
        self.frame = frame
        self.draw(frame)

    def redraw(self) -> None:
        if self.frame is not None:
            self.draw(self.frame)

    def draw_list(
        self,
        table: VirtualTable,
        title: Panel,
        head: tuple[str, str],
        columns: Sequence[Column],
        rows: RowList[T],
        cells: Callable[[T], tuple[Line, ...]],
        *,
        empty: str,
        revision: object = None,
    ) -> None:
        """One list with its rule. `head`: its title and the right end; `revision`: what else its rows depend on."""
        glyphs = self.look.glyphs
        shown = rows.shown
        table.empty = empty

        def row(index: int, width: int) -> Line:
            return table_row(columns, cells(shown[index]), width, glyphs)

        table.show(len(shown), row, (rows.revision, revision), Ids(rows.ids.__getitem__, rows.ids.index))
        place = f"{table.cursor + 1:,}/{len(shown):,}" if shown else ""
        said = "filter not understood" if rows.problem else f"filter {rows.query}" if rows.query else ""
        query = clean_text(said, self.look)
        room = (title.size.width or UNMEASURED) - cell_len(head[0]) - RULE
        right = what_fits((query, rows.order_words, head[1], place), (place, query, rows.order_words, head[1]), room)
        title.value = ListHead(glyphs.plain(head[0]), glyphs.plain(right), tuple(columns))

    def on_virtual_table_moved(self, _event: VirtualTable.Moved) -> None:
        self.redraw()

    def on_virtual_table_resized(self, _event: VirtualTable.Resized) -> None:
        self.redraw()

    # the filter

    def action_filter(self) -> None:
        self.box.display = True
        # at once: what is typed next belongs into the box
        self.set_focus(self.box)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input is self.box:
            self.rows().search(event.value)
            self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input is not self.box:
            return
        if self.rows().problem:
            self.tell(self.rows().problem, failed=True)
        else:
            self.list_of_filter().focus()

    def list_of_filter(self) -> VirtualTable:
        """The table that the filter is about."""
        return self.table

    def clear_filter(self) -> bool:
        """Whether there was one."""
        if not self.box.display:
            return False
        self.box.value = ""
        self.box.display = False
        self.rows().search("")
        self.list_of_filter().focus()
        self.redraw()
        return True

    def key_escape(self) -> None:
        if not self.clear_filter():
            self.back()

    def back(self) -> None:
        """One step out; the outermost place has none."""

    # order, copy, export

    def action_sort(self) -> None:
        self.rows().sort()
        self.redraw()

    def action_reverse(self) -> None:
        self.rows().reverse()
        self.redraw()

    def copied(self) -> str:
        """What `y` copies: the key of the chosen row."""
        raise NotImplementedError

    def action_copy(self) -> None:
        text = self.copied()
        if not text:
            self.tell("there is nothing to copy")
            return
        self.app.copy_to_clipboard(text)
        self.tell(f"copied {text if len(text) <= 60 else f'{len(text):,} characters'}")

    def action_export(self) -> None:
        """What is shown, as JSON lines in a new file."""
        rows = tuple(dict(self.as_row(item)) for item in self.exported())
        if not rows:
            self.tell(f"there is nothing to export{self.fills_list}")
            return
        self._exports.start(ExportRows(self.export_name(), rows), self)

    def _show_export(self, dialog: ExportDialog, left: Callable[[bool | None], None]) -> None:
        self.app.push_screen(dialog, left)

    def copy_text(self, text: str) -> None:
        """Into the clipboard, and say so."""
        self.app.copy_to_clipboard(text)
        self.tell(f"copied {len(text):,} characters")

    def tell(self, text: str, *, failed: bool = False) -> None:
        """A toast; its text may come from outside."""
        safe = clean_text(text, self.look)
        self.notify(safe, severity="error" if failed else "information", markup=False)

    def refused(self, refused: Refused) -> None:
        self.tell(reason_and_hint(refused), failed=True)
