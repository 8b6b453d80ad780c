"""The quarantine: rejected rows, quarantined rows, old files, runs that can be undone (docs/console.md#screens)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

from msgspec import Struct
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from console.dialogs.dialog import Dialog
from console.keys.bindings import bindings
from console.keys.table import KEYS, QUARANTINE, Key, listed
from console.views import quarantine as words
from console.views.entry import Entry
from console.views.text import clean_text
from storage_sync.values.answers import QuarantineEntry, QuarantineKind, QuarantinePage
from widgets.facts import Fact, FactList
from widgets.glyphs import Look
from widgets.key_bar import KeyBar, KeyEntry, Keys
from widgets.line import Line, to_content
from widgets.panel import Panel
from widgets.virtual_table import Ids, VirtualTable

PAGE = 500
OPEN = "aside.open"
Mark = tuple[QuarantineKind, str]
_MARKABLE = (QuarantineKind.ASIDE, QuarantineKind.REFUSED)


class Driver(Protocol):
    """Who asks the core."""

    def ask(self, text: str, first: int, count: int) -> None: ...

    def restore(self, ids: Sequence[str]) -> None: ...

    def retry(self, ids: Sequence[str]) -> None: ...

    def undo(self, run_id: str) -> None: ...

    def purge(self) -> None: ...

    def export(self, text: str) -> None: ...

    def say(self, text: str) -> None: ...


class _Identities(Struct, frozen=True):
    """What each entry is, as far as the pages are here: its kind and id."""

    entries: Mapping[int, QuarantineEntry]

    def __getitem__(self, place: int) -> object:
        entry = self.entries.get(place)
        return (entry.kind, entry.id) if entry is not None else None

    def index(self, held: object) -> int:
        """ValueError for one that is not here."""
        for place, entry in self.entries.items():
            if (entry.kind, entry.id) == held:
                return place
        raise ValueError(held)


def _opens_on_rows(page: QuarantinePage) -> bool:
    """Whether the list begins with what was quarantined, below the head of its run."""
    return len(page.entries) > 1 and page.entries[1].kind is QuarantineKind.ASIDE


class QuarantineDialog(Dialog[None]):
    """Holds the pages that were asked for. Marks stay when the filter changes; `esc` clears the filter, then the
    marks, then closes."""

    topic = QUARANTINE
    AUTO_FOCUS = "#quarantine-list"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(QUARANTINE),
        Binding("escape", "back", "Close", show=False),
        Binding("L", "app.log", "Log", show=False),
    ]

    def __init__(self, look: Look, driver: Driver, now: Callable[[], float], table: tuple[Key, ...] = KEYS) -> None:
        super().__init__()
        self.look = look
        self._key_table = table
        self._driver = driver
        self._now = now
        self._page: QuarantinePage | None = None
        self._entries: dict[int, QuarantineEntry] = {}
        self._asked: int | None = None
        self._had: set[int] = set()
        self._marks: set[Mark] = set()
        self._text = ""
        self._revision = 0
        self._opened = False
        """Whether a page was shown: the cursor begins on what was quarantined."""
        self._said = ""
        self._second = 0
        self.head = Panel(look, id="quarantine-title", focusable=False)
        self.table = VirtualTable(look, id="quarantine-list", empty="nothing is in quarantine")
        self.below = Static(id="quarantine-marks")
        self.detail = Panel(look, id="quarantine-detail", focusable=False)
        self.box = Entry(placeholder="words; kind: table: key: reason: run:; ! inverts", compact=True, id="filter")
        self.keys = KeyBar(look, id="quarantine-keys")

    def compose(self) -> ComposeResult:
        with Vertical(id="quarantine"):
            yield self.head
            yield self.table
            yield self.below
            yield self.box
            yield self.detail
            yield self.keys

    def on_mount(self) -> None:
        self.box.display = False
        self._show_keys()
        self.reload()

    def _show_keys(self) -> None:
        """The footer; enter only where it does something, as what it does."""
        opens = words.opens(self._here)
        found = [key for key in listed(QUARANTINE, self._key_table) if key.footer]
        entries = tuple(
            KeyEntry(key.shown, self.look.glyphs.plain(opens) if key.id == OPEN else key.label, key.action)
            for key in found
            if key.id != OPEN or opens
        )
        self.keys.value = Keys(entries, KeyEntry("esc", "close", "screen.back"))

    # -------------------------------------------------------------------------------------------- pages

    def reload(self) -> None:
        """Ask again from the first page on."""
        self._entries.clear()
        self._asked = None
        self._had.clear()
        self._page = None
        self._ask(0)

    def _ask(self, first: int) -> None:
        self._asked = first
        self._driver.ask(self._text, first, PAGE)
        self._paint()

    def show_page(self, text: str, page: QuarantinePage) -> None:
        """An answer; one for another filter is late and dropped."""
        if text != self._text:
            return
        self._page = page
        self._said = page.problem
        self._asked = None
        self._had.add(page.first)
        first = not self._entries
        self._entries.update(enumerate(page.entries, start=page.first))
        self._paint()
        if first and not page.first and not self._opened:
            self._opened = True
            self.table.cursor = 1 if _opens_on_rows(page) else 0
        self._complete()

    def show_refusal(self, said: str) -> None:
        """The core could not list them."""
        self._asked = None
        self._said = said
        self._paint()

    def _complete(self) -> None:
        """Ask for the page that is on the screen, where it is missing; one at a time."""
        page = self._page
        if page is None or self._asked is not None:
            return
        top = self.table.scroll_offset.y
        for index in (self.table.cursor, top, top + self.table.size.height - 1):
            first = index // PAGE * PAGE
            if 0 <= index < page.total and first not in self._had:
                self._ask(first)
                return

    # ------------------------------------------------------------------------------------------ drawing

    def show_ages(self) -> None:
        """Ages go on while the list is open; they are told in seconds."""
        if int(self._now()) != self._second:
            self._paint()

    def _paint(self) -> None:
        self._revision += 1
        page = self._page
        now = self._now()
        self._second = int(now)

        def draw(index: int, width: int) -> Line:
            entry = self._entries.get(index)
            marked = entry is not None and (entry.kind, entry.id) in self._marks
            return words.row(entry, marked=marked, now=now, width=width, look=self.look)

        self.table.empty = "asking the core" if page is None else "nothing matches" if self._text else "nothing is here"
        total, found = page.total if page is not None else 0, _Identities(self._entries)
        self.table.show(total, draw, self._revision, Ids(found.__getitem__, found.index))
        width = self.table.size.width
        filtered = f"filter {self._text}" if self._text else "filter none"
        facts = (Fact("", words.summary(page, self.look)), Fact("", words.head(width, self.look)))
        self.head.value = FactList(words.title(page, self.look), clean_text(filtered, self.look), facts, labels=-1)
        self._paint_place()

    def _paint_place(self) -> None:
        total = self._page.total if self._page is not None else 0
        width = self.table.size.width
        place = self.table.cursor
        below = max(0, total - self.table.scroll_offset.y - self.table.size.height)
        line = words.marks_line(len(self._marks), place, total, below, self._said, width, self.look)
        self.below.update(to_content([line], self.look))
        self._show_keys()
        self.detail.value = words.detail(self._entries.get(place), self._now(), self.look)

    def on_resize(self) -> None:
        self.call_after_refresh(self._paint)

    def on_virtual_table_moved(self, _event: VirtualTable.Moved) -> None:
        self._paint_place()
        self._complete()

    # ------------------------------------------------------------------------------------------ actions

    @property
    def _here(self) -> QuarantineEntry | None:
        return self._entries.get(self.table.cursor)

    @property
    def _rows(self) -> frozenset[Mark]:
        """What can be marked under the cursor: the row, or all of its group."""
        here = self._here
        if here is None or self._page is None:
            return frozenset()
        if here.kind is QuarantineKind.HEAD:
            return frozenset(self._page.matching.get(here.id, ()))
        return frozenset({(here.kind, here.id)} if here.kind in _MARKABLE else ())

    def _chosen(self, kind: QuarantineKind) -> list[str]:
        """Ids of the marked ones of a kind, or of what is under the cursor."""
        marked, here = (sorted(found for one, found in rows if one is kind) for rows in (self._marks, self._rows))
        return marked or here

    def on_virtual_table_chosen(self, _event: VirtualTable.Chosen) -> None:
        self.action_open()

    def action_open(self) -> None:
        """What can be done with the row under the cursor, or with its group."""
        here = self._here
        if here is None:
            return
        if words.kind_of(here) is QuarantineKind.ASIDE:
            self._driver.restore(self._chosen(QuarantineKind.ASIDE))
        elif here.kind is QuarantineKind.HEAD:
            return
        elif here.kind is QuarantineKind.RUN:
            self._driver.undo(here.id)
        elif here.kind is QuarantineKind.REFUSED:
            self._driver.say("t fetches rejected rows again; the primary is never written")
        else:
            self._driver.say(f"enter does not restore an old file: {words.file_back(here)}")

    def action_mark(self) -> None:
        rows = self._rows
        if rows:
            # the cursor stays: the facts below are those of the row that was marked
            self._marks = self._marks - rows if rows <= self._marks else self._marks | rows
            self._paint()

    def action_mark_all(self) -> None:
        """Every row that matches the filter, on this page or not."""
        if self._page is not None:
            self._marks.update(*self._page.matching.values())
            self._paint()

    def action_clear_marks(self) -> None:
        self._marks.clear()
        self._paint()

    def action_retry(self) -> None:
        ids = self._chosen(QuarantineKind.REFUSED)
        if ids:
            self._driver.retry(ids)
        else:
            self._driver.say("t is for rejected rows: mark one, or move the cursor to it")

    def action_purge(self) -> None:
        self._driver.purge()

    def action_export(self) -> None:
        self._driver.export(self._text)

    def action_filter(self) -> None:
        self.box.display = True
        # at once: what is typed next belongs into the box
        self.set_focus(self.box)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.value != self._text:
            self._text = event.value
            self.reload()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.table.focus()

    def action_back(self) -> None:
        """Out of the filter, then of the marks, then of the dialog."""
        if self.box.display:
            self.box.display = False
            self.box.value = ""
            self.table.focus()
        elif self._marks:
            self.action_clear_marks()
        else:
            self.dismiss(None)
