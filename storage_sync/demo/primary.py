"""How the demo's primary is read: where many rows arrived, slowly enough that a person can watch it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from storage_sync.demo.demo import Demo
from storage_sync.primary.local import Row
from storage_sync.primary.source import LocalSource, Wanted
from storage_sync.primary.urls import parse

MANY_ROWS = 300
"""More than that since the last look are many."""
WATCHED_S = 5.0
"""How long it then takes to read all rows."""
ROWS_A_PIECE = 40


class DemoSource(LocalSource):
    """The demo's file, which would be read in less time than anybody can look."""

    def __init__(self, demo: Demo, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """`pause`: waits for so many seconds."""
        super().__init__(parse(f"file:{demo.primary}"))
        self._pause = pause

    async def local_rows(self, scope: Wanted) -> AsyncGenerator[tuple[str, list[Row]], None]:
        before = sum(self.counts.values())
        # read at once, so that no transaction stays open while the rows are handed out
        batches = [batch async for batch in super().local_rows(scope)]
        total = sum(self.counts.values())
        slow = before and total - before >= MANY_ROWS
        for table, rows in batches:
            size = ROWS_A_PIECE if slow else len(rows)
            for first in range(0, len(rows), size):
                piece = rows[first : first + size]
                if slow:
                    await self._pause(WATCHED_S * len(piece) / total)
                yield table, piece
