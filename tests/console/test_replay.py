"""A recording in the console: the moment that is shown, the keys of the player, and nothing is asked of a core."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from console.app.ends import DEMO_ASKED, REPLAY_ASKED
from console.cli import screen
from console.launch.replay import SPEEDS, Player, ReplayBridge, ReplayConsole, play
from console.views.ui_settings import UiSettings
from console.views.verdict import verdict
from storage_sync.reports import recording
from storage_sync.reports.recording import Recorder
from storage_sync.service.commands import Execute
from storage_sync.values.events import Event, LogLine, Refused, RunStarted
from storage_sync.values.snapshot import Snapshot
from tests.console.app import live, screen_text, settle
from tests.support.scenes import snapshots
from widgets.glyphs import UNICODE

CALM = snapshots.scene("in_sync").snapshot
STORY: tuple[tuple[float, Snapshot | Event], ...] = (
    (0, CALM),
    (1, LogLine(snapshots.NOW + 1, "info", "test", "first words")),
    (2, replace(CALM, seq=2, beat=replace(CALM.beat, at=2000.0))),
    (60, snapshots.scene("running").snapshot),
    (60, RunStarted("s-4121", "sync", "manual")),
    (61, LogLine(snapshots.NOW + 61, "warn", "test", "second words")),
    (120, snapshots.scene("damaged").snapshot),
)


class Time:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def player_of(folder: Path, time: Callable[[], float], *, compressed: bool = False, begins: float = 100.0) -> Player:
    path = folder / ("story.jsonl.gz" if compressed else "story.jsonl")
    clock = Time()
    clock.at = begins
    recorder = Recorder(path, clock=lambda: snapshots.NOW, monotonic=clock)
    for at, one in STORY:
        clock.at = 100.0 + at
        if isinstance(one, Snapshot):
            recorder.snapshot(one)
        else:
            recorder.event(one)
    recorder.close()
    return Player(recording.read(path), time)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def player(tmp_path: Path, time: Time) -> Player:
    return player_of(tmp_path, time)


def test_it_plays_at_its_speed_and_ends(player: Player, time: Time) -> None:
    time.at += 10
    player.advance()
    assert player.at == 10
    player.shift(1)
    time.at += 10
    player.advance()
    assert (player.at, player.now) == (30, snapshots.NOW + 30)
    player.playing = False
    time.at += 10
    player.advance()
    assert player.at == 30
    player.playing = True
    time.at += 1000
    player.advance()
    assert (player.at, player.ended) == (120, True)
    for _ in SPEEDS:
        player.shift(1)
    assert player.speed == SPEEDS[-1]


def test_a_step_goes_to_what_happened_and_leaves_heartbeats_out(player: Player) -> None:
    seen = []
    for _ in range(7):
        player.step(1)
        seen.append(player.at)
    assert seen == [1, 60, 61, 120, 120, 120, 120]
    assert not player.playing
    player.step(-1)
    assert player.at == 61


def test_the_heart_beats_as_it_did(player: Player, time: Time) -> None:
    bridge = ReplayBridge(player)
    time.at += 3
    shown = bridge.latest()
    assert shown is not None
    assert time.at - shown.beat.at == pytest.approx(1.0)
    player.go(50)
    shown = bridge.latest()
    assert shown is not None
    assert verdict(shown, now=player.now, beat_age=time.at - shown.beat.at).word == "STALLED"


def test_before_the_first_picture_it_is_shown_and_no_core_is_said_to_stand_still(tmp_path: Path, time: Time) -> None:
    player = player_of(tmp_path, time, begins=97.0)
    player.playing = False
    time.at += 60
    shown = ReplayBridge(player).latest()
    assert shown is not None
    assert player.at == 0
    assert verdict(shown, now=player.now, beat_age=time.at - shown.beat.at).word == "IN SYNC"


def test_events_come_once_and_a_jump_tells_the_log_again(player: Player, time: Time) -> None:
    bridge = ReplayBridge(player)
    time.at += 1.5
    bridge.latest()
    assert [type(event) for event in bridge.drain()] == [LogLine]
    assert bridge.drain() == []
    player.go(61)
    assert [line.text for line in bridge.rewind()] == ["first words", "second words"]
    assert bridge.drain() == []


def test_nothing_is_asked_of_a_core(player: Player) -> None:
    bridge = ReplayBridge(player)
    number = bridge.submit(Execute("p"))
    refused = bridge.drain()[0]
    assert isinstance(refused, Refused)
    assert refused.command_id == number
    shown = bridge.latest()
    assert shown is not None
    assert shown.access == "locked ro"


def app_of(player: Player) -> ReplayConsole:
    return ReplayConsole(player, UiSettings(), glyphs=UNICODE)


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
async def test_the_header_says_that_it_is_a_replay(player: Player, size: tuple[int, int]) -> None:
    app = app_of(player)
    async with live(app, size=size):
        assert "replay 0:00/2:00" in screen_text(app).splitlines()[0]
        assert "14:32:07Z" in screen_text(app).splitlines()[0]


async def test_space_at_the_end_begins_again(player: Player, time: Time) -> None:
    app = app_of(player)
    async with live(app) as pilot:
        time.at += 500
        await settle(app, pilot)
        assert "ended 2:00/2:00" in screen_text(app)
        assert "DAMAGED" in screen_text(app)
        await pilot.press("semicolon")
        await settle(app, pilot)
        assert "replay 0:00/2:00" in screen_text(app)
        assert "IN SYNC" in screen_text(app)


async def test_pictures_log_and_age_are_of_the_moment(player: Player) -> None:
    app = app_of(player)
    async with live(app, size=(100, 30)) as pilot:
        player.go(61)
        app.action_seek(0)
        await settle(app, pilot)
        text = screen_text(app)
        assert "second words" in text
        assert "14:33:08Z" in text
        app.action_seek(-55)
        await settle(app, pilot)
        assert "second words" not in screen_text(app)
        assert "first words" in screen_text(app)


async def test_leaving_asks_nothing_even_while_a_run_is_shown(player: Player) -> None:
    app = app_of(player)
    async with live(app) as pilot:
        player.go(60)
        await settle(app, pilot)
        await pilot.press("q")
        await pilot.pause()
        assert app.return_value == 0


async def test_a_line_that_cannot_be_read_is_named_and_the_rest_is_shown(tmp_path: Path, time: Time) -> None:
    file = player_of(tmp_path, time).recording.path
    head, first, *rest = file.read_text().splitlines()
    bad = json.dumps({"t": 4.5, "event": "StateChanged", "value": {"old": "[/b]", "new": 5, "reason": ""}})
    worse = json.dumps({"t": 4.6, "parts": {"access": ["\x1b[31m"]}})
    before = [line for line in rest if json.loads(line)["t"] < 4.5]
    file.write_text("\n".join((head, first, *before, bad, worse)) + "\n")
    player = Player(recording.read(file), time)
    app = app_of(player)
    async with live(app, size=(100, 30), notifications=True) as pilot:
        shown = app.snapshot.cache
        player.go(player.recording.seconds)
        await settle(app, pilot)
        assert app.snapshot.cache == shown
        assert not player.playing
        number = len(before) + 3
        # the folder's name may fill the row before it
        said = [line.text for line in app.journal.lines("info")]
        assert any(f"line {number}" in line for line in said)
        assert any(f"line {number + 1}" in line for line in said)
        await pilot.press("left_square_bracket", "4", "q")
    assert app.return_value == 0


@pytest.mark.parametrize(
    ("result", "opened"), [(DEMO_ASKED, ("demo",)), (REPLAY_ASKED, ("replay", "--", "other.jsonl"))]
)
def test_a_recording_is_left_for_what_was_asked(
    player: Player, monkeypatch: pytest.MonkeyPatch, result: int, opened: tuple[str, ...]
) -> None:
    commands: list[tuple[str, ...]] = []

    def left(app: ReplayConsole) -> int:
        app.replay_file = "other.jsonl"
        return result

    def main(arguments: tuple[str, ...]) -> int:
        commands.append(arguments)
        return 5

    monkeypatch.setattr(ReplayConsole, "run", left)
    monkeypatch.setattr("console.cli.main", main)
    leaving = play(player.recording, UiSettings(), 1.0, 0.0)
    assert leaving.opens == opened
    assert screen.opened(leaving) == 5
    assert commands == [opened]
