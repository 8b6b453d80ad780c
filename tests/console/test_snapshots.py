"""Pictures of Overview in every state, of Orphans and of the dialogs; a changed cell fails. The clock stands still."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot

from console.app.app import Console
from storage_sync.service.commands import ScanOrphans
from storage_sync.values.errors import CacheLocked
from storage_sync.values.events import Answer, Refused
from tests.console.app import answer_orphans, console, settle
from tests.console.pictures import Compare, dressed, each_look, each_size
from tests.support.scenes import snapshots
from tests.support.scripted_bridge import ScriptedBridge

Played = Callable[[Pilot[int]], Awaitable[None]]
STATES = tuple(name for name in snapshots.NAMES if name != "hostile")
DIALOGS = {"help": "question_mark", "log": "L", "quit": "q", "palette": "ctrl+p"}
ORPHAN_DIALOGS = {"numbers": "enter", "expected": "i"}


async def _drawn(pilot: Pilot[int]) -> None:
    assert isinstance(pilot.app, Console)
    await settle(pilot.app, pilot)


@each_size()
@pytest.mark.parametrize("state", STATES)
def test_overview(state: str, size: tuple[int, int], snap_compare: Compare) -> None:
    app, _ = console(state)
    assert snap_compare(app, terminal_size=size, run_before=_drawn)


@each_look()
@pytest.mark.parametrize("state", ["running", "primary_down"])
def test_overview_in_other_looks(state: str, look: str, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = dressed(look, state, monkeypatch)
    assert snap_compare(app, terminal_size=(100, 30), run_before=_drawn)


def _pressed(app: Console, key: str) -> Played:
    async def open_it(pilot: Pilot[int]) -> None:
        await settle(app, pilot)
        await pilot.press(key)
        await app.workers.wait_for_complete()
        await settle(app, pilot)

    return open_it


@each_size()
@pytest.mark.parametrize("name", DIALOGS)
def test_dialogs(name: str, size: tuple[int, int], snap_compare: Compare) -> None:
    app, _ = console("running")
    assert snap_compare(app, terminal_size=size, run_before=_pressed(app, DIALOGS[name]))


@each_look()
@pytest.mark.parametrize("name", ["help", "palette"])
def test_dialogs_in_other_looks(name: str, look: str, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = dressed(look, "running", monkeypatch)
    assert snap_compare(app, terminal_size=(80, 24), run_before=_pressed(app, DIALOGS[name]))


def _orphans(app: Console, bridge: ScriptedBridge, keys: tuple[str, ...] = ()) -> Played:
    """Two rows are marked; then more keys."""

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await answer_orphans(app, bridge, pilot)
        await pilot.press("space", "j", "space")
        await answer_orphans(app, bridge, pilot)
        await pilot.press(*keys)
        await answer_orphans(app, bridge, pilot)

    return play


@each_size()
def test_orphans(size: tuple[int, int], snap_compare: Compare) -> None:
    app, bridge = console("stale")
    assert snap_compare(app, terminal_size=size, run_before=_orphans(app, bridge))


@each_look()
def test_orphans_in_other_looks(look: str, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    app, bridge = dressed(look, "stale", monkeypatch)
    filtered = ("slash", *"!reason:missing", "enter")
    assert snap_compare(app, terminal_size=(100, 30), run_before=_orphans(app, bridge, filtered))


def test_orphans_that_cannot_be_looked_at(snap_compare: Compare) -> None:
    app, bridge = console("locked")

    async def refused(pilot: Pilot[int]) -> None:
        await pilot.press("3")
        await settle(app, pilot)
        assert bridge.asked[-1].kind is ScanOrphans
        bridge.post(Refused.of(bridge.asked[-1].id, CacheLocked("pid 2231 holds the cache")))
        await settle(app, pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=refused)


@each_size()
@pytest.mark.parametrize("name", ORPHAN_DIALOGS)
def test_dialogs_of_orphans(name: str, size: tuple[int, int], snap_compare: Compare) -> None:
    app, bridge = console("stale")
    played = _orphans(app, bridge, (ORPHAN_DIALOGS[name],))
    assert snap_compare(app, terminal_size=size, run_before=played)


@each_look()
def test_the_numbers_in_other_looks(look: str, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    app, bridge = dressed(look, "stale", monkeypatch)
    played = _orphans(app, bridge, ("enter",))
    assert snap_compare(app, terminal_size=(80, 24), run_before=played)


@each_size()
def test_the_plan(size: tuple[int, int], snap_compare: Compare) -> None:
    app, bridge = console("stale")

    async def open_it(pilot: Pilot[int]) -> None:
        await settle(app, pilot)
        await pilot.press("s")
        await settle(app, pilot)
        bridge.post(Answer(bridge.asked[-1].id, snapshots.plan(removed=424)))
        await settle(app, pilot)

    assert snap_compare(app, terminal_size=size, run_before=open_it)
