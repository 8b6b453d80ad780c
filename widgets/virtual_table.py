"""A list of any length: it holds a count and a function that draws one row, and asks for what is visible only."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from msgspec import Struct
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from widgets.glyphs import Look, Tone
from widgets.line import Line, Piece, fit, without_first_cell
from widgets.tones import NOTHING, Tones

DrawRow = Callable[[int, int], Line]
"""(row number, width in cells) -> the row's line."""


class Ids(Struct, frozen=True):
    """What the rows are. `at`: what stands at a place, None for a row that is not known yet; `index`: where it stands,
    ValueError when no row is it.
    """

    at: Callable[[int], object]
    index: Callable[[object], int]


def _empty(_index: int, _width: int) -> Line:
    return ()


class VirtualTable(ScrollView, can_focus=True):
    """`cursor`: whether a row can be chosen. `follow`: stay at the end while rows are appended (a log); where a row can
    be chosen, that is the last one, and it is shown while the list has the focus. What is last may have several rows:
    then its first one is.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"virtual-table--cursor"}
    DEFAULT_CSS = """
    VirtualTable { height: 1fr; width: 1fr; scrollbar-size: 0 0; }
    VirtualTable > .virtual-table--cursor { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("pagedown,ctrl+d", "page(1)", show=False),
        Binding("home,g", "edge(0)", show=False),
        Binding("end,G", "edge(1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    cursor: reactive[int] = reactive(0)

    class Moved(Message):
        """The cursor is on another row, or the view was scrolled."""

        def __init__(self, table: VirtualTable, index: int) -> None:
            super().__init__()
            self.table = table
            self.index = index

        @property
        def control(self) -> VirtualTable:
            return self.table

    class Resized(Moved):
        """The list has another size: what was drawn for its width has to be drawn again."""

    class Chosen(Moved):
        """Enter or a click on the row under the cursor."""

    def __init__(
        self,
        look: Look,
        *,
        id: str | None = None,  # noqa: A002
        cursor: bool = True,
        follow: bool = False,
        empty: str = "",
    ) -> None:
        super().__init__(id=id)
        self.look = look
        self._tones = Tones(self, look)
        self.has_cursor = cursor
        self.follow = follow
        self.following = follow
        self.empty = empty
        self.rows = 0
        self._last = 0
        """Where what is last begins."""
        self._draw: DrawRow = _empty
        self._ids: Ids | None = None
        self._held: object = None
        """What is under the cursor, also while the list is empty; None while nobody said what its rows are."""
        self._revision: object = None

    def show(self, rows: int, draw: DrawRow, revision: object, ids: Ids | None = None, last: int | None = None) -> None:
        """Other content; nothing is done when `revision` equals the one on screen. With `ids` the cursor stays on what
        it is on, wherever that is now; where it is no more, the cursor stays at its place. `last`: the row at which
        what is last begins, where that is not the last row.
        """
        if revision == self._revision and rows == self.rows:
            return
        self._revision = revision
        self._draw = draw
        self.rows = rows
        self._last = max(0, rows - 1 if last is None else last)
        self._ids = ids
        self.virtual_size = Size(0, max(rows, 1))
        if self.has_cursor:
            self.cursor = max(0, self._last if self.following else self._place())
            self._hold(self.cursor)
        self._follow_end()
        self.refresh()

    def _place(self) -> int:
        """Where the cursor belongs among other rows."""
        place = min(self.cursor, self.rows - 1)
        if place < 0 or self._ids is None or self._held is None or self._ids.at(place) == self._held:
            return place
        try:
            return self._ids.index(self._held)
        except ValueError:
            return place

    def _hold(self, place: int) -> None:
        if self._ids is not None and 0 <= place < self.rows and (found := self._ids.at(place)) is not None:
            self._held = found

    def _follow_end(self) -> None:
        if self.follow and self.following and self.is_attached:
            end = max(0, self.rows - self.size.height)
            self.scroll_to(y=min(end, self._last), animate=False, force=True)

    def on_resize(self, _event: Resize) -> None:
        self._follow_end()
        self.post_message(self.Resized(self, self.cursor))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        index = self.scroll_offset.y + y
        if self.rows == 0 and y == 0 and self.empty:
            return self._strip((Piece(f" {self.empty}", Tone.MUTED),), width)
        if not 0 <= index < self.rows:
            return Strip.blank(width, self.rich_style)
        chosen = self.has_cursor and index == self.cursor and (self.has_focus or not self.follow)
        line = self._draw(index, width)
        if chosen:
            mark = self.look.glyphs.cursor
            tone = Tone.ACCENT if self.has_focus else Tone.MUTED
            line = (Piece(mark, tone), *without_first_cell(line))
            if self.look.reverses and self.has_focus:
                # the row is reversed: shades of its text would be shades of its ground
                line = tuple(Piece(piece.text) for piece in line)
        return self._strip(line, width, self._cursor_style() if chosen else NOTHING)

    def _cursor_style(self) -> Style:
        if self.look.reverses:
            return Style(reverse=self.has_focus)
        background = self.get_component_rich_style("virtual-table--cursor").bgcolor
        return Style(bgcolor=background)

    def _strip(self, line: Line, width: int, over: Style = NOTHING) -> Strip:
        return Strip(self._tones.segments(fit(line, width, self.look.glyphs), over), width)

    def notify_style_update(self) -> None:
        self._tones.forget()
        super().notify_style_update()

    def watch_cursor(self, _old: int, new: int) -> None:
        self._hold(new)
        if self.rows:
            self.scroll_to_region(Region(0, new, 1, 1), animate=False)
        self.refresh()
        self.post_message(self.Moved(self, new))

    def watch_has_focus(self, _focused: bool) -> None:
        super().watch_has_focus(_focused)
        self.refresh()

    def action_move(self, step: int) -> None:
        self._go(self.cursor + step if self.has_cursor else self.scroll_offset.y + step)

    def action_page(self, pages: int) -> None:
        step = pages * max(1, self.size.height - 1)
        self._go(self.cursor + step if self.has_cursor else self.scroll_offset.y + step)

    def action_edge(self, last: int) -> None:
        self._go(self.rows if last else 0)

    def action_choose(self) -> None:
        if self.rows and self.has_cursor:
            self.post_message(self.Chosen(self, self.cursor))

    def _go(self, index: int) -> None:
        if self.has_cursor:
            self._choose(index)
            return
        end = max(0, self.rows - self.size.height)
        top = max(0, min(end, index))
        self.following = self.follow and top >= end
        self.scroll_to(y=top, animate=False, force=True)
        self.post_message(self.Moved(self, top))

    def _choose(self, index: int) -> None:
        self.following = self.follow and index >= self._last
        self.cursor = max(0, min(self.rows - 1, index))

    def on_click(self, event: Click) -> None:
        index = self.scroll_offset.y + event.y
        if self.has_cursor and 0 <= index < self.rows:
            again = index == self.cursor
            self._choose(index)
            if again:
                self.post_message(self.Chosen(self, index))
