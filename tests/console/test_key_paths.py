"""Each key of the table, on the real console: what it does, and each way in which it does not."""

from __future__ import annotations

from pathlib import Path as File
from tempfile import TemporaryDirectory

import pytest
from msgspec.structs import replace
from textual.widgets._toast import Toast

from console.app.app import Console
from console.app.ends import DEMO_ASKED, REPLAY_ASKED
from console.keys.table import KEYS, SCREENS
from console.launch.replay import ReplayConsole
from console.views.ui_settings import UiSettings
from storage_sync.service.commands import (
    Cancel,
    CompareRows,
    Do,
    DropPlan,
    ExportOrphans,
    ExportQuarantine,
    ExportRows,
    ListChangedRows,
    ListQuarantine,
    ListRuns,
    MakePlan,
    Pause,
    PreviewSettings,
    QueryOrphans,
    ResolveMarks,
    ScanOrphans,
    SetAccess,
    ShowOrphan,
    ShowRun,
    TryNow,
    TryPrimary,
)
from storage_sync.service.operations import (
    Expect,
    Operation,
    Peek,
    Purge,
    QuarantineOrphans,
    Rebuild,
    Repair,
    Restore,
    Retry,
    Sync,
    Undo,
    Unexpect,
    Verify,
)
from storage_sync.values.answers import Exported, QuarantineKind, Runs, SettingEdit
from storage_sync.values.errors import GuardStopped
from storage_sync.values.next_step import NextStep
from storage_sync.values.options import Options
from storage_sync.values.outcome import Check, CheckStatus, Outcome, Word, error_value
from storage_sync.values.snapshot import HistoryView
from tests.console.app import FakeClock
from tests.console.paths import LOOKS, SILENT, No, Path, Some, kind_of, plan_for, scene_of, walk
from tests.console.test_replay import player_of
from tests.console.test_setup import unconfigured
from tests.support import size
from tests.support.scenes import answers, snapshots
from tests.support.scripted_bridge import ScriptedBridge
from widgets.glyphs import UNICODE
from widgets.panel import Panel
from widgets.vector_view import VectorView

RUNNING = snapshots.scene("running").snapshot.run
assert RUNNING is not None
COMMITTING = scene_of("running", run=replace(RUNNING, cancellable=False))
TIMED = scene_of("running", run=replace(RUNNING, trigger="interval"))
LOOKING, MAY_ONLY_LOOK = scene_of("stale", access="ro"), scene_of("stale", access="locked ro")
PAUSED = scene_of("stale", paused=True)
ANOTHER = error_value(GuardStopped("built from another primary", hint=NextStep.ADOPT))
OTHER_PRIMARY = scene_of("refused", error=ANOTHER)
NO_CHECKS = scene_of("in_sync", checks=())
NO_RUNS = scene_of("in_sync", history=HistoryView())
ROOM = No("the core has no room", "ask again")
SAID = "the core has no room; ask again"
ACTIVE = "a run is active; x cancels it"
PLANNED: dict[type[object], object] = {MakePlan: plan_for()}


def rows(*paths: Path) -> tuple[Path, ...]:
    return paths


def refresh(app: Console) -> float:
    return app.ui.refresh_s


def clipboard(app: Console) -> str:
    return app.clipboard


EMPTY: dict[type[object], object] = {ListRuns: Runs()}
QUARANTINE = answers.quarantine()
MATCHING: dict[type[object], object] = {
    ListQuarantine: replace(
        QUARANTINE, matching={"quarantined:": ((QuarantineKind.ASIDE, "1"), (QuarantineKind.ASIDE, "2"))}
    ),
}
UNREFUSED = {"pause", "access", "quit", "config.export", "validation.filter", "orphans.reattach"}
"""Keys whose refusal goes the way of another one's: a toast, a list that is not there, a plan that is not made."""


def says(app: Console) -> bool:
    return bool(app.screen.query(Toast))


def profile(app: Console) -> str:
    return app.snapshot.profile


def replayed(clock: FakeClock) -> tuple[Console, ScriptedBridge]:
    """A recording of two minutes; nothing is asked of a core, so the bridge beside it hears nothing."""
    with TemporaryDirectory() as folder:
        player = player_of(File(folder), clock.monotonic)
    return ReplayConsole(player, UiSettings(), glyphs=UNICODE), ScriptedBridge()


def orphan(app: Console) -> str:
    """Key of the row whose facts are shown."""
    value = app.screen.query_one("#orphan-detail", Panel).value
    assert isinstance(value, VectorView)
    return value.title


def setup(_clock: FakeClock) -> tuple[Console, ScriptedBridge]:
    return unconfigured()


def demonstrated(clock: FakeClock) -> tuple[Console, ScriptedBridge]:
    """The demo; what it would break stays whole."""
    from tests.console.app import NoTroubles, console

    app, bridge = console("stale", clock=clock)
    app.trouble = NoTroubles()
    return app, bridge


def suspends(clock: FakeClock) -> tuple[Console, ScriptedBridge]:
    """No process is stopped in a test: what would stop it says so."""
    from tests.console.app import console

    app, bridge = console("stale", clock=clock)
    app.action_suspend_process = lambda: app.say("suspended")  # type: ignore[method-assign]
    return app, bridge


def plans(key: str, press: str, operation: Operation, name: str) -> tuple[Path, ...]:
    """What every key that plans has in common."""
    return rows(
        Path(
            key,
            "shows the plan",
            (press,),
            answers=PLANNED,
            asks=(MakePlan(operation),),
            shows=(f"{name} · prod-eu · step 1 of 3: plan p-7f30", "never written"),
            top="PlanDialog",
            focus="cancel",
        ),
        Path(
            key,
            "the core refuses",
            (press,),
            answers={MakePlan: ROOM},
            asks=(MakePlan(operation),),
            shows=("no plan", "the core has no room", "ask again"),
            focus="close",
        ),
        Path(key, "a run of an operator is going on", (press,), scene="running", shows=(ACTIVE,), top="OverviewScreen"),
        Path(
            key,
            "the core does not answer",
            (press,),
            scene="stalled",
            answers={MakePlan: SILENT},
            asks=(MakePlan(operation),),
            shows=(f"{name} · prod-eu · making the plan",),
            focus="cancel",
        ),
        Path(
            key,
            "nothing is to be done",
            (press,),
            scene="in_sync",
            answers={MakePlan: Outcome(operation.command, Word.IN_SYNC, 0, run_id="s-1")},
            asks=(MakePlan(operation),),
            shows=("step 3 of 3: result", "none changed"),
            focus="close",
        ),
        Path(
            key,
            "read-only: planned, and not run",
            (press,),
            scene=LOOKING,
            answers=PLANNED,
            asks=(MakePlan(operation),),
            shows=("off: read-only: W allows writes again",),
        ),
        Path(
            key,
            "started read-only: planned, and not run",
            (press,),
            scene=MAY_ONLY_LOOK,
            answers=PLANNED,
            asks=(MakePlan(operation),),
            shows=("off: read-only: this console was started read-only",),
        ),
        Path(
            key,
            "a timer's run is waited for",
            (press,),
            scene=TIMED,
            answers=PLANNED,
            asks=(MakePlan(operation),),
            top="PlanDialog",
        ),
        Path(
            key,
            "left before it was run",
            ("escape",),
            go=(press,),
            answers=PLANNED,
            asks=(DropPlan(),),
            hides=("plan p-7f30",),
            top="OverviewScreen",
        ),
        Path(
            key,
            "left before it was made",
            ("escape",),
            go=(press,),
            answers={MakePlan: SILENT},
            asks=(DropPlan(),),
            hides=("making the plan",),
        ),
    )


SCREEN_WORDS = {
    "overview": "Turso · primary",
    "validation": "─ Checks · 8",
    "orphans": "─ Embeddings · 1,3",
    "history": "─ Runs ·",
    "config": "─ Configuration",
}
OPERATE = rows(
    *(
        Path(f"screen.{name}", "goes there", (key,), go=("5" if key != "5" else "1",), shows=(SCREEN_WORDS[name],))
        for name, key, _ in SCREENS
    ),
    Path("panel.next", "the next panel has the focus", ("tab",), focus="freshness"),
    Path("panel.next", "back", ("shift+tab",), go=("tab", "tab"), focus="freshness"),
    Path("validate", "asks for the quick ones", ("v",), asks=(Do(Verify()),)),
    Path(
        "validate",
        "the core refuses",
        ("v",),
        answers={Verify: ROOM},
        asks=(Do(Verify()),),
        shows=(SAID,),
    ),
    Path("validate.deep", "asks for all", ("V",), asks=(Do(Verify(deep=True)),)),
    Path(
        "validate.deep",
        "the core refuses",
        ("V",),
        answers={Verify: ROOM},
        asks=(Do(Verify(deep=True)),),
        shows=(SAID,),
    ),
    *plans("sync", "s", Sync(), "Sync"),
    Path(
        "sync",
        "the file is held",
        ("s",),
        scene="locked",
        shows=("has held the cache for 3d 04h", "Stage now"),
        top="AskDialog",
        focus="stay",
    ),
    Path("sync", "nothing is set up", ("s",), go=("escape",), make=setup, shows=("Set up",), top="SetupDialog"),
    *plans("repair", "r", Repair(), "Repair")[:3],
    *plans("rebuild", "R", Rebuild(), "Rebuild")[:3],
    Path(
        "rebuild",
        "the file is held: staged",
        ("R",),
        scene="locked",
        answers=PLANNED,
        asks=(MakePlan(Rebuild(), Options(stage_only=True)),),
        shows=("Stage · prod-eu",),
    ),
    Path(
        "quarantine",
        "lists what is in it",
        ("u",),
        asks=(ListQuarantine(filter="", first=0, count=500),),
        shows=("runs that can be undone", "s-4119"),
        top="QuarantineDialog",
    ),
    Path("quarantine", "the core refuses", ("u",), answers={ListQuarantine: ROOM}, shows=("the core has no room",)),
    Path("quarantine", "during a run", ("u",), scene="running", shows=("quarantined by",), top="QuarantineDialog"),
    Path("cancel", "stops the run", ("x",), scene="running", asks=(Cancel(),), greyed=False),
    Path("cancel", "nothing is running", ("x",), shows=("nothing is running",), greyed=True),
    Path(
        "cancel",
        "not during the commit",
        ("x",),
        scene=COMMITTING,
        shows=("› committing, ends in under 1 s",),
        greyed=True,
    ),
    Path(
        "cancel",
        "the core refuses",
        ("x",),
        scene="running",
        answers={Cancel: ROOM},
        asks=(Cancel(),),
        shows=(SAID,),
    ),
    Path("freeze", "says so", ("f",), shows=("frozen",)),
    Path("freeze", "goes on again", ("f",), go=("f",), hides=("frozen",)),
    Path(
        "pause",
        "pauses the timer",
        ("P",),
        asks=(Pause(True),),
        shows=("scheduled syncs are paused; P resumes them",),
    ),
    Path(
        "pause",
        "resumes it",
        ("P",),
        scene=PAUSED,
        asks=(Pause(False),),
        shows=("scheduled syncs are resumed",),
    ),
    Path("pause", "read-only", ("P",), scene=LOOKING, shows=("› no sync is scheduled; W allows writes again",)),
    Path(
        "pause",
        "started read-only",
        ("P",),
        scene=MAY_ONLY_LOOK,
        shows=("no sync is scheduled; this console was started read-only",),
    ),
    Path("access", "looks only at once", ("W",), asks=(SetAccess("ro"),)),
    Path("access", "asks before it writes", ("W",), scene=LOOKING, top="AskDialog", focus="stay"),
    Path(
        "access",
        "started read-only",
        ("W",),
        scene=MAY_ONLY_LOOK,
        shows=("› this console was started read-only",),
    ),
    Path("slower", "panels are drawn less often", ("minus",), look=refresh, becomes=1.0, shows=("every 1 s",)),
    Path("faster", "panels are drawn more often", ("plus",), look=refresh, becomes=0.25, shows=("every 0.25 s",)),
    Path("zoom", "the panel alone", ("z",), go=("tab",), hides=("episode count", "redb · cache")),
    Path("zoom", "and back", ("z",), go=("tab", "z"), shows=("episode count", "redb · cache")),
    Path("log", "all lines", ("L",), shows=("Log: all lines, 1",), top="LogDialog"),
    Path("theme", "the next one", ("T",), look=lambda app: app.theme, becomes="calm-light"),
    Path("theme", "round again", ("T",), go=("T", "T"), look=lambda app: app.theme, becomes="calm-dark"),
    Path("help", "of the screen", ("question_mark",), shows=("Help · Overview",), top="HelpDialog"),
    Path("help", "by its other key", ("f1",), go=("4",), shows=("Help · History",), top="HelpDialog"),
    Path("guide", "hides the line of the demo", ("f3",), make=demonstrated, hides=("guide 1/8",)),
    Path("guide", "shows it again", ("f3",), go=("f3",), make=demonstrated, shows=("guide 1/8",)),
    Path("guide", "there is none", ("f3",), shows=("› only the demo has a guide",)),
    Path("palette", "opens", ("colon",), top="Palette"),
    Path("palette", "by its other key", ("ctrl+p",), go=("2",), top="Palette"),
    Path("quit", "leaves", ("q",), leaves=0),
    Path("quit", "by its other key", ("ctrl+q",), leaves=0),
    Path("quit", "stops a timer's sync", ("q",), scene=TIMED, asks=(Cancel(),), leaves=0),
    Path("quit", "asks during a run of an operator", ("q",), scene="running", top="AskDialog", focus="stay"),
    Path("suspend", "to the shell", ("ctrl+z",), make=suspends, shows=("suspended",)),
    Path("copy", "nothing is selected: how to quit", ("ctrl+c",), shows=("› q quits",)),
)
OVER = rows(
    Path("peek", "looks at a copy", ("p",), asks=(Do(Peek()),)),
    Path(
        "peek",
        "what the copy says",
        ("p",),
        scene="locked",
        answers={Peek: Outcome("peek", Word.UNKNOWN, 0, checks=(Check("schema_version", CheckStatus.PASS, 4, 4),))},
        asks=(Do(Peek()),),
        shows=("on a copy: 1 check pass",),
    ),
    Path("peek", "the core refuses", ("p",), answers={Peek: ROOM}, asks=(Do(Peek()),), shows=(SAID,)),
    Path("try", "asks the primary", ("t",), scene="primary_down", asks=(TryNow(),)),
    Path("try", "the core refuses", ("t",), answers={TryNow: ROOM}, asks=(TryNow(),), shows=(SAID,)),
    Path("demo", "leaves for it", ("f2",), leaves=DEMO_ASKED),
    Path("demo", "not during a run", ("f2",), scene="running", shows=(ACTIVE,)),
    Path(
        "adopt",
        "plans it for a refused primary",
        ("A",),
        scene=OTHER_PRIMARY,
        answers={MakePlan: plan_for(level=3, phrase="prod-eu")},
        asks=(MakePlan(Sync(), Options(adopt=True)),),
        shows=("Adopt · prod-eu", "type  prod-eu"),
        focus="cancel",
    ),
    Path(
        "adopt",
        "the core refuses",
        ("A",),
        scene=OTHER_PRIMARY,
        answers={MakePlan: ROOM},
        asks=(MakePlan(Sync(), Options(adopt=True)),),
        shows=("no plan", "the core has no room"),
    ),
    Path("adopt", "any other primary", ("A",), shows=("A adopts a primary",)),
    Path("level", "less is shown", ("l",), shows=("warnings and failures",)),
    Path("level", "round again", ("l",), go=("l", "l"), shows=("all lines",)),
)
SORTING: dict[type[object], object] = {QueryOrphans: SILENT}
BUSY = "the list is being sorted; press the key again"
FIRST = "7c1e02aa…90bd"
KEY = "episode_7c1e02aa-41d3-4b5e-9c77-d1f00e5a90bd"
ORPHAN = rows(
    Path("orphans.mark", "the row", ("space",), go=("3",), shows=("1 marked",)),
    Path("orphans.mark", "takes the mark back", ("space",), go=("3", "space"), hides=("1 marked",)),
    Path("orphans.mark", "not while it is sorted", ("ctrl+r", "space"), go=("3",), then=SORTING, shows=(BUSY,)),
    Path("orphans.all", "marks what fits", ("a",), go=("3", "slash", "words reason:dim", "enter"), shows=("2 marked",)),
    Path("orphans.clear", "all marks", ("C",), go=("3", "a"), shows=("nothing marked",)),
    Path(
        "orphans.aside",
        "plans it for the row",
        ("d",),
        go=("3",),
        answers=PLANNED,
        asks=(MakePlan(QuarantineOrphans((KEY,))),),
        shows=("Quarantine · prod-eu",),
        focus="cancel",
    ),
    Path("orphans.aside", "nothing is chosen", ("d",), go=("3", "g"), shows=("nothing is chosen; space marks a row",)),
    Path(
        "orphans.aside",
        "nothing was scanned",
        ("d",),
        go=("3",),
        answers={ScanOrphans: ROOM},
        shows=("› nothing is chosen",),
    ),
    Path("orphans.aside", "not while it is sorted", ("ctrl+r", "d"), go=("3",), then=SORTING, shows=(BUSY,)),
    Path(
        "orphans.aside",
        "what has its owner stays",
        ("d",),
        go=("3", "slash", "words reason:newer", "enter", "a"),
        shows=("31 rows left out: the owner exists",),
    ),
    Path(
        "orphans.aside",
        "the core refuses",
        ("d",),
        go=("3",),
        answers={MakePlan: ROOM},
        asks=(MakePlan(QuarantineOrphans((KEY,))),),
        shows=("no plan", "the core has no room"),
    ),
    Path(
        "orphans.aside",
        "the core cannot say what is marked",
        ("d",),
        go=("3",),
        answers={ResolveMarks: ROOM},
        shows=(SAID,),
    ),
    Path(
        "orphans.aside",
        "a run is going on",
        ("d",),
        go=("3",),
        scene="running",
        shows=(ACTIVE,),
        top="OrphansScreen",
    ),
    Path("orphans.reattach", "its owner is gone", ("m",), go=("3",), shows=("re-attach is not possible",)),
    Path("orphans.reattach", "nothing is chosen", ("m",), go=("3", "g"), shows=("nothing is chosen",)),
    Path(
        "orphans.reattach",
        "plans a sync",
        ("m",),
        go=("3", "slash", "words c4c4a9e4", "enter", "j"),
        answers=PLANNED,
        asks=(MakePlan(Sync()),),
        shows=("Re-attach by a sync · prod-eu",),
    ),
    Path("filter", "the box", ("slash",), go=("3",), focus="filter", shows=("words, reason:",)),
    Path("filter", "what fits", ("words legacy", "enter"), go=("3", "slash"), hides=(FIRST,), focus="orphans-list"),
    Path(
        "filter",
        "nothing fits",
        ("words qqqq",),
        go=("3", "slash"),
        shows=("nothing matches the filter; esc clears it",),
    ),
    Path("filter", "esc clears it", ("escape",), go=("3", "slash", "words qqqq"), shows=(FIRST,), focus="orphans-list"),
    Path(
        "orphans.expect", "asks for a note", ("i",), go=("3",), top="NoteDialog", shows=("will be marked as expected",)
    ),
    Path(
        "orphans.expect",
        "with the note",
        ("words why", "enter", "enter"),
        go=("3", "i"),
        answers={Expect: Outcome("orphans", Word.DRIFT, 0, extra={"expected": [KEY]})},
        asks=(Do(Expect((KEY,), "why")),),
        shows=("1 row expected",),
    ),
    Path("orphans.expect", "left", ("escape",), go=("3", "i"), hides=("will be marked as expected",)),
    Path(
        "orphans.expect",
        "the core refuses",
        ("words why", "enter", "enter"),
        go=("3", "i"),
        answers={Expect: ROOM},
        asks=(Do(Expect((KEY,), "why")),),
        shows=(SAID,),
    ),
    Path(
        "orphans.expect",
        "takes it back",
        ("i",),
        go=("3", "slash", "words legacy", "enter", "j"),
        answers={Unexpect: Outcome("orphans", Word.DRIFT, 0, extra={"unexpected": ["legacy-note-17"]})},
        asks=(Do(Unexpect(("legacy-note-17",))),),
        shows=("1 row no longer expected",),
    ),
    Path("orphans.expect", "nothing is chosen", ("i",), go=("3", "g"), shows=("nothing is chosen; space marks a row",)),
    Path("orphans.expect", "not while it is sorted", ("ctrl+r", "i"), go=("3",), then=SORTING, shows=(BUSY,)),
    Path("orphans.export", "asks for the file", ("e",), go=("3",), top="NoteDialog", shows=("as JSON lines",)),
    Path(
        "orphans.export",
        "says where it is",
        ("right", "enter"),
        go=("3", "e", "enter", "enter"),
        shows=("28 rows, 12.1 KiB in orphans-20260902T143207Z.jsonl",),
        top="OrphansScreen",
    ),
    Path(
        "orphans.export",
        "the core refuses",
        ("right", "enter"),
        go=("3", "e", "enter", "enter"),
        answers={ExportOrphans: ROOM},
        shows=(SAID,),
    ),
    Path(
        "orphans.export",
        "nothing was scanned",
        ("e",),
        go=("3",),
        answers={ScanOrphans: ROOM},
        shows=("nothing has been scanned yet",),
    ),
    Path("orphans.copy", "the key", ("y",), go=("3",), look=clipboard, becomes=KEY, shows=("copied episode_7c1e",)),
    Path("orphans.copy", "nothing is there", ("y",), go=("3", "g"), shows=("there is nothing to copy",)),
    Path("orphans.group", "by owner", ("b",), go=("3",), shows=("group owner",)),
    Path("orphans.sort", "the next order", ("o",), go=("3",), hides=("sort key",)),
    Path("orphans.reverse", "the other way", ("O",), go=("3",), shows=("↓",)),
    Path(
        "orphans.next",
        "goes to it",
        ("n",),
        go=("3",),
        look=orphan,
        becomes="episode_7c1e9f10-0b6c-4b8e-8d35-50d1a6b112c4",
    ),
    Path("orphans.next", "there is none", ("n",), go=("3", "slash", "words qq", "enter"), shows=("there is no match",)),
    Path("orphans.previous", "goes to it", ("N",), go=("3", "n"), look=orphan, becomes=KEY),
    Path(
        "orphans.previous",
        "there is none",
        ("N",),
        go=("3", "slash", "words qq", "enter"),
        shows=("there is no match",),
    ),
    Path("orphans.open", "all numbers", ("enter",), go=("3",), shows=("384 x f32   g G",), top="VectorDialog"),
    Path("orphans.open", "folds the group", ("enter",), go=("3", "g"), hides=(FIRST,)),
    Path(
        "orphans.open",
        "its facts are not here",
        ("enter",),
        go=("3",),
        answers={ShowOrphan: SILENT},
        shows=("its numbers are being read, and are shown in a moment",),
    ),
    Path("reload", "scans again", ("ctrl+r",), go=("3",), asks=(ScanOrphans(),)),
    Path("reload", "the core refuses", ("ctrl+r",), go=("3",), then={ScanOrphans: ROOM}, shows=(SAID,)),
)
CHECKED = ("2", "j")
COMPARES = CompareRows(tables=("episodes",), after=None)
WRITES = Some(ExportRows)
VALIDATE = rows(
    Path(
        "validation.open",
        "into the rows",
        ("enter",),
        go=CHECKED,
        asks=(COMPARES,),
        shows=("Rows that differ · 3",),
        focus="keys-list",
    ),
    Path("validation.open", "into the fields", ("enter",), go=(*CHECKED, "enter", "j"), focus="sides-list"),
    Path(
        "validation.open",
        "one field, both sides whole",
        ("enter",),
        go=(*CHECKED, "enter", "j", "enter"),
        top="TextDialog",
        shows=("y copy   g G first, last   esc close",),
    ),
    Path("validation.open", "esc goes back", ("escape",), go=(*CHECKED, "enter"), focus="list"),
    Path(
        "validation.open",
        "the core refuses",
        ("enter",),
        go=CHECKED,
        answers={CompareRows: ROOM},
        asks=(COMPARES,),
        shows=(SAID,),
    ),
    Path("validation.open", "no check has run", ("enter",), go=("2",), scene=NO_CHECKS, focus="list"),
    Path("validation.copy", "the check", ("y",), go=CHECKED, look=clipboard, becomes="latest_episodes"),
    Path(
        "validation.copy", "nothing is there", ("y",), go=("2",), scene=NO_CHECKS, shows=("there is nothing to copy",)
    ),
    Path(
        "validation.export",
        "says where it is",
        ("e",),
        go=(*CHECKED, "enter"),
        asks=(WRITES,),
        shows=("3 rows, 1.5 KiB in",),
    ),
    Path(
        "validation.export",
        "nothing is there",
        ("e",),
        go=("2",),
        scene=NO_CHECKS,
        shows=("there is nothing to export: enter on a check lists the rows that differ",),
    ),
    Path(
        "validation.export",
        "the core refuses",
        ("e",),
        go=(*CHECKED, "enter"),
        answers={ExportRows: ROOM},
        asks=(WRITES,),
        shows=(SAID,),
    ),
    Path(
        "validation.filter",
        "what fits",
        ("slash", "words kind:surplus", "enter"),
        go=CHECKED,
        asks=(COMPARES,),
        shows=("filter kind:surplus", "1/1"),
        focus="keys-list",
    ),
    Path(
        "validation.filter",
        "nothing fits, and esc clears it",
        ("escape",),
        go=(*CHECKED, "slash", "words qqqq"),
        hides=("nothing matches the filter",),
        focus="keys-list",
    ),
)
SAVED = "storage-sync-rows-20260902T143207Z.jsonl"
PAST = rows(
    Path(
        "history.open",
        "the rows of the run",
        ("enter",),
        go=("4",),
        top="RunRowsDialog",
        shows=("4 rows", "write the report of May", "data: not JSON"),
    ),
    Path(
        "history.open", "the core refuses", ("enter",), go=("4",), answers={ListChangedRows: ROOM}, shows=("no room",)
    ),
    Path(
        "history.undo",
        "plans to undo it",
        ("U",),
        go=("4",),
        answers=PLANNED,
        asks=(MakePlan(Undo("s-4120")),),
        shows=("Undo · prod-eu",),
    ),
    Path(
        "history.undo",
        "the core refuses",
        ("U",),
        go=("4",),
        answers={MakePlan: ROOM},
        asks=(MakePlan(Undo("s-4120")),),
        shows=("no plan", "the core has no room", "ask again"),
    ),
    Path("history.undo", "a run is going on", ("U",), go=("4",), scene="running", shows=(ACTIVE,)),
    Path(
        "history.undo",
        "nothing is chosen",
        ("U",),
        go=("4", "slash", "words qqqq", "enter"),
        shows=("nothing is chosen",),
    ),
    Path("history.document", "of the run", ("J",), go=("4",), top="TextDialog", shows=('"exit_code": 0',)),
    Path(
        "history.document",
        "none is kept",
        ("J",),
        go=("4",),
        answers={ShowRun: ROOM},
        shows=("no document of this run is kept",),
    ),
    Path("history.copy", "the id", ("y",), go=("4",), look=clipboard, becomes="s-4120", shows=("› copied s-4120",)),
    Path(
        "history.copy", "nothing is there", ("y",), go=("4",), scene=NO_RUNS, answers=EMPTY, shows=("nothing to copy",)
    ),
    Path("history.export", "says where it is", ("e",), go=("4",), asks=(WRITES,), shows=(SAVED,)),
    Path(
        "history.export", "none is there", ("e",), go=("4",), scene=NO_RUNS, answers=EMPTY, shows=("nothing to export",)
    ),
    Path(
        "history.export",
        "the core refuses",
        ("e",),
        go=("4",),
        answers={ExportRows: ROOM},
        asks=(WRITES,),
        shows=(SAID,),
    ),
    Path("history.filter", "what fits", ("slash", "words exit:130", "enter"), go=("4",), shows=("1/1",), focus="list"),
    Path(
        "history.filter",
        "esc clears it",
        ("escape",),
        go=("4", "slash", "words exit:130"),
        hides=("1/1",),
        focus="list",
    ),
    Path("history.replay", "asks for the file", ("ctrl+o",), go=("4",), top="NoteDialog", shows=("FILE.jsonl",)),
    Path(
        "history.replay",
        "there is no such file",
        ("words nowhere", "enter", "enter"),
        go=("4", "ctrl+o"),
        shows=("there is no file nowhere",),
        top="HistoryScreen",
    ),
    Path(
        "history.replay",
        "leaves for it",
        (f"words {__file__}", "enter", "enter"),
        go=("4", "ctrl+o"),
        leaves=REPLAY_ASKED,
    ),
    Path(
        "history.replay",
        "not during a run",
        (f"words {__file__}", "enter", "enter"),
        go=("4", "ctrl+o"),
        scene="running",
        shows=(ACTIVE,),
    ),
    Path("history.sort", "the next order", ("o",), go=("4",), shows=("sort took ↑",)),
    Path("history.reverse", "the other way", ("O",), go=("4",), shows=("sort as it came ↓",)),
)
ACCESS = ("5", "j")
BATCH = ("5", *"jjjjjj")
EDITED = (*BATCH, "enter", "backspace", "backspace", "backspace", "words 250", "enter")
EDITS = (SettingEdit("batch_size", "250"),)
SET = rows(
    Path("config.open", "edits", ("enter",), go=BATCH, focus="setting-entry"),
    Path("config.open", "keeps what fits", EDITED[len(BATCH) :], go=BATCH, shows=("1 unsaved",), focus="list"),
    Path(
        "config.open",
        "says what does not fit",
        ("words x", "enter"),
        go=(*BATCH, "enter"),
        shows=("not taken",),
        focus="setting-entry",
    ),
    Path(
        "config.open",
        "esc leaves it",
        ("escape",),
        go=(*BATCH, "enter", "words x", "enter"),
        hides=("not taken",),
        focus="list",
    ),
    Path("config.open", "not here", ("enter",), go=("5", *"jjj"), look=says, becomes=True),
    Path("config.reset", "the value in effect", ("backspace",), go=EDITED, hides=("1 unsaved",)),
    Path("config.reset", "it was not edited", ("backspace",), go=BATCH, shows=("this setting was not edited",)),
    Path(
        "config.write",
        "shows the file first",
        ("w",),
        go=EDITED,
        asks=(PreviewSettings(EDITS),),
        shows=("+batch_size = 250", "Write 1 setting"),
        top="AskDialog",
        focus="cancel",
    ),
    Path("config.write", "nothing was edited", ("w",), go=BATCH, shows=("nothing was edited; enter edits a setting",)),
    Path(
        "config.write",
        "the core refuses",
        ("w",),
        go=EDITED,
        answers={PreviewSettings: ROOM},
        asks=(PreviewSettings(EDITS),),
        shows=(SAID,),
    ),
    Path(
        "config.connect",
        "says what answered",
        ("c",),
        go=("5",),
        asks=(TryPrimary(()),),
        shows=("44 ms",),
    ),
    Path(
        "config.connect",
        "the core refuses",
        ("c",),
        go=("5",),
        answers={TryPrimary: ROOM},
        asks=(TryPrimary(()),),
        shows=("no: the core has no room",),
    ),
    Path("config.copy", "setting and value", ("y",), go=BATCH, look=clipboard, becomes="batch_size = 100"),
    Path(
        "config.copy",
        "nothing is there",
        ("y",),
        go=("5", "slash", "words qqqq", "enter"),
        shows=("there is nothing to copy",),
    ),
    Path("config.export", "says where it is", ("e",), go=("5",), asks=(WRITES,), shows=(SAVED,)),
    Path(
        "config.export",
        "nothing is there",
        ("e",),
        go=("5", "slash", "words qqqq", "enter"),
        shows=("there is nothing to export",),
    ),
    Path(
        "config.filter",
        "what fits",
        ("slash", "words key:batch", "enter"),
        go=("5",),
        shows=("filter key:batch",),
        focus="list",
    ),
    Path("config.filter", "esc clears it", ("escape",), go=("5", "slash", "words qqqq"), hides=("nothing matches",)),
)
ASIDE = ("u", "j", "j", "j")
REFUSED_ROW = ("u", *"jjjjjj")
RETRIED = Outcome("quarantine", Word.IN_SYNC, 0, extra={"retried": {"accepted": ["x"], "refused": []}})
BAD = "patterns/e2d00f1b-1f6c-45f2-9f0e-7703c1b66c03"
LISTED = ListQuarantine(filter="", first=0, count=500)
KEPT = rows(
    Path("aside.mark", "the row", ("space",), go=ASIDE, shows=("1 marked",)),
    Path("aside.mark", "takes the mark back", ("space",), go=(*ASIDE, "space"), hides=("1 marked",)),
    Path("aside.all", "marks what fits", ("a",), go=("u",), answers=MATCHING, shows=("2 marked",)),
    Path("aside.clear", "all marks", ("C",), go=(*ASIDE, "space"), hides=("1 marked",)),
    Path(
        "aside.open",
        "plans to restore the row",
        ("enter",),
        go=ASIDE,
        answers=PLANNED,
        asks=(MakePlan(Restore((1,))),),
        shows=("Restore · prod-eu",),
        focus="cancel",
    ),
    Path(
        "aside.open",
        "plans to undo the run",
        ("enter",),
        go=("u", "j"),
        answers=PLANNED,
        asks=(MakePlan(Undo("s-4119")),),
        shows=("Undo · prod-eu",),
    ),
    Path(
        "aside.open",
        "the core refuses",
        ("enter",),
        go=ASIDE,
        answers={MakePlan: ROOM},
        asks=(MakePlan(Restore((1,))),),
        shows=("no plan", "the core has no room"),
    ),
    Path(
        "aside.open",
        "a run is going on",
        ("enter",),
        go=ASIDE,
        scene="running",
        shows=(ACTIVE,),
        top="QuarantineDialog",
    ),
    Path("aside.open", "a rejected row", ("enter",), go=REFUSED_ROW, shows=("t fetches rejected rows again",)),
    Path("aside.open", "an old file", ("enter",), go=("u", "G"), shows=("enter does not restore an old file",)),
    Path(
        "aside.retry",
        "fetches it",
        ("t",),
        go=REFUSED_ROW,
        answers={Retry: RETRIED},
        asks=(Do(Retry((BAD,))), LISTED),
        shows=("1 accepted now, 0 still rejected",),
    ),
    Path(
        "aside.retry",
        "the core refuses",
        ("t",),
        go=REFUSED_ROW,
        answers={Retry: ROOM},
        asks=(Do(Retry((BAD,))),),
        shows=(SAID,),
    ),
    Path(
        "aside.retry",
        "no refused row",
        ("t",),
        go=ASIDE,
        shows=("t is for rejected rows: mark one, or move the cursor to it",),
    ),
    Path(
        "aside.purge",
        "plans it",
        ("D",),
        go=("u",),
        answers={MakePlan: plan_for(level=3, phrase="prod-eu")},
        asks=(MakePlan(Purge()),),
        shows=("Purge · prod-eu", "type  prod-eu"),
        focus="cancel",
    ),
    Path(
        "aside.purge",
        "the core refuses",
        ("D",),
        go=("u",),
        answers={MakePlan: ROOM},
        asks=(MakePlan(Purge()),),
        shows=("no plan",),
    ),
    Path(
        "aside.export",
        "says where it is",
        ("e",),
        go=("u",),
        answers={ExportQuarantine: Exported("/home/me/q.jsonl", 2, 100)},
        asks=(ExportQuarantine(""),),
        shows=("2 rows, 100 B in /home/me/q.jsonl",),
    ),
    Path(
        "aside.export",
        "the core refuses",
        ("e",),
        go=("u",),
        answers={ExportQuarantine: ROOM},
        asks=(ExportQuarantine(""),),
        shows=(SAID,),
    ),
    Path(
        "aside.filter",
        "asks the core",
        ("slash", "x", "enter"),
        go=("u",),
        asks=(ListQuarantine(filter="x", first=0, count=500),),
        focus="quarantine-list",
    ),
    Path(
        "aside.filter",
        "esc clears it",
        ("escape",),
        go=("u", "slash", "x"),
        asks=(LISTED,),
        shows=("filter none",),
        focus="quarantine-list",
    ),
)
LIST = rows(
    Path("list.move", "down", ("down", "j"), go=("4",), shows=("3/47",)),
    Path("list.move", "up", ("up", "k"), go=("4", "j", "j"), shows=("1/47",)),
    *(Path("list.page", f"on by {key}", (key,), go=("4",), hides=(" 1/47",)) for key in ("pagedown", "ctrl+d")),
    Path("list.page", "back", ("pageup", "ctrl+u"), go=("4", "pagedown", "pagedown"), shows=(" 1/47",)),
    *(Path("list.edge", f"the last by {key}", (key,), go=("4",), shows=("47/47",)) for key in ("end", "G")),
    *(Path("list.edge", f"the first by {key}", (key,), go=("4", "G"), shows=(" 1/47",)) for key in ("home", "g")),
)
NO_CORE = "› this is a recording; there is no core to ask"


def told(key: str, when: str, press: tuple[str, ...], said: str, go: tuple[str, ...] = ()) -> Path:
    return Path(key, when, press, go=go, make=replayed, look=profile, becomes=said)


PLAYER = rows(
    told("replay.play", "stands still", ("semicolon",), "paused 0:00/2:00  prod-eu"),
    told("replay.play", "goes on", ("semicolon",), "replay 0:00/2:00  prod-eu", go=("semicolon",)),
    told("replay.step", "to what happened", ("full_stop",), "paused 0:01/2:00  prod-eu"),
    told("replay.back", "to what was before", ("comma",), "paused 0:01/2:00  prod-eu", go=("full_stop", "full_stop")),
    told("replay.on", "10 s", ("right_square_bracket",), "replay 0:10/2:00  prod-eu"),
    told("replay.rewind", "10 s", ("left_square_bracket",), "replay 0:00/2:00  prod-eu", go=("right_square_bracket",)),
    told("replay.leap", "a tenth", ("right_curly_bracket",), "replay 0:12/2:00  prod-eu"),
    told("replay.return", "a tenth", ("left_curly_bracket",), "replay 0:00/2:00  prod-eu", go=("right_curly_bracket",)),
    told("replay.faster", "twice", ("greater_than_sign",), "replay 0:00/2:00 x2  prod-eu"),
    told("replay.slower", "half", ("less_than_sign",), "replay 0:00/2:00 x0.5  prod-eu"),
    Path("validate", "in a recording", ("v",), make=replayed, shows=(NO_CORE,), greyed=True),
    Path("sync", "in a recording", ("s",), make=replayed, shows=("no plan",), greyed=True),
    Path(
        "cancel",
        "in a recording",
        ("x",),
        go=("right_curly_bracket",) * 6,
        make=replayed,
        shows=(NO_CORE,),
        greyed=True,
    ),
    Path("pause", "in a recording", ("P",), make=replayed, shows=(NO_CORE,)),
    Path("access", "in a recording", ("W",), make=replayed, shows=(NO_CORE,)),
    Path("demo", "in a recording", ("f2",), go=("right_curly_bracket",) * 6, make=replayed, leaves=DEMO_ASKED),
    Path("quit", "in a recording", ("q",), go=("right_curly_bracket",) * 6, make=replayed, leaves=0),
)
PATHS = (*OPERATE, *OVER, *ORPHAN, *VALIDATE, *PAST, *SET, *KEPT, *LIST, *PLAYER)


OF_EACH_KEY = tuple({(path.key, path.leaves is None): path for path in reversed(PATHS)}.values())
"""Of each key the first path, and the first in which it leaves the console."""


@pytest.mark.parametrize("path", size.of(OF_EACH_KEY, PATHS, PATHS), ids=lambda path: path.name)
async def test_path(path: Path) -> None:
    await walk(path)


def test_every_key_has_its_paths() -> None:
    """A key without a row, or one of its names that no row presses, is not tested."""
    pressed = {key.id: {name for path in PATHS if path.key == key.id for name in path.press} for key in KEYS}
    for key in KEYS:
        missing = set(key.keys.split(",")) - pressed[key.id]
        assert not missing, f"no path presses {missing} for {key.id}"


def test_every_path_claims_an_effect() -> None:
    names = [path.name for path in PATHS]
    assert len(set(names)) == len(names)
    assert [path.name for path in PATHS if not path.says_something] == []


def test_what_asks_the_core_is_also_refused_by_it() -> None:
    refused = {path.key for path in PATHS if ROOM in (*path.answers.values(), *path.then.values())}
    asking = {path.key for path in PATHS if any(kind_of(one) not in LOOKS for one in path.asks)}
    assert asking - refused == UNREFUSED
