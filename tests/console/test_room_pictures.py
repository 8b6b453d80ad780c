"""Pictures of Validation, History and Config in each of their states; a changed cell fails. The clock stands still."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from console.app.app import Console
from storage_sync.service.commands import ListRuns
from storage_sync.values.answers import Runs
from storage_sync.values.events import Answer
from tests.console.app import console, settle
from tests.console.pictures import Compare, dressed, each_look, each_size
from tests.console.rooms import answer_all
from tests.support.scripted_bridge import ScriptedBridge

STATES: dict[str, tuple[str, tuple[str, ...]]] = {
    "checks": ("stale", ("2", "j")),
    "rows": ("stale", ("2", "j", "enter", "j")),
    "sides": ("stale", ("2", "j", "enter", "j", "enter")),
    "checking": ("running", ("2",)),
    "runs": ("in_sync", ("4",)),
    "stopped-run": ("in_sync", ("4", "j", "j", "j")),
    "settings": ("in_sync", ("5",)),
    "editing": ("in_sync", ("5", *"jjjjjj", "enter", "0", "enter")),
    "writing": ("in_sync", ("5", *"jjjjjj", "enter", "7", "5", "enter", "w")),
}
"""Scene and keys of each state."""


def pressed(app: Console, bridge: ScriptedBridge, keys: tuple[str, ...]) -> Callable[[Pilot[int]], object]:
    async def press(pilot: Pilot[int]) -> None:
        done = 0
        await settle(app, pilot)
        for key in keys:
            await pilot.press(key)
            await settle(app, pilot)
            while done != len(bridge.asked):
                done = answer_all(bridge, done)
                await settle(app, pilot)
        app.paint(panels=True)
        await pilot.pause()

    return press


@each_size()
@pytest.mark.parametrize("state", STATES)
def test_states(state: str, size: tuple[int, int], snap_compare: Compare) -> None:
    scene, keys = STATES[state]
    app, bridge = console(scene)
    assert snap_compare(app, terminal_size=size, run_before=pressed(app, bridge, keys))


@pytest.mark.parametrize("state", ["primary_down", "locked", "damaged", "empty"])
def test_degraded(state: str, snap_compare: Compare) -> None:
    app, bridge = console(state)
    assert snap_compare(app, terminal_size=(80, 24), run_before=pressed(app, bridge, ("2",)))


def test_no_run_yet(snap_compare: Compare) -> None:
    app, bridge = console("empty")

    async def opened(pilot: Pilot[int]) -> None:
        await settle(app, pilot)
        await pilot.press("4")
        await settle(app, pilot)
        assert bridge.asked[-1].kind is ListRuns
        bridge.post(Answer(bridge.asked[-1].id, Runs((), (), "~/.local/state/storage-sync/history.db")))
        await settle(app, pilot)
        app.paint(panels=True)
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=opened)


@each_look()
@pytest.mark.parametrize("state", ["sides", "stopped-run", "editing", "writing"])
def test_looks(state: str, look: str, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, keys = STATES[state]
    app, bridge = dressed(look, scene, monkeypatch)
    assert snap_compare(app, terminal_size=(100, 30), run_before=pressed(app, bridge, keys))
