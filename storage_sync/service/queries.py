"""What a front end may ask of the core while it works: answers, never changes (docs/architecture.md#threads).

A question runs beside the queue of jobs and never waits for a run. A newer one of the same name cancels the older;
one that takes long says how far it is, and can be given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from storage_sync import _native
from storage_sync.cache.copies import Copies
from storage_sync.cache.explain import explain
from storage_sync.config.settings import Settings
from storage_sync.config.token import Token
from storage_sync.service import (
    differences,
    exports,
    history_queries,
    quarantine_queries,
    run_rows,
    settings_editing,
    unfinished_builds,
)
from storage_sync.service import orphan_queries as embeddings
from storage_sync.service.question import Asked
from storage_sync.state.directory import StateDir
from storage_sync.values.commands import Command
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.events import Accepted, Answer, Event, Progressed, Refused
from storage_sync.values.snapshot import Snapshot

Question = Callable[[Asked], Awaitable[object]]

QUESTIONS: Mapping[str, Question] = {
    "runs": history_queries.runs,
    "run_detail": history_queries.run_detail,
    "check_runs": history_queries.check_runs,
    "run_rows": run_rows.run_rows,
    "differences": differences.differences,
    "export_rows": exports.export_rows,
    "quarantine": quarantine_queries.quarantine,
    "quarantine_export": quarantine_queries.quarantine_export,
    "builds": unfinished_builds.builds,
    "preview_settings": settings_editing.preview_settings,
    "write_settings": settings_editing.write_settings,
    "try_primary": settings_editing.try_primary,
    "orphans_scan": embeddings.scan,
    "orphans_query": embeddings.query,
    "orphan_detail": embeddings.detail,
    "orphan_neighbours": embeddings.neighbours,
    "orphans_marked": embeddings.marked,
    "orphans_export": embeddings.export,
}


@dataclass(frozen=True, slots=True)
class _Open:
    number: int
    task: asyncio.Task[None]


class Questions:
    """Runs questions; all methods belong to the core's loop."""

    def __init__(self, emit: Callable[[Event], None], explained: Callable[[str, Exception], StorageSyncError]) -> None:
        """`explained`: makes an error of ours of one that nobody foresaw."""
        self._emit = emit
        self._explained = explained
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="questions")
        self._open: dict[str, _Open] = {}
        self._given_up: set[int] = set()

    def ask(
        self,
        command: Command,
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
            loop.call_soon_threadsafe(self._progressed, Progressed(command.id, done, total))

        asked = Asked(command.arguments, settings, token, state, snapshot, copies, self._thread, tell)
        older = self._open.get(command.kind)
        if older is not None:
            older.task.cancel()
        self._emit(Accepted(command.id))
        task = asyncio.create_task(self._answer(command, asked))
        self._open[command.kind] = _Open(command.id, task)
        task.add_done_callback(lambda done: self._ended(command, done))

    def give_up(self, command: Command) -> None:
        """`question`: number of one that is not wanted any more; it is refused, unless it has ended."""
        found = self._numbered(command.arguments.get("question"))
        if found is not None:
            self._given_up.add(found.number)
            found.task.cancel()
        self._emit(Accepted(command.id))

    def _numbered(self, number: object) -> _Open | None:
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

    async def _answer(self, command: Command, asked: Asked) -> None:
        try:
            value = await QUESTIONS[command.kind](asked)
        except _native.NativeError as error:
            known = explain(error)
            self._emit(Refused(command.id, known.message, known.hint))
        except StorageSyncError as error:
            self._emit(Refused(command.id, error.message, error.hint))
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this question and not the service
            told = self._explained(command.kind, error)
            self._emit(Refused(command.id, told.message, told.hint))
        else:
            self._emit(Answer(command.id, value))

    def _ended(self, command: Command, task: asyncio.Task[None]) -> None:
        if self._numbered(command.id) is not None:
            del self._open[command.kind]
        given_up = command.id in self._given_up
        self._given_up.discard(command.id)
        if task.cancelled():
            # said here: one that is cancelled before its first step never runs
            reason = "given up; nothing is left of it" if given_up else "a newer question took its place"
            self._emit(Refused(command.id, reason, ""))
