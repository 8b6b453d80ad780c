"""The long-running core: all that a front end can ask for.

One event loop. Its parts: the `Worker` does the queue of jobs, the `Scheduler` puts one into it when it is due, the
`PrimaryMonitor` and the `CacheMonitor` see the stores between the runs, the `Board` holds what is shown, the `Agenda`
what is due next.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from storage_sync.cache.starting import is_announced
from storage_sync.config.token import Token
from storage_sync.primary.source import Source
from storage_sync.reports import sentences
from storage_sync.service import commands
from storage_sync.service.cache_monitor import CacheMonitor
from storage_sync.service.commands import Command
from storage_sync.service.effective_settings import Configuration, EffectiveSettings
from storage_sync.service.jobs import Job
from storage_sync.service.journal import Journal
from storage_sync.service.meter import Meter
from storage_sync.service.parts import Active, Parts
from storage_sync.service.primary_monitor import PrimaryMonitor
from storage_sync.service.publisher import Board
from storage_sync.service.queries import Questions
from storage_sync.service.samples import Samples
from storage_sync.service.schedule import Trigger
from storage_sync.service.scheduler import Scheduler
from storage_sync.service.triggers import Agenda
from storage_sync.service.unforeseen import Unforeseen
from storage_sync.service.worker import Worker
from storage_sync.state import running
from storage_sync.state.witness import read_witness
from storage_sync.sync.session import Session
from storage_sync.values.errors import InternalError, StorageSyncError
from storage_sync.values.events import Accepted, Event, Refused
from storage_sync.values.found import Basis, Found
from storage_sync.values.outcome import HolderKind, LockHolder, Word
from storage_sync.values.snapshot import (
    SAMPLE_S,
    CacheHealth,
    ConfigView,
    CoreBeat,
    Freshness,
    PrimaryHealth,
    QuarantineView,
    Snapshot,
    StartFacts,
)

BEAT_S = 1.0
"""Between two snapshots of a core at rest."""


class SyncService:
    """Everything that a front end can ask for. All methods belong to the loop of `run`."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        token: Token | None = None,
        publish: Callable[[Snapshot], None],
        emit: Callable[[Event], None],
        source: Source | None = None,
    ) -> None:
        """`source`: of the demo, instead of the one that the settings name."""
        self._session = Session(configuration.settings, token, source=source)
        self._board = Board(_first_snapshot(configuration, token), publish, emit)
        self._agenda = Agenda()
        self._effective = EffectiveSettings(configuration, token, self._session, self._board, self._agenda)
        self._journal = Journal(self._session.state, lambda text: self._board.log("warn", "core", text))
        self._samples = Samples()
        parts = Parts(
            effective=self._effective,
            session=self._session,
            board=self._board,
            agenda=self._agenda,
            journal=self._journal,
            samples=self._samples,
            unforeseen=Unforeseen(),
            active=Active(),
        )
        self._parts = parts
        self._stop = asyncio.Event()
        meter = Meter(parts)
        self._cache = CacheMonitor(parts, self._note_start, self._stop)
        self._primary = PrimaryMonitor(parts, meter, self._cache)
        self._worker = Worker(parts, self._primary, self._cache, meter)
        self._scheduler = Scheduler(parts, self._cache, meter, self._worker)
        self._questions = Questions(self._board.event, parts.explained)

    # ------------------------------------------------------------------------------------------ the face

    async def run(self) -> None:
        """Until `request_stop`; a run is then cancelled before its commit, or its commit is waited for."""
        with self._journal.open():
            self._recall()
            self._effective.note()
            tasks = [
                asyncio.create_task(loop())
                for loop in (
                    self._beat,
                    self._primary.run,
                    self._cache.watch,
                    self._cache.locks,
                    self._scheduler.run,
                    lambda: self._worker.run(self._stop),
                )
            ]
            stopped = asyncio.create_task(self._stop.wait())
            try:
                ends: set[asyncio.Future[Any]] = {stopped, *tasks}
                done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for ended in done - {stopped}:
                    await ended
            finally:
                await self._end([stopped, *tasks])
                with suppress(OSError):
                    running.forget(self._session.state.folder)

    def submit(self, number: int, command: Command[object]) -> None:
        """Answered by events that carry the number."""
        try:
            if isinstance(command, commands.Question):
                self._ask(number, command)
            else:
                self._take(number, command)
        except StorageSyncError as error:
            self._board.event(Refused.of(number, error))
        else:
            self._board.event(Accepted(number))

    def request_stop(self) -> None:
        self._worker.end("the console was closed")
        self._stop.set()

    async def _end(self, tasks: Sequence[asyncio.Task[object]]) -> None:
        self._stop.set()
        self._worker.end("the core stops")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._questions.close()
        await self._session.close()
        self._board.flush(now=True)

    # ------------------------------------------------------------------------------------------ commands

    def _take(self, number: int, command: Command[object]) -> None:
        """StorageSyncError where it is refused."""
        match command:
            case commands.Do(operation):
                if operation.planned:
                    raise InternalError(f"{operation.command} needs a plan")
                if operation.writes:
                    self._effective.require_write()
                self._worker.put(Job(operation, Trigger.MANUAL, command_id=number))
            case commands.MakePlan(operation, options):
                if not operation.planned:
                    raise InternalError(f"{operation.command} has no plan")
                self._worker.put(
                    Job(operation, Trigger.MANUAL, replace(options, plan_only=True, keeps_rows=True), number)
                )
            case commands.Execute(plan_id, phrase):
                self._worker.put(replace(self._worker.agreed(plan_id, phrase), command_id=number))
            case commands.DropPlan():
                self._worker.drop_plan(number)
            case commands.Cancel():
                self._worker.stop_run()
            case commands.GiveUp(question):
                self._questions.give_up(question)
            case commands.TryNow():
                self._try_now()
            case commands.Pause(paused):
                self._board.update(paused=paused)
                self._board.log("info", "core", "scheduled syncs paused" if paused else "scheduled syncs resumed")
                self._agenda.ring()
            case commands.SetAccess(access):
                self._effective.set_access(access)
            case commands.Reload():
                self._effective.reload()
                self._effective.renew_token()
                self._primary.ping_now()
            case _:
                raise InternalError(f"the core knows no command {type(command).__name__}")

    def _ask(self, number: int, question: commands.Question[object]) -> None:
        self._questions.ask(
            number,
            question,
            settings=self._effective.settings,
            token=self._effective.token,
            state=self._session.state,
            copies=self._session.copies,
            snapshot=self._board.snapshot,
        )

    def _try_now(self) -> None:
        """Do now what was waiting: the next ping, and a run if the schedule waits for a retry.

        A renewed token is used, and a server that asked us to wait is asked: a person has decided so.
        """
        self._effective.renew_token()
        self._session.source.ask_now()
        self._primary.ping_now()
        if not self._board.snapshot.paused:
            self._agenda.note(manual_at=time.time())

    # --------------------------------------------------------------------------------------- the picture

    async def _beat(self) -> None:
        last_sample = 0.0
        while True:
            run = self._board.snapshot.run
            doing = run.step if run is not None and run.ended_at is None else "idle"
            self._board.beat(doing, self._worker.waiting)
            now = time.time()
            if self._agenda.set_back(now):
                self._parts.warn("the system's clock was set back: ages of what happened before are too small")
            if not 0 <= now - last_sample < SAMPLE_S:
                last_sample = now
                self._take_sample(now)
            await asyncio.sleep(BEAT_S)

    def _take_sample(self, now: float) -> None:
        proof = self._board.snapshot.freshness.proof
        self._board.update(samples=self._samples.take(now, proof.age(now) if proof is not None else None))

    def _note_start(self, holder: LockHolder) -> None:
        """One line of history: what the program that has just taken the cache starts with. `exec` writes its own."""
        if is_announced(self._session.cache_path, holder.pid) or holder.kind is HolderKind.OURS:
            return
        facts = self._worker.found or StartFacts(None, None, None, Word.UNKNOWN.value)
        if self._agenda.past.moved_at is not None:
            # how many rows moved since is not known
            facts = StartFacts(facts.found, None, None, Word.STALE.value)
        elif self._agenda.past.differs_at is not None:
            # what an earlier holder rewrote was not compared
            facts = StartFacts(None, None, None, Word.UNKNOWN.value)
        self._journal.started(holder, facts, time.time())
        self._board.update(history=self._journal.history.view())

    def _recall(self) -> None:
        """What the state folder remembers of earlier runs: the last proof, never as a verdict."""
        witness, why = read_witness(self._session.state.folder, self._session.cache_path)
        if why:
            self._parts.warn(why)
        if self._session.state.problem:
            self._parts.warn(self._session.state.problem)
        proof = witness.proof if witness is not None else None
        if proof is not None and proof.age(time.time()) is None:
            self._parts.warn(sentences.FROM_THE_FUTURE)
            proof = None
        self._cache.identity()
        self._agenda.note(proof_at=proof.at if proof is not None else None)
        self._board.update(
            freshness=replace(self._board.snapshot.freshness, proof=proof),
            primary=replace(self._board.snapshot.primary, epoch=proof.epoch if proof is not None else 0),
            cache=replace(self._board.snapshot.cache, acked=witness.generation if witness is not None else None),
            # what was left out then, until a comparison tells it of what is there now
            quarantine=QuarantineView(Found(proof.refused or 0, Basis(None), proof.at) if proof is not None else None),
            history=self._journal.history.view(),
        )


def _first_snapshot(configuration: Configuration, token: Token | None) -> Snapshot:
    settings = configuration.settings
    return Snapshot(
        seq=0,
        taken_at=time.time(),
        beat=CoreBeat(time.monotonic()),
        profile=settings.profile,
        access="ro" if settings.access == "read-only" else "rw",
        primary=PrimaryHealth(url=settings.primary or "", token_origin=token.origin if token is not None else ""),
        cache=CacheHealth(path=os.fspath(settings.cache) if settings.cache is not None else ""),
        freshness=Freshness(max_age_s=settings.staleness_s),
        config=ConfigView(
            configuration.views, os.fspath(configuration.file) if configuration.file else "", time.time()
        ),
    )
