"""Pictures of the dialogs of the flows; a changed cell fails. The clock stands still."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from console.app.app import Console
from storage_sync.service.commands import Execute, ListBuilds
from storage_sync.values.answers import SetupFinding, UnfinishedBuild
from storage_sync.values.events import Answer
from storage_sync.values.outcome import CacheWrites, Outcome, Seconds, TableCounts, Transfer, Word
from tests.console.app import console, settle
from tests.console.pictures import LOOKS, Compare, dressed, each_look, each_size
from tests.console.test_flows import HOSTILE, answer, quarantine, shown
from tests.console.test_setup import tried, unconfigured
from tests.support.scenes import plans, snapshots
from tests.support.scripted_bridge import ScriptedBridge

Scene = Callable[[Console, ScriptedBridge, Pilot[int]], Awaitable[object]]


async def _rebuild(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> None:
    await shown(app, bridge, pilot, "R", plans.plan_of("rebuild"))
    build = UnfinishedBuild("/var/lib/cache.redb.build-b7f3a", 6_186_598, snapshots.NOW - 3 * 3600)
    await answer(app, bridge, pilot, ListBuilds, (build,))


async def _run(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> None:
    await shown(app, bridge, pilot, "r", plans.plan_of("repair"))
    await pilot.press("right", "enter")
    bridge.show(plans.repairing())


async def _result(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> None:
    """A sync that had to refuse a row; what it says comes from outside."""
    await shown(app, bridge, pilot, "s", snapshots.plan(removed=0))
    await pilot.press("right", "enter")
    await settle(app, pilot)
    after = plans.repaired()
    bridge.show(replace(after, quarantine=snapshots.rejected(1)))
    done = Outcome(
        "sync",
        Word.IN_SYNC,
        7,
        run_id="s-4122",
        proof=after.freshness.proof,
        applied=snapshots.plan(removed=0).changes,
        counts={"patterns": TableCounts(cache=411, refused=1), "episodes": TableCounts(cache=1000, cache_only=7)},
        transfer=Transfer(requests=8, bytes_received=3_627_622),
        cache_writes=CacheWrites(1, 3_565_158),
        seconds=Seconds(total=5.9),
        checks=tuple(result.found.was for result in after.checks),
        warnings=(f"pattern 88c0 refused: {HOSTILE}",),
    )
    await answer(app, bridge, pilot, Execute, done)


async def _quarantine(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> None:
    await quarantine(app, bridge, pilot)
    await pilot.press("j", "j", "j", "space", "j")


async def _locked(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> None:
    await pilot.press("s")


SCENES: dict[str, tuple[str, Scene]] = {
    "rebuild": ("damaged", _rebuild),
    "run": ("damaged", _run),
    "result": ("stale", _result),
    "quarantine": ("quarantined", _quarantine),
    "locked": ("locked", _locked),
}


def _played(app: Console, bridge: ScriptedBridge, play: Scene) -> Callable[[Pilot[int]], Awaitable[None]]:
    async def open_it(pilot: Pilot[int]) -> None:
        await settle(app, pilot)
        await play(app, bridge, pilot)
        await settle(app, pilot)

    return open_it


@each_size()
@pytest.mark.parametrize("name", sorted(SCENES))
def test_flows(name: str, size: tuple[int, int], snap_compare: Compare) -> None:
    state, play = SCENES[name]
    app, bridge = console(state)
    assert snap_compare(app, terminal_size=size, run_before=_played(app, bridge, play))


@each_look()
@pytest.mark.parametrize("name", sorted(SCENES))
def test_flows_in_other_looks(name: str, look: str, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    state, play = SCENES[name]
    app, bridge = dressed(look, state, monkeypatch)
    assert snap_compare(app, terminal_size=(100, 30), run_before=_played(app, bridge, play))


async def _tested(app: Console, bridge: ScriptedBridge, pilot: Pilot[int]) -> None:
    found = (
        SetupFinding("token", "ok", "set, hidden, from env TURSO_AUTH_TOKEN"),
        SetupFinding("primary", "ok", "answers in 44 ms, token accepted"),
        SetupFinding("primary", "attention", "no digest functions: comparing reads every row"),
        SetupFinding("cache", "off", "exists, 10,276,045 bytes, held by pid 2231 do-memory-mcp-server (normal)"),
    )
    await pilot.press("enter")
    bridge.post(Answer(bridge.asked[-1].id, replace(tried(*found))))


@each_size()
def test_setup(size: tuple[int, int], snap_compare: Compare) -> None:
    app, bridge = unconfigured()
    assert snap_compare(app, terminal_size=size, run_before=_played(app, bridge, _tested))


@each_look()
def test_setup_in_other_looks(look: str, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    dress = LOOKS[look]
    if not dress.colour:
        monkeypatch.setenv("NO_COLOR", "1")
    app, bridge = unconfigured(glyphs=dress.glyphs, theme=dress.theme)
    assert snap_compare(app, terminal_size=(80, 24), run_before=_played(app, bridge, _tested))
