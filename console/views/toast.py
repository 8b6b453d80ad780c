"""What a toast says of a run that failed: two lines, which begin with what failed. Pure."""

from __future__ import annotations

from storage_sync.values import visible
from storage_sync.values.errors import CacheLocked
from storage_sync.values.outcome import Outcome, Word

MOST = 90
"""Characters in two lines of a toast at 100 columns."""


def is_locked(outcome: Outcome) -> bool:
    """Whether it found the cache in use: nothing failed."""
    return outcome.exit_code == CacheLocked.exit_code


def failed_words(outcome: Outcome, more: str) -> str:
    """`Sync failed: the token is not accepted`; '' for a run that did not fail. `more`: said where it is cut."""
    if outcome.error is None:
        return ""
    told = f"{outcome.command.capitalize()} {_ended(outcome)}: {visible.without_place(outcome.error.message)}"
    return told if len(told) <= MOST else f"{told[: MOST - len(more)].rstrip()}{more}"


def _ended(outcome: Outcome) -> str:
    if is_locked(outcome):
        # the rows of a sync are written once the cache is free
        return "waits" if outcome.command == "sync" else "was not done"
    return "was stopped" if outcome.verdict is Word.REFUSED else "failed"
