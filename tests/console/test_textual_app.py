"""Screens are there before their first visit, and what only goes on is drawn seldom."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual._styles_cache import StylesCache
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import AwaitMount, Widget

from console.app.app import Console
from console.keys.table import SCREENS
from console.screens.base import BaseScreen
from console.views.ui_settings import UiSettings
from storage_sync.values.events import LogLine
from storage_sync.values.snapshot import Snapshot
from tests.console.app import FakeClock, asked, console, live, screen_text, settle
from tests.support.scenes import snapshots
from tests.support.scripted_bridge import ScriptedBridge


async def test_every_screen_is_laid_out_behind_the_first() -> None:
    app, bridge = console()
    async with live(app, size=(100, 30), behind=True) as pilot:
        for _ in SCREENS:
            await pilot.pause()
        for name, _, _ in SCREENS:
            screen = app.get_screen_stack(name)[0]
            assert screen.is_mounted
            assert screen.query("#body > *"), name
        assert app.current_mode == SCREENS[0][0]
        assert asked(bridge) == [], "nobody visited them"


async def test_no_screen_is_laid_out_behind_an_open_dialog(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialog that closes takes away what is on top of the stack of the mode that is current then."""
    app, _ = console()
    async with live(app, size=(100, 30), behind=True) as pilot:
        await pilot.press("colon")
        switched: list[str] = []
        switch = app.switch_mode

        def noted(mode: str) -> AwaitMount:
            switched.append(mode)
            return switch(mode)

        monkeypatch.setattr(app, "switch_mode", noted)
        app.lay_out_behind([SCREENS[1][0]])
        for _ in range(20):
            await pilot.pause()
        assert switched == []
        await pilot.press("escape")
        while len(switched) < 2:
            await settle(app, pilot)
        assert switched == [SCREENS[1][0], SCREENS[0][0]]


async def test_a_screen_that_was_laid_out_behind_keeps_its_focus() -> None:
    app, _ = console()
    async with live(app, size=(100, 30), behind=True) as pilot:
        for _ in SCREENS:
            await pilot.pause()
        for _, key, _ in (*SCREENS, SCREENS[0]):
            await pilot.press(key)
            await pilot.pause()
            assert app.focused is not None
            assert app.focused.screen is app.screen
            assert app.focused.has_class("first")


async def test_the_clock_goes_on_each_second_and_ages_each_fifth() -> None:
    clock = FakeClock(0.4)
    beating = ScriptedBridge([snapshots.scene("in_sync").snapshot], monotonic=clock.monotonic)
    app = Console(beating, UiSettings(), clock=clock.clock, environment={})
    async with live(app, size=(100, 30)) as pilot:
        screen = app.screen
        assert isinstance(screen, BaseScreen)
        drawn = []
        for _ in range(24):
            clock.move(0.5)
            await settle(app, pilot)
            drawn.append((screen.top_row.value, screen.verdict_line.value))
        clocks = [drawn[i][0] != drawn[i - 1][0] for i in range(1, len(drawn))]
        ages = [drawn[i][1] != drawn[i - 1][1] for i in range(1, len(drawn))]
        assert sum(clocks) >= 11, "the clock shows each second"
        assert sum(ages) in (2, 3), "ages go on together, every five seconds"


def measured_again(snapshot: Snapshot, number: int) -> Snapshot:
    """What a ping and a look at the file make of a picture in which nothing has happened."""
    primary = replace(snapshot.primary, ping_ms=10.0 + number, p95_ms=20.0 + number, next_at=snapshots.NOW + number)
    cache = replace(snapshot.cache, disk_free=10**9 - number, looked_at=snapshots.NOW + number)
    return replace(snapshot, seq=number, primary=primary, cache=cache)


async def test_a_core_at_rest_has_nothing_drawn_but_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two steps of the ages, whatever is measured again; neighbours of what is drawn are not styled again."""
    clock = FakeClock(0.4)
    rest = snapshots.scene("in_sync").snapshot
    bridge = ScriptedBridge([rest], monotonic=clock.monotonic)
    app = Console(bridge, UiSettings(), clock=clock.clock, environment={})
    styled: list[Widget] = []
    render_widget = StylesCache.render_widget

    def noted(self: StylesCache, widget: Widget, crop: Region) -> list[Strip]:
        styled.append(widget)
        return render_widget(self, widget, crop)

    async with live(app, size=(100, 30)) as pilot:
        for _ in SCREENS:
            await settle(app, pilot)
        screen = app.screen
        assert isinstance(screen, BaseScreen)
        app.paint(panels=True)
        await pilot.pause()
        monkeypatch.setattr(StylesCache, "render_widget", noted)
        for number in range(1, 5):
            clock.move(1.0)
            bridge.show(measured_again(rest, number))
            await settle(app, pilot)
        assert set(styled) == {screen.top_row}
        clock.move(1.0)
        await settle(app, pilot)
        assert screen.verdict_line in styled


@pytest.mark.parametrize("refresh_s", [1.0, 10.0])
async def test_a_core_that_goes_on_is_seen_at_once(refresh_s: float) -> None:
    """However seldom the panels are drawn."""
    clock = FakeClock(0.4)
    heart = [clock.monotonic()]
    bridge = ScriptedBridge([snapshots.scene("in_sync").snapshot], monotonic=lambda: heart[0])
    app = Console(bridge, UiSettings(refresh_s=refresh_s), clock=clock.clock, environment={})
    async with live(app, size=(100, 30)) as pilot:
        screen = app.screen
        assert isinstance(screen, BaseScreen)
        words = []
        for standing in (True,) * 5 + (False,) * 2:
            clock.move(0.5)
            if not standing:
                heart[0] = clock.monotonic()
            await settle(app, pilot)
            shown = screen.verdict_line.value
            assert shown is not None
            words.append(shown.word)
        assert words[3] == words[4] == "STALLED"
        assert words[5] == words[6] == "IN SYNC"


async def test_a_frozen_picture_takes_no_new_lines() -> None:
    app, bridge = console("in_sync")
    async with live(app, size=(100, 30)) as pilot:
        await pilot.press("f")
        bridge.post(LogLine(snapshots.NOW, "info", "core", "said while the picture stood"))
        await settle(app, pilot)
        app.paint(panels=True)
        await pilot.pause()
        assert "said while" not in screen_text(app)
        await pilot.press("f")
        await settle(app, pilot)
        assert "said while" in screen_text(app)
