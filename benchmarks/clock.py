"""A core under a clock of its own: while nothing real is under way, time jumps to the next timer.

What takes real time (a request, work on a thread) passes as it is, so that a day takes the seconds that its work takes.
Only `time.time` and the loop's clock are the virtual ones.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar
from unittest import mock

from storage_sync.primary.hrana import HranaHttpClient

T = TypeVar("T")
REAL_WAIT_S = 0.05


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.under_way = 0


class _Jumping(selectors.DefaultSelector):
    """Waits for what is under way, and for nothing else."""

    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        clock = self._clock
        if timeout is None or clock.under_way:
            began = time.perf_counter()
            events = super().select(min(timeout, REAL_WAIT_S) if timeout is not None else REAL_WAIT_S)
            clock.now += time.perf_counter() - began
            return events
        events = super().select(0)
        if not events and timeout > 0:
            clock.now += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = _Clock()
        super().__init__(_Jumping(self.clock))

    def time(self) -> float:
        return self.clock.now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self.clock.under_way += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object) -> None:
        self.clock.under_way -= 1


@contextmanager
def _patched(loop: VirtualLoop) -> Iterator[None]:
    asked, begun = HranaHttpClient._body, time.time()

    async def body(self: HranaHttpClient, *arguments: Any, **named: Any) -> AsyncGenerator[bytes, None]:
        loop.clock.under_way += 1
        try:
            async with aclosing(asked(self, *arguments, **named)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            loop.clock.under_way -= 1

    def now() -> float:
        return begun + loop.clock.now

    with mock.patch.object(HranaHttpClient, "_body", body), mock.patch("time.time", now):
        yield


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, under the virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        with _patched(loop):
            return runner.run(main)
