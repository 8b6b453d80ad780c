"""The one place where the picture of the core is put together and handed out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from storage_sync.values.events import Event, LogLine, StateChanged
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import CoreBeat, Snapshot

LEAST_SECONDS_BETWEEN = 0.1


class Board:
    """Holds the newest Snapshot; publishes it at most ten times a second and only when it says something new."""

    def __init__(
        self,
        first: Snapshot,
        publish: Callable[[Snapshot], None],
        emit: Callable[[Event], None],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.snapshot = first
        self._publish = publish
        self._emit = emit
        self._clock = clock
        self._monotonic = monotonic
        self._dirty = True
        self._published_at = float("-inf")

    def update(self, **parts: Any) -> None:
        """Replace parts of the Snapshot; equal parts change nothing."""
        self.show(replace(self.snapshot, **parts))

    def show(self, new: Snapshot) -> None:
        """The next picture, made from `snapshot`."""
        if new != self.snapshot:
            self.snapshot = new
            self._dirty = True
            self.flush()

    def beat(self, doing: str, queue: int) -> None:
        """The sign of life; published even when nothing else is new."""
        old = self.snapshot.beat
        beat = CoreBeat(self._monotonic(), doing, queue, old.events_total, old.events_dropped)
        self.snapshot = replace(self.snapshot, beat=beat)
        self._dirty = True
        self.flush()

    def flush(self, *, now: bool = False) -> None:
        """Publish if there is news and the last picture is old enough, or at once."""
        moment = self._monotonic()
        if not self._dirty or (not now and moment - self._published_at < LEAST_SECONDS_BETWEEN):
            return
        self.snapshot = replace(self.snapshot, seq=self.snapshot.seq + 1, taken_at=self._clock())
        self._dirty = False
        self._published_at = moment
        self._publish(self.snapshot)

    def event(self, event: Event) -> None:
        """Hand out an event, and before it the picture that it speaks of: nobody reads of an end beside a run."""
        self.flush(now=True)
        old = self.snapshot.beat
        self.snapshot = replace(
            self.snapshot,
            beat=CoreBeat(old.at, old.doing, old.queue, old.events_total + 1, old.events_dropped),
        )
        self._emit(event)

    def judge(self, word: Word, why: str, picture: Snapshot | None = None) -> None:
        """The verdict is this from now on; a change is an event. `picture`: what it was found with, shown at once."""
        old = self.snapshot.verdict
        self.show(replace(picture if picture is not None else self.snapshot, verdict=word))
        if old is not word:
            self.event(StateChanged(old, word, why))

    def unproven(self, why: str) -> None:
        """What was proven may not hold now."""
        if self.snapshot.verdict is Word.IN_SYNC:
            self.judge(Word.UNKNOWN, why)

    def log(self, level: str, area: str, text: str, run_id: str = "") -> None:
        """A line of the activity log; `level` is info, warn or fail. `run_id`: of the run that it belongs to."""
        self.event(LogLine(self._clock(), level, area, text, run_id))
