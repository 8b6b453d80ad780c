"""Validation: which check failed, expected against actual, which keys, which field (docs/console.md#screens).

`enter` goes from the check to its keys and on to the fields of one; `esc` goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from console.dialogs.text import TextDialog
from console.keys.bindings import bindings
from console.keys.table import VALIDATION
from console.link.requests import Desk
from console.screens.rows import RowList, RowsScreen
from console.views import checks
from console.views import differences as words
from console.views.columns import Column
from console.views.frame import Frame
from console.views.states import generation_now
from storage_sync.service.commands import CompareRows, ListCheckRuns
from storage_sync.values.answers import CheckRun, ColumnDifference, Difference, Differences
from storage_sync.values.events import Refused
from storage_sync.values.outcome import CheckStatus
from storage_sync.values.snapshot import CheckResult
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.glyphs import Look, Role, Tone
from widgets.kept import KeptColumn
from widgets.line import Line, Piece, muted, plain, toned
from widgets.panel import Panel
from widgets.virtual_table import VirtualTable

_COLUMNS = (
    Column(" check", 27),
    Column("actual", 12, right=True),
    Column("expected", 12, right=True, wide=56),
    Column("age", 5, right=True),
    Column("", 0, wide=98),
)
_NARROW = (Column(" check", 24), Column("actual", 0, right=True), Column("age", 5, right=True))
_KEYS = (Column(" key", 22), Column("table", 12, wide=60), Column("what", 0))
_FIELDS = (Column(" field", 18), Column("primary", 0), Column("cache", 0))
_CHECKS, _ROWS, _SIDES = range(3)
_ELSEWHERE = frozenset({"orphaned_embeddings", "embedding_vectors"})
"""Checks whose rows the Orphans screen shows."""


class ValidationScreen(RowsScreen):
    """Compares rows only when somebody asks which ones; what it was told holds until the check ran again."""

    name_id = VALIDATION
    BINDINGS: ClassVar[list[BindingType]] = bindings(VALIDATION)
    fills_list: ClassVar[str] = ": enter on a check lists the rows that differ"

    def __init__(self, look: Look, desk: Desk) -> None:
        super().__init__(look, desk)
        self.detail = Panel(look, id="check-detail", focusable=False)
        self.digests = Panel(look, id="digests", focusable=False)
        self.identity = Panel(look, id="identity", focusable=False)
        self.past = Panel(look, id="check-runs", focusable=False)
        self.keys_title = Panel(look, id="keys-title", focusable=False)
        self.keys = VirtualTable(look, id="keys-list")
        self.sides_title = Panel(look, id="sides-title", focusable=False)
        self.sides = VirtualTable(look, id="sides-list")
        self._keys: RowList[Difference] = RowList(
            words.row_of, words.FIELDS, lambda difference: (difference.table, difference.key)
        )
        self._level = _CHECKS
        self._shown: tuple[str, float] | None = None
        self._found: Differences | None = None
        self._said = ""
        self._waiting: int | None = None
        self._past: tuple[CheckRun, ...] = ()
        self._seen: object = None

    def compose_body(self) -> ComposeResult:
        with Container(id="check-panes"):
            with KeptColumn(id="check-left"):
                yield self.list_title
                yield self.table.add_class("first")
                yield self.digests
                yield self.identity
                yield self.past
            with KeptColumn(id="check-right"):
                yield self.detail
                with KeptColumn(id="keys-pane"):
                    yield self.keys_title
                    yield self.keys
                    yield self.box
                with KeptColumn(id="sides-pane"):
                    yield self.sides_title
                    yield self.sides

    # what the list of the filter is: the keys

    def rows(self) -> RowList[Any]:
        return self._keys

    def as_row(self, item: Difference) -> Mapping[str, object]:
        return words.as_row(item)

    def export_name(self) -> str:
        return "differences"

    def list_of_filter(self) -> VirtualTable:
        return self.keys

    # drawing

    def draw(self, frame: Frame) -> None:
        self._keep_up(frame)
        results = checks.ordered(frame)
        self._draw_checks(frame, results)
        result = self._chosen(frame)
        self._follow(result)
        self.detail.value = _details(frame, result) if result else FactList("Check", "", ())
        self.digests.value = words.tables(frame)
        self.identity.value = words.identity(frame)
        self.past.value = words.check_runs(frame, self._past)
        self._draw_keys(frame, result)
        self._draw_sides(frame)

    def _draw_checks(self, frame: Frame, results: list[CheckResult]) -> None:
        generation = generation_now(frame.snapshot)
        running = words.progress(frame, frame.snapshot.run)
        right = frame.clean(running) or (f"g-{generation}" if generation is not None else "")
        listed: RowList[CheckResult] = RowList(lambda _: {}, {}, lambda result: result.name)
        listed.put(tuple(results))
        columns = _NARROW if self.table.size.width < 50 else _COLUMNS
        ages = tuple(fmt.short_age(frame.now - result.found.at) for result in results)
        self.draw_list(
            self.table,
            self.list_title,
            (f"Checks · {len(results)}", right),
            columns,
            listed,
            lambda result: _row(frame, result, narrow=columns is _NARROW),
            empty=checks.none_yet(frame),
            revision=(results, ages, columns),
        )

    def _draw_keys(self, frame: Frame, result: CheckResult | None) -> None:
        found = self._found
        known = len(self._keys.items)
        total = found.total if found is not None else known
        now = generation_now(frame.snapshot)
        past = found is not None and found.generation is not None and now not in (None, found.generation)
        asked = f"compared {frame.ago(found.at)} ago" if found is not None else ""
        if past and found is not None:
            asked = f"{asked}, at g-{found.generation}"
        said = "Rows that differed" if past else "Rows that differ" if found is not None else "Keys"
        name = f"{said} · {total:,}"
        empty = self._said or ("nothing matches the filter; esc clears it" if known else _nothing(result))
        self.draw_list(
            self.keys,
            self.keys_title,
            (name, frame.clean(self._said) or asked),
            _KEYS,
            self._keys,
            lambda difference: words.row(frame, difference),
            empty=frame.clean(empty),
            revision=empty,
        )

    def _draw_sides(self, frame: Frame) -> None:
        difference = self._keys.at(self.keys.cursor)
        columns = difference.columns if difference is not None else ()
        row = (difference.table, difference.key) if difference is not None else None
        listed: RowList[ColumnDifference] = RowList(lambda _: {}, {}, lambda column: (row, column.name))
        listed.put(columns)
        glyphs = self.look.glyphs
        title = f"{difference.table} {fmt.short_key(difference.key, glyphs)}" if difference is not None else "Row"
        self.draw_list(
            self.sides,
            self.sides_title,
            (frame.clean(title.strip()), words.verdict_words(difference)),
            _FIELDS,
            listed,
            lambda column: words.side(frame, column),
            empty="enter on a check compares its rows",
            revision=(difference.table, difference.key, len(columns)) if difference is not None else None,
        )

    # what is known

    def _keep_up(self, frame: Frame) -> None:
        """Earlier runs of the checks, asked again when a run has ended."""
        seen = (frame.snapshot.history.revision, frame.snapshot.history.runs)
        if seen != self._seen:
            self._seen = seen
            self.desk.ask(ListCheckRuns(), self._remembered, self._not_now)

    def _remembered(self, runs: tuple[CheckRun, ...]) -> None:
        self._past = runs
        self.redraw()

    def _not_now(self, _refused: Refused) -> None:
        """What was remembered before stays."""

    def _chosen(self, frame: Frame) -> CheckResult | None:
        results = checks.ordered(frame)
        return results[self.table.cursor] if 0 <= self.table.cursor < len(results) else None

    def _follow(self, result: CheckResult | None) -> None:
        """Another check, or the same one after it ran again: what was compared for it is no longer said."""
        shown = (result.name, result.found.at) if result is not None else None
        if shown == self._shown:
            return
        self._shown = shown
        self._found = None
        self._said = ""
        self._forget()
        self._keys.put(tuple(Difference("", key, "") for key in result.found.was.keys) if result is not None else ())

    def _forget(self) -> None:
        if self._waiting is not None:
            self.desk.forget(self._waiting)
            self._waiting = None

    def _compare(self, name: str, after: Difference | None = None) -> None:
        self._forget()
        self._said = "comparing…"
        question = CompareRows(words.TABLES_OF[name], after)
        self._waiting = self.desk.ask(question, self._compared, self._not_compared)
        self.redraw()

    def _compared(self, value: Differences) -> None:
        self._waiting = None
        self._said = ""
        if self._found is not None and self._found.more:
            self._keys.put((*self._keys.items, *value.rows))
            self._found = value
        else:
            self._keys.put(value.rows)
            self._found = value
        self.redraw()

    def _not_compared(self, refused: Refused) -> None:
        self._waiting = None
        self._said = "not compared" if self._keys.items else refused.reason
        self.refused(refused)
        self.redraw()

    # walking

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        if event.table is self.table and self._level != _CHECKS and self.table.has_focus:
            self._level = _CHECKS
            self._mark_level()
        if event.table is self.keys:
            self.sides.cursor = 0
            self._more(event.index)
        self.redraw()

    def _more(self, index: int) -> None:
        """The next page, when the cursor is on the last row that is known."""
        found = self._found
        last = index == len(self._keys.shown) - 1
        if found is not None and found.more and last and self._waiting is None and self._shown is not None:
            self._compare(self._shown[0], self._keys.items[-1])

    def on_virtual_table_chosen(self, event: VirtualTable.Chosen) -> None:
        if event.table is self.table:
            self._into_keys()
        elif event.table is self.keys:
            self._go(_SIDES)
        else:
            self._open_side(self.sides.cursor)

    def _into_keys(self, *, focus: bool = True) -> None:
        if self._shown is None:
            return
        name = self._shown[0]
        if name in _ELSEWHERE:
            self.tell("3 Orphans shows these rows, and what can be done")
        if name in words.TABLES_OF and self._found is None and self._waiting is None:
            self._compare(name)
        self._go(_ROWS, focus=focus)

    def _open_side(self, index: int) -> None:
        difference = self._keys.at(self.keys.cursor)
        if self.frame is None or difference is None or not 0 <= index < len(difference.columns):
            return
        lines, text = words.whole(self.frame, difference.columns[index])
        title = self.frame.clean(f"{difference.table} {difference.key}")
        self.app.push_screen(TextDialog(self.look, title, lines, text, self.copy_text))

    def action_open(self) -> None:
        """One step in, from wherever the focus is."""
        focused = self.focused
        (focused if isinstance(focused, VirtualTable) else self.table).action_choose()

    def action_filter(self) -> None:
        if self._level == _CHECKS:
            self._into_keys(focus=False)
        super().action_filter()

    def back(self) -> None:
        if self._level > _CHECKS:
            self._go(self._level - 1)

    def _go(self, level: int, *, focus: bool = True) -> None:
        self._level = level
        self._mark_level()
        if focus:
            (self.table, self.keys, self.sides)[level].focus()
        self.call_after_refresh(self.redraw)

    def _mark_level(self) -> None:
        self.set_class(self._level == _ROWS, "-rows")
        self.set_class(self._level == _SIDES, "-sides")

    def copied(self) -> str:
        if self.sides.has_focus:
            difference = self._keys.at(self.keys.cursor)
            if difference is not None and self.sides.cursor < len(difference.columns):
                column = difference.columns[self.sides.cursor]
                return f"{column.name}: {column.primary} | {column.cache}"
        if self.keys.has_focus:
            difference = self._keys.at(self.keys.cursor)
            return difference.key if difference is not None else ""
        return self._shown[0] if self._shown is not None else ""


def _nothing(result: CheckResult | None) -> str:
    if result is None or result.found.was.status is not CheckStatus.FAIL:
        return "no key is named"
    return "enter compares the rows"


def _row(frame: Frame, result: CheckResult, *, narrow: bool) -> tuple[Line, ...]:
    role = checks.role_of(frame, result)
    name = checks.name_of(frame, result.name)
    age = muted(fmt.short_age(frame.now - result.found.at))
    mark = toned(role, name, glyphs=frame.look.glyphs)
    actual, expected = _value(frame, result.found.was.actual), _value(frame, result.found.was.expected)
    numbers = isinstance(result.found.was.actual, int)
    if result.found.was.status is CheckStatus.SKIPPED:
        actual = "skipped"
    elif role is Role.UNKNOWN and result.found.was.status is not CheckStatus.UNKNOWN:
        actual = f"was {actual if numbers else checks.was_words(result.found.was)}"
    if narrow:
        both = f"{actual} / {expected}" if numbers and result.found.was.actual != result.found.was.expected else actual
        return (mark, plain(both), age)
    return (mark, plain(actual), plain(expected), age, muted(frame.clean(result.found.was.detail)))


def _value(frame: Frame, value: int | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else frame.clean(value)


def _details(frame: Frame, result: CheckResult) -> FactList:
    check, glyphs = result.found.was, frame.look.glyphs
    role = checks.role_of(frame, result)
    label = checks.name_of(frame, check.name)
    difference = _difference(check.expected, check.actual)
    counted = isinstance(check.actual, int) and isinstance(check.expected, int)
    actual, expected = _value(frame, check.actual), _value(frame, check.expected)
    value = f"{actual} of {expected} expected" if counted else f"{actual}; {expected} expected"
    if role is Role.UNKNOWN and check.status is not CheckStatus.UNKNOWN:
        value = f"was {value}"
    if check.status is CheckStatus.SKIPPED:
        value = "not run"
    run = frame.snapshot.run
    at_work = run is not None and run.ended_at is None
    facts = [
        Fact("means", plain(words.explained(frame, result))),
        Fact("result", toned(role, _status_words(frame, role, result), glyphs=glyphs), extra=muted(difference)),
        Fact("actual", plain(value)),
        *(
            (Fact("now", words.steps(frame, run), short=(words.steps(frame, run, rows=False),)),)
            if run is not None and at_work
            else ()
        ),
        Fact("says", plain(frame.clean(check.detail) or "-"), whole=True),
        Fact(
            "checked",
            plain(f"{frame.ago(result.found.at)} ago, took {fmt.took(check.seconds)}, of the {result.subject}"),
        ),
        Fact("last runs", _recent(frame, result), extra=muted(f"name {frame.clean(check.name)}")),
    ]
    said = "unknown" if role is Role.UNKNOWN else check.status.value
    return FactList(label, said, tuple(facts), labels=10)


def _status_words(frame: Frame, role: Role, result: CheckResult) -> str:
    status = result.found.was.status.value
    if role is Role.UNKNOWN:
        return f"unknown now; was {status}"
    return f"{status}: rows behind" if checks.is_behind(frame, result) else status


def _difference(expected: int | str | None, actual: int | str | None) -> str:
    if isinstance(expected, int) and isinstance(actual, int) and expected != actual:
        return f"difference {actual - expected:+,}"
    return ""


def _recent(frame: Frame, result: CheckResult) -> Line:
    roles = {CheckStatus.PASS: Role.OK, CheckStatus.FAIL: Role.FAILED, CheckStatus.UNKNOWN: Role.UNKNOWN}
    if not result.recent:
        return muted("not recorded")
    glyphs = frame.look.glyphs.roles
    marks = ((roles.get(status, Role.NONE)) for status in result.recent[-14:])
    return tuple(Piece(f"{glyphs[role]}", Tone(role.value)) for role in marks)
