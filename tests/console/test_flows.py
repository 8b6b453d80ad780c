"""Plans from the wish to the result, and the quarantine: each key, each way out, each refusal."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Button, Input

from console.app.app import Console
from console.dialogs.help import HelpDialog
from console.dialogs.log import LogDialog
from console.dialogs.plan import PlanDialog
from console.dialogs.quarantine import QuarantineDialog
from storage_sync.reports import sentences
from storage_sync.service.commands import (
    Do,
    DropPlan,
    Execute,
    ExportQuarantine,
    ExportRows,
    ListBuilds,
    ListQuarantine,
    MakePlan,
)
from storage_sync.service.operations import Peek, Rebuild, Restore, Retry, Sync
from storage_sync.values.answers import Exported, QuarantineEntry, QuarantineKind, QuarantinePage, UnfinishedBuild
from storage_sync.values.events import Answer, Refused, RunEnded
from storage_sync.values.next_step import NextStep
from storage_sync.values.options import Options
from storage_sync.values.outcome import (
    CacheWrites,
    Check,
    CheckStatus,
    ErrorValue,
    Outcome,
    Plan,
    PlanRow,
    TableChange,
    TableCounts,
    Word,
)
from storage_sync.values.snapshot import Advice
from tests.console.app import asked, console, live, screen_text, settle
from tests.support.scenes import plans as scene_plans
from tests.support.scenes import snapshots
from tests.support.scenes.snapshots import Scene
from tests.support.scripted_bridge import Asked, ScriptedBridge

HOSTILE = "[/b][red]x 名前 \x1b[31m"


def scene_of(name: str, **changes: object) -> Scene:
    scene = snapshots.scene(name)
    return replace(scene, snapshot=replace(scene.snapshot, **changes))


def plan_of(kind: str = "repair", *, phrase: str | None = None, level: int = 2, rows: int = 5) -> Plan:
    steps = (
        PlanRow("fetch", "fetch and replace rows", rows, 6_246, "undo"),
        PlanRow("aside", "set the damaged bytes aside", rows, None, "restorable"),
        PlanRow("primary", "primary", 0, 0, "never written"),
    )
    return replace(snapshots.plan(removed=0), id="p-7f31", kind=kind, rows=steps, level=level, phrase=phrase)


def outcome_of(**changes: object) -> Outcome:
    proof = snapshots.scene("in_sync").snapshot.freshness.proof
    done = Outcome(
        "repair",
        Word.IN_SYNC,
        7,
        run_id="s-4122",
        proof=proof,
        applied={"episodes": TableChange(update=5)},
        counts={"episodes": TableCounts(cache=1000, cache_only=7, refused=1)},
        cache_writes=CacheWrites(1, 65_536),
        checks=(Check("episode_count", CheckStatus.PASS, 1, 1),),
        warnings=(HOSTILE,),
        extra={"kept": "/var/lib/cache.redb.old-20260902T143331Z"},
        undoable=True,
    )
    return replace(done, **changes)


def latest(bridge: ScriptedBridge, kind: type[object]) -> Asked:
    """The newest question of a kind."""
    return next(one for one in reversed(bridge.asked) if one.kind is kind)


async def answer(app: Console, bridge: ScriptedBridge, pilot: Pilot[int], kind: type[object], value: object) -> None:
    bridge.post(Answer(latest(bridge, kind).id, value))
    await settle(app, pilot)


async def refuse(app: Console, bridge: ScriptedBridge, pilot: Pilot[int], kind: type[object]) -> None:
    bridge.post(Refused(latest(bridge, kind).id, f"no {HOSTILE}", "look again"))
    await settle(app, pilot)


async def shown(app: Console, bridge: ScriptedBridge, pilot: Pilot[int], key: str, plan: Plan) -> PlanDialog:
    await pilot.press(key)
    await pilot.pause()
    await answer(app, bridge, pilot, MakePlan, plan)
    assert isinstance(app.screen, PlanDialog)
    return app.screen


async def started(app: Console, bridge: ScriptedBridge, pilot: Pilot[int], key: str = "r") -> PlanDialog:
    dialog = await shown(app, bridge, pilot, key, plan_of())
    await pilot.press("right", "enter")
    await pilot.pause()
    assert latest(bridge, Execute).command == Execute("p-7f31", "")
    run = snapshots.scene("running").snapshot.run
    bridge.show(replace(snapshots.scene("running").snapshot, seq=9, run=run))
    await settle(app, pilot)
    return dialog


# ------------------------------------------------------------------------------------------------ plan


async def test_a_plan_that_is_longer_than_the_terminal_says_so_and_shows_first_what_is_lost() -> None:
    app, bridge = console("damaged")
    async with live(app) as pilot:
        await shown(app, bridge, pilot, "R", scene_plans.plan_of("rebuild"))
        await pilot.pause()
        text = screen_text(app)
        assert "PgDn more" in text
        assert "no row can be read from the damaged file" in text
        assert "never written" in text
        assert "This plan is refused if" not in text
        await pilot.press("pagedown", "pagedown")
        await pilot.pause()
        assert "This plan is refused if" in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
async def test_a_rebuild_runs_only_with_the_typed_name(size: tuple[int, int]) -> None:
    app, bridge = console("damaged")
    async with live(app, size=size) as pilot:
        dialog = await shown(app, bridge, pilot, "R", plan_of("rebuild", phrase="prod-eu", level=3))
        button = dialog.query_one("#run", Button)
        assert button.disabled
        assert "it replaces what is there" in screen_text(app)
        dialog.query_one("#phrase", Input).focus()
        await pilot.press(*"prod-e", "enter", "enter")
        assert button.disabled
        await pilot.press("u", "enter")
        assert dialog.focused is not None
        assert dialog.focused.id == "run"
        await pilot.press("enter")
        assert latest(bridge, Execute).command == Execute("p-7f31", "prod-eu")


async def test_a_console_that_looks_only_makes_and_saves_plans_and_runs_none() -> None:
    app, bridge = console(scene_of("damaged", access="ro"))
    async with live(app, size=(100, 30), notifications=True) as pilot:
        dialog = await shown(app, bridge, pilot, "R", plan_of("rebuild", phrase="prod-eu", level=3))
        assert dialog.query_one("#run", Button).disabled
        assert not dialog.query_one("#phrase", Input).display
        assert "off: read-only: W allows writes again" in screen_text(app)
        await pilot.press("ctrl+s")
        export = latest(bridge, ExportRows).command
        assert isinstance(export, ExportRows)
        assert export.name == "plan-p-7f31"
        assert export.rows[0]["id"] == "p-7f31"
        planned: Any = export.rows[0]
        assert planned["rows"][0]["text"] == "fetch and replace rows"
        await answer(app, bridge, pilot, ExportRows, Exported("/home/me/plan.jsonl", 1, 900))
        assert "/home/me/plan.jsonl" in screen_text(app)
        await pilot.click("#save")
        assert [one.kind for one in bridge.asked].count(ExportRows) == 2


async def test_a_plan_that_is_refused_says_why_and_what_next() -> None:
    app, bridge = console("damaged")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("r")
        await pilot.pause()
        await refuse(app, bridge, pilot, MakePlan)
        text = screen_text(app)
        assert "no [/b][red]x 名前 \\e[31m" in text
        assert "look again" in text
        await pilot.press("enter")
        assert not isinstance(app.screen, PlanDialog)


# ------------------------------------------------------------------------------------------------- run


async def test_the_run_is_watched_in_the_dialog_and_hidden_with_esc() -> None:
    app, bridge = console("damaged")
    async with live(app, size=(100, 30)) as pilot:
        await started(app, bridge, pilot)
        text = screen_text(app)
        for said in ("step 2 of 3: running", "60 %", "362 / 603 rows", "● fetch", "ETA", "core", "Cancel, keep 300"):
            assert said in text
        await pilot.press("escape")
        await settle(app, pilot)
        assert not isinstance(app.screen, PlanDialog)
        assert "sync fetch 60 %" in screen_text(app).splitlines()[0]
        await pilot.press("s")
        await settle(app, pilot)
        assert "step 2 of 3: running" in screen_text(app)
        assert [one.kind for one in bridge.asked].count(MakePlan) == 1


async def test_a_run_whose_end_was_heard_is_over_whatever_the_picture_shows() -> None:
    app, bridge = console("running")
    async with live(app, size=(100, 30)) as pilot:
        states = [app.running]
        bridge.post(RunEnded("s-4121", outcome_of()))
        await settle(app, pilot)
        states.append(app.running)
        assert states == [True, False]
        await pilot.press("r")
        await pilot.pause()
        assert isinstance(app.screen, PlanDialog)
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, PlanDialog)


async def test_log_and_help_open_over_the_dialog() -> None:
    app, bridge = console("damaged")
    async with live(app, size=(100, 30)) as pilot:
        await started(app, bridge, pilot)
        await pilot.press("L")
        await pilot.pause()
        assert isinstance(app.screen, LogDialog)
        await pilot.press("escape", "question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpDialog)


# ---------------------------------------------------------------------------------------------- result


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (140, 45)])
async def test_the_result_says_what_was_done_and_how_to_take_it_back(size: tuple[int, int]) -> None:
    app, bridge = console("damaged")
    async with live(app, size=size) as pilot:
        await started(app, bridge, pilot)
        await answer(app, bridge, pilot, Execute, outcome_of())
        text = screen_text(app)
        for said in (
            "step 3 of 3: result",
            "▲ In sync, except for 1 rejected row",
            "5 rows changed",
            "exist only in the cache",
            "cache.redb.old-20260902T143331Z",
            "1 check ok",
            "[/b][red]x 名前 \\e[31m",
            "U undoes the whole run s-4122",
            "Show rejected",
            "Undo…",
            "Close",
        ):
            assert said in text, said
        assert app.screen.focused is not None
        assert app.screen.focused.id == "close"
        await pilot.press("enter")
        await pilot.pause()
        assert not isinstance(app.screen, PlanDialog)


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
@pytest.mark.parametrize("paused", [False, True])
async def test_an_undo_names_its_run_and_says_that_the_next_sync_takes_it_back(
    size: tuple[int, int], paused: bool
) -> None:
    shown = snapshots.scene("in_sync")
    app, bridge = console(replace(shown, snapshot=replace(shown.snapshot, paused=paused)))
    lost = sentences.coming_back(5)
    named = replace(plan_of("undo"), undoes="s-8cbd5d (sync, 15:00:19Z)", comes_back=5, lost=(lost,), phrase=None)
    async with live(app, size=size) as pilot:
        await pilot.press("4", "U")
        await answer(app, bridge, pilot, MakePlan, named)
        text = screen_text(app)
        assert "Undo s-8cbd5d (sync, 15:00:19Z) · prod-eu · step 1 of 3" in text
        assert "the primary had these 5 rows when it was last read" in text
        assert ("P pauses the scheduled syncs" in text) != paused
        await pilot.press("right", "enter")
        ended = Outcome(
            "undo",
            Word.DRIFT,
            0,
            run_id="s-9",
            applied={"episodes": TableChange(0, 0, 5)},
            cache_writes=CacheWrites(1, 10),
            extra={"undone_run": "s-8cbd5d", "comes_back": 5},
        )
        await answer(app, bridge, pilot, Execute, ended)
        text = screen_text(app)
        assert "Undo s-8cbd5d (sync, 15:00:19Z) · prod-eu · step 3 of 3" in text
        assert "Run s-8cbd5d was undone: 5 rows removed" in text
        assert "The cache differs from what was proven until the next sync." in text
        assert "The primary had these 5 rows when it was last read" in text
        assert ("P pauses the scheduled syncs" in text) != paused
        newest = shown.snapshot.history.last[0]
        undo = replace(newest, id="s-9", kind="undo", generation=None)
        later = replace(newest, id="s-10", started_at=snapshots.NOW)
        known = replace(shown.snapshot.history, last=(later, undo, *shown.snapshot.history.last))
        bridge.show(replace(shown.snapshot, seq=9, paused=paused, history=known))
        await settle(app, pilot)
        app.paint(panels=True)
        await pilot.pause()
        text = screen_text(app)
        assert "s-10 at 14:32:07Z proved the cache again." in text
        for stale in ("until the next sync", "brings them back", "P pauses"):
            assert stale not in text


async def test_a_hidden_run_tells_its_end() -> None:
    app, bridge = console("damaged")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await started(app, bridge, pilot)
        await pilot.press("escape")
        await answer(app, bridge, pilot, Execute, outcome_of())
        assert "Repair: in sync, except for 1 rejected row" in screen_text(app)


async def test_a_damaged_old_file_is_kept_and_never_put_back() -> None:
    app, bridge = console("damaged")
    async with live(app, size=(100, 30)) as pilot:
        await started(app, bridge, pilot)
        extra = {"kept": "/var/lib/cache.redb.corrupt-20260902T143331Z"}
        await answer(app, bridge, pilot, Execute, outcome_of(extra=extra, undoable=False))
        text = screen_text(app)
        assert "cache.redb.corrupt-20260902T143331Z" in text
        assert "U undo" not in text
        assert "Undo…" not in text
        await pilot.press("U")
        await settle(app, pilot)
        assert [one.kind for one in bridge.asked].count(MakePlan) == 1


async def test_a_failed_run_offers_no_undo() -> None:
    app, bridge = console("damaged")
    error = ErrorValue("cache_locked", HOSTILE, "try later", True, 6)
    async with live(app, size=(100, 30)) as pilot:
        await started(app, bridge, pilot)
        await answer(app, bridge, pilot, Execute, outcome_of(error=error, counts={}, undoable=False))
        text = screen_text(app)
        assert "✗ [/b][red]x 名前 \\e[31m" in text
        assert "try later" in text
        assert "Undo…" not in text


# ------------------------------------------------------------------------------------------ quarantine

RUN = QuarantineEntry(QuarantineKind.RUN, "s-4121", reason="repair", run_id="s-4121", at=snapshots.NOW - 60, rows=5)
ASIDE = tuple(
    QuarantineEntry(
        QuarantineKind.ASIDE,
        f"{number}",
        table="embeddings",
        key=f"episode_{number}{HOSTILE}",
        reason="orphan: owner nowhere",
        run_id="s-4119",
        generation=4120,
        at=snapshots.NOW - 300,
        bytes=1538,
        digest="51aa02",
        expires_at=snapshots.NOW + 86400,
    )
    for number in range(1, 4)
)
REFUSED = QuarantineEntry(
    QuarantineKind.REFUSED, "patterns/88c0", table="patterns", key="88c0", column="context", reason=HOSTILE
)
FILE = QuarantineEntry(QuarantineKind.FILE, "/var/lib/cache.redb.old-20260902T143331Z", reason="old", bytes=9_000)


def head(entry: QuarantineEntry, rows: int) -> QuarantineEntry:
    return QuarantineEntry(QuarantineKind.HEAD, f"{entry.kind}", reason=str(entry.kind), run_id=entry.run_id, rows=rows)


def page_of(first: int = 0, total: int | None = None) -> QuarantinePage:
    entries = (head(RUN, 1), RUN, head(ASIDE[0], 3), *ASIDE, head(REFUSED, 1), REFUSED, head(FILE, 1), FILE)
    matching = {"quarantined": tuple((one.kind, one.id) for one in ASIDE), "rejected": ((REFUSED.kind, REFUSED.id),)}
    return QuarantinePage(entries, first, total or len(entries), 1, 3, 1, 1, 4614, matching)


async def quarantine(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> QuarantineDialog:
    await pilot.press("u")
    await settle(app, pilot)
    await answer(app, bridge, pilot, ListQuarantine, page_of())
    assert isinstance(app.screen, QuarantineDialog)
    return app.screen


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (140, 45)])
async def test_the_quarantine_lists_runs_rows_and_files(size: tuple[int, int]) -> None:
    app, bridge = console("quarantined")
    async with live(app, size=size) as pilot:
        await quarantine(app, bridge, pilot)
        assert latest(bridge, ListQuarantine).command == ListQuarantine("")
        text = screen_text(app)
        for said in (
            "rejected 1, from the primary",
            "quarantined 3",
            "repair",
            "s-4121",
            "5 rows",
            "Quarantine · 3 rows",
            "runs that can be undone",
        ):
            assert said in text, said
        assert "[/b]" in text
        await pilot.press("j", "j", "j")
        await pilot.pause()
        assert "the same 1,538 bytes" in screen_text(app)
        assert all(len(line) <= size[0] for line in screen_text(app).splitlines())


async def test_enter_is_offered_as_what_it_does_with_the_chosen_entry() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        dialog = await quarantine(app, bridge, pilot)
        damaged = replace(FILE, reason="corrupt")
        page = page_of()
        bridge_page = replace(page, entries=tuple(damaged if one is FILE else one for one in page.entries))
        dialog.reload()
        await answer(app, bridge, pilot, ListQuarantine, bridge_page)
        offered = []
        await pilot.press("g")
        for _ in page.entries:
            await pilot.pause()
            footer = screen_text(app).splitlines()[-1] + screen_text(app).splitlines()[-2]
            offered.append("Restore…" if "Restore…" in footer else "Undo…" if "Undo…" in footer else "")
            await pilot.press("j")
        assert offered == ["", "Undo…", "Restore…", "Restore…", "Restore…", "Restore…", "", "", "", ""]
        await pilot.press("enter")
        await settle(app, pilot)
        assert "enter does not restore an old file" in screen_text(app)


async def test_a_list_that_is_read_again_keeps_the_cursor_on_its_entry() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30)) as pilot:
        dialog = await quarantine(app, bridge, pilot)
        await pilot.press("g", "j", "j", "j", "j")
        await pilot.pause()
        assert dialog.table.cursor == 4
        dialog.reload()
        page = page_of()
        fewer = tuple(one for one in page.entries if one is not ASIDE[0])
        await answer(app, bridge, pilot, ListQuarantine, replace(page, entries=fewer, total=len(fewer)))
        assert dialog.table.cursor == 3, "the one before it is gone"
        await pilot.press("enter")
        assert latest(bridge, MakePlan).command == MakePlan(Restore((2,)))


async def test_on_the_head_of_a_group_a_key_is_for_all_its_rows() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await quarantine(app, bridge, pilot)
        await pilot.press("g", "j", "j")
        await pilot.pause()
        assert "enter plans to restore all of them" in screen_text(app)
        await pilot.press("enter")
        await settle(app, pilot)
        assert latest(bridge, MakePlan).command == MakePlan(Restore((1, 2, 3)))
        await pilot.press("escape", "space")
        await pilot.pause()
        assert "3 marked" in screen_text(app)
        await pilot.press("j", "space", "k", "space")
        await pilot.pause()
        assert "3 marked" in screen_text(app), "the one that was missing joins them"
        await pilot.press("space")
        await pilot.pause()
        assert "marked" not in screen_text(app)
        await pilot.press("j", "j", "j", "j", "t")
        await settle(app, pilot)
        assert asked(bridge)[-1] == Do(Retry(("patterns/88c0",)))


async def test_rows_are_marked_and_restored_through_a_plan() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30)) as pilot:
        await quarantine(app, bridge, pilot)
        await pilot.press("j", "j", "j", "space", "j", "space")
        await pilot.pause()
        assert "2 marked" in screen_text(app)
        await pilot.press("enter")
        await settle(app, pilot)
        assert latest(bridge, MakePlan).command == MakePlan(Restore((1, 2)))
        await answer(app, bridge, pilot, MakePlan, plan_of("quarantine", level=1))
        assert "Restore · prod-eu" in screen_text(app)
        assert "Restore 5" in screen_text(app)
        await pilot.press("right", "enter")
        await answer(app, bridge, pilot, Execute, outcome_of(command="quarantine", counts={}))
        await pilot.press("enter")
        await settle(app, pilot)
        assert isinstance(app.screen, QuarantineDialog)
        assert [one.kind for one in bridge.asked].count(ListQuarantine) == 2


async def test_the_list_opens_on_what_was_quarantined_and_says_how_much_is_below() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("u")
        await settle(app, pilot)
        many = tuple(replace(RUN, id=f"s-{number}") for number in range(40))
        entries = (head(ASIDE[0], 3), *ASIDE, head(RUN, 40), *many)
        page = QuarantinePage(entries, 0, len(entries), 0, 3, 0, 40, 4614)
        await answer(app, bridge, pilot, ListQuarantine, page)
        assert "enter plans to restore it" in screen_text(app)
        assert f"more below   line 2/{len(entries)}" in screen_text(app)
        await pilot.press("G")
        await pilot.pause()
        assert "more below" not in screen_text(app)


async def test_all_that_match_are_marked_and_the_marks_cleared() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30)) as pilot:
        await quarantine(app, bridge, pilot)
        await pilot.press("a")
        await pilot.pause()
        assert "4 marked" in screen_text(app)
        await pilot.press("C")
        await pilot.pause()
        assert "marked" not in screen_text(app)
        await pilot.press("a", "escape")
        await pilot.pause()
        assert "marked" not in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, QuarantineDialog)


async def test_refused_rows_are_fetched_again() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await quarantine(app, bridge, pilot)
        await pilot.press("t")
        assert Retry not in [one.kind for one in bridge.asked]
        await pilot.press(*"jjjjjjj", "t")
        assert latest(bridge, Retry).command == Do(Retry(("patterns/88c0",)))
        done = outcome_of(extra={"retried": {"accepted": ["patterns/88c0"], "refused": []}})
        await answer(app, bridge, pilot, Retry, done)
        assert "1 accepted now, 0 still rejected" in screen_text(app)
        assert [one.kind for one in bridge.asked].count(ListQuarantine) == 2
        await pilot.press("enter")
        assert not isinstance(asked(bridge)[-1], MakePlan)


async def test_the_list_is_filtered_by_the_core_and_exported() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await quarantine(app, bridge, pilot)
        await pilot.press("slash", *"rot", "enter")
        await pilot.pause()
        assert latest(bridge, ListQuarantine).command == ListQuarantine("rot")
        await answer(app, bridge, pilot, ListQuarantine, QuarantinePage((), 0, 0, 1, 3, 1, 1, 4614))
        assert "nothing matches" in screen_text(app)
        await pilot.press("e")
        assert latest(bridge, ExportQuarantine).command == ExportQuarantine("rot")
        await answer(app, bridge, pilot, ExportQuarantine, Exported("/home/me/q.jsonl", 2, 100))
        assert "2 rows, 100 B in /home/me/q.jsonl" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert latest(bridge, ListQuarantine).command == ListQuarantine()


async def test_pages_are_asked_for_when_they_are_looked_at() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("u")
        await settle(app, pilot)
        await answer(app, bridge, pilot, ListQuarantine, page_of(total=2_000))
        await pilot.press("G")
        await settle(app, pilot)
        assert latest(bridge, ListQuarantine).command == ListQuarantine(first=1_500)
        assert [one.kind for one in bridge.asked].count(ListQuarantine) == 2
        await answer(app, bridge, pilot, ListQuarantine, page_of(first=1_500, total=2_000))
        assert isinstance(app.screen, QuarantineDialog)


async def test_a_list_that_cannot_be_read_says_why() -> None:
    app, bridge = console("quarantined")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("u")
        await settle(app, pilot)
        await refuse(app, bridge, pilot, ListQuarantine)
        assert "no [/b][red]x" in screen_text(app)
        await pilot.press("question_mark")
        await pilot.pause()
        assert "plan to restore the marked rows" in screen_text(app)


# ------------------------------------------------------------------- locked, refused, unfinished builds


@pytest.mark.parametrize(
    ("presses", "plan"),
    [
        (("enter",), None),
        (("escape",), None),
        (("right", "enter"), MakePlan(Sync())),
        (("right", "right", "enter"), MakePlan(Rebuild(), Options(stage_only=True))),
    ],
)
async def test_s_on_a_held_file_says_who_and_asks_which_way(presses: tuple[str, ...], plan: MakePlan | None) -> None:
    scene = snapshots.scene("locked")
    assert scene.snapshot.cache.holder is not None
    holder = replace(scene.snapshot.cache.holder, command=HOSTILE)
    scene = replace(scene, snapshot=replace(scene.snapshot, cache=replace(scene.snapshot.cache, holder=holder)))
    app, bridge = console(scene)
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("s")
        await settle(app, pilot)
        text = screen_text(app)
        assert "[/b][red]x 名前 \\e[31m, pid 2231, has held the cache for 3d 04h" in text
        assert "never taken" in text
        await pilot.press(*presses)
        await settle(app, pilot)
        plans = [command for command in asked(bridge) if isinstance(command, MakePlan)]
        assert plans == ([plan] if plan is not None else [])


async def test_p_looks_through_a_copy() -> None:
    app, bridge = console("locked")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await pilot.press("p")
        checks = (Check("episode_count", CheckStatus.FAIL, 2, 1), Check("schema_version", CheckStatus.PASS, 4, 4))
        await answer(app, bridge, pilot, Peek, Outcome("peek", Word.UNKNOWN, 0, checks=checks))
        text = screen_text(app)
        assert "on a copy: failed: episode count" in text
        assert "of the copy" in text


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
async def test_an_unfinished_build_is_resumed_or_thrown_away(size: tuple[int, int]) -> None:
    app, bridge = console("damaged")
    async with live(app, size=size) as pilot:
        dialog = await shown(app, bridge, pilot, "R", plan_of("rebuild", phrase="prod-eu", level=3))
        build = UnfinishedBuild("/var/lib/cache.redb.build-b7f3a", 6_186_598, snapshots.NOW - 3 * 3600)
        await answer(app, bridge, pilot, ListBuilds, (build,))
        text = screen_text(app)
        assert "(o) resume 5.9 MiB, 3h 00m old" in text
        assert "( ) start over instead" in text
        assert "Cancel" in text
        dialog.options.focus()
        await pilot.press("right")
        await settle(app, pilot)
        assert latest(bridge, MakePlan).command == MakePlan(Rebuild(discard=True))
        again = replace(plan_of("rebuild", phrase="prod-eu", level=3), id="p-other")
        await answer(app, bridge, pilot, MakePlan, again)
        text = screen_text(app)
        assert "(o) start over instead" in text
        assert "plan p-other" in text
        await pilot.click("#options", offset=(15, 0))
        await settle(app, pilot)
        assert latest(bridge, MakePlan).command == MakePlan(Rebuild())


async def test_no_build_offers_no_choice() -> None:
    app, bridge = console("damaged")
    async with live(app, size=(100, 30)) as pilot:
        dialog = await shown(app, bridge, pilot, "R", plan_of("rebuild", phrase="prod-eu", level=3))
        await answer(app, bridge, pilot, ListBuilds, ())
        assert not dialog.options.display


GUARDED = ErrorValue(
    "guard",
    "the primary lost 820 of 1,000 proven rows or what they belong to (820 of 900 episodes), "
    "more than 50% of a table; nothing was changed",
    "sync --plan lists these rows; sync --allow-shrink removes them",
    False,
    9,
    step=NextStep.ALLOW_SHRINK,
)


async def test_a_shrinking_sync_is_no_case_for_adopting() -> None:
    app, bridge = console(scene_of("in_sync", verdict=Word.REFUSED, error=GUARDED))
    async with live(app, size=(100, 30)) as pilot:
        text = screen_text(app)
        assert "s can remove them (typed consent)" in text
        assert "A adopts" not in text
        await pilot.press("A")
        assert asked(bridge) == []


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
async def test_rows_that_a_guard_keeps_go_only_when_that_is_chosen_and_typed(size: tuple[int, int]) -> None:
    app, bridge = console(scene_of("in_sync", verdict=Word.REFUSED, error=GUARDED))
    stopped = replace(snapshots.plan(removed=820, ratio=0.82), refusal=GUARDED, consent=NextStep.ALLOW_SHRINK, gone=820)
    async with live(app, size=size) as pilot:
        dialog = await shown(app, bridge, pilot, "s", stopped)
        text = screen_text(app)
        assert "(o) keep them, no sync   ( ) remove 820 rows anyway" in text
        assert "the primary lost 820 of 1,000 proven rows" in text
        assert dialog.focused is not None
        assert dialog.focused.id == "cancel"
        assert dialog.query_one("#run", Button).disabled
        assert str(dialog.query_one("#run", Button).label) == "Sync"
        assert "A guard stops this plan. It would do" in text
        assert not dialog.phrase.display
        # no button leads to the other way to do it
        for keys in (("right",), ("right", "right"), ("left",)):
            dialog.buttons["cancel"].focus()
            await pilot.press(*keys)
            assert not dialog.options.has_focus
        await pilot.press("tab", "right")
        while not dialog.options.has_focus:
            await pilot.press("up")
        await pilot.press("right")
        await settle(app, pilot)
        assert latest(bridge, MakePlan).command == MakePlan(Sync(), Options(allow_shrink=True))
        passed = replace(stopped, id="p-7f99", refusal=None, level=3, phrase="prod-eu")
        await answer(app, bridge, pilot, MakePlan, passed)
        text = screen_text(app)
        assert "( ) keep them, no sync   (o) remove 820 rows anyway" in text
        assert "820 rows would be removed because the primary lost them" in text
        assert "needs your typed consent" in text
        assert "by consent" not in text
        assert "type  prod-eu   to remove 820 rows that the primary lost" in text
        assert dialog.query_one("#run", Button).disabled
        dialog.phrase.focus()
        await pilot.press(*"prod-eu", "enter", "enter")
        assert latest(bridge, Execute).command == Execute("p-7f99", "prod-eu")
        await refuse(app, bridge, pilot, Execute)
        assert "not done" in screen_text(app)


async def test_a_consent_of_which_no_plan_is_made_changes_nothing() -> None:
    app, bridge = console("in_sync")
    stopped = replace(snapshots.plan(removed=820, ratio=0.82), refusal=GUARDED, consent=NextStep.ALLOW_SHRINK, gone=820)
    async with live(app, size=(100, 30)) as pilot:
        dialog = await shown(app, bridge, pilot, "s", stopped)
        dialog.options.focus()
        await pilot.press("right")
        await settle(app, pilot)
        await refuse(app, bridge, pilot, MakePlan)
        assert "no plan" in screen_text(app)
        assert Execute not in [one.kind for one in bridge.asked]


async def test_advice_is_in_the_sync_panel() -> None:
    advice = Advice("max_episodes_cache", 1000, 400, 2.0, 0, HOSTILE)
    app, _ = console(scene_of("in_sync", advice=(advice,)))
    async with live(app, size=(140, 45)) as pilot:
        await pilot.pause()
        assert "max_episodes_cache = 400, now 1,000, saves 2.0 s a run" in screen_text(app)


async def test_a_plan_that_is_left_while_it_is_made_says_that_it_stops() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await pilot.press("s")
        await pilot.pause()
        await pilot.press("enter")
        await settle(app, pilot)
        assert asked(bridge)[-1] == DropPlan()
        assert "stopping the plan; nothing has been changed" in screen_text(app)


async def test_a_plan_of_nothing_says_when_the_primary_has_changed_since() -> None:
    shown_scene = snapshots.scene("in_sync")
    app, bridge = console(shown_scene)
    async with live(app, size=(100, 30)) as pilot:
        made = replace(plan_of("sync"), rows=(PlanRow("primary", "primary", 0, 0, "never written"),))
        await shown(app, bridge, pilot, "s", made)
        app.paint(panels=True)
        await settle(app, pilot)
        text = screen_text(app)
        assert "There is nothing to do" in text
        assert "has changed" not in text
        freshness = replace(shown_scene.snapshot.freshness, moved_at=snapshots.NOW)
        bridge.show(replace(shown_scene.snapshot, seq=9, freshness=freshness))
        await settle(app, pilot)
        app.paint(panels=True)
        await pilot.pause()
        assert "That was so when the plan was made. Primary or cache has changed since: close this" in screen_text(app)


async def test_a_plan_that_is_open_says_when_the_cache_has_changed_since() -> None:
    shown_scene = snapshots.scene("stale")
    app, bridge = console(shown_scene)
    async with live(app, size=(100, 30)) as pilot:
        await shown(app, bridge, pilot, "s", plan_of("sync"))
        app.paint(panels=True)
        await settle(app, pilot)
        assert "has changed since this plan" not in screen_text(app)
        cache = shown_scene.snapshot.cache
        assert cache.generation is not None
        cache = replace(cache, generation=replace(cache.generation, was=snapshots.GENERATION + 1))
        bridge.show(replace(shown_scene.snapshot, seq=9, cache=cache))
        await settle(app, pilot)
        app.paint(panels=True)
        await pilot.pause()
        assert "The cache has changed since this plan was made" in screen_text(app)
        assert Execute not in [one.kind for one in bridge.asked]
