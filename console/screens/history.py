"""History: what ran, how it ended, how fast, and whether it can be resumed (docs/console.md#screens)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from console.dialogs.note import NoteDialog
from console.dialogs.run_rows import RunRowsDialog
from console.dialogs.text import TextDialog
from console.keys.bindings import bindings
from console.keys.table import HISTORY
from console.link.requests import Desk
from console.screens.rows import RowList, RowsScreen
from console.views import run_rows
from console.views import runs as words
from console.views.columns import Column
from console.views.frame import Frame
from console.views.text import clean_text
from storage_sync.service.commands import ListChangedRows, ListRuns, ShowRun
from storage_sync.values import visible
from storage_sync.values.answers import ChangedRows, PastRun, RunDetail, Runs
from storage_sync.values.events import Refused
from storage_sync.values.snapshot import Snapshot
from widgets.chart import ChartStack
from widgets.glyphs import Look
from widgets.kept import KeptRow
from widgets.line import Line, muted, plain
from widgets.panel import Panel
from widgets.virtual_table import VirtualTable

_STARTED, _STARTED_AT = Column("started", 13), Column("started", 16)
WITH_SECONDS = 100
"""Cells of the list from which on the seconds of a start are shown."""
WIDE = 90
"""Cells of the list from which on each kind of change has a column."""
_COLUMNS = (
    Column(" run", 9),
    _STARTED,
    Column("kind", 10, wide=WIDE),
    Column("+new", 6, right=True),
    Column("~chg", 5, right=True),
    Column("-gone", 6, right=True),
    Column("rows/s", 6, right=True, wide=110),
    Column("bytes", 9, right=True, wide=110),
    Column("took", 7, right=True),
    Column("exit", 4, right=True, wide=WIDE),
    Column("result", 0),
)
_NARROW = (
    Column(" run", 9),
    Column("started", 12),
    Column("kind", 10),
    Column("changes", 12),
    Column("took", 6, right=True),
    Column("result", 0),
)
ROWS_SHOWN = 1_000
"""Rows of one run that are listed; `history show` has them all."""
_ORDERS = (
    ("took", lambda past: (False, past.summary.took_s)),
    ("rows", lambda past: (False, past.summary.new + past.summary.changed + past.summary.gone)),
    ("rows/s", lambda past: (past.rate is None, past.rate or 0.0)),
    ("exit", lambda past: (False, past.summary.exit_code)),
    ("kind", lambda past: (False, past.summary.word)),
)


def columns_at(width: int) -> tuple[Column, ...]:
    """What is drawn of each run in so many cells."""
    if width < WIDE:
        return _NARROW
    return tuple(_STARTED_AT if width >= WITH_SECONDS and column is _STARTED else column for column in _COLUMNS)


class HistoryScreen(RowsScreen):
    """Asks for all runs when it is shown and when one has ended; until then it shows the newest, which it has."""

    name_id = HISTORY
    BINDINGS: ClassVar[list[BindingType]] = bindings(HISTORY)

    def __init__(self, look: Look, desk: Desk, replay: Callable[[str], None], undo: Callable[[str], object]) -> None:
        """`replay`: leaves for the recording in a file. `undo`: plans to take the run of this id back."""
        super().__init__(look, desk)
        self._undo = undo
        self._rows_asked: int | None = None
        self._replay = replay
        self.left = Panel(look, id="chart-left", focusable=False)
        self.right = Panel(look, id="chart-right", focusable=False)
        self.detail = Panel(look, id="run-detail")
        self._list: RowList[PastRun] = RowList(words.row_of, words.FIELDS, words.identity, _ORDERS, words.folded)
        self._runs: Runs | None = None
        self._seen: object = None
        self._waiting: int | None = None
        self._found: RunDetail | None = None
        self._wanted: str = ""
        self._sought = ""
        """The run that is to be chosen as soon as the list has it."""
        self._detail_asked: int | None = None
        self._charted: tuple[object, tuple[ChartStack, ChartStack]] = (None, (ChartStack(()), ChartStack(())))

    def compose_body(self) -> ComposeResult:
        yield self.list_title
        yield self.table.add_class("first")
        yield self.box
        with KeptRow(id="charts"):
            yield self.left
            yield self.right
        yield self.detail

    def rows(self) -> RowList[Any]:
        return self._list

    def as_row(self, item: PastRun) -> Mapping[str, object]:
        return words.as_row(item)

    def exported(self) -> Sequence[PastRun]:
        return [one for past in self._list.shown for one in past.all]

    def export_name(self) -> str:
        return "runs"

    def draw(self, frame: Frame) -> None:
        self._keep_up(frame.snapshot)
        history = frame.snapshot.history
        known = len(self._list.items)
        ratio = words.ended_words(history)
        shown = f"Runs · {history.runs:,}" if known >= history.runs else f"Runs · {known:,} of {history.runs:,}"
        empty = "nothing matches the filter; esc clears it" if known else "nothing has run yet"
        width = self.table.size.width
        seconds = width >= WITH_SECONDS
        self.draw_list(
            self.table,
            self.list_title,
            (shown, ratio),
            columns_at(width),
            self._list,
            lambda past: words.row(frame, past, seconds=seconds) if width >= WIDE else words.narrow_row(frame, past),
            empty=empty,
            revision=columns_at(width),
        )
        self._find_sought()
        self.left.value, self.right.value = self._charts()
        past = self._list.at(self.table.cursor)
        self._want_detail(past)
        self.detail.value = words.detail(frame, past, self._found)

    def _charts(self) -> tuple[ChartStack, ChartStack]:
        """Made again only when the runs or the pings are others."""
        key = (self._list.revision, id(self._runs))
        if self._charted[0] != key:
            newest_first = sorted(self.exported(), key=lambda past: -past.summary.started_at)
            self._charted = (key, words.charts(newest_first, self._runs))
        return self._charted[1]

    def seek(self, run_id: str) -> None:
        """Choose this run, without a filter; at once, or when all runs are known."""
        self._sought = run_id
        self.clear_filter()
        self.redraw()

    def _find_sought(self) -> None:
        if not self._sought:
            return
        if any(one.summary.id == self._sought for past in self._list.shown for one in past.older):
            # one of a line of several is listed by itself where a filter names it
            self.box.display = True
            self.box.value = f"id:{self._sought}"
            self._list.search(self.box.value)
        place = next((at for at, past in enumerate(self._list.shown) if past.summary.id == self._sought), None)
        if place is not None:
            self._sought = ""
            self.table.cursor = place
            self.table.focus()
        elif self._waiting is None:
            self.tell(f"no run {self._sought} is remembered; looks at the cache are not kept")
            self._sought = ""

    # questions

    def _keep_up(self, snapshot: Snapshot) -> None:
        seen = (snapshot.history.revision, snapshot.history.runs, snapshot.history.last[:1])
        if seen == self._seen:
            return
        self._seen = seen
        if not self._list.items:
            self._list.put(tuple(PastRun(run) for run in snapshot.history.last))
        if self._waiting is not None:
            self.desk.forget(self._waiting)
        # what is known of the chosen run stays until the core has told it again
        self._wanted = ""
        self._waiting = self.desk.ask(ListRuns(), self._answered, self._not_now)

    def _answered(self, runs: Runs) -> None:
        self._waiting = None
        self._runs = runs
        self._list.put(runs.runs or self._newest())
        self.redraw()

    def _not_now(self, _refused: Refused) -> None:
        self._waiting = None
        self._runs = self._runs or Runs()
        self._list.put(self._newest())
        self.redraw()

    def _newest(self) -> tuple[PastRun, ...]:
        """The newest runs are in the picture anyway, where the file of the history is away."""
        return () if self.frame is None else tuple(PastRun(run) for run in self.frame.snapshot.history.last)

    def _want_detail(self, past: PastRun | None) -> None:
        run_id = past.summary.id if past is not None else ""
        if not run_id or run_id == self._wanted:
            return
        self._wanted = run_id
        if self._detail_asked is not None:
            self.desk.forget(self._detail_asked)
        self._detail_asked = self.desk.ask(ShowRun(run_id), self._detailed, self._no_detail)

    def _detailed(self, value: RunDetail) -> None:
        if value.id == self._wanted:
            self._found = value
            self.redraw()

    def _no_detail(self, _refused: Refused) -> None:
        """What the list says of it is shown anyway."""

    # keys

    def copied(self) -> str:
        past = self._list.at(self.table.cursor)
        return past.summary.id if past is not None else ""

    def action_open(self) -> None:
        """The rows that the chosen run changed."""
        past = self._list.at(self.table.cursor)
        if past is None:
            return
        if self._rows_asked is not None:
            self.desk.forget(self._rows_asked)
        question = ListChangedRows(past.summary.id, ROWS_SHOWN)
        self._rows_asked = self.desk.ask(question, self._rows_found, self._no_rows)

    def _rows_found(self, value: ChangedRows) -> None:
        self._rows_asked = None
        if self.is_current:
            title = clean_text(value.run_id, self.look)
            self.app.push_screen(RunRowsDialog(self.look, title, value, self.copy_text), self._chosen_undo)

    def _no_rows(self, refused: Refused) -> None:
        self._rows_asked = None
        self.tell(refused.reason, failed=True)

    def _chosen_undo(self, run_id: str | None) -> None:
        if run_id:
            self._undo(run_id)

    def action_undo(self) -> None:
        """Plan to take the chosen run back."""
        past = self._list.at(self.table.cursor)
        if past is None:
            self.tell("nothing is chosen")
        elif self._found is not None and self._found.id == past.summary.id and self._found.undo_off:
            self.tell(run_rows.cannot_be_undone(self._found.undo_off, self.look))
        else:
            self._undo(past.summary.id)

    def action_document(self) -> None:
        """The whole document of the chosen run."""
        past = self._list.at(self.table.cursor)
        if past is None:
            return
        if self._found is None or self._found.id != past.summary.id or not self._found.document:
            self.tell("no document of this run is kept")
            return
        text = words.document_text(self._found)
        ascii_only = self.look.glyphs.is_ascii
        lines: list[Line] = [plain(f" {visible.clean(line, ascii_only=ascii_only)}") for line in text.splitlines()]
        title = visible.clean(past.summary.id, ascii_only=ascii_only)
        self.app.push_screen(TextDialog(self.look, title, lines, text, self.copy_text))

    def action_replay(self) -> None:
        """Ask for the file of a recording and leave for it."""
        lines = (
            plain("Leave this console and look at a recorded session."),
            muted("storage-sync record FILE, or tui --record FILE, makes one."),
        )
        label = "FILE.jsonl or FILE.jsonl.gz"
        self.app.push_screen(NoteDialog(self.look, "Replay", lines, label, "Replay"), self._chosen_file)

    def _chosen_file(self, file: str | None) -> None:
        if not file:
            return
        path = Path(file).expanduser()
        if path.is_file():
            self._replay(str(path))
        else:
            self.tell(f"there is no file {path}", failed=True)

    def on_virtual_table_chosen(self, _event: VirtualTable.Chosen) -> None:
        self.action_open()
