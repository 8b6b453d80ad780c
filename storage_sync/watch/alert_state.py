"""The one state that is told to others: well, or what is wrong. It changes on evidence only, and an edge is told once.

Pure: a condition and what happened in, the next condition out.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from storage_sync.cache.holders import describe
from storage_sync.reports.sentences import headline, line, verdict, waits
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import CacheHealth, PrimaryHealth

STARTING = "starting"
OK = "ok"
WAITS = "waits"
"""Another process has the cache, and what the primary has more waits for it: the normal state beside do-memory."""

WAITS_LONG = "waits_long"
"""They have waited for longer than `wait_notice_s`."""


class Condition(Struct, frozen=True):
    """`word`: starting, ok, waits, waits_long, the code word of an error, `partial` (rejected rows), or a verdict in
    lower case."""

    word: str = STARTING
    message: str = ""
    hint: str = ""
    exit_code: int = 0
    since: float = 0.0
    """Epoch seconds."""
    tries: int = 0
    """Runs and pings that failed since."""
    run_at: float = float("-inf")
    """When the last run ended: what was seen before that is answered by it."""

    @property
    def trouble(self) -> bool:
        return self.word not in (STARTING, OK, WAITS)


class Change(Struct, frozen=True):
    """An edge between two conditions."""

    old: Condition
    new: Condition

    @property
    def recovered(self) -> bool:
        return self.old.trouble and not self.new.trouble


def after_run(condition: Condition, outcome: Outcome, at: float) -> Condition:
    """Only a run ends trouble. One that was interrupted or met a held file says nothing."""
    error = outcome.error
    if error is not None and error.code in ("interrupted", "cache_locked"):
        return condition
    return replace(_judged(condition, outcome, at), run_at=at)


def _judged(condition: Condition, outcome: Outcome, at: float) -> Condition:
    error = outcome.error
    if error is not None:
        return _next(condition, Condition(error.code, error.message, error.hint, error.exit_code, at))
    word = verdict(outcome)
    if word is Word.IN_SYNC and outcome.exit_code == 0:
        return _next(condition, Condition(OK, headline(outcome), "", 0, at))
    hint = outcome.next_action or ""
    if word is Word.IN_SYNC:
        return _next(condition, Condition("partial", headline(outcome), hint, outcome.exit_code, at))
    look = outcome.look
    if word in (Word.STALE, Word.DRIFT) and look is not None and look.held_by:
        waiting = Condition(WAITS, waits(outcome, describe(look.held_by[0])), "", 0, at)
        # the wait itself goes on
        return condition if condition.word == WAITS_LONG else _next(condition, waiting)
    return _next(condition, Condition(word.lower(), line(outcome), hint, outcome.exit_code, at))


def after_ping(condition: Condition, primary: PrimaryHealth, at: float) -> Condition:
    """A primary that is gone is trouble at once, before a run fails."""
    if not primary.status.failed or primary.error is None:
        return condition
    error = primary.error
    old = primary.last_error_at is not None and primary.last_error_at <= condition.run_at
    if condition.word == error.code or old:
        return condition
    return _next(condition, Condition(error.code, error.message, error.hint, error.exit_code, at))


def after_wait(condition: Condition, cache: CacheHealth, notice_s: float, at: float) -> Condition:
    """Rows that have waited for too long are trouble, once, until a run ends it."""
    waiting = cache.waiting
    if waiting is None or at - waiting.since <= notice_s or condition.trouble:
        return condition
    holder = describe(cache.holder) if cache.holder is not None else "another process"
    rows = "1 row has" if waiting.rows == 1 else f"{waiting.rows:,} rows have"
    text = f"{rows} waited {(at - waiting.since) / 60:,.0f} min for {holder} to close the cache"
    hint = "restart it, through storage-sync exec if possible"
    return _next(condition, Condition(WAITS_LONG, text, hint, 6, at))


def _next(old: Condition, new: Condition) -> Condition:
    if old.word != new.word:
        return replace(new, tries=int(new.trouble), run_at=old.run_at)
    return replace(new, since=old.since, tries=old.tries + int(new.trouble), run_at=old.run_at)
