"""How a run is asked to stop before its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from storage_sync.errors import Interrupted

T = TypeVar("T")


class Cancel:
    """One run's request to stop. `ask` belongs to the loop that the run lives in.

    Before the commit the run's task is cancelled at once; during the commit the request is remembered and has
    no effect on it (`console.md` 6.6).
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._exit_code = 130
        self._task: asyncio.Task[object] | None = None
        self._committing = False

    @property
    def asked(self) -> bool:
        return self._reason is not None

    @property
    def committing(self) -> bool:
        return self._committing

    def ask(self, reason: str, exit_code: int = 130) -> bool:
        """Ask the run to stop; False when it is in its commit and will end by itself."""
        if self._reason is None:
            self._reason, self._exit_code = reason, exit_code
        if self._committing:
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
            return await task
        except asyncio.CancelledError:
            if self.asked:
                raise self.interrupted() from None
            task.cancel()
            raise
        finally:
            self._task = None

    async def uncancellable(self, step: Callable[[], Awaitable[T]]) -> T:
        """Run the commit: whoever cancels meanwhile waits for its end."""
        self._committing = True
        try:
            task = asyncio.ensure_future(step())
            while True:
                try:
                    return await asyncio.shield(task)
                except asyncio.CancelledError:
                    if task.done():
                        raise
        finally:
            self._committing = False
