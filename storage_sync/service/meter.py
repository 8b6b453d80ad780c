"""What was read of the primary, and what `rows_read_per_day` leaves."""

from __future__ import annotations

import time

from msgspec.structs import replace

from storage_sync.reports.budget import told
from storage_sync.service.parts import Parts
from storage_sync.values.outcome import Transfer
from storage_sync.values.snapshot import Budget, Hold


class Meter:
    """Belongs to the core's loop."""

    def __init__(self, parts: Parts) -> None:
        self._effective = parts.effective
        self._session = parts.session
        self._board = parts.board
        self._journal = parts.journal
        self._samples = parts.samples
        self._counted = Transfer()
        """What had come from the primary at the last ping."""

    def budget(self) -> Budget | None:
        """What `rows_read_per_day` leaves now. A local read of the history."""
        return self._journal.budget(self._effective.settings)

    def show(self) -> None:
        """What was read, and whether the budget holds back; said when that changes."""
        before, now = self._board.snapshot.primary.budget, self.budget()
        read = self._journal.history.rows_read(time.time())
        self._board.update(primary=replace(self._board.snapshot.primary, rows_read=read, budget=now))
        was, is_ = (one.hold if one is not None else Hold.NOT for one in (before, now))
        if now is not None and was is not is_:
            level = "info" if is_ in (Hold.NOT, Hold.SPREAD) else "warn"
            self._board.log(level, "budget", told(now, self._effective.settings))

    def pinged(self, milliseconds: float | None) -> None:
        """None: the primary did not answer."""
        self._samples.pinged(milliseconds)
        now = self._session.counters()
        read = now.since(self._counted)
        self._journal.ping(time.time(), milliseconds, read)
        self._counted = now
        if read.rows_read:
            self._samples.read(sum(read.rows_read.values()))
        self.show()
