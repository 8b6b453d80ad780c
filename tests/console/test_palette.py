"""The palette: every command of the place exactly once, each one works, and what is off says why."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.command import DiscoveryHit
from textual.widgets import Input
from textual.widgets._toast import Toast

from console.app.app import Console
from console.app.palette import ConsoleCommands
from console.flows.lessons import LESSONS
from console.keys.table import EVERYWHERE, KEYS, REPLAY, SCREENS
from console.views.themes import PALETTES
from storage_sync.service.commands import Do, MakePlan, Pause, SetAccess
from storage_sync.service.operations import Expect, Rebuild, Repair, Sync, Verify
from tests.console.app import FakeClock, NoTroubles, console, live, screen_text, settle
from tests.console.paths import Asked, Here, No, Path, opened, plan_for
from tests.console.test_key_paths import MATCHING, MAY_ONLY_LOOK, OTHER_PRIMARY, replayed
from tests.support import size
from tests.support.scenes import snapshots
from tests.support.scenes.snapshots import Scene
from tests.support.scripted_bridge import ScriptedBridge
from widgets.key_bar import KeyBar, spans

NAMES = [name for name, _, _ in SCREENS]
PREFIX = {REPLAY: "Replay: ", **{name: f"{title}: " for name, _, title in SCREENS}}
NAME_MOST = 60
"""Cells that an entry has at 80 columns."""
ROOM = No("the core has no room", "ask again")


async def entries(app: Console) -> list[DiscoveryHit]:
    return [hit async for hit in ConsoleCommands(app.screen).discover() if isinstance(hit, DiscoveryHit)]


def place(name: str) -> tuple[str, ...]:
    return (next(key for screen, key, _ in SCREENS if screen == name),)


@pytest.mark.parametrize("where", [*NAMES, REPLAY])
async def test_every_command_of_the_place_is_there_once(where: str) -> None:
    make = replayed if where == REPLAY else None
    go = () if where == REPLAY else place(where)
    async with opened(Path("", "palette", (), go=go, make=make)) as here:
        found = await entries(here.app)
        here_too = {EVERYWHERE, REPLAY, "overview"} if where == REPLAY else {EVERYWHERE, where}
        keys = [key for key in KEYS if key.action and key.id != "palette" and key.where in here_too]
        assert len(found) == len(keys) + len(PALETTES)
        assert len({str(hit.display) for hit in found}) == len(found)
        for key in keys:
            said = [str(hit.display) for hit in found if str(hit.help).startswith(f"{key.shown}   ")]
            assert [name for name in said if name.endswith(key.named(here.app.turned).rstrip("…"))], key.id


def state(here: Here) -> tuple[object, ...]:
    """All that a command may change."""
    app = here.app
    toasts = [str(toast.render()) for toast in app.screen.query(Toast)]
    return (len(here.bridge.asked), toasts, app.screen, app.focused, app.theme, app.ui, app.clipboard, here.text)


@pytest.mark.parametrize("where", [*NAMES, REPLAY])
async def test_every_command_of_the_palette_does_something(where: str) -> None:
    """Those of every screen on the first one, those of a screen on it, where something is marked or refused."""
    left: list[object] = []

    def make(clock: FakeClock) -> tuple[Console, ScriptedBridge]:
        app, bridge = replayed(clock) if where == REPLAY else console(OTHER_PRIMARY, clock=clock)
        app.exit = lambda *result, **_: left.append(result)  # type: ignore[method-assign]
        app.action_suspend_process = lambda: left.append("suspended")  # type: ignore[method-assign]
        return app, bridge

    go = () if where == REPLAY else place(where)
    async with opened(Path("", "walk", (), go=go, make=make, answers={MakePlan: plan_for(), Expect: ROOM})) as here:
        app = here.app
        base = app.screen
        for hit in await entries(app):
            if where != NAMES[0] and not str(hit.display).startswith(PREFIX[where]):
                continue
            await here.press("space" if where == "orphans" else "j")
            before, gone = state(here), len(left)
            await hit.command()
            await here.answer()
            moved = str(hit.display) == "Go to: Overview" or state(here) != before or len(left) > gone
            assert moved, f"{hit.display} did nothing on {where}"
            if str(hit.display) == "Zoom":
                await hit.command()
            for _ in range(4):
                if app.screen is not base:
                    await here.press("escape")
            if app.screen is not base:
                await here.press(*go)
            await here.press("escape", "escape")
            app.clear_notifications()
            app.copy_to_clipboard("")
            await here.answer()
            assert app.screen is base


async def test_the_demo_does_not_offer_to_open_the_demo() -> None:
    def demo(_: FakeClock) -> tuple[Console, ScriptedBridge]:
        app, bridge = console("in_sync")
        app.trouble = NoTroubles()
        return app, bridge

    async with opened(Path("", "off", (), make=demo)) as here:
        assert not [hit for hit in await entries(here.app) if str(hit.display).endswith(": Demo")]
        await here.press("f2")
        assert here.app.is_running
        assert "› this is the demo already" in here.text


@pytest.mark.parametrize(
    ("scene", "key", "said"),
    [
        ("in_sync", "Cancel", "x   not available: nothing is running"),
        ("running", "Demo", "F2   not available: a run is active; x cancels it"),
        ("in_sync", "Adopt", "A   not available: A adopts a primary, but only one that a guard has refused"),
        (MAY_ONLY_LOOK, "Pause syncs", "P   not available: no sync is scheduled; this console was started read-only"),
        (MAY_ONLY_LOOK, "Allow writes", "W   not available: this console was started read-only"),
    ],
)
async def test_what_is_off_says_why_and_the_key_says_the_same(scene: str | Scene, key: str, said: str) -> None:
    async with opened(Path("", "off", (), scene=scene)) as here:
        hit = next(hit for hit in await entries(here.app) if str(hit.display).endswith(key))
        assert str(hit.help) == said
        since = len(here.bridge.asked)
        await hit.command()
        await here.answer()
        assert here.asked(since) == []
        assert f"› {said.partition('not available: ')[2]}" in here.text


@pytest.mark.parametrize(
    ("typed", "asks", "shows"),
    [("validate all", [Do(Verify(deep=True))], ""), ("nothing is running", [], "› nothing is running")],
)
async def test_it_is_searched_by_name_and_by_what_is_said(typed: str, asks: list[Asked], shows: str) -> None:
    async with opened(Path("", "typed", (), go=("colon",))) as here:
        await here.pilot.press(*typed)
        await here.app.workers.wait_for_complete()
        await here.pilot.press("enter")
        await here.app.workers.wait_for_complete()
        await here.answer()
        assert here.asked(0) == asks
        assert shows in here.text


# ---------------------------------------------------------------- the same by a click in the footer, and on each screen


@pytest.mark.parametrize("where", [*NAMES, "quarantine"])
async def test_every_entry_of_the_footer_is_its_key(where: str) -> None:
    go = ("u", "j", "j", "j") if where == "quarantine" else place(where)
    answers: dict[type[object], object] = {MakePlan: plan_for(), Expect: ROOM, **MATCHING}
    async with opened(Path("", "click", (), go=go, answers=answers, size=(140, 45))) as here:
        app = here.app
        base = app.screen
        bar = base.query_one(KeyBar)
        assert bar.value is not None
        places = [place for place in spans(bar.value, bar.size.width, app.look) if place[0].enabled]
        assert len(places) == sum(entry.enabled for entry in bar.value.entries) + 1
        for number, (entry, _, _) in enumerate(places):
            # a key that was pressed may have another label since
            _, first, _ = [place for place in spans(bar.value, bar.size.width, app.look) if place[0].enabled][number]
            before = state(here)
            await here.pilot.click(bar, offset=(first, 0))
            await here.answer()
            assert state(here) != before, f"{entry.label} did nothing on {where}"
            if entry.key == "esc" and app.screen is not base:
                return
            for _ in range(3):
                if app.screen is not base or isinstance(app.focused, Input):
                    await here.press("escape")
            app.clear_notifications()
            await here.answer()
            assert app.screen is base


EVERYWHERE_TOO: tuple[tuple[str, tuple[Asked, ...], str, str], ...] = (
    ("v", (Do(Verify()),), "", ""),
    ("V", (Do(Verify(deep=True)),), "", ""),
    ("s", (MakePlan(Sync()),), "PlanDialog", ""),
    ("r", (MakePlan(Repair()),), "PlanDialog", ""),
    ("R", (MakePlan(Rebuild()),), "PlanDialog", ""),
    ("u", (), "QuarantineDialog", ""),
    ("x", (), "", "› nothing is running"),
    ("P", (Pause(True),), "", "› scheduled syncs are paused"),
    ("W", (SetAccess("ro"),), "", ""),
    ("minus", (), "", "› panels are drawn every 1 s"),
    ("plus", (), "", "› panels are drawn every 0.5 s"),
    ("L", (), "LogDialog", ""),
    ("question_mark", (), "HelpDialog", ""),
    ("colon", (), "Palette", ""),
    ("f", (), "", "frozen"),
    ("ctrl+c", (), "", "› q quits"),
)


@pytest.mark.parametrize("where", size.of(NAMES[-1:], NAMES[-1:], NAMES[1:]))
async def test_what_works_everywhere_works_here(where: str) -> None:
    async with opened(Path("", "here", (), go=place(where), answers={MakePlan: plan_for()})) as here:
        base = here.top
        for key, asks, top, shows in EVERYWHERE_TOO:
            assert not shows or shows not in here.text
            since = len(here.bridge.asked)
            text = await here.press(key)
            assert here.asked(since) == list(asks), key
            assert here.top == (top or base), key
            assert shows in text, key
            if top:
                await here.press("escape")
            here.app.clear_notifications()
            await here.answer()
            assert here.top == base


async def test_the_demo_is_marked_and_its_troubles_are_in_the_palette() -> None:
    app, _ = console("in_sync")
    app.trouble = troubles = NoTroubles()
    async with live(app, size=(120, 40), notifications=True) as pilot:
        assert "DEMO  rw" in screen_text(app)
        await pilot.press("ctrl+p", *"Demo: damage")
        await app.workers.wait_for_complete()
        await settle(app, pilot)
        assert "Demo: damage the cache" in screen_text(app)
        await pilot.press("enter", "enter")
        await settle(app, pilot)
        assert troubles.caused == ["damage"]
        assert "keeps that file" in screen_text(app)
        app.clear_notifications()
        troubles.prevented = "the disk is full"
        app.action_trouble("damage", False)
        await app.workers.wait_for_complete()
        await settle(app, pilot)
        assert "Demo: nothing was done: the disk is full" in " ".join(screen_text(app).split())
        assert "keeps that file" not in screen_text(app)
        troubles.prevented = ""
        for ends, said in ((False, "is stopped"), (True, "is started again")):
            app.clear_notifications()
            app.action_trouble("stop_primary", ends)
            await app.workers.wait_for_complete()
            await settle(app, pilot)
            assert f"The primary {said}" in " ".join(screen_text(app).split())


async def test_a_trouble_is_named_by_what_its_choice_does_now() -> None:
    app, _ = console("in_sync")
    app.trouble = troubles = NoTroubles()
    both = [one for one in LESSONS if one.end is not None]
    async with live(app, size=(80, 24)):
        for one in both:
            for ends in (False, True):
                (troubles.standing.add if ends else troubles.standing.discard)(one.id)
                names = [str(hit.display) for hit in await entries(app)]
                here, away = (one.end, one.make) if ends else (one.make, one.end)
                assert here is not None
                assert away is not None
                assert f"Demo: {here.name}" in names
                assert f"Demo: {away.name}" not in names
                (hit,) = [hit for hit in await entries(app) if str(hit.display) == f"Demo: {here.name}"]
                await hit.command()
                await app.workers.wait_for_complete()
                assert (one.id in troubles.standing) is not ends


async def test_a_key_is_named_by_what_it_does_now() -> None:
    scene = snapshots.scene("in_sync")
    app, bridge = console(scene)
    app.trouble = NoTroubles()
    names = {"Pause syncs": "Resume syncs", "Read only": "Allow writes", "Freeze": "Unfreeze"}
    names["Hide the guide"] = "Show the guide"
    async with live(app, size=(120, 40)) as pilot:
        before = [str(hit.display) for hit in await entries(app)]
        assert "f Freeze" in screen_text(app)
        bridge.show(replace(scene.snapshot, paused=True, access="ro"))
        await pilot.press("f", "f3")
        await settle(app, pilot)
        after = [str(hit.display) for hit in await entries(app)]
        assert "f Unfreeze" in screen_text(app)
    for name, back in names.items():
        assert (name in before, back in before, name in after, back in after) == (True, False, False, True)
    assert {key.back for key in KEYS if key.back and key.where == EVERYWHERE} == set(names.values())


def test_no_name_of_the_palette_leaves_open_what_it_does() -> None:
    choices = [choice for one in LESSONS for choice in (one.make, one.end) if choice is not None]
    names = [f"Demo: {choice.name}" for choice in choices]
    names += [name for key in KEYS for name in (key.label, key.back) if name]
    assert [name for name in names if ", or " in name or len(name) > NAME_MOST] == []
