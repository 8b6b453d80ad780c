"""What `watch` says: one summary a run, one warning a change of state, and repeated lines at growing distances."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from msgspec import Struct

from storage_sync.reports.sentences import summary
from storage_sync.values.events import Event, LogLine, RunEnded
from storage_sync.values.outcome import Outcome
from storage_sync.watch.alert_state import Change

REPEAT_FIRST_S = 30.0
REPEAT_MOST_S = 300.0
KEYS_KEPT = 256
_LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "fail": logging.ERROR}


class Said(Struct, frozen=True):
    """One line of the log; `level` as in `logging`."""

    level: int
    area: str
    text: str
    run_id: str = ""


class _Heard(Struct):
    said_at: float
    gap_s: float
    unsaid: int = 0


class Repeats:
    """Lets a line through when it is new, then after 30 s, a minute, … at most every five minutes."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def admit(self, key: str, now: float) -> int | None:
        """How many were held back since the last one that was said; None: hold this one back too. `now`: monotonic."""
        heard = self._heard.get(key)
        if heard is None or now - heard.said_at >= 2 * REPEAT_MOST_S:
            self._heard.pop(key, None)
            self._heard[key] = _Heard(now, REPEAT_FIRST_S)
            if len(self._heard) > KEYS_KEPT:
                del self._heard[next(iter(self._heard))]
            return 0
        if now - heard.said_at < heard.gap_s:
            heard.unsaid += 1
            return None
        unsaid, heard.unsaid = heard.unsaid, 0
        heard.said_at, heard.gap_s = now, min(heard.gap_s * 2, REPEAT_MOST_S)
        return unsaid

    def forget(self) -> None:
        """Everything is new again."""
        self._heard.clear()


class Voice:
    """From events to lines. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._repeats = Repeats()
        self._warnings: frozenset[str] = frozenset()

    def hear(self, event: Event, now: float) -> Iterator[Said]:
        if isinstance(event, RunEnded):
            yield from self._run(event.outcome, now)
        elif isinstance(event, LogLine):
            # the end of a run says all of it
            told_otherwise = event.run_id or (event.area == "primary" and event.level == "fail")
            if told_otherwise:
                yield Said(logging.DEBUG, event.area, event.text, event.run_id)
            else:
                yield from self._limited(Said(_LEVELS.get(event.level, logging.INFO), event.area, event.text), now)

    def changed(self, change: Change, at: float) -> Said:
        """`at`: epoch seconds."""
        old, new = change.old, change.new
        if new.trouble:
            hint = f"; {new.hint}" if new.hint else ""
            return Said(logging.WARNING, "watch", f"{new.word}: {new.message}{hint}")
        self._repeats.forget()
        if change.recovered:
            failed = "try" if old.tries == 1 else "tries"
            lasted = max(at - old.since, 0.0)
            text = f"recovered after {old.tries} failed {failed}, {lasted:.0f} s of {old.word}"
            return Said(logging.INFO, "watch", text)
        return Said(logging.INFO, "watch", new.message or new.word)

    def failed(self, area: str, text: str, now: float) -> Iterator[Said]:
        """Something beside the runs did not work."""
        yield from self._limited(Said(logging.WARNING, area, text), now)

    def _run(self, outcome: Outcome, now: float) -> Iterator[Said]:
        text = summary(outcome)
        if outcome.error is None:
            yield Said(logging.INFO, outcome.command, text, outcome.run_id)
        else:
            key = f"{outcome.command} {outcome.error.code}"
            yield from self._limited(Said(logging.INFO, outcome.command, text, outcome.run_id), now, key)
        warnings = frozenset(outcome.warnings)
        for warning in outcome.warnings:
            if warning not in self._warnings:
                yield Said(logging.WARNING, outcome.command, warning, outcome.run_id)
        self._warnings = warnings

    def _limited(self, said: Said, now: float, key: str = "") -> Iterator[Said]:
        unsaid = self._repeats.admit(key or f"{said.area} {said.text}", now)
        if unsaid is None:
            return
        more = f" ({unsaid} more like this)" if unsaid else ""
        yield Said(said.level, said.area, said.text + more, said.run_id)
