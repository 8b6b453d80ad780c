"""The last minutes in samples of equal length, for the graphs of a screen: bounded, newest last."""

from __future__ import annotations

from collections import deque

from storage_sync.values.snapshot import Sample

KEPT = 90


class Samples:
    """Told of what happens, and asked once in a while what that was."""

    def __init__(self) -> None:
        self._kept: deque[Sample] = deque(maxlen=KEPT)
        self._begin()

    def _begin(self) -> None:
        self._slowest: float | None = None
        self._failed = False
        self._changes = 0
        self._rows_read: int | None = None

    def pinged(self, milliseconds: float | None) -> None:
        """None: the primary did not answer."""
        if milliseconds is None:
            self._failed = True
        else:
            self._slowest = max(milliseconds, self._slowest or 0.0)

    def read(self, rows: int) -> None:
        self._rows_read = rows + (self._rows_read or 0)

    def changed(self, rows: int) -> None:
        self._changes += rows

    def take(self, now: float, proof_age_s: float | None) -> tuple[Sample, ...]:
        """All samples, with one of what was told since the last; `now`: epoch seconds."""
        slowest = None if self._slowest is None else round(self._slowest, 1)
        age = None if proof_age_s is None else round(proof_age_s, 1)
        self._kept.append(Sample(round(now, 1), slowest, self._failed, age, self._changes, self._rows_read))
        self._begin()
        return tuple(self._kept)
