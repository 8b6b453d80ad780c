"""The Orphans screen: each of its keys, what it asks, what it shows (docs/console.md#orphans)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Input

from console.app.app import Console
from console.dialogs.ask import AskDialog
from console.dialogs.note import NoteDialog
from console.dialogs.plan import PlanDialog
from console.dialogs.vector import VectorDialog
from console.screens.orphans import OrphansScreen
from storage_sync.embeddings.index import OrphanIndex
from storage_sync.embeddings.query import Identities
from storage_sync.embeddings.reason import Reason
from storage_sync.embeddings.wanted import Marks, Wanted
from storage_sync.service.commands import (
    Do,
    ExportOrphans,
    FindNeighbours,
    MakePlan,
    QueryOrphans,
    ResolveMarks,
    ScanOrphans,
    ShowOrphan,
)
from storage_sync.service.operations import Expect, QuarantineOrphans, Sync, Unexpect
from storage_sync.values.events import Answer, Refused
from storage_sync.values.found import Basis, Found
from storage_sync.values.outcome import Outcome, Word
from tests.console.app import FakeClock, answer_orphans, asked, console, live, screen_text, settle
from tests.console.paths import SILENT, Path, embeddings, opened
from tests.support.scenes import orphans
from tests.support.scripted_bridge import ScriptedBridge

_COLUMNS = (
    "keys",
    "reasons",
    "owners",
    "dimensions",
    "norms",
    "sizes",
    "first_seen",
    "titles",
    "owners_in_primary",
    "in_primary",
    "lower_keys",
    "lower_titles",
    "titled",
    "title_ranks",
)
FIRST = "7c1e02aa…90bd"
UPSTREAM = "a90022ce…0f4b"


@dataclass
class Shown:
    """The screen, scanned."""

    app: Console
    bridge: ScriptedBridge
    pilot: Pilot[int]
    clock: FakeClock

    @property
    def text(self) -> str:
        return screen_text(self.app)

    async def press(self, *keys: str) -> str:
        await self.pilot.press(*keys)
        await self.answer()
        return self.text

    async def answer(self, made: OrphanIndex | None = None) -> None:
        await answer_orphans(self.app, self.bridge, self.pilot, made)

    def questions(self, kind: type[object]) -> list[Any]:
        """Commands of a kind, an operation that needs no plan as itself."""
        found = [one.command for one in self.bridge.asked if one.kind is kind]
        return [one.operation if isinstance(one, Do) else one for one in found]

    def wanted(self) -> Wanted:
        found = self.questions(QueryOrphans)[-1].wanted
        assert isinstance(found, Wanted)
        return found


@asynccontextmanager
async def shown(size: tuple[int, int] = (100, 30), scene: str = "in_sync") -> AsyncIterator[Shown]:
    clock = FakeClock(0.4)
    app, bridge = console(scene, clock=clock)
    async with live(app, size=size, notifications=True) as pilot:
        await pilot.press("3")
        here = Shown(app, bridge, pilot, clock)
        await here.answer()
        yield here


async def test_it_scans_once_and_shows_groups_counts_and_facts() -> None:
    async with shown() as here:
        assert len(here.questions(ScanOrphans)) == 1
        text = here.text
        assert "owner nowhere · 20 · 30.0 KiB" in text
        assert "orphaned 21" in text
        assert "expected 2" in text
        assert FIRST in text
        assert "episode 'Retry policy for S3 uploads'" in text
        assert "do-memory probably" in text
        assert "384 x f32, 1,536 B" in text
        assert "48 means of 8 values" in text
        assert "384 values, 14 buckets" in text
        assert "m not possible: its owner is gone" in text
        assert isinstance(here.app.screen, OrphansScreen)
        footer = here.app.screen.key_bar.value
        assert footer is not None
        assert [one.enabled for one in footer.entries if one.key == "m"] == [False]
        assert "the check counts only the 21 orphaned" in text
        await here.press("2", "3")
        assert len(here.questions(ScanOrphans)) == 1


async def test_neighbours_are_shown_as_soon_as_they_are_answered() -> None:
    async with shown() as here:
        assert "0.981" in here.text
        assert "Retry policy for GCS uploads" in here.text
        assert len(here.questions(FindNeighbours)) == 1
        await here.pilot.press("j", "j")
        await settle(here.app, here.pilot)
        assert "0.981" not in here.text
        assert "computing…" in here.text
        assert len(here.questions(FindNeighbours)) == 3
        open_ = [command for command in here.bridge.asked if command.kind is FindNeighbours]
        for command in open_[1:]:
            here.bridge.post(Answer(command.id, orphans.answer(command.command)))
            await here.pilot.pause()
            assert ("0.981" in here.text) == (command is open_[-1]), "shown without a tick, and of this row alone"


async def test_neighbours_that_are_refused_are_not_asked_for_again_and_again() -> None:
    async with shown() as here:
        await here.pilot.press("j")
        await settle(here.app, here.pilot)
        many = len(here.questions(FindNeighbours))
        command = [one for one in here.bridge.asked if one.kind is FindNeighbours][-1]
        here.bridge.post(Refused(command.id, "the copy is gone", ""))
        for _ in range(3):
            await settle(here.app, here.pilot)
        assert "the copy is gone" in here.text
        assert len(here.questions(FindNeighbours)) == many


async def test_a_late_answer_about_another_row_is_dropped() -> None:
    async with shown() as here:
        before = len(here.questions(ShowOrphan))
        await here.pilot.press("j", "j", "j")
        await here.pilot.pause()
        waiting = here.questions(ShowOrphan)[before:]
        assert len(waiting) == 1, "one question at a time"
        await here.answer()
        numbers = [question.number for question in here.questions(ShowOrphan)]
        assert len(numbers) == before + 2
        assert "episode_90000000-1111" not in here.text.splitlines()[15]
        assert "title unknown" in here.text


async def test_the_filter_asks_and_esc_clears_it_before_the_marks() -> None:
    async with shown() as here:
        await here.press("space")
        assert "1 marked" in here.text
        text = await here.press("slash", *"reason:upstream")
        assert here.wanted().filter == "reason:upstream"
        assert UPSTREAM in text
        assert FIRST not in text
        assert isinstance(here.app.focused, Input)
        await here.press("enter")
        assert here.app.focused is not None
        assert here.app.focused.id == "orphans-list"
        text = await here.press("escape")
        assert here.wanted().filter == ""
        assert "1 marked" in text
        text = await here.press("escape")
        assert "nothing marked" in text


async def test_while_a_new_order_is_made_the_old_one_stays_and_says_so() -> None:
    async with shown() as here:
        await here.pilot.press("o")
        await here.pilot.pause()
        assert "sorting…" in here.text
        assert FIRST in here.text
        await here.answer()
        assert "sorting…" not in here.text
        assert "sort owner" in here.text


async def test_a_filter_that_cannot_be_understood_is_said() -> None:
    async with shown() as here:
        await here.pilot.press("slash", *"colour:red")
        await here.pilot.pause()
        here.bridge.post(Refused(here.bridge.asked[-1].id, "the filter knows no field 'colour'", "fields: key"))
        await settle(here.app, here.pilot)
        assert "knows no field 'colour'" in here.text


async def test_sort_reverse_and_group() -> None:
    async with shown() as here:
        await here.press("o")
        assert (here.wanted().sort, here.wanted().reverse) == ("owner", False)
        await here.press("O")
        assert (here.wanted().sort, here.wanted().reverse) == ("owner", True)
        await here.press("o")
        assert (here.wanted().sort, here.wanted().reverse) == ("reason", False)
        text = await here.press("b")
        assert here.wanted().group == "owner"
        assert "episode ·" in text
        await here.press("b")
        assert here.wanted().group == "domain"
        assert "- ci · 4 ·" in await here.press("g")
        await here.press("b")
        assert here.wanted().group == "tags"
        assert "- async, retry · 40 ·" in await here.press("g")
        await here.press("b")
        assert here.wanted().group == "none"
        await here.press("b")
        assert here.wanted().group == "reason"


async def test_space_marks_a_group_and_once_more_unmarks_it() -> None:
    async with shown() as here:
        await here.press("j", "space", "g")
        assert "1 marked" in here.text
        assert "space marks it" in here.text
        text = await here.press("space")
        assert "20 marked" in text, "the one that was marked stays so"
        await here.press("enter")
        text = await here.press("space")
        assert "nothing marked" in text, "folded or not"
        await here.press("space")
        await here.press("enter")
        await here.press("j", "space")
        assert "19 marked" in here.text
        await here.press("d")
        resolved = here.questions(ResolveMarks)[-1].marks
        assert isinstance(resolved, Marks)
        assert resolved.groups == {("", "reason", "owner nowhere")}
        assert len(resolved.keys) == 1
        (plan,) = here.questions(MakePlan)
        keys = plan.operation.keys
        assert len(keys) == 19


async def test_groups_of_two_filters_are_marked_together() -> None:
    async with shown() as here:
        await here.press("slash", *"reason:upstream", "enter")
        await here.press("g", "space")
        assert "2 marked" in here.text
        await here.press("escape")
        await here.press("b", "b")
        await here.press("g", "space")
        assert "6 marked" in here.text, "and the four of the first domain"
        await here.press("C")
        assert "nothing marked" in here.text


async def test_what_is_known_of_an_owner_is_shown() -> None:
    async with shown() as here:
        assert "domain    storage    aws, s3" in here.text
        await here.press("slash", *"domain:stor tag:s3", "enter")
        assert "owner nowhere · 1 ·" in here.text


async def test_enter_folds_a_group() -> None:
    async with shown() as here:
        await here.press("k")
        assert "group of 20; enter folds it" in here.text
        text = await here.press("enter")
        assert here.wanted().folded == frozenset({"owner nowhere"})
        assert FIRST not in text
        text = await here.press("enter")
        assert here.wanted().folded == frozenset()


async def test_the_cursor_stays_on_its_row_when_the_order_changes() -> None:
    async with shown() as here:
        await here.press("j", "j")
        assert "episode_8102fe6d-92c7" in here.text
        await here.press("O")
        assert "episode_8102fe6d-92c7" in here.text


@pytest.mark.parametrize("up", [(), ("g",)])
async def test_the_cursor_stays_on_its_row_or_group_when_others_come_before_it(up: tuple[str, ...]) -> None:
    async with shown() as here:
        await here.press("o", "j", "j", *up)
        screen = here.app.screen
        assert isinstance(screen, OrphansScreen)
        view = screen._flow.view
        assert view is not None
        before = Identities(view)[screen.table.cursor]
        screen._flow.scan()
        await here.answer(orphans.index(keys=("episode_00000000-0000-4000-8000-000000000001",)))
        view = screen._flow.view
        assert view is not None
        assert Identities(view)[screen.table.cursor] == before


async def test_enter_shows_every_number_in_hex_and_decimal() -> None:
    async with shown() as here:
        await here.press("enter")
        assert isinstance(here.app.screen, VectorDialog)
        text = here.text
        assert "384 x f32" in text
        number = orphans.values(0)
        assert number[:4][::-1].hex()[:1] in text
        await here.press("escape")
        assert not isinstance(here.app.screen, VectorDialog)


async def test_marks_are_a_filter_and_single_rows() -> None:
    async with shown() as here:
        await here.press("slash", *"reason:nowhere", "enter", "a")
        assert "20 marked" in here.text
        await here.press("space")
        assert "19 marked" in here.text
        await here.press("escape")
        await here.press("d")
        marks = here.questions(ResolveMarks)[-1].marks
        assert isinstance(marks, Marks)
        assert marks.filter == "reason:nowhere"
        assert len(marks.keys) == 1
        plan = here.questions(MakePlan)[-1]
        assert isinstance(plan.operation, QuarantineOrphans)
        keys = plan.operation.keys
        assert len(keys) == 19
        await here.press("escape", "C")
        assert "nothing marked" in here.text


async def test_a_marks_nothing_where_nothing_matches() -> None:
    async with shown() as here:
        await here.press("slash", *"no such words", "enter", "a", "d")
        assert "nothing marked" in here.text
        assert not here.questions(ResolveMarks)
        assert not here.questions(MakePlan)


async def test_d_is_about_the_row_under_the_cursor_without_marks() -> None:
    async with shown() as here:
        await here.press("d")
        assert isinstance(here.app.screen, PlanDialog)
        assert here.questions(MakePlan)[-1].operation.keys == ("episode_7c1e02aa-41d3-4b5e-9c77-d1f00e5a90bd",)


async def test_d_leaves_out_what_has_its_owner_and_says_so() -> None:
    async with shown() as here:
        await here.press("slash", *"reason:missing", "enter", "a")
        await here.press("d")
        assert here.questions(MakePlan) == []
        assert "4 rows left out" in here.text


async def test_nothing_is_chosen_while_the_list_is_being_sorted() -> None:
    async with shown() as here:
        for key in ("d", "i", "space"):
            await here.pilot.press("o", key)
            await here.pilot.pause()
            assert "the list is being sorted" in here.text
            await here.pilot.press("escape")
            await here.answer()
        assert here.questions(MakePlan) == here.questions(ResolveMarks) == []


async def test_after_a_run_it_scans_again_without_marks() -> None:
    async with shown() as here:
        await here.press("space", "d")
        here.app.pop_screen()
        wish_ended = Outcome("orphans", Word.UNKNOWN, 0, run_id="s-9")
        flow = here.app.plans._open
        assert flow is not None
        flow._ended(wish_ended)
        await here.answer()
        assert len(here.questions(ScanOrphans)) == 2
        assert "nothing marked" in here.text


async def test_m_plans_a_sync_only_where_the_owner_can_be_fetched() -> None:
    async with shown() as here:
        await here.press("m")
        assert here.questions(MakePlan) == []
        assert "re-attach is not possible: its owner is gone" in here.text
        await here.press("slash", *"reason:cached", "enter", "g", "j")
        assert "undo with u" in here.text  # a toast covers the rest
        await here.press("m")
        assert here.questions(MakePlan)[-1].operation == Sync()


async def test_i_asks_for_a_note_and_takes_the_mark_back() -> None:
    async with shown() as here:
        await here.press("i")
        assert isinstance(here.app.screen, NoteDialog)
        await here.press(*"why", "enter", "enter")
        told = here.questions(Expect)[-1]
        assert told == Expect(("episode_7c1e02aa-41d3-4b5e-9c77-d1f00e5a90bd",), "why")
        done = Outcome("orphans", Word.UNKNOWN, 0, extra={"expected": list(told.keys)})
        here.bridge.post(Answer(here.bridge.asked[-1].id, done))
        await here.answer()
        assert "1 row expected" in here.text
        assert len(here.questions(ScanOrphans)) == 2
        await here.press("slash", *"expected:yes", "enter")
        await here.press("g", "j")
        await here.press("i")
        assert here.questions(Unexpect)[-1] == Unexpect(("episode_b0b0a9e4-1c55-4b5a-9a3e-0e7c1a2b3c4d",))


async def test_i_can_be_left_without_a_note() -> None:
    async with shown() as here:
        await here.press("i", "escape")
        assert here.questions(Expect) == []
        await here.press("i", *"x", "shift+tab", "escape")
        assert here.questions(Expect) == []


async def test_e_asks_for_a_file_and_whether_vectors_go_along() -> None:
    async with shown() as here:
        await here.press("e")
        assert isinstance(here.app.screen, NoteDialog)
        box = here.app.screen.query_one(Input)
        assert box.value == "orphans-20260902T143207Z.jsonl"
        box.value = "here.jsonl"
        await here.press("enter", "enter")
        assert isinstance(here.app.screen, AskDialog)
        await here.press("right", "right", "enter")
        told = here.questions(ExportOrphans)[-1]
        assert (told.path, told.vectors, told.marks) == ("here.jsonl", True, Marks())
        assert "28 rows, 12.1 KiB in here.jsonl" in here.text


async def test_y_copies_the_key() -> None:
    async with shown() as here:
        await here.press("y")
        assert here.app.clipboard == "episode_7c1e02aa-41d3-4b5e-9c77-d1f00e5a90bd"
        await here.press("k", "y")
        assert "there is nothing to copy" in here.text


async def test_n_goes_to_the_next_row_that_fits_the_last_filter() -> None:
    async with shown() as here:
        await here.press("slash", *"reason:upstream", "enter")
        await here.press("escape")
        await here.press("g", "n")
        assert "episode_a90022ce-6c71" in here.text
        await here.press("n", "n")
        assert "legacy-note-17" in here.text.splitlines()[16]
        await here.press("N")
        assert "episode_a911d0c7-88e0" in here.text


async def test_why_there_is_no_list_is_said() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(app, pilot)
        bridge.post(Refused(bridge.asked[-1].id, "the cache is damaged", "r plans a repair"))
        await settle(app, pilot)
        assert "the cache is damaged; r plans a repair" in screen_text(app)
        await pilot.press("ctrl+r")
        await settle(app, pilot)
        assert asked(bridge) == [ScanOrphans()] * 2
        bridge.post(Answer(bridge.asked[-1].id, None))
        await settle(app, pilot)
        assert "there is no cache file" in screen_text(app)


async def test_another_generation_is_scanned_again() -> None:
    async with shown() as here:
        snapshot = here.app.snapshot
        changed = replace(
            snapshot,
            seq=snapshot.seq + 1,
            cache=replace(snapshot.cache, generation=Found(4121, Basis(snapshot.cache.identity), 0.0)),
        )
        here.bridge.show(changed)
        here.clock.move(0.6)
        await here.answer()
        assert len(here.questions(ScanOrphans)) == 2
        here.clock.move(0.6)
        await here.answer()
        assert len(here.questions(ScanOrphans)) == 2


async def test_keys_before_the_first_answer_do_nothing() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await pilot.press("3", "space", "a", "C", "d", "m", "i", "escape", "e", "y", "b", "o", "O", "n", "N", "enter")
        await settle(app, pilot)
        assert set(asked(bridge)) == {ScanOrphans()}


async def test_another_scan_keeps_marks_of_rows_that_are_still_there() -> None:
    async with shown() as here:
        await here.press("space", "j", "space", "j")
        made = orphans.index(keys=("episode_ffffffff-0000-4000-8000-000000000001",))
        await here.pilot.press("ctrl+r")
        await here.answer(made)
        assert "2 marked" in here.text
        assert len(here.questions(ResolveMarks)) == 1
        assert "Benchmark postcard decode'" in here.text, "facts of the new index"


async def test_a_smaller_list_takes_the_place_of_a_larger_one() -> None:
    async with shown() as here:
        await here.press("slash", *"reason:nowhere", "enter")
        await here.press("a")
        await here.press("escape")
        await here.press("G")
        made = orphans.index()
        few = replace(made, **{name: getattr(made, name)[:40] for name in _COLUMNS}, expected={})
        await here.pilot.press("ctrl+r")
        await here.answer(few)
        assert "20 were marked, " in here.text
        marked = sum(few.reason(row) is Reason.OWNER_NOWHERE for row in range(len(few)))
        assert f"{marked} marked" in here.text
        assert "probably" in here.text or "group of" in here.text


async def test_numbers_that_are_not_here_yet_open_as_soon_as_they_are() -> None:
    async with opened(Path("", "early", (), go=("3",), answers={ShowOrphan: SILENT})) as here:
        await here.press("enter")
        assert here.top == "OrphansScreen"
        command = [one for one in here.bridge.asked if one.kind is ShowOrphan][-1]
        here.bridge.post(Answer(command.id, orphans.answer(command.command, embeddings())))
        await here.answer()
        assert here.top == "VectorDialog"
        await here.press("escape")
        assert here.top == "OrphansScreen"
        await here.answer()
        assert here.top == "OrphansScreen", "it was asked for once"


async def test_space_leaves_the_cursor_on_the_row_that_it_marks() -> None:
    async with shown() as here:
        await here.press("j")
        screen = here.app.screen
        assert isinstance(screen, OrphansScreen)
        before = (screen.table.cursor, screen.detail.value)
        assert "1 marked" in await here.press("space")
        assert (screen.table.cursor, screen.detail.value) == before
        assert "nothing marked" in await here.press("space")
