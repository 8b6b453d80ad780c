"""The first start without a configuration: the form, its tests, saving, the demo; every refusal."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Button

from console.app.app import Console
from console.app.ends import SET_UP
from console.dialogs.setup import KEPT, SetupDialog
from console.flows.first_run import Setup
from console.launch.start import make_bridge
from console.link.bridge import ThreadBridge
from storage_sync.config.load import load_settings
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.service.commands import MakePlan, SaveSettings, TrySettings
from storage_sync.service.operations import Sync
from storage_sync.service.setup import Surroundings, save_form, try_form
from storage_sync.values.answers import SetupFinding, SetupForm, SetupSaved, SetupTried
from storage_sync.values.errors import ConfigError, LocalIO, UsageError
from storage_sync.values.events import Answer, Refused
from tests.console.app import FakeClock, asked, console, live, screen_text, settle
from tests.support import stores
from tests.support.scenes.snapshots import scene
from tests.support.scripted_bridge import ScriptedBridge
from widgets.glyphs import ASCII, UNICODE, GlyphSet

HOSTILE = "[/b][red]x 名前 \x1b[31m"
SECRET = "s3cr3t-token-of-a-test"
FORM = SetupForm("libsql://memory.turso.io", "TURSO_AUTH_TOKEN", "", "/var/lib/cache.redb", "prod-eu")


def unconfigured(
    form: SetupForm = FORM, glyphs: GlyphSet = UNICODE, theme: str = "calm-dark"
) -> tuple[Console, ScriptedBridge]:
    none = scene("no_config")
    bridge = ScriptedBridge([none.snapshot])
    ui = console(theme=theme)[0].ui
    app = Console(
        bridge, ui, clock=FakeClock(0.4).clock, glyphs=glyphs, environment={}, setup=Setup(form, f"/home/me/{HOSTILE}")
    )
    return app, bridge


def tried(*findings: SetupFinding, form: SetupForm = FORM) -> SetupTried:
    return SetupTried(form, findings)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("size", [(80, 24), (100, 30), (140, 45)])
async def test_entries_are_tried_before_they_are_saved(size: tuple[int, int], glyphs: GlyphSet) -> None:
    app, bridge = unconfigured(glyphs=glyphs)
    async with live(app, size=size) as pilot:
        assert isinstance(app.screen, SetupDialog)
        save = app.screen.query_one("#save", Button)
        assert save.disabled
        await pilot.press("ctrl+s")
        assert asked(bridge) == []
        await pilot.press("enter")
        assert asked(bridge) == [TrySettings(FORM)]
        assert "testing" in screen_text(app)
        ok, bad = SetupFinding("primary", "ok", f"answers {HOSTILE}"), SetupFinding("cache", "off", "held by pid 1")
        bridge.post(Answer(bridge.asked[-1].id, tried(ok, bad)))
        await settle(app, pilot)
        text = screen_text(app)
        assert "testing" not in text
        assert "[/b][red]x" in text
        assert "held by pid 1" in text
        assert "mode 0600" in text
        assert all(len(line) <= size[0] for line in text.splitlines())
        if glyphs.is_ascii:
            assert text.isascii()
        assert app.focused is not None
        assert app.focused.id == "save"
        await pilot.press("enter")
        assert asked(bridge)[-1] == SaveSettings(FORM)
        bridge.post(Answer(bridge.asked[-1].id, SetupSaved("/home/me/config.toml")))
        await settle(app, pilot)
    assert app.return_value == SET_UP


async def test_what_is_expected_goes_with_the_choice_and_no_choice_is_cut() -> None:
    """Also where nothing is typed yet, and before any test."""
    app, _ = unconfigured(replace(FORM, token_env=""))
    async with live(app, size=(80, 24)) as pilot:
        assert "read-only (W switches later)" in screen_text(app)
        assert "read-only (W switches later) …" not in screen_text(app)
        assert "name of the variable that holds it" in screen_text(app)
        await pilot.press("tab", "tab", "right")
        await settle(app, pilot)
        assert "path of a file that holds it" in screen_text(app)
        await pilot.press("left")
        await settle(app, pilot)
        assert "name of the variable that holds it" in screen_text(app)


@asynccontextmanager
async def shown_as_fine(app: Console, bridge: ScriptedBridge) -> AsyncIterator[Pilot[int]]:
    """The form after a test in which nothing failed."""
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("enter")
        bridge.post(Answer(bridge.asked[-1].id, tried()))
        await settle(app, pilot)
        yield pilot


async def test_another_entry_needs_another_test() -> None:
    app, bridge = unconfigured()
    async with shown_as_fine(app, bridge) as pilot:
        dialog = app.screen
        assert isinstance(dialog, SetupDialog)
        assert not dialog.query_one("#save", Button).disabled
        dialog.inputs["cache"].focus()
        await pilot.press("x")
        await pilot.pause()
        assert dialog.query_one("#save", Button).disabled
        assert dialog.form.cache == "/var/lib/cache.redbx"
        await pilot.press("enter")
        bridge.post(Answer(bridge.asked[-1].id, tried()))
        await settle(app, pilot)
        assert dialog.query_one("#save", Button).disabled, "that was the test of what was typed before"


async def test_what_failed_can_be_saved_anyway_and_says_so() -> None:
    app, bridge = unconfigured()
    async with live(app, size=(100, 30)) as pilot:
        await pilot.click("#test")
        bridge.post(Answer(bridge.asked[-1].id, tried(SetupFinding("primary", "failed", "does not answer"))))
        await settle(app, pilot)
        assert "✗ does not answer" in screen_text(app)
        assert "Save anyway" in screen_text(app)
        assert app.focused is not None
        assert app.focused.id == "primary"


async def test_what_no_file_can_hold_cannot_be_saved() -> None:
    app, bridge = unconfigured()
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("enter")
        wrong = replace(tried(SetupFinding("primary", "failed", "libsq:// is not understood")), savable=False)
        bridge.post(Answer(bridge.asked[-1].id, wrong))
        await settle(app, pilot)
        asked = len(bridge.asked)
        assert app.screen.query_one("#save", Button).disabled
        assert "Save anyway" not in screen_text(app)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert len(bridge.asked) == asked


async def test_a_refused_saving_is_shown_and_nothing_starts() -> None:
    app, bridge = unconfigured()
    async with shown_as_fine(app, bridge) as pilot:
        await pilot.press("ctrl+s")
        bridge.post(Refused(bridge.asked[-1].id, f"no room {HOSTILE}", "give another place"))
        await settle(app, pilot)
        assert "no room [/b][red]x" in screen_text(app)
        assert app.is_running


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (160, 50)])
async def test_each_reason_stands_beside_its_field_and_the_first_wrong_one_has_the_focus(size: tuple[int, int]) -> None:
    app, bridge = unconfigured()
    async with live(app, size=size) as pilot:
        assert "libsql://host" in screen_text(app), "what is expected is said before"
        await pilot.press("enter")
        found = (
            SetupFinding("primary", "ok", "answers in 4 ms"),
            SetupFinding("token", "failed", "the variable is not set"),
            SetupFinding("cache", "failed", "it is a directory"),
        )
        bridge.post(Answer(bridge.asked[-1].id, tried(*found)))
        await settle(app, pilot)
        rows = screen_text(app).splitlines()
        places = [next(i for i, row in enumerate(rows) if text in row) for text in (
            "libsql://memory.turso.io", "✓ answers in 4 ms", "TURSO_AUTH_TOKEN", "✗ the variable is not set",
            "/var/lib/cache.redb", "✗ it is a directory", "prod-eu  ",
        )]  # fmt: skip
        assert places == sorted(places)
        assert places[1] == places[0] + 1
        assert places[5] == places[4] + 1
        assert app.focused is not None
        assert app.focused.id == "token"
        dialog = app.screen
        assert isinstance(dialog, SetupDialog)
        assert dialog.form == FORM, "what was typed stays"


async def test_what_cannot_be_saved_is_said_beside_its_field() -> None:
    app, bridge = unconfigured()
    async with shown_as_fine(app, bridge) as pilot:
        await pilot.press("ctrl+s")
        bridge.post(Answer(bridge.asked[-1].id, tried(SetupFinding("token", "failed", "it cannot be read"))))
        await settle(app, pilot)
        assert "✗ it cannot be read" in screen_text(app)
        assert app.focused is not None
        assert app.focused.id == "token"
        assert app.is_running


async def test_a_configuration_that_is_there_is_said_to_stay() -> None:
    app, _ = unconfigured()
    assert app.first_run is not None
    app.first_run._setup = replace(app.first_run._setup, there=True)
    async with live(app, size=(100, 30)):
        assert KEPT in screen_text(app)
        assert "mode 0600" not in screen_text(app)


async def test_token_and_access_are_chosen() -> None:
    app, _ = unconfigured()
    async with live(app, size=(100, 30)) as pilot:
        dialog = app.screen
        assert isinstance(dialog, SetupDialog)
        dialog.source.focus()
        await pilot.press("right")
        dialog.access.focus()
        await pilot.press("space")
        assert dialog.form.token_file == "TURSO_AUTH_TOKEN"
        assert dialog.form.token_env == ""
        assert dialog.form.look_only


async def test_a_closed_form_is_opened_again_with_what_was_typed() -> None:
    app, bridge = unconfigured()
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("z", "escape")
        await settle(app, pilot)
        assert not isinstance(app.screen, SetupDialog)
        assert "s sets it up" in screen_text(app)
        await pilot.press("s")
        await settle(app, pilot)
        dialog = app.screen
        assert isinstance(dialog, SetupDialog)
        assert dialog.form.primary == "libsql://memory.turso.ioz"
        assert asked(bridge) == []


# ------------------------------------------------------------------------------------ what it asks for


def surroundings(folder: Path, **environment: str) -> Surroundings:
    return Surroundings(folder / "config" / "config.toml", environment)


def roles(found: SetupTried) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for finding in found.findings:
        told.setdefault(finding.entry, []).append(finding.role)
    return told


async def test_real_stores_are_tried(tmp_path: Path) -> None:
    primary = stores.primary("small", tmp_path)
    form = SetupForm(f"file:{primary}", cache=str(stores.cache("small", tmp_path / "cache")))
    found = await try_form(form, surroundings(tmp_path))
    assert roles(found) == {"primary": ["ok", "ok", "ok"], "cache": ["ok"]}
    assert found.usable
    assert found.form == form


@pytest.mark.parametrize(
    ("changes", "entry", "said"),
    [
        ({"primary": ""}, "primary", "no URL"),
        ({"primary": "ftp://x"}, "primary", "ftp"),
        ({"primary": "file:/nowhere/at.db"}, "primary", "nowhere"),
        ({"primary": "http://127.0.0.1:9"}, "primary", ""),
        ({"primary": "http://127.0.0.1:9", "token_env": "NOT_SET_HERE"}, "token", "NOT_SET_HERE"),
        ({"primary": "http://127.0.0.1:9", "token_file": "/nowhere/token"}, "token", "/nowhere/token"),
        ({"cache": ""}, "cache", "no path"),
        ({"cache": "/nowhere/cache.redb"}, "cache", "/nowhere"),
        ({"cache": "/etc/hostname"}, "cache", ""),
        ({"cache": "/"}, "cache", "directory"),
        ({"primary": "", "cache": ""}, "cache", "no path"),
        ({"primary": "https://x.test?authToken=" + SECRET}, "primary", "not into the URL"),
        ({"primary": "http://127.0.0.1:9", "token_env": "eyJ" + SECRET + ".x"}, "token", "not the name of a variable"),
    ],
)
async def test_what_is_wrong_is_a_finding(tmp_path: Path, changes: dict[str, str], entry: str, said: str) -> None:
    good = SetupForm(primary=f"file:{stores.primary('small', tmp_path)}", cache=f"{tmp_path}/c")
    form = replace(good, **changes)
    found = await try_form(form, surroundings(tmp_path, TOKEN=SECRET))
    failed = [finding for finding in found.findings if finding.role == "failed"]
    assert entry in {finding.entry for finding in failed}, found
    assert any(said in finding.text for finding in failed)
    assert not found.usable
    assert SECRET not in repr(found.findings)
    said = " ".join(finding.text for finding in found.findings)
    assert "--" not in said, "a form has no options"
    assert "storage-sync" not in said


async def test_each_entry_is_judged_and_what_is_not_understood_cannot_be_saved(tmp_path: Path) -> None:
    good = SetupForm(primary=f"file:{stores.primary('small', tmp_path)}", cache=f"{tmp_path}/c")
    for form, failed, savable in (
        (replace(good, primary="libsq://x", cache=""), {"primary", "cache"}, False),
        (replace(good, primary="libsq://x"), {"primary"}, False),
        (replace(good, cache=""), {"cache"}, False),
        (replace(good, primary="file:/nowhere/at.db"), {"primary"}, True),
    ):
        found = await try_form(form, surroundings(tmp_path))
        assert {finding.entry for finding in found.findings if finding.role == "failed"} == failed
        assert found.savable is savable
        saving = pytest.raises((ConfigError, UsageError)) if not savable else nullcontext()
        with saving:
            save_form(form, surroundings(tmp_path))


async def test_a_place_that_cannot_be_written_is_found_by_the_test(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    form = SetupForm(f"file:{stores.primary('small', tmp_path)}", cache=f"{tmp_path}/c")
    for place in (tmp_path, tmp_path / "file" / "config.toml"):
        found = await try_form(form, Surroundings(place, {}))
        assert roles(found)["file"] == ["failed"]
        assert not found.usable
    assert "file" not in roles(await try_form(form, surroundings(tmp_path)))


def test_a_relative_path_is_one_of_the_folder_in_which_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Surroundings(tmp_path / "elsewhere" / "config.toml", {})
    save_form(SetupForm("file:memory.db", cache="c.redb"), place)
    settings = load_settings(place.file, None, {}, {}).settings
    assert (settings.primary, settings.cache) == (f"file:{tmp_path}/memory.db", tmp_path / "c.redb")


async def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    cache = stores.cache("small", tmp_path / "cache")
    cache.write_bytes(cache.read_bytes()[:9000])
    form = SetupForm(f"file:{stores.primary('small', tmp_path)}", cache=str(cache))
    assert roles(await try_form(form, surroundings(tmp_path)))["cache"] == ["failed"]


@pytest.mark.parametrize("profile", ["default", "prod-eu", HOSTILE])
def test_saved_settings_are_those_of_the_form(tmp_path: Path, profile: str) -> None:
    place = surroundings(tmp_path, TURSO_AUTH_TOKEN=SECRET)
    form = SetupForm("https://x.test", "TURSO_AUTH_TOKEN", "", str(tmp_path / "c.redb"), profile, look_only=True)
    assert save_form(form, place) == SetupSaved(str(place.file))
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    assert SECRET not in place.file.read_text()
    settings = load_settings(place.file, None, {}, {}).settings
    assert (settings.primary, settings.cache) == ("https://x.test", tmp_path / "c.redb")
    assert (settings.token_env, settings.access, settings.profile) == ("TURSO_AUTH_TOKEN", "read-only", profile.strip())


def test_a_file_that_is_there_keeps_what_the_form_does_not_name(tmp_path: Path) -> None:
    place = surroundings(tmp_path)
    place.file.parent.mkdir()
    place.file.write_text("# mine\ninterval_s = 60\n")
    save_form(SetupForm("https://x.test", cache=str(tmp_path / "c")), place)
    text = place.file.read_text()
    assert "# mine" in text
    assert load_settings(place.file, None, {}, {}).settings.interval_s == 60


def test_what_does_not_fit_is_not_saved(tmp_path: Path) -> None:
    place = surroundings(tmp_path)
    for form in (
        SetupForm("ftp://x", cache="/c"),
        SetupForm("https://x.test", "NOT_SET_HERE", cache="/c"),
        SetupForm("https://x.test", token_file="/nowhere/token", cache="/c"),
    ):
        with pytest.raises(ConfigError):
            save_form(form, place)
        assert not place.file.exists(), "the console could not start with it"
    blocked = Surroundings(Path("/proc/none/config.toml"), {})
    with pytest.raises(LocalIO):
        save_form(SetupForm("https://x.test", cache="/c"), blocked)


def test_a_console_without_a_configuration_has_a_core_that_saves_one(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5)
    bridge = make_bridge(Settings(), None, {"STORAGE_SYNC_CONFIG": str(tmp_path / "new.toml")})
    assert isinstance(bridge, ThreadBridge)
    bridge.start()
    form = SetupForm(f"file:{demo.primary}", cache=str(demo.cache))
    try:
        assert isinstance(answer_of(bridge, bridge.submit(TrySettings(form))), SetupTried)
        refused = answer_of(bridge, bridge.submit(MakePlan(Sync())))
        assert isinstance(refused, Refused)
        saved = answer_of(bridge, bridge.submit(SaveSettings(form)))
    finally:
        assert bridge.stop(30)
    assert saved == SetupSaved(str(tmp_path / "new.toml"))


def answer_of(bridge: ThreadBridge, number: int) -> object:
    """What the command was answered with."""
    while True:
        for event in bridge.drain():
            if isinstance(event, Answer | Refused) and event.command_id == number:
                return event.value if isinstance(event, Answer) else event
