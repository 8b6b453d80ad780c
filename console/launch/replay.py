"""A recording played in the console: a bridge without a core, and the application with the keys of a player."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

from msgspec.structs import replace
from textual.binding import BindingType

from console.app.app import Console
from console.keys.bindings import bindings
from console.keys.table import EVERYWHERE, REPLAY
from console.launch.opening import Leaving, leaving
from console.views.ui_settings import Clock, UiSettings
from storage_sync.reports.recording import Recording
from storage_sync.service.commands import Command
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.events import Event, LogLine, Refused
from storage_sync.values.snapshot import Snapshot
from widgets.glyphs import GlyphSet

SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
NO_CORE = "this is a recording; there is no core to ask"
_ASK_THE_CORE = (
    *("validate", "validate.deep", "sync", "repair", "rebuild", "quarantine", "cancel", "pause", "access"),
    *("peek", "try", "adopt", "config.write", "config.connect"),
)
"""Keys that a recording cannot serve."""
LINES_AFTER_A_LEAP = 1_000
"""Log lines that are told again where a person jumps to."""


class Player:
    """Where a recording stands: `at` in seconds from its beginning. Time comes from `monotonic`."""

    def __init__(self, recording: Recording, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.recording = recording
        self.monotonic = monotonic
        self.at = 0.0
        self.speed = 1.0
        self.playing = True
        self._seen = monotonic()

    @property
    def ended(self) -> bool:
        return self.at >= self.recording.seconds

    @property
    def now(self) -> float:
        """The moment that is shown, epoch seconds."""
        return self.recording.at + self.at

    def advance(self) -> None:
        """As far as time has gone on since the last call."""
        moment = self.monotonic()
        if self.playing:
            self.at = min(self.recording.seconds, self.at + (moment - self._seen) * self.speed)
        self._seen = moment

    def go(self, at: float) -> None:
        self.at = max(0.0, min(self.recording.seconds, at))

    def step(self, direction: int) -> None:
        """To the next thing that happened, or the one before; stands still there."""
        times = [self.recording.times[mark] for mark in self.recording.marks]
        there = [t for t in times if (t > self.at if direction > 0 else t < self.at)]
        self.playing = False
        if there:
            self.go(there[0] if direction > 0 else there[-1])

    def shift(self, direction: int) -> None:
        """Another speed."""
        self.speed = SPEEDS[max(0, min(len(SPEEDS) - 1, SPEEDS.index(self.speed) + direction))]

    @property
    def words(self) -> str:
        """`replay 0:23/5:00 x2`; `paused` or `ended` where it stands still."""
        state = "ended" if self.ended else "replay" if self.playing else "paused"
        speed = "" if self.speed == 1 else f" x{self.speed:g}"
        return f"{state} {_minutes(self.at)}/{_minutes(self.recording.seconds)}{speed}"


def _minutes(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d}h"


class ReplayBridge:
    """Shows what the player's recording holds; every command is refused, because there is no core."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self._told = 0
        self._refused: deque[Event] = deque()
        self._last_id = 0
        self._shown: tuple[int, tuple[Snapshot, float] | None] = (-1, None)
        self._first = player.recording.pictures[0] + 1 if player.recording.pictures else 0

    def start(self, answered: Callable[[], object] | None = None) -> None:
        """Nothing has to be started."""

    def latest(self) -> Snapshot | None:
        """The picture of this moment, the first one before it came; its heart beats as it did then."""
        player = self.player
        player.advance()
        place = max(player.recording.place(player.at), self._first)
        if place != self._shown[0]:
            self._shown = (place, self._picture(place))
        found = self._shown[1]
        if found is None:
            return None
        snapshot, came = found
        return replace(
            snapshot,
            beat=replace(snapshot.beat, at=player.monotonic() - max(0.0, player.at - came)),
            profile=f"{player.words}  {snapshot.profile or 'default'}",
            access="locked ro",
        )

    def _picture(self, place: int) -> tuple[Snapshot, float] | None:
        """The picture there; where its line cannot be read, the one before stays and nothing moves on by itself."""
        try:
            return self.player.recording.picture(place)
        except StorageSyncError as error:
            self.player.playing = False
            self._unreadable(error)
            return self._shown[1]

    def _events(self, first: int, end: int) -> Iterator[Event]:
        """Events of these lines; one that cannot be read is said, and the others are told."""
        for index in range(max(0, first), end):
            try:
                yield from (event for _, event in self.player.recording.events(index, index + 1))
            except StorageSyncError as error:
                self._unreadable(error)

    def _unreadable(self, error: StorageSyncError) -> None:
        self._refused.append(LogLine(self.player.now, "fail", "replay", error.message))
        self._refused.append(Refused.of(0, error))

    def drain(self) -> list[Event]:
        """What was said since the last call; after a jump the log up to there."""
        end = self.player.recording.place(self.player.at)
        told = list(self._events(self._told, end))
        self._told = end
        told.extend(self._refused)
        self._refused.clear()
        return told

    def rewind(self) -> list[LogLine]:
        """After a jump: the last lines of the log before this moment; `drain` goes on from here."""
        end = self.player.recording.place(self.player.at)
        self._told = end
        lines: deque[LogLine] = deque(maxlen=LINES_AFTER_A_LEAP)
        lines.extend(event for event in self._events(0, end) if isinstance(event, LogLine))
        return list(lines)

    def submit(self, _: Command[object]) -> int:
        self._last_id += 1
        self._refused.append(Refused(self._last_id, NO_CORE, ""))
        return self._last_id

    def stop(self, timeout: float) -> bool:
        return True


class ReplayConsole(Console):
    """The console on a recording; its clock is the recording's."""

    PLACES: ClassVar[tuple[str, ...]] = (EVERYWHERE, REPLAY)
    BINDINGS: ClassVar[list[BindingType]] = bindings(REPLAY)

    def __init__(
        self,
        player: Player,
        ui: UiSettings,
        *,
        glyphs: GlyphSet | None = None,
        owns_process: bool = False,
    ) -> None:
        self.player = player
        self._replay = ReplayBridge(player)
        clock = Clock(lambda: player.now, player.monotonic)
        super().__init__(self._replay, ui, clock=clock, glyphs=glyphs, owns_process=owns_process)

    @property
    def off(self) -> Mapping[str, str]:
        return dict.fromkeys(_ASK_THE_CORE, NO_CORE)

    @property
    def turned(self) -> frozenset[str]:
        return super().turned | (frozenset() if self.player.playing else {"replay.play"})

    def action_play(self) -> None:
        """Stand still or go on; at the end, from the beginning."""
        self.player.advance()
        if self.player.ended:
            self.player.go(0.0)
            self.player.playing = True
            self._jumped()
            return
        self.player.playing = not self.player.playing
        self._draw()

    def action_step(self, direction: int) -> None:
        self.player.advance()
        self.player.step(direction)
        if direction < 0:
            self._jumped()
        else:
            self._draw()

    def action_seek(self, seconds: float) -> None:
        self.player.advance()
        self.player.go(self.player.at + seconds)
        self._jumped()

    def action_leap(self, share: float) -> None:
        self.action_seek(share * self.player.recording.seconds)

    def action_speed(self, direction: int) -> None:
        self.player.advance()
        self.player.shift(direction)
        self._draw()

    def action_leave(self) -> None:
        """Nothing runs here that could be lost."""
        self.exit(0)

    def _jumped(self) -> None:
        self.journal.clear()
        for line in self._replay.rewind():
            self.journal.add(line)
        self._draw()

    def _draw(self) -> None:
        self.tick()
        self.paint(panels=True)


def play(recording: Recording, ui: UiSettings, speed: float, at: float) -> Leaving:
    """Open the console on a recording and stay until a person leaves. `speed`: the nearest there is."""
    player = Player(recording)
    player.speed = min(SPEEDS, key=lambda known: abs(known - speed))
    player.go(at)
    app = ReplayConsole(player, ui, owns_process=True)
    return leaving(app, app.run())
