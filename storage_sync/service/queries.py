"""What a front end may ask of the core while it works: answers, never changes (docs/architecture.md#threads).

A question runs beside the queue of jobs and never waits for a run. A newer one of the same name cancels the older;
one that takes long says how far it is, and can be given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import Struct

from storage_sync import _native
from storage_sync.cache.copies import Copies
from storage_sync.cache.explain import explain
from storage_sync.config.settings import Settings
from storage_sync.config.token import Token
from storage_sync.service import (
    commands,
    differences,
    exports,
    history_queries,
    quarantine_queries,
    run_rows,
    settings_editing,
    unfinished_builds,
)
from storage_sync.service import orphan_queries as embeddings
from storage_sync.service.commands import Question
from storage_sync.service.question import Asked
from storage_sync.state.directory import StateDir
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.events import Answer, Event, Progressed, Refused
from storage_sync.values.snapshot import Snapshot

Answering = Callable[[Any, Asked], Awaitable[object]]

ANSWERING: Mapping[type[Question[object]], Answering] = {
    commands.ListRuns: history_queries.runs,
    commands.ShowRun: history_queries.run_detail,
    commands.ListCheckRuns: history_queries.check_runs,
    commands.ListChangedRows: run_rows.run_rows,
    commands.CompareRows: differences.differences,
    commands.ExportRows: exports.export_rows,
    commands.ListQuarantine: quarantine_queries.quarantine,
    commands.ExportQuarantine: quarantine_queries.quarantine_export,
    commands.ListBuilds: unfinished_builds.builds,
    commands.PreviewSettings: settings_editing.preview_settings,
    commands.WriteSettings: settings_editing.write_settings,
    commands.TryPrimary: settings_editing.try_primary,
    commands.ScanOrphans: embeddings.scan,
    commands.QueryOrphans: embeddings.query,
    commands.ShowOrphan: embeddings.detail,
    commands.FindNeighbours: embeddings.neighbours,
    commands.ResolveMarks: embeddings.marked,
    commands.ExportOrphans: embeddings.export,
}


class _Open(Struct, frozen=True):
    number: int
    task: asyncio.Task[None]


class Questions:
    """Runs questions; all methods belong to the core's loop."""

    def __init__(self, emit: Callable[[Event], None], explained: Callable[[str, Exception], StorageSyncError]) -> None:
        """`explained`: turns an unexpected error into one of our own."""
        self._emit = emit
        self._explained = explained
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="questions")
        self._open: dict[type[Question[object]], _Open] = {}
        self._given_up: set[int] = set()

    def ask(
        self,
        number: int,
        question: Question[object],
        *,
        settings: Settings,
        token: Token | None,
        state: StateDir,
        snapshot: Snapshot,
        copies: Copies,
    ) -> None:
        """Answered by an event; an older question of the same name is refused."""
        loop = asyncio.get_running_loop()

        def tell(done: int, total: int) -> None:
            loop.call_soon_threadsafe(self._progressed, Progressed(number, done, total))

        asked = Asked(settings, token, state, snapshot, copies, self._thread, tell)
        older = self._open.get(type(question))
        if older is not None:
            older.task.cancel()
        task = asyncio.create_task(self._answer(number, question, asked))
        self._open[type(question)] = _Open(number, task)
        task.add_done_callback(lambda done: self._ended(number, type(question), done))

    def give_up(self, number: int) -> None:
        """The question of this number is no longer wanted; it is refused, unless it has ended."""
        found = self._numbered(number)
        if found is not None:
            self._given_up.add(number)
            found.task.cancel()

    def _numbered(self, number: int) -> _Open | None:
        return next((one for one in self._open.values() if one.number == number), None)

    def _progressed(self, event: Progressed) -> None:
        # a thread that was told to stop may have been about to say it
        if self._numbered(event.command_id) is not None:
            self._emit(event)

    async def close(self) -> None:
        tasks = [one.task for one in self._open.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, number: int, question: Question[object], asked: Asked) -> None:
        try:
            value = await ANSWERING[type(question)](question, asked)
        except _native.NativeError as error:
            known = explain(error)
            self._emit(Refused.of(number, known))
        except StorageSyncError as error:
            self._emit(Refused.of(number, error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this question and not the service
            told = self._explained("a question", error)
            self._emit(Refused.of(number, told))
        else:
            self._emit(Answer(number, value))

    def _ended(self, number: int, kind: type[Question[object]], task: asyncio.Task[None]) -> None:
        if self._numbered(number) is not None:
            del self._open[kind]
        given_up = number in self._given_up
        self._given_up.discard(number)
        if task.cancelled():
            # said here: one that is cancelled before its first step never runs
            reason = "you cancelled it; nothing was kept" if given_up else "a newer question took its place"
            self._emit(Refused(number, reason, ""))
