"""Overview: is it true, is it fresh, is it reachable, is something running?"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from console.bindings import bindings
from console.journal import LEVELS, Journal, draw
from console.keys import OVERVIEW
from console.screens.base import BaseScreen
from console.views.checks import check_list
from console.views.frame import Frame
from console.views.freshness import freshness
from console.views.run import sync_meter
from console.views.stores import cache_card, primary_card
from widgets.facts import FactList
from widgets.glyphs import Look
from widgets.line import Line
from widgets.panel import Panel
from widgets.virtual_table import VirtualTable


class OverviewScreen(BaseScreen):
    """The four required panels (connection of both stores, freshness, progress, validation) and Activity."""

    name_id = OVERVIEW
    BINDINGS: ClassVar[list[BindingType]] = bindings(OVERVIEW)

    def __init__(self, look: Look, journal: Journal) -> None:
        super().__init__(look)
        self._journal = journal
        self._level = LEVELS[0]
        self._dropped = 0

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="stores"):
            yield Panel(self.look, id="primary")
            yield Panel(self.look, id="cache")
        with Horizontal(id="truth"):
            yield Panel(self.look, id="freshness")
            yield Panel(self.look, id="checks")
        yield Panel(self.look, id="sync")
        with Vertical(id="activity"):
            yield Panel(self.look, id="activity-title", focusable=False)
            yield VirtualTable(
                self.look, id="log", cursor=False, follow=True, empty="nothing has happened yet"
            ).add_class("first")

    def show_body(self, frame: Frame) -> None:
        self.query_one("#primary", Panel).value = primary_card(frame)
        self.query_one("#cache", Panel).value = cache_card(frame)
        self.query_one("#freshness", Panel).value = freshness(frame)
        self.query_one("#checks", Panel).value = check_list(frame)
        self.query_one("#sync", Panel).value = sync_meter(frame)
        self._dropped = frame.snapshot.beat.events_dropped
        self._show_log()

    def _show_log(self) -> None:
        table = self.query_one("#log", VirtualTable)
        lines = self._journal.lines(self._level)

        def row(index: int, _width: int) -> Line:
            return draw(lines[index], self.look.glyphs)

        table.show(len(lines), row, (self._journal.revision, self._level))
        followed = "following" if table.following else "held, G follows"
        right = f"{self._level}{'+' if self._level != LEVELS[-1] else ''}   {followed}   {self._dropped:,} dropped"
        self.query_one("#activity-title", Panel).value = FactList("Activity", right, ())

    def on_virtual_table_moved(self, _event: VirtualTable.Moved) -> None:
        self._show_log()

    def action_level(self) -> None:
        """The next level of Activity."""
        self._level = LEVELS[(LEVELS.index(self._level) + 1) % len(LEVELS)]
        self._show_log()
