"""What the Orphans screen asks the core, and what it holds of the answers (docs/console.md#orphans).

The index and each view of it are frozen values; marks are a stored filter and single keys, never a list of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from console.flows.export import Exports
from console.flows.plans import Wish
from console.flows.stage import Stage
from console.views.hints import reason_and_hint
from storage_sync.embeddings.reason import CAN_LEAVE
from storage_sync.embeddings.wanted import GROUPS, SORTS, Marked, Marks, Wanted
from storage_sync.service.commands import (
    Do,
    ExportOrphans,
    FindNeighbours,
    QueryOrphans,
    Question,
    ResolveMarks,
    ScanOrphans,
    ShowOrphan,
)
from storage_sync.service.operations import Expect, QuarantineOrphans, Sync, Unexpect
from storage_sync.values.events import Refused
from storage_sync.values.outcome import Outcome
from widgets import fmt

if TYPE_CHECKING:
    from textual.screen import Screen

    from storage_sync.embeddings.detail import Detail, Neighbours
    from storage_sync.embeddings.index import Bools, OrphanIndex, Row
    from storage_sync.embeddings.query import View


T = TypeVar("T")


class Orphans:
    """`plan` opens the dialog of a plan; `changed` is called when there is something else to draw."""

    def __init__(self, stage: Stage, plan: Callable[[Wish], object], changed: Callable[[], None]) -> None:
        self._stage = stage
        self._plan = plan
        self._changed = changed
        self._exports = Exports(stage.look, stage.desk, stage.show, stage.say)
        self._open: dict[type[Question[Any]], int] = {}
        self._mask: Bools | None = None
        self._masks: Mapping[object, Bools] = {}
        self._turned: set[int] = set()
        self._found: Bools | None = None
        self._marks_all = False
        self._marking = False
        self._fresh: OrphanIndex | None = None
        self._wanted_number: int | None = None
        self.index: OrphanIndex | None = None
        self.view: View | None = None
        self.wanted = Wanted()
        self.marks = Marks()
        self.marked = 0
        """How many rows are."""
        self.detail: Detail | None = None
        self.near: Neighbours | None = None
        self.said = "not scanned yet"
        self.revision = 0
        """Another one for each answer and each mark."""

    # ----------------------------------------------------------------------------------------- asking

    def _ask(self, question: Question[T], answered: Callable[[T], None]) -> None:
        """A newer question of one kind takes the place of the older."""
        kind = type(question)
        self._forget(kind)

        def done(value: T) -> None:
            self._open.pop(kind, None)
            answered(value)

        def refused(answer: Refused) -> None:
            self._open.pop(kind, None)
            self._refused(kind, answer)

        self._open[kind] = self._stage.desk.ask(question, done, refused)

    def _forget(self, kind: type[Question[Any]]) -> None:
        older = self._open.pop(kind, None)
        if older is not None:
            self._stage.desk.forget(older)

    def _refused(self, kind: type[Question[Any]], refused: Refused) -> None:
        text = reason_and_hint(refused)
        self._marking = False
        if kind in (ScanOrphans, QueryOrphans):
            self.said = text
        else:
            self._stage.say(text, failed=True)
        self._show()

    def _show(self) -> None:
        self.revision += 1
        self._changed()

    @property
    def busy(self) -> bool:
        """A new order is on its way, or what the marks mean now; what is drawn is the old one."""
        return QueryOrphans in self._open or self._marking

    # ------------------------------------------------------------------------------------ scan and query

    def scan(self) -> None:
        """Look at every embedding again."""
        self.said = "scanning…"
        self._ask(ScanOrphans(), self._scanned)
        self._show()

    def _scanned(self, value: OrphanIndex | None) -> None:
        if value is None:
            self.said, self.index, self.view, self._fresh = "there is no cache file", None, None, None
            self._show()
            return
        self._fresh = value
        self._query()

    def want(self, **changes: object) -> None:
        """Another filter, order or grouping."""
        self.wanted = replace(self.wanted, **changes)
        self._query()

    def _query(self) -> None:
        index = self._fresh or self.index
        if index is None:
            self._show()
            return
        self.said = "sorting…"
        self._ask(QueryOrphans(index, self.wanted), self._ordered)
        self._show()

    def _ordered(self, view: View) -> None:
        changed = self.index is not view.index
        self.index, self.view, self.said = view.index, view, ""
        if view.index is self._fresh:
            self._fresh = None
        if self.wanted.filter.strip() or changed:
            self._found = view.matched if self.wanted.filter.strip() else None
        if changed:
            # row numbers are those of another index now
            self.detail = self.near = self._wanted_number = None
            self._mark_again()
        if self._marks_all:
            self.mark_all()
        self._show()

    def sort(self) -> None:
        place = (SORTS.index(self.wanted.sort) + 1) % len(SORTS)
        self.want(sort=SORTS[place], reverse=False)

    def group(self) -> None:
        self.want(group=GROUPS[(GROUPS.index(self.wanted.group) + 1) % len(GROUPS)], folded=frozenset())

    def fold(self, name: str) -> None:
        """Close an open group, open a closed one."""
        self.want(folded=self.wanted.folded ^ {name})

    def number_at(self, place: int) -> int | None:
        """Row of the index at a place of the list; None for a group's head and beyond the end."""
        view = self.view
        if view is None or not 0 <= place < len(view) or view.at(place) < 0:
            return None
        return view.at(place)

    def next_match(self, place: int, step: int) -> int | None:
        """Where the next row stands that fits the last filter, round the end; None when there is no other."""
        view = self.view
        if view is None:
            return None
        many = len(view)
        for distance in range(1, many + 1):
            there = (place + step * distance) % many
            row = view.at(there)
            if row >= 0 and (self._found is None or bool(self._found[row])):
                return there
        return None

    # ------------------------------------------------------------------------------------------- detail

    def look_at(self, number: int | None) -> None:
        """The cursor is on another row: its facts are asked for, one question at a time."""
        if number == self._wanted_number and (self.detail is None or self._is_of_index(self.detail)):
            return
        self._wanted_number = number
        self._forget(FindNeighbours)
        self.near = None
        if number is None or self.index is None:
            self.detail = None
            return
        # the core waits with it until the cursor rests: the next question takes the place of this one
        self._ask(FindNeighbours(self.index, number), self._neighboured)
        if ShowOrphan not in self._open:
            self._ask(ShowOrphan(self.index, number), self._detailed)

    def _is_of_index(self, detail: Detail) -> bool:
        return self.index is not None and detail.revision == self.index.revision

    def _detailed(self, detail: Detail) -> None:
        wanted = self._wanted_number
        if wanted is None or self.index is None:
            return
        if detail.number != wanted or not self._is_of_index(detail):
            self._ask(ShowOrphan(self.index, wanted), self._detailed)
            return
        self.detail = detail
        self._show()

    def _neighboured(self, near: Neighbours) -> None:
        if self.index is not None and (near.number, near.revision) == (self._wanted_number, self.index.revision):
            self.near = near
            self._show()

    # -------------------------------------------------------------------------------------------- marks

    def is_marked(self, number: int) -> bool:
        """Whether the row is marked."""
        by_query = self._mask is not None and bool(self._mask[number])
        return by_query != (number in self._turned)

    def mark(self, number: int) -> None:
        """Mark, or unmark."""
        if self.index is not None and self._still():
            self.marked += -1 if self.is_marked(number) else 1
            self._turned ^= {number}
            self.marks = replace(self.marks, keys=self.marks.keys ^ {self.index.keys[number]})
            self._show()

    def mark_all(self) -> None:
        """Everything that fits the filter, as the filter itself; once the answer to it is here."""
        self._marks_all = self.busy
        if self.view is None or self.busy:
            return
        if not self.view.matched.any():
            self._stage.say("nothing matches the filter")
            return
        self._put_marks(Marks(self.wanted.filter), {None: self.view.matched}, set())

    def mark_group(self, name: str) -> None:
        """Mark what the filter leaves of a group, as a question too; a second time unmarks it."""
        index, view = self.index, self.view
        if index is None or view is None or not self._still():
            return
        group = (view.wanted.filter, view.wanted.group, name)
        inside = view.members(name)
        masks = {key: mask for key, mask in self._masks.items() if key != group}
        if group not in self.marks.groups:
            masks[group] = inside
        turned = {number for number in self._turned if not inside[number]}
        marks = Marks(
            self.marks.filter, frozenset(index.keys[number] for number in turned), self.marks.groups ^ {group}
        )
        self._put_marks(marks, masks, turned)

    def _put_marks(self, marks: Marks, masks: Mapping[object, Bools], turned: set[int]) -> None:
        self.marks, self._masks, self._turned = marks, masks, turned
        self._mask = None
        for mask in masks.values():
            self._mask = mask if self._mask is None else self._mask | mask
        held = 0 if self._mask is None else int(self._mask.sum())
        self.marked = held + sum(-1 if self._mask is not None and self._mask[number] else 1 for number in turned)
        self._show()

    def clear_marks(self) -> bool:
        """Whether there were any."""
        had = self.marks != Marks()
        if had:
            self._put_marks(Marks(), {}, set())
        return had

    def _mark_again(self) -> None:
        """Another index: keys that are gone lose their mark, the stored filter is asked again."""
        if self.index is None or self.marks == Marks():
            return
        before, marks = self.marked, self.marks
        self._marking = True
        self._put_marks(Marks(), {}, set())

        def resolved(marked: Marked) -> None:
            self._marking = False
            self._put_marks(Marks(keys=frozenset(marked.keys)), {}, set(marked.numbers))
            if self.marked != before:
                self._stage.say(f"{before:,} were marked, {self.marked:,} are now")

        self._ask(ResolveMarks(self.index, marks), resolved)

    # ------------------------------------------------------------------------------------------ actions

    def _still(self) -> bool:
        """Whether the list stands still; else it is said that it does not, and nothing is done."""
        if self.busy:
            self._stage.say("the list is being sorted; press the key again")
        return not self.busy

    def chosen(self, number: int | None) -> Marks:
        """What an action is about: the marks, else the row under the cursor."""
        if self.marks != Marks() or number is None or self.index is None:
            return self.marks
        return Marks(keys=frozenset({self.index.keys[number]}))

    def has_chosen(self, number: int | None) -> bool:
        """Whether an action would be about any row."""
        return self.chosen(number) != Marks()

    def set_aside(self, number: int | None) -> None:
        """Plan to take what is chosen out of the cache."""
        self._with_keys(number, lambda keys: self._plan(Wish(QuarantineOrphans(keys), "Quarantine", ended=self._ended)))

    def _with_keys(self, number: int | None, act: Callable[[tuple[str, ...]], object]) -> None:
        """`act` with the keys of what is chosen, once the core has named them; with none of them nothing happens."""
        index = self.index
        if not self._still():
            return
        if index is None or not self.has_chosen(number):
            self._stage.say("nothing is chosen; space marks a row")
            return

        def resolved(marked: Marked) -> None:
            keys = self._leaving(index, marked)
            if keys:
                act(keys)

        self._ask(ResolveMarks(index, self.chosen(number)), resolved)

    def _leaving(self, index: OrphanIndex, marked: Marked) -> tuple[str, ...]:
        """Keys that may be quarantined; it is said when that is not all of them."""
        pairs = zip(marked.numbers, marked.keys, strict=True)
        keys = tuple(key for number, key in pairs if index.reason(number) in CAN_LEAVE)
        left = len(marked.keys) - len(keys)
        if left:
            self._stage.say(f"{fmt.plural(left, 'row')} left out: the owner exists, or the cache has no such row")
        elif not keys:
            self._stage.say("none of these rows exists now")
        return keys

    def _ended(self, outcome: Outcome) -> None:
        """The cache is another one: marks were for the old one."""
        if outcome.error is None:
            self.clear_marks()
        self.scan()

    def reattach(self, number: int | None) -> None:
        """Plan the sync that fetches the owner, where the primary has it in the window."""
        detail = self.detail
        if number is None or detail is None or detail.number != number:
            self._stage.say("nothing is chosen")
        elif detail.reattach:
            self._stage.say(f"re-attach is not possible: {detail.reattach}")
        else:
            self._plan(Wish(Sync(), "Re-attach by a sync", ended=self._ended))

    def expected_row(self, number: int | None) -> Row | None:
        """The row that `i` is about when only one is."""
        index = self.index
        return index.row(number) if index is not None and number is not None and self.marks == Marks() else None

    def expect(self, number: int | None, note: str | None) -> None:
        """Mark what is chosen as expected with a note; None takes that back."""

        def mark(keys: tuple[str, ...]) -> None:
            operation = Unexpect(keys) if note is None else Expect(keys, note)
            self._stage.desk.ask(Do(operation), self._expected, self._not_done)

        self._with_keys(number, mark)

    def _expected(self, outcome: Outcome) -> None:
        many = len(outcome.extra.get("expected") or outcome.extra.get("unexpected") or ())
        word = "no longer expected" if "unexpected" in outcome.extra else "expected"
        self._stage.say(f"{fmt.plural(many, 'row')} {word}")
        self.clear_marks()
        self.scan()

    def _not_done(self, refused: Refused) -> None:
        self._stage.say(reason_and_hint(refused), failed=True)

    def export(self, here: Screen[Any], path: str, *, vectors: bool) -> None:
        """Write what is marked, else all that is shown; `here` is where it was asked for."""
        if self.index is None:
            self._stage.say("nothing has been scanned yet")
            return
        self._exports.start(ExportOrphans(self.index, path, self.wanted, self.marks, vectors), here)
