"""Config: edited with a check, previewed, written; the keys, and a file that is broken."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Button

from console.app.app import Console
from console.dialogs.ask import AskDialog
from console.screens.settings import ConfigScreen
from console.views.ui_settings import UiSettings, ui_in_effect
from storage_sync.service.commands import ExportRows, PreviewSettings, Reload, TryPrimary, WriteSettings
from storage_sync.values.answers import PrimaryTried, SettingEdit, SettingsPreview
from storage_sync.values.events import Answer, ConfigChanged, Refused
from storage_sync.values.snapshot import ConfigView, Setting
from tests.console.app import asked, console, live, screen_text, settle
from tests.console.rooms import answer_all
from tests.support.scenes import snapshots
from tests.support.scenes.snapshots import Scene
from tests.support.scripted_bridge import ScriptedBridge

NASTY = "[/b][red]x 名前 \x1b[31m\u202eabc"
SIZES = [(80, 24), (100, 30), (140, 45)]
ROWS = (
    Setting("batch_size", "100", "default", "next sync", "Rows of one batch."),
    Setting("interval_s", "600", "file, line 14", "now", "Time between two scheduled syncs."),
    Setting("primary.token", "set, hidden", "env TURSO_AUTH_TOKEN", "restart", "Never shown."),
    Setting("notify.url", "https://hooks.example.com/…", "file, line 20", "now", "URL."),
    Setting("ui.theme", "calm-dark", "default", "now", "Colours."),
    Setting("ui.keymap", "none", "default", "restart", "Other keys."),
    Setting("metrics_file", "not set", "default", "next sync", "Text file."),
)


def scene_with(**changes: object) -> Scene:
    scene = snapshots.scene("in_sync")
    view = replace(ConfigView(ROWS, "/etc/storage-sync.toml", snapshots.NOW - 60), **changes)
    return replace(scene, snapshot=replace(scene.snapshot, config=view))


async def opened(app: Console, pilot: Pilot[int], *keys: str) -> ConfigScreen:
    await pilot.press("5", *keys)
    await settle(app, pilot)
    assert isinstance(app.screen, ConfigScreen)
    return app.screen


async def typed(pilot: Pilot[int], screen: ConfigScreen, text: str) -> None:
    screen.entry.value = ""
    await pilot.press(*text, "enter")


def kinds(bridge: ScriptedBridge) -> list[type[object]]:
    return [one.kind for one in bridge.asked]


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_in_effect_and_what_the_file_says_stand_beside_each_other(size: tuple[int, int]) -> None:
    waiting = Setting(
        "cache.path", "/var/a.redb", "file, line 2", "restart", "Path.", waiting="/b.redb", waits_from="file, line 3"
    )
    app, _ = console(scene_with(settings=(waiting, *ROWS)))
    async with live(app, size=size) as pilot:
        screen = await opened(app, pilot)
        text = screen_text(app)
        assert "Configuration · 1 needs a restart" in text
        assert "now /b.redb" in text
        assert size[1] < 30 or "takes effect after a restart" in text
        rows = text.splitlines()
        assert any("in effect" in row and "/var/a.redb" in row and "line 2" in row for row in rows)
        assert any("edited to" in row and "/b.redb" in row and "start again" in row for row in rows)
        await pilot.press("enter")
        await settle(app, pilot)
        assert screen.entry.value == "/b.redb", "the file is edited, not what is in effect"


@pytest.mark.parametrize("size", SIZES)
async def test_enter_edits_and_bksp_takes_it_back(size: tuple[int, int]) -> None:
    app, bridge = console(scene_with())
    async with live(app, size=size, notifications=True) as pilot:
        screen = await opened(app, pilot, "enter")
        assert screen.entry.has_focus
        assert screen.entry.value == "100"
        await typed(pilot, screen, "75")
        await settle(app, pilot)
        text = screen_text(app)
        assert "1 unsaved" in text
        assert "unsaved (was 100)" in text
        assert screen.table.has_focus
        await pilot.press("backspace")
        await settle(app, pilot)
        assert "unsaved" not in screen_text(app)
        await pilot.press("backspace")
        await settle(app, pilot)
        assert "was not edited" in screen_text(app)
        assert kinds(bridge) == []


@pytest.mark.parametrize(
    ("text", "said"), [("0", "an integer from 1 to 100000"), ("many", "an integer"), ("1.5", "integer")]
)
async def test_what_does_not_fit_is_not_taken(text: str, said: str) -> None:
    app, _ = console(scene_with())
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, pilot, "enter")
        await typed(pilot, screen, text)
        await settle(app, pilot)
        assert screen.entry.has_focus
        assert "not taken" in screen_text(app)
        assert said in screen_text(app)
        await pilot.press("escape")
        await settle(app, pilot)
        assert "not taken" not in screen_text(app)
        assert "unsaved" not in screen_text(app)


async def test_the_same_value_is_no_edit() -> None:
    app, _ = console(scene_with())
    async with live(app) as pilot:
        screen = await opened(app, pilot, "enter")
        await typed(pilot, screen, "100")
        await settle(app, pilot)
        assert "unsaved" not in screen_text(app)


@pytest.mark.parametrize(("row", "said"), [(2, "never stored here"), (5, "edit the file")])
async def test_what_cannot_be_edited_says_why(row: int, said: str) -> None:
    app, _ = console(scene_with())
    async with live(app, size=(100, 30), notifications=True) as pilot:
        screen = await opened(app, pilot, *["j"] * row, "enter")
        assert not screen.entry.display
        assert said in screen_text(app)


async def test_the_url_of_a_notice_is_typed_anew_and_never_shown() -> None:
    app, bridge = console(scene_with())
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, pilot, "j", "j", "j", "enter")
        assert screen.entry.value == ""
        screen.entry.value = "https://hooks.example.com/T0PSECRET"
        await pilot.press("enter")
        await settle(app, pilot)
        assert "T0PSECRET" not in screen_text(app)
        assert "changed, hidden" in screen_text(app)
        await pilot.press("w")
        preview = asked(bridge)[-1]
        assert isinstance(preview, PreviewSettings)
        assert preview.edits == (SettingEdit("notify.url", "https://hooks.example.com/T0PSECRET"),)


async def test_w_shows_the_diff_and_writes_only_after_yes() -> None:
    app, bridge = console(scene_with())
    async with live(app, size=(100, 30), notifications=True) as pilot:
        screen = await opened(app, pilot, "w")
        assert "nothing was edited" in screen_text(app)
        await pilot.press("enter")
        await typed(pilot, screen, "75")
        await pilot.press("w")
        answer_all(bridge)
        await settle(app, pilot)
        assert isinstance(app.screen, AskDialog)
        assert "+batch_size = 75" in screen_text(app)
        assert isinstance(app.focused, Button)
        assert app.focused.id == "cancel"
        await pilot.press("enter")
        await settle(app, pilot)
        assert kinds(bridge) == [PreviewSettings]
        assert "1 unsaved" in screen_text(app)

        await pilot.press("w")
        answer_all(bridge, 1)
        await settle(app, pilot)
        await pilot.press("right", "enter")
        await settle(app, pilot)
        assert asked(bridge)[-1] == WriteSettings((SettingEdit("batch_size", "75"),), "9f3a")
        answer_all(bridge, 2)
        await settle(app, pilot)
        assert kinds(bridge)[-1] is Reload
        assert "unsaved" not in screen_text(app)


async def test_a_refused_write_keeps_the_edit() -> None:
    app, bridge = console(scene_with())
    async with live(app, size=(100, 30), notifications=True) as pilot:
        screen = await opened(app, pilot, "enter")
        await typed(pilot, screen, "75")
        await pilot.press("w")
        answer_all(bridge)
        await settle(app, pilot)
        await pilot.press("right", "enter")
        await settle(app, pilot)
        bridge.post(Refused(bridge.asked[-1].id, "the file has changed meanwhile", "look again"))
        await settle(app, pilot)
        assert "changed meanwhile" in screen_text(app)
        assert "1 unsaved" in screen_text(app)


async def test_an_empty_text_takes_a_setting_out_of_the_file() -> None:
    app, bridge = console(scene_with())
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, pilot, "j", "enter")
        screen.entry.value = ""
        await pilot.press("enter", "w")
        preview = asked(bridge)[-1]
        assert isinstance(preview, PreviewSettings)
        assert preview.edits == (SettingEdit("interval_s", None),)
        await settle(app, pilot)
        assert "removed from the file" in screen_text(app)


async def test_c_tests_the_connection_with_unsaved_edits() -> None:
    app, bridge = console(scene_with())
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await opened(app, pilot, "c")
        assert kinds(bridge) == [TryPrimary]
        assert "asking the primary" in screen_text(app)
        tried = PrimaryTried("libsql://memory-prod.turso.io", 44.0, NASTY, "sha3", "0.1.47", "env")
        bridge.post(Answer(bridge.asked[-1].id, tried))
        await settle(app, pilot)
        assert "answers in 44 ms" in screen_text(app)
        await pilot.press("c")
        bridge.post(Refused(bridge.asked[-1].id, "401 Unauthorized", "check the token"))
        await settle(app, pilot)
        assert "no: 401 Unauthorized" in screen_text(app)


@pytest.mark.parametrize(("text", "number"), [("key:ui", 2), ("from:env", 1), ("!default", 3), ("applies:now", 3)])
async def test_slash_filters_and_escape_clears(text: str, number: int) -> None:
    app, _ = console(scene_with())
    async with live(app, size=(100, 30)) as pilot:
        screen = await opened(app, pilot, "slash", *text)
        await settle(app, pilot)
        assert screen.table.rows == number
        await pilot.press("escape")
        await settle(app, pilot)
        assert screen.table.rows == len(ROWS)


async def test_y_copies_and_e_exports() -> None:
    app, bridge = console(scene_with())
    async with live(app) as pilot:
        await opened(app, pilot, "y", "e")
        assert app.clipboard == "batch_size = 100"
        export = asked(bridge)[-1]
        assert isinstance(export, ExportRows)
        assert (export.name, len(export.rows)) == ("settings", len(ROWS))


async def test_a_broken_file_is_said_with_its_line() -> None:
    app, _ = console(scene_with(error="/etc/storage-sync.toml, line 4: is not TOML [/b]"))
    async with live(app, size=(100, 30)) as pilot:
        await opened(app, pilot)
        text = screen_text(app)
        assert "line 4: is not TOML [/b]" in text
        assert "the settings that were in effect stay" in text
        assert "batch_size" in text


async def test_a_change_outside_is_shown_and_applied() -> None:
    app, bridge = console(scene_with())
    async with live(app, size=(100, 30), notifications=True) as pilot:
        await opened(app, pilot)
        rows = (
            *ROWS[:4],
            replace(ROWS[4], value="calm-cvd", origin="file, line 30"),
            Setting("ui.refresh", "2", "", ""),
        )
        fresh = scene_with(settings=rows).snapshot
        bridge.show(replace(fresh, seq=2))
        bridge.post(ConfigChanged(("ui",)))
        await settle(app, pilot)
        app.paint(panels=True)
        assert app.theme == "calm-cvd"
        assert app.ui.refresh_s == 2.0
        assert "configuration changed" in screen_text(app)


def test_values_that_make_no_sense_leave_the_screen_as_it_is() -> None:
    view = ConfigView((Setting("ui.refresh", NASTY, "", ""), Setting("ui.theme", NASTY, "", "")))
    assert ui_in_effect(UiSettings(refresh_s=2.0), view) == UiSettings(refresh_s=2.0)


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_values_are_shown_as_they_are(size: tuple[int, int]) -> None:
    rows = (Setting(NASTY, NASTY, NASTY, NASTY, NASTY), replace(ROWS[0], origin=NASTY))
    app, bridge = console(scene_with(settings=rows, file=NASTY, error=NASTY))
    async with live(app, size=size, notifications=True) as pilot:
        screen = await opened(app, pilot, "enter", "j", "enter")
        assert screen.entry.display
        await typed(pilot, screen, "75")
        await pilot.press("w")
        await pilot.pause()
        bridge.post(Answer(bridge.asked[-1].id, SettingsPreview(NASTY, (f"+{NASTY}", "-x") * 20, "b", (NASTY,))))
        await settle(app, pilot)
        assert isinstance(app.screen, AskDialog)
        text = screen_text(app)
        assert "[/b][red]x" in text
        assert "\x1b" not in text
