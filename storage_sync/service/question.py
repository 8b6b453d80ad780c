"""What is needed to answer a question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from msgspec import Struct

from storage_sync.cache.copies import Copies
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.config.token import Token
from storage_sync.reports.row_lines import Tell
from storage_sync.service.operations import Operation
from storage_sync.service.performing import once
from storage_sync.state.directory import StateDir
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome
from storage_sync.values.snapshot import Snapshot

P = ParamSpec("P")
T = TypeVar("T")


class Asked(Struct, frozen=True):
    """The surroundings of one question."""

    settings: Settings
    token: Token | None
    state: StateDir
    snapshot: Snapshot
    copies: Copies
    """Of the core: a question looks at what the runs look at."""
    thread: ThreadPoolExecutor
    tell: Tell
    """How far it is; to be called in any thread."""

    async def aside(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run a blocking call on the questions' own thread; the cache thread is the runs'."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, lambda: function(*arguments, **named))

    async def look(self, operation: Operation) -> Outcome:
        """Perform what only looks, with stores of its own; StorageSyncError never."""
        request = Request(self.settings, self.token, Options(wait_s=0.0), max_attempts=1)
        return await once(operation, request, copies=self.copies)
