"""How a run is asked to stop before its commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from storage_sync.values.errors import DeadlineReached, Interrupted

T = TypeVar("T")


class Cancel:
    """One run's request to stop. `ask` belongs to the loop that the run lives in.

    Before the commit the run's task is cancelled at once. From the commit on the request is remembered and has no
    effect (docs/architecture.md#threads): what was committed is read back and acknowledged.
    """

    def __init__(self, commit_until: float | None = None) -> None:
        """`commit_until`: on the monotonic clock; no commit begins later."""
        self._commit_until = commit_until
        self._reason: str | None = None
        self._exit_code = 130
        self._task: asyncio.Task[object] | None = None
        self._committing = False
        self._committed = False

    @property
    def asked(self) -> bool:
        return self._reason is not None

    @property
    def committing(self) -> bool:
        return self._committing

    @property
    def too_late(self) -> bool:
        """The commit has begun, or is done: the run ends by itself."""
        return self._committing or self._committed

    def ask(self, reason: str, exit_code: int = 130) -> bool:
        """Ask the run to stop; False when it is too late and the run will end by itself."""
        if self._reason is None:
            self._reason, self._exit_code = reason, exit_code
        if self.too_late:
            return False
        if self._task is not None:
            self._task.cancel()
        return True

    def interrupted(self) -> Interrupted:
        return Interrupted(
            f"stopped before the commit: {self._reason or 'cancelled'}; the cache is unchanged",
            exit_code=self._exit_code,
        )

    async def run(self, work: Awaitable[T]) -> T:
        """Await `work` as the task that `ask` cancels; Interrupted when that happened."""
        task = asyncio.ensure_future(work)
        self._task = task
        if self.asked:
            task.cancel()
        try:
            return await self._end_of(task)
        except asyncio.CancelledError:
            if self.asked:
                raise self.interrupted() from None
            raise
        finally:
            self._task = None

    async def _end_of(self, task: asyncio.Task[T]) -> T:
        """Its result. Whoever cancels us cancels it, unless that is too late; its end is waited for in either case."""
        while True:
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.cancelled():
                    raise
                if not self.too_late:
                    task.cancel()

    async def uncancellable(self, step: Callable[[], Awaitable[T]]) -> T:
        """Run the commit: whoever cancels meanwhile waits for its end. When it fails, the run may be stopped again.

        DeadlineReached when it is too late to begin one.
        """
        if self._commit_until is not None and time.monotonic() > self._commit_until:
            raise DeadlineReached("too little of the deadline is left for a commit; nothing was changed")
        self._committing = True
        try:
            task = asyncio.ensure_future(step())
            while True:
                try:
                    result = await asyncio.shield(task)
                    self._committed = True
                    return result
                except asyncio.CancelledError:
                    if task.cancelled():
                        raise
        finally:
            self._committing = False
