"""Orphans: which embeddings have no owner or no valid vector, why, and what can be done (docs/console.md#screens)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from console.dialogs.ask import AskDialog, Choice
from console.dialogs.note import NoteDialog
from console.dialogs.vector import VectorDialog
from console.flows.orphans import Orphans
from console.flows.plans import Wish
from console.flows.stage import Stage
from console.keys.bindings import bindings
from console.keys.table import ORPHANS
from console.screens.base import BaseScreen
from console.views import orphan_detail as facts
from console.views import orphans as words
from console.views import top
from console.views.entry import Entry
from console.views.frame import Frame
from console.views.states import generation_now
from widgets import fmt
from widgets.glyphs import Look
from widgets.line import Line, muted, plain, to_content
from widgets.panel import Panel
from widgets.vector_view import VectorView
from widgets.virtual_table import Ids, VirtualTable

_FILTER = "words, reason:…, domain:…, tag:…, norm:<0.5, seen:>1d; ! inverts"
_NEVER = object()
"""No generation at all: not even that of a cache that has none."""


REATTACH = "orphans.reattach"


class OrphansScreen(BaseScreen):
    """Scans when it is shown first, on `^r`, and when the cache is of another generation.

    `plan` opens the dialog of a plan.
    """

    name_id = ORPHANS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ORPHANS)

    def __init__(self, look: Look, stage: Stage, plan: Callable[[Wish], object]) -> None:
        super().__init__(look)
        self._stage = stage
        self._flow = Orphans(stage, plan, self._changed)
        self._frame: Frame | None = None
        self._off: frozenset[str] = frozenset()
        self._generation: int | object | None = _NEVER
        self._opened = False
        """Whether the list was shown: the cursor begins on its first row."""
        self._opens: int | None = None
        """Row whose numbers open as soon as they are here."""
        self.list_title = Panel(look, id="orphans-title", focusable=False)
        self.table = VirtualTable(look, id="orphans-list")
        self.box = Entry(placeholder=_FILTER, compact=True, id="filter")
        self.box.display = False
        self.foot = Static(id="orphans-foot")
        self.detail = Panel(look, id="orphan-detail")

    def compose_body(self) -> ComposeResult:
        yield self.list_title
        yield self.table.add_class("first")
        yield self.box
        yield self.foot
        yield self.detail

    # drawing

    def show_body(self, frame: Frame) -> None:
        self._frame = frame
        generation = generation_now(frame.snapshot)
        if generation != self._generation and (generation is not None or self._generation is _NEVER):
            # the first one, or somebody changed the cache: a sync, a plan, an undo
            self._generation = generation
            self.action_reload()
        self._draw()

    def _changed(self) -> None:
        view = self._flow.view
        self._draw()
        if view is not None and not self._opened:
            self._opened = True
            self.table.cursor = view.first
        if self.is_active:
            self._open_facts()

    def _revision(self) -> object:
        frame = self._frame
        minute = None if frame is None else int(frame.now // 60)
        return (self._flow.revision, self._flow.busy, minute)

    def show_top(self, frame: Frame, live: Frame, disabled: frozenset[str]) -> None:
        self._off = disabled
        super().show_top(frame, live, disabled)
        self._show_keys(live)

    def _show_keys(self, frame: Frame) -> None:
        """`m` is off for a row whose owner no sync fetches."""
        detail = self._flow.detail
        off = self._off | {REATTACH} if detail is not None and detail.reattach else self._off
        self.key_bar.value = top.keys(self.name_id, off, frame.table)

    def _draw(self) -> None:
        frame, flow = self._frame, self._flow
        if frame is None or not self.is_mounted:
            return
        width = self.table.size.width
        view = flow.view
        self.table.empty = self._empty(frame)
        found = view.identities() if view is not None else None
        ids = Ids(found.__getitem__, found.index) if found is not None else None
        self.table.show(len(view) if view is not None else 0, self._line, self._revision(), ids)
        flow.look_at(flow.number_at(self.table.cursor))
        self.list_title.value = words.title(frame, flow.index, flow.wanted, flow.said, width)
        top, height = self.table.scroll_offset.y, self.table.size.height
        self.foot.update(to_content([words.foot(frame, view, flow.marked, top, height, width)], self.look))
        self.detail.value = self._picture(frame)
        self._show_keys(frame)

    def _picture(self, frame: Frame) -> VectorView:
        flow = self._flow
        if flow.detail is not None and flow.number_at(self.table.cursor) is not None:
            return facts.picture(frame, flow.detail, flow.near, _kept_days(frame))
        group = flow.view.group_at(self.table.cursor) if flow.view is not None and len(flow.view) else None
        return facts.nothing(f"group of {group.rows:,}; enter folds it, space marks it" if group is not None else "")

    def _empty(self, frame: Frame) -> str:
        flow = self._flow
        if flow.index is None or flow.said:
            return frame.clean(flow.said)
        if flow.wanted.filter.strip():
            return "nothing matches the filter; esc clears it"
        return "no embedding has a problem; reason:attached lists the healthy ones"

    def _line(self, index: int, width: int) -> Line:
        frame, flow = self._frame, self._flow
        view = flow.view
        if frame is None or view is None or index >= len(view):
            return ()
        group = view.group_at(index)
        if group is not None:
            return words.group_line(frame, group, group.name in view.wanted.folded)
        number = view.at(index)
        return words.row_line(frame, view.index.row(number), flow.is_marked(number), width, dimmed=flow.busy)

    def on_virtual_table_moved(self, _event: VirtualTable.Moved) -> None:
        if self._number != self._opens:
            self._opens = None
        self._draw()

    # what is asked for

    def _want(self, **changes: object) -> None:
        self._flow.want(**changes)

    def action_reload(self) -> None:
        self._flow.scan()

    def action_sort(self) -> None:
        self._flow.sort()

    def action_reverse(self) -> None:
        self._want(reverse=not self._flow.wanted.reverse)

    def action_group(self) -> None:
        self._flow.group()

    def action_filter(self) -> None:
        self.box.display = True
        # at once: what is typed next belongs into the box
        self.set_focus(self.box)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.value != self._flow.wanted.filter:
            self._want(filter=event.value)

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.table.focus()

    def key_escape(self) -> None:
        """Clears the filter first, then the marks."""
        if self.box.display or self._flow.wanted.filter:
            self.box.value = ""
            self.box.display = False
            self.table.focus()
            if self._flow.wanted.filter:
                self._want(filter="")
        else:
            self._flow.clear_marks()

    def action_match(self, step: int) -> None:
        place = self._flow.next_match(self.table.cursor, step)
        if place is None:
            self._stage.say("there is no match")
        else:
            self.table.cursor = place

    def action_open(self) -> None:
        """As `enter` on the list."""
        self.table.action_choose()

    def on_virtual_table_resized(self, _event: VirtualTable.Resized) -> None:
        self._draw()

    def on_virtual_table_chosen(self, _event: VirtualTable.Chosen) -> None:
        """A group's head folds; a row opens all its numbers."""
        view = self._flow.view
        place = self.table.cursor
        group = view.group_at(place) if view is not None and place < len(view) else None
        if group is not None:
            self._flow.fold(group.name)
            return
        self._opens = self._number
        if not self._open_facts():
            self._stage.say("its numbers are being read, and are shown in a moment")

    def _open_facts(self) -> bool:
        """Open the numbers that were asked for, once they are here; False while they are not."""
        detail = self._flow.detail
        if self._opens is None or self._frame is None or detail is None or detail.number != self._opens:
            return False
        self._opens = None
        if detail.values:
            title = self._frame.clean(detail.row.key)
            self._stage.show(VectorDialog(self.look, title, detail.values, whole=detail.vector is not None))
        else:
            self._stage.say("there is no vector in the cache")
        return True

    # marks and actions

    @property
    def _number(self) -> int | None:
        return self._flow.number_at(self.table.cursor)

    def action_mark(self) -> None:
        """A row; on a group's head all of it that the filter leaves."""
        number, view = self._number, self._flow.view
        if number is not None:
            # the cursor stays: the facts below are those of the row that was marked
            self._flow.mark(number)
        elif view is not None and len(view) and (group := view.group_at(self.table.cursor)) is not None:
            self._flow.mark_group(group.name)

    def action_mark_all(self) -> None:
        self._flow.mark_all()

    def action_clear_marks(self) -> None:
        self._flow.clear_marks()

    def action_set_aside(self) -> None:
        self._flow.set_aside(self._number)

    def action_reattach(self) -> None:
        self._flow.reattach(self._number)

    def action_expect(self) -> None:
        """Asks for a note; of one row that is expected already, takes the mark back."""
        number = self._number
        if self._flow.busy or not self._flow.has_chosen(number):
            self._flow.expect(number, None)
            return
        row = self._flow.expected_row(number)
        if row is not None and row.expected is not None:
            self._flow.expect(number, None)
            return
        many = self._flow.marked or 1

        def noted(note: str | None) -> None:
            if note is not None:
                self._flow.expect(number, note)

        lines = (
            plain(f"{fmt.plural(many, 'embedding')} will be marked as expected."),
            muted("The check counts them separately. Nothing in the cache changes; i removes the mark."),
        )
        self._stage.show(NoteDialog(self.look, "Expected", lines, "note", "Mark"), noted)

    def action_export(self) -> None:
        """Asks for the file, then whether the numbers go along."""
        flow = self._flow
        if flow.view is None:
            self._stage.say("nothing has been scanned yet")
            return
        many = flow.marked or flow.view.rows
        lines = (
            plain(
                f"{fmt.plural(many, 'row')} as JSON lines, {'the marked ones' if flow.marked else 'all that is shown'}."
            ),
        )
        name = f"orphans-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(self._stage.clock.now()))}.jsonl"

        def named(path: str | None) -> None:
            if path:
                self._ask_for_vectors(path)

        self._stage.show(NoteDialog(self.look, "Export", lines, "file", "Next", value=name), named)

    def _ask_for_vectors(self, path: str) -> None:
        choices = (Choice("stay", "Not at all"), Choice("facts", "Facts only"), Choice("vectors", "With vectors"))

        def answered(choice: str | None) -> None:
            if choice in ("facts", "vectors"):
                self._flow.export(self, path, vectors=choice == "vectors")

        lines = (plain("Write the numbers of each vector too?"), muted("They make up most of the size."))
        self._stage.show(AskDialog(self.look, "Export", lines, choices), answered)

    def action_copy(self) -> None:
        """The key under the cursor, by the terminal's own clipboard (OSC 52)."""
        number = self._number
        if number is None or self._flow.index is None:
            self._stage.say("there is nothing to copy")
            return
        key = self._flow.index.keys[number]
        self.app.copy_to_clipboard(key)
        self._stage.say(f"copied {key}; if your terminal cannot copy, e writes a file")


def _kept_days(frame: Frame) -> str:
    """How long quarantined rows are kept, as the configuration says; '' when it does not."""
    for setting in frame.snapshot.config.settings:
        if setting.key == "quarantine_days":
            return frame.clean(setting.value)
    return ""
