"""A process that syncs and rebuilds until it is killed, forked from one that has everything imported."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from random import Random

from storage_sync.config.request import Request
from storage_sync.recovery import rebuild as _rebuild
from storage_sync.service.operations import Rebuild, Sync
from storage_sync.service.performing import once
from storage_sync.sync import run as _run
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import Run

PRELOADED = (_rebuild, _run)
"""Imported late by the tool; a child must not spend its short life on that."""
START_S = 60
LOOK_S = 0.002


class Told:
    """What a process said before it died: `rows` durable in its first rebuild, and `done`, operations that ended."""

    def __init__(self, rows: Synchronized[int], done: Synchronized[int]) -> None:
        self._rows = rows
        self._done = done

    @property
    def rows(self) -> int:
        return self._rows.value

    @property
    def done(self) -> int:
        return self._done.value

    def progress(self, run: Run) -> None:
        if self.done == 0 and run.checkpoint_rows is not None:
            self._rows.value = run.checkpoint_rows

    def ended(self) -> None:
        self._done.value += 1


@contextmanager
def looping(request: Request, seed: int, lifetime_s: float, *, rows: int | None = None) -> Iterator[Told]:
    """Run it, kill it after its `lifetime_s`, then the body. AssertionError when it ended by itself.

    `rows`: a rebuild comes first, and its `lifetime_s` counts from when so many rows were told to be durable.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    told = Told(context.Value("q", 0), context.Value("q", 0))
    begun = context.Event()
    process = context.Process(target=_loop, args=(request, seed, told, begun, rows is not None))
    process.start()
    assert begun.wait(START_S)
    while rows is not None and told.rows < rows and told.done == 0 and process.is_alive():
        process.join(LOOK_S)
    process.join(lifetime_s)
    process.kill()
    process.join()
    assert process.exitcode == -9, f"it ended with {process.exitcode}"
    process.close()
    yield told


def _loop(request: Request, seed: int, told: Told, begun: Event, rebuilds_first: bool) -> None:
    asyncio.run(_operate(request, Random(seed), told, begun, rebuilds_first))


async def _operate(request: Request, random: Random, told: Told, begun: Event, rebuilds: bool) -> None:
    begun.set()
    while True:
        outcome = await once(Rebuild() if rebuilds else Sync(), request, told.progress)
        if outcome.error is not None or outcome.verdict is not Word.IN_SYNC:
            raise SystemExit(str(outcome.error))
        told.ended()
        rebuilds = random.random() < 0.5
