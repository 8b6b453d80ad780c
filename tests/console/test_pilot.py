"""Every key that works now: what is asked of the core, and what is on the screen."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Button, Input
from textual.widgets._toast import Toast

from console.app.app import Console
from console.dialogs.ask import AskDialog
from console.dialogs.help import HelpDialog
from console.dialogs.log import LogDialog
from console.dialogs.plan import PlanDialog
from console.keys.table import SCREENS
from console.views.troubles import CALM_S
from storage_sync.service.commands import Do, DropPlan, Execute, MakePlan, SetAccess
from storage_sync.service.operations import Sync, Verify
from storage_sync.values.events import Answer, LogLine, RunEnded
from storage_sync.values.outcome import CacheState, ErrorValue, Outcome, Plan, Word
from storage_sync.values.snapshot import Snapshot
from tests.console.app import FakeClock, asked, console, live, screen_text, settle
from tests.support.scenes import snapshots
from tests.support.scenes.snapshots import Scene
from tests.support.scripted_bridge import ScriptedBridge
from widgets.key_bar import KeyBar
from widgets.line import Line
from widgets.panel import Panel
from widgets.tab_row import TabRow
from widgets.virtual_table import VirtualTable

GUARD = ErrorValue("guard", "would remove 70 %", "look first", False, 9)


def scene_of(name: str, **changes: object) -> Scene:
    scene = snapshots.scene(name)
    return replace(scene, snapshot=replace(scene.snapshot, **changes))


@pytest.mark.parametrize(("name", "key", "title"), SCREENS)
async def test_numbers_and_clicks_go_to_screens(name: str, key: str, title: str) -> None:
    app, _ = console("running")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert app.current_mode == name
        row = app.screen.query_one(TabRow)
        place = screen_text(app).splitlines()[1].index(f"{key} {title}")
        await pilot.press("5" if name != "config" else "1")
        await pilot.pause()
        assert app.current_mode != name
        await pilot.click(app.screen.query_one(TabRow), offset=(place, 0))
        await pilot.pause()
        assert app.current_mode == name
        assert row.size.height == 2


async def test_a_click_in_the_footer_is_the_key() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        place = screen_text(app).splitlines()[-1].index("v Validate")
        await pilot.click(app.screen.query_one(KeyBar), offset=(place, 0))
        await pilot.pause()
        assert asked(bridge) == [Do(Verify())]


# ------------------------------------------------------------------------------------ the plan dialog


async def open_plan(app: Console, bridge: ScriptedBridge, pilot: Pilot[int], plan: Plan | None = None) -> PlanDialog:
    await pilot.press("s")
    await pilot.pause()
    bridge.post(Answer(bridge.asked[-1].id, plan or snapshots.plan(removed=0)))
    await settle(app, pilot)
    assert isinstance(app.screen, PlanDialog)
    return app.screen


async def test_a_plan_is_shown_with_cancel_in_focus() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        dialog = await open_plan(app, bridge, pilot)
        assert dialog.focused is not None
        assert dialog.focused.id == "cancel"
        text = screen_text(app)
        assert "Nothing has been changed" in text
        assert "never written" in text
        assert str(dialog.query_one("#run", Button).label) == "Sync 603"
        await pilot.press("enter")
        await pilot.pause()
        assert asked(bridge) == [MakePlan(Sync()), DropPlan()]
        assert not isinstance(app.screen, PlanDialog)


async def test_enter_on_the_run_button_runs_that_plan() -> None:
    app, bridge = console("stale")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("2")
        await open_plan(app, bridge, pilot)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert asked(bridge)[-1] == Execute("p-7f30", "")
        assert "step 2 of 3: running" in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
async def test_a_large_removal_needs_the_profile_name(size: tuple[int, int]) -> None:
    app, bridge = console("stale")
    async with live(app, size=size) as pilot:
        dialog = await open_plan(app, bridge, pilot, snapshots.plan(removed=424))
        button = dialog.query_one("#run", Button)
        states = [button.disabled]
        dialog.query_one("#phrase", Input).focus()
        await pilot.press(*"prod-e")
        states.append(button.disabled)
        await pilot.press("u")
        states.append(button.disabled)
        assert states == [True, True, False]
        assert isinstance(asked(bridge)[-1], MakePlan)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(asked(bridge)[-1], MakePlan)
        await pilot.press("enter")
        await pilot.pause()
        assert asked(bridge)[-1] == Execute("p-7f30", "prod-eu")


@pytest.mark.parametrize("name", ["prod-eu", "qux", "Lux?", "x"])
async def test_a_name_is_typed_at_once_and_no_letter_of_it_is_a_key(name: str) -> None:
    app, bridge = console("stale")
    async with live(app, size=(80, 24)) as pilot:
        dialog = await open_plan(app, bridge, pilot, snapshots.plan(removed=424, phrase=name))
        assert app.focused is dialog.query_one("#cancel", Button)
        await pilot.press(*name)
        assert dialog.query_one("#phrase", Input).value == name
        await pilot.press("enter", "enter")
        await pilot.pause()
        assert asked(bridge)[-1] == Execute("p-7f30", name)


@pytest.mark.parametrize(
    ("plan", "access", "why"),
    [
        (snapshots.plan(removed=0), "ro", "read-only"),
        (
            snapshots.plan(refusal=ErrorValue("guard", "would remove 70 %", "look first", False, 9)),
            "rw",
            "a guard stops it",
        ),
    ],
)
async def test_what_may_not_run_says_why(plan: Plan, access: str, why: str) -> None:
    app, bridge = console(scene_of("stale", access=access))
    async with live(app, size=(100, 30)) as pilot:
        dialog = await open_plan(app, bridge, pilot, plan)
        assert dialog.query_one("#run", Button).disabled
        assert why in screen_text(app)


@pytest.mark.parametrize("access", ["ro", "rw"])
async def test_a_plan_of_nothing_says_so_and_can_only_be_closed(access: str) -> None:
    empty = replace(
        snapshots.plan(),
        changes={},
        rows=tuple(replace(row, rows=0) for row in snapshots.plan().rows),
        lost=("every row is what was proven",),
    )
    app, bridge = console(scene_of("stale", access=access))
    async with live(app, size=(80, 24)) as pilot:
        dialog = await open_plan(app, bridge, pilot, empty)
        assert "There is nothing to do: no row would change." in screen_text(app)
        assert "Every row is what was proven." in screen_text(app)
        assert [button.id for button in dialog.query(Button) if button.display] == ["close"]
        asked = len(bridge.asked)
        await pilot.press("ctrl+s", "tab", "enter")
        await settle(app, pilot)
        assert not isinstance(app.screen, PlanDialog)
        assert [one.kind for one in bridge.asked[asked:]] == [DropPlan]


async def test_a_late_plan_of_a_closed_dialog_is_dropped() -> None:
    app, bridge = console("stale")
    async with live(app) as pilot:
        await pilot.press("s")
        await pilot.pause()
        number = bridge.asked[-1].id
        await pilot.press("escape")
        bridge.post(Answer(number, snapshots.plan()))
        await settle(app, pilot)
        assert not isinstance(app.screen, PlanDialog)


async def test_a_second_sync_is_not_planned_during_a_run() -> None:
    app, bridge = console("running")
    async with live(app) as pilot:
        await pilot.press("s")
        await pilot.pause()
        assert asked(bridge) == []


# ---------------------------------------------------------------------------------- access and freeze


async def test_allowing_writes_is_a_question() -> None:
    app, bridge = console("primary_down")
    async with live(app, size=(80, 24)) as pilot:
        await pilot.press("W")
        await pilot.pause()
        assert isinstance(app.screen, AskDialog)
        await pilot.press("enter")
        await pilot.pause()
        assert asked(bridge) == []
        await pilot.press("W", "right", "enter")
        await pilot.pause()
        assert asked(bridge) == [SetAccess("rw")]


async def test_f_freezes_the_picture_and_not_the_core() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("f")
        bridge.show(replace(snapshots.scene("damaged").snapshot, seq=9))
        await settle(app, pilot)
        text = screen_text(app)
        assert "frozen" in text.splitlines()[0]
        assert "DAMAGED" in text
        assert "✓ clean" in text
        await pilot.press("f")
        await settle(app, pilot)
        assert "✗ corrupt" in screen_text(app)


async def test_plus_and_minus_change_the_pace_of_the_panels() -> None:
    app, _ = console()
    async with live(app) as pilot:
        await pilot.press("minus", "minus")
        assert app.ui.refresh_s == 2.0
        await pilot.press("plus", "plus", "plus", "plus")
        assert app.ui.refresh_s == 0.25


async def test_panels_keep_their_pace_and_another_verdict_is_drawn_with_them() -> None:
    """Beside a new verdict the panels of the moment before would contradict it."""
    clock = FakeClock(0.0)
    app, bridge = console("in_sync", clock=clock)
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("minus", "minus", "minus")
        good = snapshots.scene("in_sync").snapshot
        slower = replace(good, seq=8, primary=replace(good.primary, ping_ms=777.0))
        bridge.show(slower)
        clock.move(0.5)
        await settle(app, pilot)
        assert "777" not in screen_text(app)
        bridge.show(replace(snapshots.scene("damaged").snapshot, seq=9))
        clock.move(0.5)
        await settle(app, pilot)
        text = screen_text(app)
        assert "DAMAGED" in text
        assert "✓ clean" not in text


# ----------------------------------------------------------------------------------- help, log, lists


@pytest.mark.parametrize("key", ["question_mark", "f1"])
async def test_help_is_of_the_screen_and_searchable(key: str) -> None:
    app, _ = console("primary_down")
    async with live(app, size=(100, 40)) as pilot:
        await pilot.press("3", key)
        await pilot.pause()
        assert isinstance(app.screen, HelpDialog)
        assert "scan all embeddings again" in screen_text(app)
        await pilot.press("slash", *"quarantine")
        await pilot.pause()
        text = screen_text(app)
        assert "rejected rows" in text
        assert "scan all embeddings again" not in text
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert not isinstance(app.screen, HelpDialog)


async def test_the_log_shows_all_lines_and_levels() -> None:
    app, bridge = console("running")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("L")
        bridge.post(LogLine(snapshots.NOW, "fail", "cache", "a new failure"))
        await settle(app, pilot)
        assert isinstance(app.screen, LogDialog)
        assert "a new failure" in screen_text(app)
        await pilot.press("l", "l")
        await pilot.pause()
        assert "batch 3 of 7" not in "\n".join(screen_text(app).splitlines()[:25])
        await pilot.press("escape")
        assert not isinstance(app.screen, LogDialog)


async def test_l_filters_activity_by_level() -> None:
    app, _ = console("running")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("l")
        await pilot.pause()
        text = screen_text(app)
        assert "warnings and failures" in text
        assert "batch 3 of 7" not in text.split("Activity")[1]
        await pilot.press("l", "l")
        await pilot.pause()
        assert "batch 3 of 7: 100 rows" in screen_text(app)


async def test_validation_walks_the_checks() -> None:
    app, _ = console("running")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("2", "j")
        await pilot.pause()
        text = screen_text(app)
        assert "latest episodes" in text
        assert "212 of the 1,000 newest episodes are not" in text
        assert "7f3a91c2…4d18" in text
        assert "difference -212" in text


async def test_history_shows_a_run() -> None:
    app, _ = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("4", "j", "j", "j")
        await pilot.pause()
        text = screen_text(app)
        assert "s-4117 · sync" in text
        assert "nothing: a later run proved the cache" in text


async def test_config_shows_origin_and_meaning_and_no_secret() -> None:
    app, _ = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("5", "j", "j", "j")
        await pilot.pause()
        text = screen_text(app)
        assert "Where the token comes from; it is never shown." in text
        assert "env TURSO_AUTH_TOKEN" in text


# --------------------------------------------------------------------------------------------- leaving


async def test_quit_may_wait_for_the_run() -> None:
    app, bridge = console("running")
    async with live(app) as pilot:
        await pilot.press("q", "right", "enter")
        await settle(app, pilot)
        assert app.is_running
        bridge.post(RunEnded("s-4121", Outcome("sync", Word.IN_SYNC, 0)))
        await settle(app, pilot)
    assert app.return_value == 0


# ------------------------------------------------------------------------------- sizes, events, keymap


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (140, 45)])
async def test_the_four_panels_are_there_at_every_size(size: tuple[int, int]) -> None:
    app, _ = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.resize_terminal(*size)
        await pilot.pause()
        text = screen_text(app)
        for title in ("Turso · primary", "redb · cache", "Freshness", "Validation", "Sync", "Activity"):
            assert f"─ {title} ─" in text
        assert all(len(line) <= size[0] for line in text.splitlines())
        log = app.screen.query_one("#log", VirtualTable)
        assert log.region.bottom == size[1] - 1


async def test_a_tiny_terminal_keeps_the_verdict() -> None:
    app, _ = console("in_sync")
    async with live(app, size=(50, 12)) as pilot:
        await pilot.pause()
        text = screen_text(app)
        assert "IN SYNC" in text
        assert "14:32:07Z" in text
        assert "Freshness" not in text


async def test_a_failed_run_says_so() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        error = ErrorValue("guard", "would remove [red]everything", "look", False, 9)
        bridge.post(RunEnded("s-1", Outcome("sync", Word.REFUSED, 9, error=error)))
        await settle(app, pilot)
        assert "[red]everything" in screen_text(app)
        bridge.post(RunEnded("s-2", Outcome("sync", Word.REFUSED, 9, error=error)))
        await settle(app, pilot)
        assert screen_text(app).count("Sync was stopped: would remove [red]everything") == 1
        damaged = ErrorValue("cache_damaged", f"damaged: {'long ' * 40}(redb-4/src/a.rs:1)", "", False, 5)
        bridge.post(RunEnded("s-3", Outcome("repair", Word.UNKNOWN, 5, error=damaged)))
        await settle(app, pilot)
        (_, toast) = app.screen.query(Toast)
        assert str(toast.render()).startswith("Repair failed: damaged: long")
        assert toast.region.height <= 2
        assert toast.region.bottom <= app.size.height - 1
        assert ".rs" not in screen_text(app)


@pytest.mark.parametrize(("command", "said"), [("sync", "Sync waits: "), ("repair", "Repair was not done: ")])
async def test_a_lock_is_no_failure(command: str, said: str) -> None:
    """The line below the verdict says that there is nothing to do."""
    app, bridge = console("locked")
    async with live(app, size=(100, 30), notifications=True) as pilot:
        held = ErrorValue("cache_locked", "cache.redb is in use by python (pid 7)", "wait", True, 6)
        bridge.post(RunEnded("s-1", Outcome(command, Word.STALE, 6, error=held)))
        await settle(app, pilot)
        (toast,) = app.screen.query(Toast)
        assert str(toast.render()) == f"{said}cache.redb is in use by python (pid 7)"
        assert toast.has_class("-information")


async def test_a_failure_is_told_once_a_change_of_state_and_not_over_the_plan_that_says_it() -> None:
    app, bridge = console("in_sync")

    async def ended(run_id: str, outcome: Outcome) -> str:
        app.clear_notifications()
        bridge.post(RunEnded(run_id, outcome))
        await settle(app, pilot)
        return screen_text(app)

    def refused(message: str) -> Outcome:
        return Outcome("sync", Word.REFUSED, 9, error=ErrorValue("guard", message, "look", False, 9))

    async with live(app, size=(100, 30), notifications=True) as pilot:
        assert "Sync was stopped" in await ended("s-1", refused("the primary lost 568 of 2,880"))
        assert "Sync was stopped" not in await ended("s-2", refused("the primary lost 568 of 2,884"))
        await ended("s-3", Outcome("verify", Word.STALE, 1))
        assert "Sync was stopped" not in await ended("s-4", refused("the primary lost 569 of 2,889"))
        assert "Sync was stopped" in await ended("s-5", refused("this cache was built from another primary"))
        await ended("s-6", Outcome("sync", Word.IN_SYNC, 0))
        await pilot.press("s")
        await settle(app, pilot)
        assert isinstance(app.screen, PlanDialog)
        assert "Sync was stopped" not in await ended("s-7", refused("the primary lost 568 of 2,880"))
        await pilot.press("escape")
        await settle(app, pilot)
        assert "Sync was stopped" not in await ended("s-8", refused("the primary lost 570 of 2,880"))
        await ended("s-9", Outcome("sync", Word.IN_SYNC, 0))
        assert "Sync was stopped" in await ended("s-10", refused("the primary lost 568 of 2,880"))


async def test_no_check_of_a_damaged_file_is_green() -> None:
    """The file went back in time: what passed, and the rows behind, were of the one before."""
    good = snapshots.scene("in_sync").snapshot
    states = (CacheState.CLEAN, CacheState.ROLLED_BACK)
    app, _ = console(scene_of("in_sync", verdict=Word.DAMAGED, cache=replace(good.cache, states=states)))
    async with live(app, size=(120, 40)) as pilot:
        await pilot.pause()
        text = screen_text(app)
        assert "DAMAGED" in text
        assert "✓ content digests" not in text
        assert "? content digests" in text
        assert "? last commit g-" in text
        assert "? unknown since" in text


async def test_a_keymap_of_the_config_moves_a_key() -> None:
    app, bridge = console("stale", keymap={"validate": "f5"})
    async with live(app) as pilot:
        await pilot.press("v")
        assert asked(bridge) == []
        await pilot.press("f5")
        assert asked(bridge) == [Do(Verify())]


async def test_the_core_starts_after_the_first_paint() -> None:
    app, bridge = console()
    assert not bridge.started
    async with live(app) as pilot:
        await pilot.pause()
        assert bridge.started


async def test_a_console_without_a_snapshot_says_that_it_starts() -> None:
    bridge = ScriptedBridge()
    app = Console(bridge, console()[0].ui, clock=FakeClock(0).clock, environment={})
    async with live(app, size=(80, 24)) as pilot:
        await pilot.pause()
        assert "The sync core is starting" in screen_text(app)


async def test_equal_parts_repaint_nothing() -> None:
    app, _ = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.pause()
        painted: list[str | None] = []

        def count(panel: Panel) -> None:
            paint = panel.painted

            def painting(width: int, height: int) -> list[Line]:
                painted.append(panel.id)
                return paint(width, height)

            panel.painted = painting  # type: ignore[method-assign]

        for panel in app.screen.query(Panel):
            count(panel)
        for _ in range(5):
            await settle(app, pilot)
        assert painted == []


def test_scenes_are_equal_by_value() -> None:
    assert snapshots.scene("running") == snapshots.scene("running")
    assert isinstance(snapshots.scene("running").snapshot, Snapshot)


async def test_a_panel_in_trouble_stands_first_without_a_gap_before_it_and_goes_back_when_it_is_calm() -> None:
    well, bad = snapshots.scene("in_sync").snapshot, snapshots.scene("damaged").snapshot
    good = replace(well, primary=replace(well.primary, next_at=snapshots.NOW + 60))
    clock = FakeClock(snapshots.scene("in_sync").beat_age)
    app, bridge = console("in_sync", clock=clock)
    async with live(app, size=(120, 40)) as pilot:
        for shown, first, later_s in (
            (bad, "cache", 0),
            (good, "cache", 0),
            (good, "primary", CALM_S),
            (bad, "cache", 0),
        ):
            clock.wall += later_s
            bridge.show(shown)
            await settle(app, pilot)
            app.paint(panels=True)
            await pilot.pause()
            panels = app.screen.query_one("#stores").children
            assert panels[0].id == first
            assert panels[0].region.x == 0
            assert panels[1].region.x - panels[0].region.right == 2
            assert panels[0].region.width == panels[1].region.width
