"""What happened that makes a run due, and the bell that wakes who waits for it."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from msgspec.structs import replace

from storage_sync.service.schedule import Due, Past, Timing, Trigger, after_run, next_run

SLACK_S = 1.0
"""A clock that is only trimmed goes back by less."""
_MOMENTS = (
    *("started_at", "last_end", "proof_at", "moved_at", "file_changed_at", "recovered_at", "manual_at"),
    *("asked_at", "rechecked_at", "differs_at", "full_end", "unfollowed_at", "uncounted_at", "counted_at"),
)


class Agenda:
    """Belongs to the core's loop."""

    def __init__(self) -> None:
        self.past = Past(started_at=time.time(), jitter=random.uniform(-1, 1), spread=random.random())  # noqa: S311
        self._bell = asyncio.Event()
        self._held_until = float("-inf")
        self._let_go_at = float("-inf")

    def note(self, **facts: Any) -> None:
        """Remember facts of `schedule.Past`, and look again at what is due."""
        self.past = replace(self.past, **facts)
        self.ring()

    def ring(self) -> None:
        self._bell.set()

    def quiet(self) -> None:
        """Only what rings from now on is heard."""
        self._bell.clear()

    async def heard(self) -> None:
        await self._bell.wait()

    def hold(self, until: float) -> None:
        """Nothing but a wish of a person is due before this moment; a moment in the past lets go."""
        now = time.time()
        self._let_go_at = until if until > now else min(self._let_go_at, now)
        self._held_until = until
        self.ring()

    def waited(self, timing: Timing) -> bool:
        """Whether the run that is due now was due earlier, and was held."""
        due = next_run(timing, self.past)
        return due is not None and due.reason is not Trigger.MANUAL and due.at < self._let_go_at

    def next_run(self, timing: Timing) -> Due | None:
        due = next_run(timing, self.past)
        if due is None or due.reason is Trigger.MANUAL:
            return due
        return replace(due, at=max(due.at, self._held_until))

    def set_back(self, now: float) -> bool:
        """Whether the system's clock was set back: what happened after this moment then happened at it.

        Else a retry and every other wait would last as much longer as the clock was set back.
        """
        moments = {name: at for name in _MOMENTS if (at := getattr(self.past, name)) is not None}
        later = {name: now for name, at in moments.items() if at > now + SLACK_S}
        if later:
            self._held_until = min(self._held_until, now)
            self._let_go_at = min(self._let_go_at, now)
            self.note(**later)
        return bool(later)

    def ended(
        self,
        *,
        proof_at: float | None,
        failed: bool,
        retry_after: float | None = None,
        asked: bool = True,
        followed: bool = False,
        unfollowed_gap_s: float | None = None,
    ) -> None:
        """A run ended now. `retry_after`: seconds that the primary asked us to wait, if it did. `asked`: it asked the
        primary, which answers that it has changed. The others as in `after_run`."""
        during = {"recovered_at": self.past.recovered_at}
        if not asked:
            during["moved_at"] = self.past.moved_at
            during["uncounted_at"] = self.past.uncounted_at
        fresh = replace(self.past, jitter=random.uniform(-1, 1), spread=random.random())  # noqa: S311
        self.past = after_run(
            fresh,
            ended_at=time.time(),
            proof_at=proof_at,
            failed=failed,
            retry_after=retry_after,
            followed=followed,
            unfollowed_gap_s=unfollowed_gap_s,
        )
        # whoever queued the run took away what it answers: what is there now happened meanwhile
        self.note(**{name: at for name, at in during.items() if at is not None})
