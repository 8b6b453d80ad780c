"""Orphans: which embeddings have no owner, and why. The list is asked from the core in one page."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from console.bindings import bindings
from console.desk import Desk
from console.keys import ORPHANS
from console.screens.listing import Column, Listing, ListScreen
from console.views.frame import Frame
from storage_sync.model import CheckStatus, Orphan, Outcome, Refused
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.glyphs import Look, Role
from widgets.line import Line, muted, plain, toned

_COLUMNS = (
    Column(" key", 0),
    Column("reason", 18),
    Column("in primary", 10),
    Column("dim", 6, right=True),
    Column("norm", 6, right=True),
    Column("bytes", 7, right=True, wide=90),
)
_YES = {True: "yes", False: "no", None: fmt.UNKNOWN}


class OrphansScreen(ListScreen):
    """Asks when it is shown first, on `r`, and when a new proof was made."""

    name_id = ORPHANS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ORPHANS)

    def __init__(self, look: Look, desk: Desk) -> None:
        super().__init__(look)
        self._desk = desk
        self._asked: object = None
        self._waiting: int | None = None
        self._found: tuple[Orphan, ...] | None = None
        self._said = ""
        self._filter = ""
        self._shown: tuple[Orphan, ...] = ()
        self.box = Input(placeholder="words; ! inverts; esc clears", compact=True, id="filter")

    def compose_below_list(self) -> ComposeResult:
        self.box.display = False
        yield self.box

    def show_body(self, frame: Frame) -> None:
        key = (frame.snapshot.cache.generation, frame.snapshot.freshness.proof)
        if key != self._asked:
            self._asked = key
            self._ask()
        super().show_body(frame)

    def _ask(self) -> None:
        if self._waiting is not None:
            self._desk.forget(self._waiting)
        self._said = "asking the core"
        self._waiting = self._desk.ask("scan", answered=self._answered, refused=self._refused)

    def _answered(self, value: object) -> None:
        self._said = ""
        self._found = rows_of(value)
        if self._found is None:
            self._said = "the core gave an answer of another shape"
        self._repaint()

    def _refused(self, refused: Refused) -> None:
        self._said = f"{refused.reason}; {refused.hint}" if refused.hint else refused.reason
        self._repaint()

    def _repaint(self) -> None:
        if self._frame is not None:
            super().show_body(self._frame)

    def listing(self, frame: Frame) -> Listing:
        keep = matcher(self._filter)
        self._shown = tuple(row for row in self._found or () if keep(row))
        total = len(self._found or ())
        filtered = f"filter {frame.clean(self._filter)}" if self._filter else "filter none"
        empty = self._said or ("nothing matches the filter; esc clears it" if total else _nothing(frame))
        found = f" · {total:,}" if self._found is not None else ""
        return Listing(
            title=frame.label(f"Embeddings without an owner{found}"),
            right=filtered,
            columns=_COLUMNS,
            rows=tuple(_row(frame, row) for row in self._shown),
            empty=frame.clean(empty),
        )

    def details(self, frame: Frame, index: int) -> FactList:
        if not 0 <= index < len(self._shown):
            return FactList("Embedding", "", ())
        return _details(frame, self._shown[index])

    def action_reload(self) -> None:
        self._ask()
        self._repaint()

    def action_filter(self) -> None:
        self.box.display = True
        self.box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._filter = event.value
        self._repaint()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.table.focus()

    def key_escape(self) -> None:
        self.box.value = ""
        self.box.display = False
        self.table.focus()


def rows_of(value: object) -> tuple[Orphan, ...] | None:
    """Rows of the core's answer: an outcome with orphans, or the rows themselves; None for any other shape."""
    rows = value.orphans if isinstance(value, Outcome) else value
    if isinstance(rows, tuple | list) and all(isinstance(row, Orphan) for row in rows):
        return tuple(rows)
    return None


def matcher(text: str) -> Callable[[Orphan], bool]:
    """A row matches when every word is in its key, reason or owner; `!word` when it is not."""
    words = text.lower().split()

    def keep(row: Orphan) -> bool:
        field = f"{row.key} {row.reason} {row.owner_kind} {row.owner_id}".lower()
        return all((word[1:] not in field) if word.startswith("!") and word[1:] else word in field for word in words)

    return keep


def _nothing(frame: Frame) -> str:
    for result in frame.snapshot.checks:
        if result.check.name == "orphaned_embeddings":
            if result.check.status is CheckStatus.PASS:
                return "every embedding has its owner"
            return f"the check said {result.check.actual}, {frame.ago(result.at)} ago; r asks again"
    return "no embedding was checked yet; v runs the checks"


def _row(frame: Frame, row: Orphan) -> tuple[Line, ...]:
    key = fmt.short_key(row.key, frame.look.glyphs)
    return (
        plain(f" {frame.clean(key)}"),
        plain(frame.clean(row.reason)),
        plain(_YES[row.in_primary]),
        plain(fmt.count(row.dimension)),
        plain(fmt.UNKNOWN if row.norm is None else f"{row.norm:.3f}"),
        plain(f"{row.bytes:,}"),
    )


def _details(frame: Frame, row: Orphan) -> FactList:
    owner = f"{frame.clean(row.owner_kind)} {frame.clean(row.owner_id)}" if row.owner_id else "none by design"
    role = Role.UNKNOWN if row.in_primary is None else Role.OK if row.in_primary else Role.FAILED
    vector = f"{fmt.count(row.dimension)} x f32, {row.bytes:,} B"
    facts = (
        Fact("key", plain(frame.clean(row.key))),
        Fact("reason", plain(frame.clean(row.reason))),
        Fact("owner", plain(owner)),
        Fact("in primary", toned(role, _YES[row.in_primary], glyphs=frame.look.glyphs)),
        Fact("vector", plain(vector), extra=muted("norm unknown" if row.norm is None else f"norm {row.norm:.3f}")),
    )
    return FactList("Embedding", f"orphaned: {frame.clean(row.reason)}", facts)
