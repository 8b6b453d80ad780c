"""Overview: is it true, is it fresh, is it reachable, is something running?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from console.keys.bindings import bindings
from console.keys.table import OVERVIEW
from console.screens.base import BaseScreen
from console.views.checks import check_list
from console.views.frame import Frame
from console.views.freshness import freshness
from console.views.graphs import changes, durations, latency, proof_age, rows_read
from console.views.log_buffer import LEVEL_WORDS, LEVELS, NO_RUN, Journal, Part, draw, folded, ids_of, last_line
from console.views.recent import recent_runs
from console.views.run import sync_meter
from console.views.stores import cache_card, primary_card
from console.views.troubles import Places, Troubles, in_order, placed, troubles, worst
from widgets.facts import FactList
from widgets.glyphs import Look, Role
from widgets.kept import KeptColumn, KeptRow
from widgets.line import Line
from widgets.panel import Panel
from widgets.virtual_table import VirtualTable


class OverviewScreen(BaseScreen):
    """The four required panels (connection of both stores, freshness, progress, validation) and Activity."""

    name_id = OVERVIEW
    BINDINGS: ClassVar[list[BindingType]] = bindings(OVERVIEW)

    def __init__(self, look: Look, journal: Journal, open_run: Callable[[str], None]) -> None:
        """`open_run`: shows the run of this id."""
        super().__init__(look)
        self._open_run = open_run
        self._journal = journal
        self._level = LEVELS[0]
        self._dropped = 0
        self._rows: Sequence[Part] = ()
        self._logged: object = None
        """What the rows of Activity were made of."""
        self.primary = Panel(look, id="primary")
        self.cache = Panel(look, id="cache")
        self.freshness = Panel(look, id="freshness")
        self.checks = Panel(look, id="checks")
        self.sync = Panel(look, id="sync")
        self.recent = Panel(look, id="recent", focusable=False)
        self.proof_age = Panel(look, id="proof-age")
        self.graphs = {
            graph: Panel(look, id=name)
            for name, graph in (
                ("latency", latency),
                ("changes", changes),
                ("rows-read", rows_read),
                ("durations", durations),
            )
        }
        self.trends = KeptRow(id="trends")
        self._graphed: object = None
        """What the graphs were made of."""
        self.stores = KeptRow(id="stores")
        self.truth = KeptRow(id="truth")
        self._troubles = Troubles()
        self._places = Places()
        self.log_title = Panel(look, id="activity-title", focusable=False)
        self.log_table = VirtualTable(look, id="log", follow=True)

    def compose_body(self) -> ComposeResult:
        with self.stores:
            yield self.primary
            yield self.cache.add_class("-beside")
        with self.truth:
            yield self.freshness
            yield self.checks.add_class("-beside")
            yield self.proof_age.add_class("-beside")
        yield self.sync
        with self.trends:
            for panel in self.graphs.values():
                yield panel.set_class(panel is not next(iter(self.graphs.values())), "-beside")
        with KeptRow(id="events"):
            with KeptColumn(id="activity"):
                yield self.log_title
                yield self.log_table.add_class("first")
            yield self.recent

    def show_body(self, frame: Frame) -> None:
        primary, cache, checks = primary_card(frame), cache_card(frame), check_list(frame)
        self.primary.value = primary
        self.cache.value = cache
        self.freshness.value = freshness(frame)
        self.checks.value = checks
        self.sync.value = sync_meter(frame)
        self.recent.value = recent_runs(frame)
        self._draw_graphs(frame)
        found = troubles(frame, primary, cache, checks)
        self._mark(found)
        self._place(placed(found, self._places, frame))
        if not frame.frozen:
            self._dropped = frame.snapshot.beat.events_dropped
            self._show_log()

    def _draw_graphs(self, frame: Frame) -> None:
        """Made again only when there is something new in them."""
        snapshot = frame.snapshot
        new = (snapshot.samples, snapshot.history.last, snapshot.primary.ping_ms, snapshot.freshness.max_age_s)
        if new == self._graphed:
            return
        self._graphed = new
        self.proof_age.value = proof_age(frame)
        for graph, panel in self.graphs.items():
            panel.value = graph(frame)

    def _mark(self, found: Troubles) -> None:
        """Panels in trouble have a border in its colour."""
        if found == self._troubles:
            return
        self._troubles = found
        for panel, role in (
            (self.primary, found.primary),
            (self.cache, found.cache),
            (self.freshness, found.freshness),
            (self.checks, found.checks),
            (self.sync, found.sync),
        ):
            panel.trouble = role

    def _place(self, places: Places) -> None:
        """Panels that stand first in their row, and their row."""
        before, self._places = self._places, places
        found = places.roles
        if found == before.roles:
            return
        _arrange(self.stores, {"primary": found.primary, "cache": found.cache})
        _arrange(self.truth, {"freshness": found.freshness, "checks": found.checks})
        rows = {
            "stores": worst((found.primary, found.cache)),
            "truth": worst((found.freshness, found.checks)),
            "sync": found.sync,
        }
        _arrange(self.query_one("#body"), rows)

    def _show_log(self) -> None:
        table = self.log_table
        wanted = (self._journal.revision, self._level, table.size.width)
        if wanted != self._logged:
            self._logged = wanted
            table.empty = "nothing was logged yet"
            self._rows = rows = folded(self._journal.lines(self._level), wanted[-1])

            def row(index: int, _width: int) -> Line:
                return draw(rows[index], self.look.glyphs)

            table.show(len(rows), row, wanted, ids_of(rows), last=last_line(rows))
        followed = "following" if table.following else "held, G follows"
        dropped = f"   {self._dropped:,} dropped" if self._dropped else ""
        right = f"{LEVEL_WORDS[self._level]}   {followed}{dropped}"
        self.log_title.value = FactList("Activity", right, ())

    def on_virtual_table_moved(self, _event: VirtualTable.Moved) -> None:
        self._show_log()

    def on_virtual_table_resized(self, _event: VirtualTable.Resized) -> None:
        self._show_log()

    def on_virtual_table_chosen(self, _event: VirtualTable.Chosen) -> None:
        """From a line to its run."""
        place = self.log_table.cursor
        line = self._rows[place].line if place < len(self._rows) else None
        if line is None or not line.run_id:
            self.notify(NO_RUN, markup=False)
        else:
            self._open_run(line.run_id)

    def action_level(self) -> None:
        """The next level of Activity."""
        self._level = LEVELS[(LEVELS.index(self._level) + 1) % len(LEVELS)]
        self._show_log()


def _arrange(parent: Widget, roles: Mapping[str, Role]) -> None:
    """The named children of `parent`, those in trouble first; others stay behind them."""
    for place, name in enumerate(in_order(roles)):
        if parent.children[place].id != name:
            parent.move_child(parent.get_child_by_id(name), before=place)
    for place, child in enumerate(parent.children):
        child.set_class(place > 0, "-beside")
