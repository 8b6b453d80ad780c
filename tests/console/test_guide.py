"""The demo's guide: each step ends by what was done, the line is right wherever somebody is, and it covers nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from textual.command import Hit
from textual.widget import Widget
from textual.widgets._toast import Toast

from console.app.app import Console
from console.app.palette import ConsoleCommands
from console.dialogs.plan import PlanDialog
from console.dialogs.plan import Step as DialogStep
from console.flows import guide as guide_of_demo
from console.flows.guide import BEGIN, END, PLANNING, RUNNING, STEPS, Guide, OpenPlan, Place, Result, Seen, Step
from console.flows.lessons import LESSONS
from console.keys.table import EVERYWHERE, HISTORY, ORPHANS, QUARANTINE
from storage_sync.service.commands import MakePlan
from storage_sync.values.events import Answer
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import HistoryView, RunSummary, Snapshot
from tests.console.app import NoTroubles, console, live, screen_text, settle
from tests.console.paths import Here, Path, opened
from tests.support.scenes import snapshots
from tests.support.scripted_bridge import ScriptedBridge
from widgets.glyphs import ASCII, UNICODE, Look
from widgets.guide_line import GuideLine, GuideText, paint
from widgets.line import text_of, width_of

GOOD = snapshots.scene("in_sync").snapshot


def ran(kind: str, *, does: str = "", new: int = 0, gone: int = 0, exit_code: int = 0, at: float = 10.0) -> RunSummary:
    moment = snapshots.NOW + at
    return RunSummary("s-1", kind, "manual", moment, 1.0, new, 0, gone, exit_code, "done", does=does)


def after(*runs: RunSummary, verdict: Word = Word.IN_SYNC) -> Snapshot:
    return replace(GOOD, verdict=verdict, history=HistoryView(1, len(runs), last=runs))


ENDS: dict[str, tuple[Snapshot, Place]] = {
    "watch": (after(ran("sync", new=1800)), "overview"),
    "damage": (after(verdict=Word.DAMAGED), "overview"),
    "repair": (after(ran("repair", exit_code=7)), "overview"),
    "find": (after(), ORPHANS),
    "inspect": (after(), "vector"),
    "quarantine": (after(ran("orphans", does="quarantine", gone=1)), ORPHANS),
    "restore": (after(ran("quarantine", does="restore", new=1)), QUARANTINE),
    "undo": (after(ran("undo")), HISTORY),
}
"""What ends each step."""
NOT_YET: dict[str, tuple[Snapshot, Place]] = {
    "watch": (after(ran("sync", new=3), ran("sync", new=1800, at=-10)), "overview"),
    "damage": (after(verdict=Word.STALE), "overview"),
    "repair": (after(ran("repair", exit_code=5)), OpenPlan("Repair")),
    "find": (after(), HISTORY),
    "inspect": (after(), ORPHANS),
    "quarantine": (after(ran("orphans", does="quarantine")), ORPHANS),
    "restore": (after(ran("quarantine", does="restore")), QUARANTINE),
    "undo": (after(ran("undo", exit_code=9)), HISTORY),
}
"""What does not: too little, too early, or it failed."""


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_a_step_ends_by_what_was_done_and_by_nothing_less(step: Step) -> None:
    for told, ends in ((ENDS, True), (NOT_YET, False)):
        snapshot, place = told[step.id]
        assert step.done(Seen(snapshot, snapshots.NOW, place)) is ends


def test_steps_are_said_in_their_order_and_stay_done() -> None:
    guide = Guide(snapshots.NOW)
    for number, step in enumerate(STEPS, 1):
        assert (guide.step, guide.progress) == (step, f"{number}/{len(STEPS)}")
        assert guide.says("overview") == step.says[EVERYWHERE]
        guide.look(*ENDS[step.id], key_at=number)
        if step.after:
            assert (guide.step, guide.says("overview")) == (step, step.after), "it ended by itself"
        guide.look(after(), "overview", key_at=number + 0.5)
    assert guide.step is None
    assert guide.says("overview") == END


@pytest.mark.parametrize("step", [step for step in STEPS if step.trouble], ids=lambda step: step.id)
def test_a_trouble_that_was_made_is_not_asked_for_again(step: Step) -> None:
    guide = led_to(step.id)
    assert not guide.leads("hold")
    assert guide.leads(step.trouble)
    assert guide.says("overview") == step.caused


def test_what_is_wrong_on_purpose_is_said_until_the_first_key() -> None:
    guide = Guide(snapshots.NOW)
    for _ in range(2):
        guide.look(after(), "overview", key_at=1.0)
        assert guide.says("overview") == BEGIN
    guide.look(after(), "overview", key_at=2.0)
    assert guide.says("overview") == STEPS[0].says[EVERYWHERE]


def test_what_was_done_early_is_not_asked_for() -> None:
    guide = Guide(snapshots.NOW)
    guide.look(*ENDS["repair"])
    guide.look(*ENDS["watch"])
    guide.look(after(), "overview", key_at=1.0)
    assert guide.step is not None
    assert guide.step.id == "find"


def test_a_cache_that_is_damaged_first_is_repaired_first() -> None:
    guide = Guide(snapshots.NOW)
    guide.look(after(verdict=Word.DAMAGED), "overview")
    assert guide.progress == "3/8"
    assert guide.says("overview")[0].startswith("Repair it")
    guide.look(after(ran("repair"), verdict=Word.IN_SYNC), "overview", 1.0)
    assert guide.progress == "1/8"
    guide.look(after(ran("sync", new=1800)), "overview", 2.0)
    guide.look(after(), "overview", 3.0)
    assert guide.progress == "4/8"


HELD, STOPPED = snapshots.scene("locked").snapshot, snapshots.scene("primary_down").snapshot
IN_THE_WAY = {
    "type release": HELD,
    "type start": STOPPED,
    "type bring": after(verdict=Word.REFUSED),
    "r plans a repair": after(verdict=Word.DAMAGED),
}
"""The words that lead back, for each thing that keeps somebody from going on."""


@pytest.mark.parametrize("said", IN_THE_WAY)
def test_what_is_in_the_way_is_led_out_of_at_each_step_and_after_the_last(said: str) -> None:
    for step in (*STEPS, None):
        guide = led_to(step.id if step is not None else "")
        guide.look(IN_THE_WAY[said], "overview", -2.0)
        told = guide.says("overview")[0]
        assert said.replace("plans a repair", "") in told
        guide.look(after(), "overview", -3.0)
        assert guide.says("overview") not in [way for _, _, way in guide_of_demo.IN_THE_WAY]


@pytest.mark.parametrize("said", [said for said in IN_THE_WAY if "type" in said])
def test_what_has_been_ended_is_not_led_out_of_again(said: str) -> None:
    """The core sees it some time later."""
    guide = led_to("undo")
    guide.look(IN_THE_WAY[said], "overview", -2.0, lambda _: False)
    assert guide.says("overview") == guide_of_demo.STEPS[-1].says[EVERYWHERE]


@pytest.mark.parametrize("step", [step for step in STEPS if step.plan], ids=lambda step: step.id)
def test_the_result_of_a_run_is_known_before_the_core_shows_what_it_did(step: Step) -> None:
    before = after(verdict=Word.DAMAGED if step.id == "repair" else Word.IN_SYNC)
    for well in (False, True):
        guide = led_to(step.id)
        guide.look(before, Result(step.plan, well), -2.0)
        assert (guide.step is step) is not well
        asked = any(step.says[EVERYWHERE][-1] in text for text in guide.says(Result(step.plan, well)))
        assert asked is not well


async def test_the_line_follows_what_has_been_done_at_once() -> None:
    """Before the core has shown anything new, and before the next tick."""
    app, _ = demo_of(HELD)
    app.trouble = NoTroubles({"hold"})
    async with live(app, size=(100, 30)):
        line = app.screen.query_one(GuideLine)
        assert "type release" in shown_on(line)
        app.action_trouble("hold", True)
        await app.workers.wait_for_complete()
        assert "type release" not in shown_on(line)


def shown_on(line: GuideLine) -> str:
    assert isinstance(line.value, GuideText)
    return " ".join(line.value.says)


@pytest.mark.parametrize(
    ("typed", "trouble"),
    [
        ("many", "many"),
        ("damage", "damage"),
        ("release", "hold"),
        ("start", "stop_primary"),
        ("bring", "delete_most"),
    ],
)
async def test_what_it_says_to_type_finds_that_entry_first(typed: str, trouble: str) -> None:
    app, _ = demo_of()
    lesson = next(one for one in LESSONS if one.id == trouble)
    app.trouble = NoTroubles({trouble} if lesson.end is not None else set())
    async with live(app, size=(80, 24)):
        hits = [hit async for hit in ConsoleCommands(app.screen).search(typed) if isinstance(hit, Hit)]
        best = max(hits, key=lambda hit: hit.score)
        assert str(best.text) == f"Demo: {(lesson.end or lesson.make).name}"


def led_to(step_id: str) -> Guide:
    """The guide at a step, somebody having looked at what came before."""
    guide = Guide(snapshots.NOW)
    guide.look(after(), "overview", key_at=-2.0)
    for number, step in enumerate(STEPS):
        if step.id == step_id:
            break
        guide.look(*ENDS[step.id], key_at=number)
    guide.look(after(), "overview", key_at=-1.0)
    return guide


def test_every_wording_fits_the_smallest_terminal_and_none_is_cut() -> None:
    look = Look(UNICODE)
    for step in STEPS:
        guide = led_to(step.id)
        for _, _, way_back in guide_of_demo.IN_THE_WAY:
            assert width_of(paint(GuideText("8/8", way_back, "F3 hides"), 80, look)) == 80
            assert look.glyphs.ellipsis not in text_of(paint(GuideText("8/8", way_back, "F3 hides"), 80, look))
        plans = (OpenPlan(step.plan or "Sync"), OpenPlan(step.plan or "Sync", "default"))
        for place in (*plans, "overview", PLANNING, RUNNING, QUARANTINE, HISTORY, "dialog", Result("Sync", False)):
            for width in (80, 100, 160):
                for said in (guide.says(place), step.caused, step.after, BEGIN):
                    line = paint(GuideText(guide.progress, said, "F3 hides"), width, look)
                    assert width_of(line) == width
                    assert look.glyphs.ellipsis not in text_of(line)
    assert all(cell_len(said) > 0 for said in END)


def test_ascii_is_drawn_where_the_terminal_has_no_more() -> None:
    assert text_of(paint(GuideText("1/8", ("read …",), "F3 hides"), 80, Look(ASCII))).isascii()


def demo_of(shown: Snapshot = GOOD) -> tuple[Console, ScriptedBridge]:
    app, bridge = console(replace(snapshots.scene("in_sync"), snapshot=shown))
    app.trouble = NoTroubles()
    return app, bridge


async def test_the_line_follows_what_the_core_shows() -> None:
    app, bridge = demo_of()
    async with live(app, size=(100, 30)) as pilot:
        assert f"guide 1/8  {BEGIN[1]}" in screen_text(app)
        await pilot.press("tab")
        await settle(app, pilot)
        assert "guide 1/8  Watch a sync: press : and type many" in screen_text(app)
        bridge.show(ENDS["watch"][0])
        await settle(app, pilot)
        assert "guide 1/8  The sync is done. Press any key for the next step." in screen_text(app)
        bridge.show(ENDS["watch"][0])
        await settle(app, pilot)
        assert "guide 1/8" in screen_text(app), "nobody has pressed a key"
        await pilot.press("tab")
        await settle(app, pilot)
        assert "guide 2/8" in screen_text(app)
        bridge.show(ENDS["damage"][0])
        await settle(app, pilot)
        assert "guide 3/8  Repair it: r shows a plan first" in screen_text(app)
        await pilot.press("r")
        await settle(app, pilot)
        assert "guide 3/8  The plan is being made" in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (160, 50)])
async def test_the_line_covers_nothing_and_nothing_covers_it(size: tuple[int, int]) -> None:
    where: tuple[tuple[str, ...], ...] = (
        ("1",), ("2",), ("3",), ("4",), ("5",), ("1", "s"), ("1", "u"), ("1", "L"), ("1", "question_mark"),
        ("3", "enter"), ("4", "enter"), ("1", "W", "W"),
    )  # fmt: skip
    for keys in where:
        async with opened(Path("", "guide", (), go=keys, make=lambda _: demo_of(), size=size)) as here:
            here.app.say("said " * 30)
            await here.answer()
            check_row(here, keys)


def check_row(here: Here, keys: tuple[str, ...]) -> None:
    (line,) = here.app.screen.query(GuideLine)
    assert (line.region.width, line.region.height) == (here.app.size.width, 1), keys
    assert "guide 1/8" in screen_text(here.app).splitlines()[line.region.y], keys
    drawn: list[Widget] = [one for one in here.app.screen.query("*") if not one.children and one.display]
    assert any(isinstance(one, Toast) for one in drawn)
    over = [one for one in drawn if one is not line and one.region.overlaps(line.region) and one.region.area]
    assert over == [], keys


async def test_it_is_hidden_everywhere_and_shown_again() -> None:
    app, _ = demo_of()
    async with live(app, size=(80, 24)) as pilot:
        height = app.screen.query_one("#body").size.height
        await pilot.press("f3")
        await settle(app, pilot)
        assert "guide" not in screen_text(app)
        assert app.screen.query_one("#body").size.height == height + 1
        await pilot.press("s")
        await settle(app, pilot)
        assert "guide" not in screen_text(app)
        await pilot.press("f3")
        await settle(app, pilot)
        assert "guide 1/8" in screen_text(app)
        await pilot.press("escape")
        await settle(app, pilot)
        assert "guide 1/8" in screen_text(app)


async def test_only_the_demo_has_one() -> None:
    app, _ = console("in_sync")
    async with live(app, size=(80, 24), notifications=True) as pilot:
        assert not app.screen.query(GuideLine)
        await pilot.press("f3")
        await settle(app, pilot)
        assert "only the demo has a guide" in screen_text(app)
        assert not app.screen.query(GuideLine)


def told_in(step_id: str, place: Place) -> str:
    return led_to(step_id).says(place)[0]


def test_in_a_plan_it_speaks_of_that_plan_or_of_none() -> None:
    assert "move to Repair with the right arrow" in told_in("repair", OpenPlan("Repair"))
    for step, place in (
        ("undo", OpenPlan("Sync")),
        ("repair", OpenPlan("Sync", "default")),
    ):
        assert told_in(step, place) == "This plan is not part of the guide; esc closes it."
    assert "move to Undo with the right arrow" in told_in("watch", OpenPlan("Undo")), "also when it is early"


def test_it_says_to_type_only_where_something_is_asked() -> None:
    assert "Type prod-eu, press enter" in told_in("undo", OpenPlan("Undo", "prod-eu"))
    for step in STEPS:
        if step.plan:
            assert "ype" not in told_in(step.id, OpenPlan(step.plan))


async def test_the_plan_that_is_open_is_the_one_that_is_spoken_of() -> None:
    app, bridge = demo_of()
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("s")
        await settle(app, pilot)
        (asked,) = (one for one in bridge.asked if one.kind is MakePlan)
        bridge.post(Answer(asked.id, snapshots.plan()))
        await settle(app, pilot)
        assert "This plan is not part of the guide; esc closes it." in screen_text(app)


async def test_the_line_goes_with_the_steps_of_a_dialog() -> None:
    """Before the next picture."""
    app, _ = demo_of()
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("r")
        await settle(app, pilot)
        dialog = app.screen
        assert isinstance(dialog, PlanDialog)
        line = dialog.query_one(GuideLine)
        for step, said in ((DialogStep.RUN, "It runs"), (DialogStep.RESULT, "esc closes this")):
            dialog.step = step
            await pilot.pause()
            assert said in shown_on(line)


async def test_what_the_line_says_is_not_said_above_the_log_too() -> None:
    app, _ = demo_of()
    async with live(app, size=(100, 30), notifications=True) as pilot:
        app.action_trouble("many", False)
        await settle(app, pilot)
        assert not app.screen.query(Toast)
        app.action_trouble("orphan", False)
        await settle(app, pilot)
        assert app.screen.query(Toast)
        await pilot.press("f3")
        app.action_trouble("many", False)
        await settle(app, pilot)
        assert "3,000 episodes are arriving" in screen_text(app)
