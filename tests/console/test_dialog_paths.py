"""Each dialog: its safe place, the order of its fields, every button by key and by mouse, what happens under it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass
from pathlib import Path as File
from unittest.mock import ANY

import pytest
from msgspec.structs import replace
from textual.widgets import Button, Input

import console
from console import dialogs
from console.app.ends import DEMO_ASKED, SET_UP
from console.dialogs import dialog
from console.dialogs.plan import PlanDialog
from console.dialogs.scrolled import ScrolledDialog
from storage_sync.service.commands import (
    Cancel,
    Do,
    DropPlan,
    Execute,
    ExportOrphans,
    ExportRows,
    GiveUp,
    MakePlan,
    Reload,
    SaveSettings,
    SetAccess,
    TrySettings,
    WriteSettings,
)
from storage_sync.service.operations import Expect, Rebuild, Sync, Undo
from storage_sync.values.answers import Exported, SetupSaved, SetupTried
from storage_sync.values.events import Answer, CoreDied, Progressed, RunEnded
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import Snapshot
from tests.console.paths import SILENT, Asked, Here, No, Path, Some, kind_of, opened, plan_for, scene_of
from tests.console.test_flows import outcome_of
from tests.console.test_key_paths import EDITED, EDITS, KEY, LOOKING, PLANNED, setup
from tests.console.test_pilot import GUARD
from tests.console.test_setup import FORM
from tests.support import size
from tests.support.scenes import snapshots

SIZES = ((60, 20), (140, 45))


@dataclass(frozen=True, slots=True)
class Does:
    """What a button does. `after`: class of the screen on top then."""

    asks: tuple[Asked, ...] = ()
    shows: str = ""
    after: str = "OverviewScreen"
    leaves: int | None = None
    off: bool = False
    """It is there and cannot be pressed."""


@dataclass(frozen=True, slots=True)
class Dialog:
    """`path`: how it is opened; `order`: what `tab` walks, from the start on; the first one of `safe` has the focus."""

    title: str
    path: Path
    top: str
    focus: str
    order: tuple[str, ...]
    buttons: dict[str, Does]
    escape: tuple[Asked, ...] = ()
    under: str = "OverviewScreen"
    picture: Snapshot | None = None


def by(*go: str, scene: object = "stale", **more: object) -> Path:
    return Path("", "opens", (), go=go, scene=scene, **more)  # type: ignore[arg-type]


DROP: tuple[Asked, ...] = (DropPlan(),)
NAMED: dict[type[object], object] = {MakePlan: plan_for(level=3, phrase="prod-eu")}
EXECUTED: Asked = Execute("p-7f30", "")
SAVED: Asked = Some(ExportRows)
TRIED = SetupTried(FORM, ())
LEFT = "OrphansScreen"
DIALOGS = (
    Dialog(
        "Allow writes",
        by("W", scene=LOOKING),
        "AskDialog",
        "stay",
        ("stay", "write"),
        {"stay": Does(), "write": Does(asks=(SetAccess("rw"),))},
    ),
    Dialog(
        "Quit",
        by("q", scene="running"),
        "AskDialog",
        "stay",
        ("stay", "wait", "cancel"),
        {
            "stay": Does(),
            "wait": Does(shows="leaving when s-4121 ends"),
            "cancel": Does(asks=(Cancel(),), leaves=0),
        },
    ),
    Dialog(
        "Core ended",
        by(events=(CoreDied("/var/lib/report"),)),
        "AskDialog",
        "stay",
        ("stay", "quit"),
        {"stay": Does(), "quit": Does(leaves=70)},
    ),
    Dialog(
        "Locked",
        by("s", scene="locked", answers={MakePlan: SILENT}),
        "AskDialog",
        "stay",
        ("stay", "wait", "stage"),
        {
            "stay": Does(),
            "wait": Does(asks=(MakePlan(Sync()),), after="PlanDialog"),
            "stage": Does(asks=(MakePlan(Rebuild(), Options(stage_only=True)),), after="PlanDialog"),
        },
    ),
    Dialog(
        "Export",
        by("3", "e", "enter", "enter"),
        "AskDialog",
        "stay",
        ("stay", "facts", "vectors"),
        {
            "stay": Does(after=LEFT),
            "facts": Does(asks=(Some(ExportOrphans),), shows="28 rows, 12.1 KiB in orphans-", after=LEFT),
            "vectors": Does(asks=(Some(ExportOrphans),), shows="28 rows, 12.1 KiB in orphans-", after=LEFT),
        },
        under=LEFT,
    ),
    Dialog(
        "Write the configuration",
        by(*EDITED, "w"),
        "AskDialog",
        "cancel",
        ("cancel", "write"),
        {
            "cancel": Does(after="ConfigScreen", shows="1 unsaved"),
            "write": Does(
                asks=(WriteSettings(EDITS, "9f3a"), Reload()),
                shows="wrote batch_size to",
                after="ConfigScreen",
            ),
        },
        under="ConfigScreen",
    ),
    Dialog(
        "Expected",
        by("3", "i", answers={Expect: Outcome("orphans", Word.DRIFT, 0, extra={"expected": [KEY]})}),
        "NoteDialog",
        "note",
        ("note", "cancel", "ok"),
        {
            "cancel": Does(after=LEFT),
            "ok": Does(asks=(Do(Expect((KEY,), "")),), shows="1 row expected", after=LEFT),
        },
        under=LEFT,
    ),
    Dialog(
        "Export",
        by("3", "e"),
        "NoteDialog",
        "note",
        ("note", "cancel", "ok"),
        {"cancel": Does(after=LEFT), "ok": Does(shows="Write the numbers of each vector too?", after="AskDialog")},
        under=LEFT,
    ),
    Dialog(
        "Replay",
        by("4", "ctrl+o"),
        "NoteDialog",
        "note",
        ("note", "cancel", "ok"),
        {"cancel": Does(after="HistoryScreen"), "ok": Does(after="HistoryScreen")},
        under="HistoryScreen",
    ),
    Dialog(
        "a plan is made",
        by("s", answers={MakePlan: SILENT}),
        "PlanDialog",
        "cancel",
        ("cancel",),
        {"cancel": Does(asks=DROP)},
        escape=DROP,
    ),
    Dialog(
        "a plan",
        by("s", answers=PLANNED | {Execute: SILENT, ExportRows: Exported("/home/me/plan.jsonl", 1, 9)}),
        "PlanDialog",
        "cancel",
        ("cancel", "run", "save"),
        {
            "cancel": Does(asks=DROP),
            "save": Does(asks=(SAVED,), shows="/home/me/plan.jsonl", after="PlanDialog"),
            "run": Does(asks=(EXECUTED,), shows="step 2 of 3: running", after="PlanDialog"),
        },
        escape=DROP,
    ),
    Dialog(
        "a plan with a name to type",
        by("s", answers=NAMED),
        "PlanDialog",
        "cancel",
        ("cancel", "phrase", "save"),
        {"cancel": Does(asks=DROP), "save": Does(asks=(SAVED,), after="PlanDialog"), "run": Does(off=True)},
        escape=DROP,
    ),
    Dialog(
        "a run that has not begun",
        by("s", "right", "enter", answers=PLANNED | {Execute: SILENT}),
        "PlanDialog",
        "hide",
        ("hide",),
        {"hide": Does(), "stop": Does(off=True)},
    ),
    Dialog(
        "a run",
        by("s", "right", "enter", answers=PLANNED | {Execute: SILENT}),
        "PlanDialog",
        "hide",
        ("hide", "stop"),
        {"hide": Does(shows="sync fetch 60 %"), "stop": Does(asks=(Cancel(),), after="PlanDialog")},
        picture=replace(snapshots.scene("running").snapshot, seq=9),
    ),
    Dialog(
        "a result",
        by("s", "right", "enter", answers=PLANNED | {Execute: outcome_of()}),
        "PlanDialog",
        "close",
        ("close", "refused", "undo"),
        {
            "close": Does(),
            "undo": Does(asks=(MakePlan(Undo("s-4122")),), after="PlanDialog"),
            "refused": Does(shows="runs that can be undone", after="QuarantineDialog"),
        },
    ),
    Dialog(
        "a refusal",
        by("s", answers={MakePlan: No("the core has no room")}),
        "PlanDialog",
        "close",
        ("close",),
        {"close": Does(asks=DROP)},
        escape=DROP,
    ),
    Dialog(
        "Set up",
        by(make=setup, answers={TrySettings: TRIED}),
        "SetupDialog",
        "primary",
        ("primary", "token", "token-source", "cache", "profile", "access", "demo", "test"),
        {
            "demo": Does(leaves=DEMO_ASKED),
            "test": Does(asks=(TrySettings(FORM),), after="SetupDialog"),
            "save": Does(off=True),
        },
    ),
    Dialog(
        "Set up, tried",
        by("enter", make=setup, answers={TrySettings: TRIED, SaveSettings: SetupSaved("/etc/x.toml")}),
        "SetupDialog",
        "save",
        ("save", "primary", "token", "token-source", "cache", "profile", "access", "demo", "test"),
        {"save": Does(asks=(SaveSettings(FORM),), leaves=SET_UP)},
    ),
    Dialog(
        "a long export",
        by("4", "e", answers={ExportRows: Progressed(0, 400, 1000), GiveUp: SILENT}),
        "ExportDialog",
        "hide",
        ("hide", "give-up"),
        {
            "hide": Does(after="HistoryScreen"),
            "give-up": Does(asks=(GiveUp(ANY),), after="HistoryScreen"),
        },
        under="HistoryScreen",
    ),
    Dialog("Help", by("question_mark"), "HelpDialog", "help-list", ("help-list",), {}),
    Dialog("Log", by("L"), "LogDialog", "all-lines", ("all-lines",), {}),
    Dialog("a document", by("4", "J"), "TextDialog", "text-lines", ("text-lines",), {}, under="HistoryScreen"),
    Dialog(
        "s-4120", by("4", "enter"), "RunRowsDialog", "run-rows", ("run-rows", "run-fields"), {}, under="HistoryScreen"
    ),
    Dialog("numbers", by("3", "enter"), "VectorDialog", "numbers", ("numbers",), {}, under=LEFT),
    Dialog("Quarantine", by("u"), "QuarantineDialog", "quarantine-list", ("quarantine-list",), {}),
)
NAMES = [f"{dialog.title} {dialog.top}" for dialog in DIALOGS]
BUTTONS = [
    pytest.param(dialog, button, id=f"{name} {button}")
    for name, dialog in zip(NAMES, DIALOGS, strict=True)
    for button in dialog.buttons
]


async def shown(here: Here, dialog: Dialog) -> None:
    if dialog.picture is not None:
        here.bridge.show(dialog.picture)
        await here.answer()
    assert here.top == dialog.top


@pytest.mark.parametrize("dialog", DIALOGS, ids=NAMES)
async def test_a_dialog_stands_and_is_left_safely(dialog: Dialog) -> None:
    async with opened(dialog.path) as here:
        await shown(here, dialog)
        assert here.focus == dialog.focus
        there = {button.id: button for button in here.app.screen.query(Button) if button.display}
        assert set(there) >= set(dialog.buttons)
        for name, does in dialog.buttons.items():
            assert there[name].disabled is does.off

        walked = [here.focus]
        for _ in dialog.order[1:]:
            await here.pilot.press("tab")
            walked.append(here.focus)
        assert tuple(walked) == dialog.order
        await here.pilot.press("tab")
        assert here.focus == dialog.focus, "round again"
        await here.pilot.press("shift+tab")
        assert here.focus == dialog.order[-1]

        for size in SIZES:
            await here.pilot.resize_terminal(*size)
            await here.answer()
            assert here.top == dialog.top
            assert here.focus == dialog.order[-1]
            for button in there.values():
                assert here.app.screen.region.contains_region(button.region), f"{button.id} at {size}"
                assert button.region.area, f"{button.id} at {size}"

        here.clock.move(5)
        await here.answer()
        assert here.top == dialog.top
        since = len(here.bridge.asked)
        await here.press("escape")
        assert here.asked(since, dialog.escape) == list(dialog.escape)
        assert here.top == dialog.under
        assert "STALLED" in here.text or "NO CONFIG" in here.text


@pytest.mark.parametrize(("dialog", "name"), BUTTONS)
async def test_a_button_does_what_it_says_by_key_and_by_mouse(dialog: Dialog, name: str) -> None:
    does = dialog.buttons[name]
    by_key = () if does.off else (*["tab"] * dialog.order.index(name), "enter")
    # that `tab` comes to each button is tested above in any size
    for press in ((f"click #{name}",), by_key)[: size.of(1, 1, 2)]:
        async with opened(dialog.path) as here:
            await shown(here, dialog)
            since = len(here.bridge.asked)
            await here.press(*press)
            assert here.asked(since, does.asks) == list(does.asks)
            if does.leaves is not None:
                assert not here.app.is_running
            else:
                assert here.top == (dialog.top if does.off else does.after)
                assert does.shows in here.text
        if does.leaves is not None:
            assert here.app.return_value == does.leaves
        if does.off:
            assert name not in dialog.order
            return


@pytest.mark.parametrize("dialog", DIALOGS, ids=lambda dialog: f"{dialog.top} {dialog.title}")
async def test_q_quits_the_console_and_closes_no_dialog(dialog: Dialog) -> None:
    """Where something is typed it is a letter, and `^q` is the key."""
    async with opened(dialog.path) as here:
        await shown(here, dialog)
        typing = any(box.display for box in here.app.screen.query(Input))
        await here.press("ctrl+q" if typing else "q")
        if dialog.top == "SetupDialog":
            assert not here.app.is_running, "there is nothing to go back to"
            return
        assert here.top == dialog.top
        assert "› esc closes this; then q quits" in here.text


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


OF_EACH_CLASS = tuple({dialog.top: dialog for dialog in reversed(DIALOGS)}.values())


@pytest.mark.parametrize(
    "dialog", size.of(OF_EACH_CLASS, DIALOGS, DIALOGS), ids=lambda dialog: f"{dialog.title} {dialog.top}"
)
async def test_keys_of_a_screen_in_a_dialog(dialog: Dialog) -> None:
    """A letter that means nothing there does nothing; help is of the dialog; a command of the palette closes it."""
    async with opened(dialog.path) as here:
        await shown(here, dialog)
        typing = any(box.display for box in here.app.screen.query(Input))
        here.app.clear_notifications()
        await here.answer()
        if not typing:
            before, since = here.text, len(here.bridge.asked)
            own = here.app.screen.active_bindings
            await here.pilot.press(*(letter for letter in LETTERS if letter not in own))
            await here.answer()
            assert here.asked(since) == []
            assert here.text == before

        help_key = "f1" if typing else "question_mark"
        told = await here.press(help_key)
        if dialog.top != "HelpDialog":
            assert here.top == "HelpDialog"
            assert "THIS DIALOG" in told
        await here.press(help_key)
        assert here.top == dialog.top

        await here.press("ctrl+p" if typing else "colon")
        assert here.top == "Palette"
        since = len(here.bridge.asked)
        await here.pilot.press(*"go to: config")
        await here.app.workers.wait_for_complete()
        await here.press("enter")
        assert here.top == "ConfigScreen"
        assert here.asked(since, dialog.escape) == list(dialog.escape)
        await here.press("1")
        assert here.top == "OverviewScreen", "nothing is left open"


SHARED = (dialog.Dialog, ScrolledDialog)
"""What dialogs are made of, and none of them."""


def test_every_dialog_and_every_button_has_its_paths() -> None:
    classes = {
        name
        for place in pkgutil.iter_modules(dialogs.__path__, "console.dialogs.")
        for name, found in inspect.getmembers(importlib.import_module(place.name), inspect.isclass)
        if issubclass(found, dialog.Dialog) and found not in SHARED and found.__module__ == place.name
    }
    assert classes == {dialog.top for dialog in DIALOGS}
    opened_with = re.compile(r'(?<!class )\b(?:AskDialog|NoteDialog)\([^"]*?"([^"]+)"')
    source = "".join(path.read_text(encoding="utf-8") for path in File(console.__path__[0]).rglob("*.py"))
    asking = sorted(dialog.title for dialog in DIALOGS if dialog.top in {"AskDialog", "NoteDialog"})
    assert sorted(opened_with.findall(source)) == asking
    steps = {"refused", "undo", "close", "save", "cancel", "run", "hide", "stop"}
    assert steps == {name for dialog in DIALOGS if dialog.top == "PlanDialog" for name in dialog.buttons}


# -------------------------------------------------------------------------------------- what must be typed


async def test_only_the_very_name_allows_it() -> None:
    async with opened(by("s", answers=NAMED)) as here:
        dialog = here.app.screen
        assert isinstance(dialog, PlanDialog)
        run, box = dialog.query_one("#run", Button), dialog.query_one("#phrase", Input)
        allowed = {}
        for text in ("prod-e", "prod-eu", "prod-euu", " prod-eu", "prod-eu ", "PROD-EU", "prod eu", "prod-eü"):
            await here.pilot.press(*text)
            assert box.value == text
            await here.pilot.press("enter")
            assert (here.focus == "run") == (not run.disabled), text
            allowed[text] = not run.disabled
            box.focus()
            await here.pilot.press("home", "ctrl+k")
        assert [text for text, free in allowed.items() if free] == ["prod-eu"]
        assert here.asked(0) == [MakePlan(Sync())]


# ------------------------------------------------------------------------------------ what happens under it


async def test_a_plan_that_is_void_by_now_is_not_done_and_says_why() -> None:
    void = No("the plan is void: the cache has moved", "plan it again")
    async with opened(by("s", answers=PLANNED | {Execute: void})) as here:
        text = await here.press("right", "enter")
        assert "not done" in text
        assert "the plan is void: the cache has moved" in text
        assert "plan it again" in text
        assert here.focus == "close"
        await here.press("enter", "s")
        assert [kind_of(one) for one in here.asked(0)].count(MakePlan) == 2


async def test_a_core_that_died_leaves_no_dialog_waiting() -> None:
    async with opened(by("s", answers={MakePlan: SILENT})) as here:
        here.bridge.post(CoreDied("/var/lib/report"))
        await here.answer()
        assert here.top == "AskDialog"
        text = await here.press("enter")
        assert here.top == "PlanDialog"
        assert "the sync core has ended before it answered" in text
        assert here.focus == "close"


async def test_a_core_that_died_during_a_run_is_no_reason_to_stay() -> None:
    async with opened(by("s", "right", "enter", answers=PLANNED | {Execute: SILENT})) as here:
        here.bridge.show(replace(snapshots.scene("running").snapshot, seq=9))
        here.bridge.post(CoreDied("/var/lib/report"))
        await here.answer()
        text = await here.press("enter")
        assert "no answer" in text
        assert "not done" not in text, "nobody knows"
        await here.press("enter", "q")
    assert here.app.return_value == 0


async def test_a_run_that_ended_while_it_was_asked_is_not_waited_for() -> None:
    async with opened(by("q", scene="running")) as here:
        here.bridge.post(RunEnded("s-4121", Outcome("sync", Word.IN_SYNC, 0)))
        await here.answer()
        assert here.top == "AskDialog"
        await here.press("right", "enter")
    assert here.app.return_value == 0


async def test_a_run_that_ends_shows_its_result_and_moves_the_focus_to_the_safe_button() -> None:
    async with opened(by("s", "right", "enter", answers=PLANNED | {Execute: SILENT})) as here:
        here.bridge.show(replace(snapshots.scene("running").snapshot, seq=9))
        await here.answer()
        await here.press("right")
        assert here.focus == "stop"
        command = next(one for one in here.bridge.asked if one.kind is Execute)
        here.bridge.show(replace(snapshots.scene("in_sync").snapshot, seq=10))
        here.bridge.post(Answer(command.id, outcome_of()))
        await here.answer()
        assert "step 3 of 3: result" in here.text
        assert here.focus == "close"


async def test_a_commit_takes_the_cancel_away_while_the_dialog_is_open() -> None:
    running = snapshots.scene("running").snapshot
    assert running.run is not None
    async with opened(by("s", "right", "enter", answers=PLANNED | {Execute: SILENT})) as here:
        here.bridge.show(replace(running, seq=9, run=replace(running.run, cancellable=False)))
        await here.answer()
        since = len(here.bridge.asked)
        assert "Committing" in await here.press("x")
        assert here.asked(since) == []


async def test_a_guard_is_shown_and_what_it_stops_cannot_be_run() -> None:
    async with opened(by("s", scene=scene_of("stale"), answers={MakePlan: plan_for(refusal=GUARD)})) as here:
        assert "would remove 70 %" in here.text
        since = len(here.bridge.asked)
        await here.press("right", "click #run")
        assert [one for one in here.asked(since) if isinstance(one, Execute)] == []
