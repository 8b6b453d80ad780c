"""A list of 100,000 embeddings: how long its order takes in the core, and a page of it on the screen."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from textual.app import App, ComposeResult

from console.views import orphans as words
from console.views.frame import Frame
from console.views.verdict import verdict
from storage_sync.embeddings.detail import neighbours
from storage_sync.embeddings.index import OrphanIndex, Remembered, Told, build, found_in
from storage_sync.embeddings.query import View, select
from storage_sync.embeddings.wanted import Wanted
from tests.embeddings import synthetic
from tests.support.scenes import snapshots
from widgets.glyphs import Look
from widgets.line import Line
from widgets.virtual_table import VirtualTable

DIMENSION = 384
TYPED = "reason:nowhere 3a7f"
PAGES = 200


def milliseconds(work: Callable[[], object], times: int = 9) -> float:
    """Median of some runs."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def make(folder: Path, rows: int) -> Path:
    """A cache of so many embeddings whose owners are nowhere."""
    rng = random.Random(7)
    pool = [synthetic.value(synthetic.unit(rng, DIMENSION)) for _ in range(200)]
    values = {
        f"episode_{synthetic.identity(number * 7919)}": pool[number % len(pool)][:-4]
        + number.to_bytes(3, "little")
        + b"\x3d"
        for number in range(rows)
    }
    return synthetic.cache_of(folder, values)


def index_of(cache: Path) -> tuple[OrphanIndex, float]:
    """The index, and the seconds that it took without the copy of the file."""
    started = time.perf_counter()
    found = found_in(synthetic.read(cache))
    told = Told(owners=frozenset(), window=frozenset())
    index = build(found, told, Remembered(), dimension=None, generation=1, at=synthetic.NOW)
    return index, time.perf_counter() - started


def typing(index: OrphanIndex) -> list[float]:
    """Milliseconds of the order after each key of a filter."""
    texts = [TYPED[: end + 1] for end in range(len(TYPED)) if ":" not in TYPED[: end + 1] or end > TYPED.index(":")]
    return [milliseconds(partial(select, index, Wanted(text), synthetic.NOW), 3) for text in texts]


def nearest(index: OrphanIndex) -> float:
    """Milliseconds until the five nearest of a row are known."""
    return milliseconds(lambda: neighbours(index, 1000), 5)


class _Paged(App[None]):
    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view
        self.table = VirtualTable(Look())
        snapshot = snapshots.scene("in_sync").snapshot
        now = snapshots.NOW
        self.frame = Frame(snapshot, verdict(snapshot, now=now, beat_age=0.4), now, 0.4, Look())

    def compose(self) -> ComposeResult:
        yield self.table

    def line(self, index: int, width: int) -> Line:
        group = self.view.group_at(index)
        if group is not None:
            return words.group_line(self.frame, group, folded=False)
        return words.row_line(self.frame, self.view.index.row(self.view.at(index)), False, width)


async def _pages(view: View) -> list[float]:
    app = _Paged(view)
    taken = []
    async with app.run_test(size=(100, 30)) as pilot:
        app.table.show(len(view), app.line, view)
        app.table.focus()
        await pilot.pause()
        for _ in range(PAGES):
            started = time.perf_counter()
            app.table.action_page(1)
            for line in range(app.table.size.height):
                app.table.render_line(line)
            taken.append((time.perf_counter() - started) * 1000)
            await pilot.pause()
    return taken


def pages(index: OrphanIndex) -> list[float]:
    """Milliseconds of each page down, drawn."""
    return asyncio.run(_pages(select(index, Wanted(), synthetic.NOW)))
