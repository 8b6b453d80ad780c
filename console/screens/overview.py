"""Overview: is it true, is it fresh, is it reachable, is something running?"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from console.keys.bindings import bindings
from console.keys.table import OVERVIEW
from console.screens.base import BaseScreen
from console.views.checks import check_list
from console.views.frame import Frame
from console.views.freshness import freshness
from console.views.log_buffer import LEVELS, Journal, draw
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
        self.primary = Panel(look, id="primary")
        self.cache = Panel(look, id="cache")
        self.freshness = Panel(look, id="freshness")
        self.checks = Panel(look, id="checks")
        self.sync = Panel(look, id="sync")
        self.log_title = Panel(look, id="activity-title", focusable=False)
        self.log_table = VirtualTable(look, id="log", cursor=False, follow=True, empty="nothing has happened yet")

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="stores"):
            yield self.primary
            yield self.cache
        with Horizontal(id="truth"):
            yield self.freshness
            yield self.checks
        yield self.sync
        with Vertical(id="activity"):
            yield self.log_title
            yield self.log_table.add_class("first")

    def show_body(self, frame: Frame) -> None:
        self.primary.value = primary_card(frame)
        self.cache.value = cache_card(frame)
        self.freshness.value = freshness(frame)
        self.checks.value = check_list(frame)
        self.sync.value = sync_meter(frame)
        if not frame.frozen:
            self._dropped = frame.snapshot.beat.events_dropped
            self._show_log()

    def _show_log(self) -> None:
        table = self.log_table
        lines = self._journal.lines(self._level)

        def row(index: int, _width: int) -> Line:
            return draw(lines[index], self.look.glyphs)

        table.show(len(lines), row, (self._journal.revision, self._level))
        followed = "following" if table.following else "held, G follows"
        right = f"{self._level}{'+' if self._level != LEVELS[-1] else ''}   {followed}   {self._dropped:,} dropped"
        self.log_title.value = FactList("Activity", right, ())

    def on_virtual_table_moved(self, _event: VirtualTable.Moved) -> None:
        self._show_log()

    def action_level(self) -> None:
        """The next level of Activity."""
        self._level = LEVELS[(LEVELS.index(self._level) + 1) % len(LEVELS)]
        self._show_log()
