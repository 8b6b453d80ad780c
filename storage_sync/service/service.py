"""The long-running core: when a sync runs, what is watched, and all that a front end can ask for.

One event loop, one queue of jobs: a run, a plan and a validation never overlap. What is shown lives on the `Board`;
what is due next is on the `Agenda`; what both stores say between the runs comes from the `Pulse`; the kinds of work
are listed in `jobs`, what may be asked meanwhile in `questions`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from storage_sync.cache.identity import read_identity
from storage_sync.cache.starting import is_announced
from storage_sync.config.request import Request
from storage_sync.config.settings import NEEDS_RESTART, Settings
from storage_sync.config.token import Token
from storage_sync.config.view import still_in_effect
from storage_sync.primary.source import Fingerprint, Source
from storage_sync.reports import sentences
from storage_sync.reports.budget import told as budget_told
from storage_sync.reports.costs import busy_gap_s
from storage_sync.service import commands, snapshots
from storage_sync.service.commands import Command
from storage_sync.service.jobs import Job, weighed
from storage_sync.service.journal import Journal, start_facts
from storage_sync.service.monitor import Ears, Pulse
from storage_sync.service.operations import CountWritten, Deliver, Peek, Recheck, Stage, Sync, Verify
from storage_sync.service.performing import perform, quiet
from storage_sync.service.publisher import Board
from storage_sync.service.queries import Questions
from storage_sync.service.samples import EVERY_S, Samples
from storage_sync.service.schedule import PLAN_READ_S, UNEXPLAINED_GAP_S, Due, Timing, Trigger, may_ask, within_rows
from storage_sync.service.triggers import Agenda
from storage_sync.service.unforeseen import Unforeseen
from storage_sync.state import running
from storage_sync.state.witness import read_witness
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Session
from storage_sync.values.errors import CacheLocked, ConfigError, GuardStopped, InternalError, StorageSyncError
from storage_sync.values.events import Accepted, Answer, ConfigChanged, Event, Refused, RunEnded, RunStarted
from storage_sync.values.followed import Ending
from storage_sync.values.found import Basis, Found
from storage_sync.values.options import Options
from storage_sync.values.outcome import CheckStatus, FileIdentity, HolderKind, LockHolder, Outcome, Transfer, Word
from storage_sync.values.planned import is_empty
from storage_sync.values.snapshot import (
    Budget,
    CacheHealth,
    ConfigView,
    CoreBeat,
    Freshness,
    Hold,
    PrimaryHealth,
    PrimaryStatus,
    QuarantineView,
    Run,
    Setting,
    Snapshot,
    StartFacts,
)

BEAT_S = 1.0
"""Between two snapshots of a core at rest."""
CANCELLED = "cancelled by the operator"
WAITED = "; it waited while a plan was open"


class Configuration(Struct, frozen=True):
    """Effective settings as the core was given them. `again` reads them again; ConfigError when they do not fit."""

    settings: Settings
    file: Path | None = None
    views: tuple[Setting, ...] = ()
    again: Callable[[], Configuration] | None = None
    unattended: bool = False
    """There is no person to ask: a damaged cache is repaired without one, while the setting `auto_repair` is on."""


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
        self._configuration = configuration
        self._settings = configuration.settings
        self._session = Session(self._settings, token, source=source)
        self._token = token
        self._config_file = configuration.file
        self._board = Board(self._first_snapshot(configuration.views), publish, emit)
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._agenda = Agenda()
        self._unforeseen = Unforeseen()
        self._stop = asyncio.Event()
        ears = Ears(
            settings=lambda: self._settings,
            budget=self._budget,
            pinged=self._record_ping,
            committing=lambda: self._cancel is not None and self._cancel.committing,
            replacing=lambda: self._cancel is not None and self._cancel.too_late,
            reload=self._reload,
            explained=self._explained,
            taken=self._note_start,
        )
        self._pulse = Pulse(self._session, self._board, self._agenda, ears, self._config_file, self._stop)
        self._questions = Questions(self._board.event, self._explained)
        self._cancel: Cancel | None = None
        self._planning = False
        """Whether what can be cancelled is the making of a plan."""
        self._plans: dict[str, Job] = {}
        """The newest plan and the job that executes it."""
        self._dropped = 0
        """Plans that were asked for before this command have no reader."""
        self._found: StartFacts | None = None
        """What a program that opens the cache now starts with, by the last comparison."""
        self._journal: Journal | None = None
        self._quiet = {Recheck: self._recheck, CountWritten: self._count}
        """Work that is too frequent to be told as runs."""
        self._counted = Transfer()
        """What had come from the primary at the last ping."""
        self._samples = Samples()
        self._warnings: frozenset[str] = frozenset()
        """Of the last run: what it warned of and still does is no news."""

    # ------------------------------------------------------------------------------------------ the face

    async def run(self) -> None:
        """Until `request_stop`; a run is then cancelled before its commit, or its commit is waited for."""
        with Journal.open(self._session.state, self._warn) as journal:
            self._journal = journal
            self._recall()
            self._note_settings()
            tasks = [
                asyncio.create_task(loop())
                for loop in (
                    self._beat,
                    self._pulse.ping,
                    self._pulse.watch,
                    self._pulse.locks,
                    self._schedule,
                    self._work,
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
        if self._cancel is not None:
            self._cancel.ask("the console was closed")
        self._stop.set()

    async def _end(self, tasks: Sequence[asyncio.Task[object]]) -> None:
        self._stop.set()
        if self._cancel is not None:
            self._cancel.ask("the core stops")
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
                    self._require_write()
                self._jobs.put_nowait(Job(operation, Trigger.MANUAL, command_id=number))
            case commands.MakePlan(operation, options):
                if not operation.planned:
                    raise InternalError(f"{operation.command} has no plan")
                self._jobs.put_nowait(
                    Job(operation, Trigger.MANUAL, replace(options, plan_only=True, keeps_rows=True), number)
                )
            case commands.Execute(plan_id, phrase):
                self._jobs.put_nowait(replace(self._agreed(plan_id, phrase), command_id=number))
            case commands.DropPlan():
                self._drop_plan(number)
            case commands.Cancel():
                self._stop_run()
            case commands.GiveUp(question):
                self._questions.give_up(question)
            case commands.TryNow():
                self._try_now()
            case commands.Pause(paused):
                self._board.update(paused=paused)
                self._board.log("info", "core", "scheduled syncs paused" if paused else "scheduled syncs resumed")
                self._agenda.ring()
            case commands.SetAccess(access):
                self._set_access(access)
            case commands.Reload():
                self._reload()
                self._renew_token()
                self._pulse.ping_now()
            case _:
                raise InternalError(f"the core knows no command {type(command).__name__}")

    def _ask(self, number: int, question: commands.Question[object]) -> None:
        self._questions.ask(
            number,
            question,
            settings=self._settings,
            token=self._token,
            state=self._session.state,
            copies=self._session.copies,
            snapshot=self._board.snapshot,
        )

    def _agreed(self, plan_id: str, phrase: str) -> Job:
        """The job of a plan that may run now."""
        job = self._plans.get(plan_id)
        plan = job.options.expected_plan if job is not None else None
        if job is None or plan is None:
            raise GuardStopped("this plan is not known any more", hint="make a new one")
        self._require_write()
        if plan.phrase is not None and phrase != plan.phrase:
            raise GuardStopped(f"this plan needs the typed name {plan.phrase!r}", hint="type it")
        return job

    def _stop_run(self) -> None:
        if self._cancel is None:
            raise StorageSyncError("nothing is running", hint="")
        if not self._ask_to_stop(self._cancel, CANCELLED):
            raise StorageSyncError("it is committing and ends in under 1 s", hint="wait for it")

    def _drop_plan(self, number: int) -> None:
        """Nobody reads the plan any more; one that is still being made has no reader either, and is stopped."""
        self._plans = {}
        self._dropped = number
        self._agenda.hold(0.0)
        if self._planning and self._cancel is not None:
            self._ask_to_stop(self._cancel, CANCELLED)

    def _ask_to_stop(self, cancel: Cancel, why: str) -> bool:
        """Whether it was not too late."""
        asked = cancel.ask(why)
        run = self._board.snapshot.run
        if asked and run is not None and run.ended_at is None:
            self._board.update(run=replace(run, cancel_asked_at=time.time()))
        return asked

    def _try_now(self) -> None:
        """Do now what was waiting: the next ping, and a run if the schedule waits for a retry.

        A renewed token is used, and a server that asked us to wait is asked: a person has decided so.
        """
        self._renew_token()
        self._session.source.ask_now()
        self._pulse.ping_now()
        if not self._board.snapshot.paused:
            self._agenda.note(manual_at=time.time())

    def _set_access(self, wanted: Literal["ro", "rw"]) -> None:
        """Only what the settings allow: a console that was started read-only stays so."""
        if wanted == "rw" and self._settings.access == "read-only":
            raise StorageSyncError("the console was started read-only", hint="start it without --read-only")
        self._board.update(access=wanted)
        self._board.log("info", "core", f"access is now {wanted}")
        self._agenda.ring()

    def _renew_token(self) -> None:
        """Read the token again where it is kept; one that cannot be read changes nothing."""
        try:
            if self._session.renew_token():
                self._board.log("info", "config", "the token was read again and is another one")
        except ConfigError as error:
            self._board.log("fail", "config", f"{error.message}; the old token stays")

    def _reload(self) -> None:
        """Read the settings again. A file that does not fit changes nothing; what needs a restart waits for one."""
        if self._configuration.again is None:
            return
        old = self._settings
        try:
            fresh = self._configuration.again()
        except ConfigError as error:
            self._board.update(config=replace(self._board.snapshot.config, error=error.message))
            self._board.log("fail", "config", f"{error.message}; the old settings stay")
            return
        kept = {name: getattr(old, name) for name in NEEDS_RESTART}
        waiting = sorted(name for name, value in kept.items() if getattr(fresh.settings, name) != value)
        self._settings = msgspec.structs.replace(fresh.settings, **kept)
        self._session.settings = self._settings
        changed = tuple(name for name in old.__struct_fields__ if getattr(old, name) != getattr(self._settings, name))
        views = still_in_effect(fresh.views, self._board.snapshot.config.settings)
        self._board.update(
            config=ConfigView(views, os.fspath(fresh.file) if fresh.file else "", time.time()),
            freshness=replace(self._board.snapshot.freshness, max_age_s=self._settings.staleness_s),
        )
        self._note_settings()
        if waiting:
            self._board.log("warn", "config", f"{', '.join(waiting)}: takes effect after a restart")
        if changed:
            self._board.event(ConfigChanged(changed))
            self._board.log("info", "config", f"now in effect: {', '.join(changed)}")
        self._agenda.ring()

    def _note_settings(self) -> None:
        """Leave word of what is in effect here, for `config show` and `doctor`; without a state folder nobody asks."""
        if not self._session.state.usable:
            return
        try:
            running.note(self._session.state.folder, self._board.snapshot.config)
        except OSError as error:
            self._board.log("warn", "config", f"nobody else can see what is in effect here: {error.strerror}")

    def _require_write(self) -> None:
        if self._board.snapshot.access != "rw":
            raise StorageSyncError("the cache can only be read now", hint="W allows writes again")

    # ------------------------------------------------------------------------------------------- loops

    async def _beat(self) -> None:
        last_sample = 0.0
        while True:
            run = self._board.snapshot.run
            doing = run.step if run is not None and run.ended_at is None else "idle"
            self._board.beat(doing, self._jobs.qsize())
            now = time.time()
            if self._agenda.set_back(now):
                self._warn("the system's clock was set back: ages of what happened before are too small")
            if not 0 <= now - last_sample < EVERY_S:
                last_sample = now
                self._take_sample(now)
            await asyncio.sleep(BEAT_S)

    async def _schedule(self) -> None:
        """Puts a job into the queue when one is due; one at a time, reasons coalesce."""
        # whether somebody holds the file decides what the first run may do
        await self._pulse.look_at_file()
        while True:
            self._agenda.quiet()
            held = self._board.snapshot.paused or self._cancel is not None or not self._jobs.empty()
            due = None if held else self._allowed(self._agenda.next_run(self._timing()))
            self._show_next(due)
            now = time.time()
            if due is not None and due.at <= now:
                job = replace(self._job_for(due, now), waited=self._agenda.waited(self._timing()))
                self._jobs.put_nowait(job)
                if isinstance(job.operation, Recheck):
                    self._agenda.note(file_changed_at=None, rechecked_at=now)
                elif isinstance(job.operation, CountWritten):
                    self._agenda.note(uncounted_at=None, counted_at=now)
                else:
                    # whatever else was waiting is answered by this run
                    self._agenda.note(manual_at=None, recovered_at=None, last_end=now)
                continue
            try:
                async with asyncio.timeout(due.at - now if due is not None else None):
                    await self._agenda.heard()
            except TimeoutError:
                continue

    def _job_for(self, due: Due, now: float) -> Job:
        """What can be written is synced; a held file is compared, and between two comparisons judged by the last."""
        past, writes = self._agenda.past, self._board.snapshot.access == "rw"
        if past.held and due.reason is Trigger.MOVED:
            return Job(CountWritten(), due.reason)
        if past.held and due.reason is not Trigger.MANUAL:
            judged = due.reason is Trigger.CACHE_CHANGED and self._session.known is not None
            compares = Stage() if writes else Verify()
            return Job(Recheck() if judged and not may_ask(past, now) else compares, due.reason)
        if not writes:
            return Job(Verify(), due.reason)
        waits = self._board.snapshot.cache.waiting is not None and due.reason is not Trigger.MANUAL
        repairs = self._configuration.unattended and self._settings.auto_repair
        return Job(Deliver(repairs) if waits else Sync(repairs), due.reason, _options(due.reason))

    def _allowed(self, due: Due | None) -> Due | None:
        """Not before it fits into what may be copied and read; what a person asks for is not held back."""
        due, budget = self._within_copies(due), self._budget()
        if due is None or budget is None:
            return due
        renews = self._renews()
        return within_rows(due, self._timing(), self._agenda.past, budget, time.time(), renews=renews)

    def _renews(self) -> bool:
        """Whether the next proof by time will read nothing, as far as the last poll told."""
        return self._session.reading is not None and self._agenda.past.moved_at is None

    def _budget(self) -> Budget | None:
        """What `rows_read_per_day` leaves now. A local read of the history."""
        return self._journal.budget(self._settings) if self._journal is not None else None

    def _show_reads(self) -> None:
        """What was read, and whether the budget holds back; said when that changes."""
        if self._journal is None:
            return
        before, now = self._board.snapshot.primary.budget, self._budget()
        self._board.update(
            primary=replace(
                self._board.snapshot.primary, rows_read=self._journal.history.rows_read(time.time()), budget=now
            )
        )
        was, is_ = (one.hold if one is not None else Hold.NOT for one in (before, now))
        if now is not None and was is not is_:
            level = "info" if is_ in (Hold.NOT, Hold.SPREAD) else "warn"
            self._board.log(level, "budget", budget_told(now, self._settings))

    def _within_copies(self, due: Due | None) -> Due | None:
        """Not before a copy of the file fits into `copy_bytes_per_hour`."""
        cache, waits, copies = self._board.snapshot.cache, 0.0, self._session.copies
        held_back = due is not None and due.reason is not Trigger.MANUAL and cache.size is not None
        if held_back and not copies.has(read_identity(self._session.cache_path)):
            waits = copies.wait_for(cache.size or 0, self._settings.copy_bytes_per_hour)
        until = time.time() + waits if waits > 0 else None
        if until is not None and cache.waits_until is None:
            self._warn(f"copies of the cache reached copy_bytes_per_hour; the next look is in {waits:,.0f} s")
        if (until is None) is not (cache.waits_until is None):
            self._board.update(cache=replace(cache, waits_until=until))
        return due if due is None or until is None else replace(due, at=max(due.at, until))

    async def _work(self) -> None:
        # a cancellation that came too late for a run was kept from it, and ends nothing else
        while not self._stop.is_set():
            job = await self._jobs.get()
            try:
                work = self._quiet.get(type(job.operation), self._run_job)
                await work(job)
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends this job and not the service
                self._give_up(job, error)
            self._agenda.ring()

    def _give_up(self, job: Job, error: Exception) -> None:
        """What is done about a job failed in a way that nobody foresaw; the next one comes after a pause."""
        self._cancel = None
        told = self._explained(job.operation.command, error)
        self._board.log("fail", "core", told.message)
        self._board.unproven(told.message)
        self._agenda.ended(proof_at=None, failed=True)
        if job.command_id is not None:
            self._board.event(Refused.of(job.command_id, told))

    def _explained(self, work: str, error: Exception) -> StorageSyncError:
        secrets = (self._token.value,) if self._token is not None else ()
        return self._unforeseen.explained(work, error, secrets)

    # --------------------------------------------------------------------------------------------- jobs

    async def _recheck(self, job: Job) -> None:
        """Judge the file by the last comparison. No run that anybody needs to hear of."""
        self._cancel = Cancel()
        request = Request(self._settings_now(), self._token, max_attempts=1)
        try:
            outcome = await perform(self._session, job.operation, request, quiet, self._cancel)
        finally:
            self._cancel = None
        now = time.time()
        self._agenda.note(rechecked_at=now)
        if outcome.error is not None and outcome.error.code not in _LASTING:
            self._warn(f"the changed cache could not be looked at: {outcome.error.message}")
            self._agenda.note(file_changed_at=now)
            return
        verdict = outcome.verdict
        if verdict is Word.DRIFT:
            # what its holder wrote may be in the primary too
            moved = await self._pulse.has_moved()
            verdict = Word.UNKNOWN if moved is None else Word.STALE if moved else Word.DRIFT
        elif verdict is Word.IN_SYNC and self._agenda.past.moved_at is not None:
            verdict = Word.STALE
        elif verdict is Word.IN_SYNC and self._board.snapshot.primary.status is not PrimaryStatus.CONNECTED:
            verdict = Word.UNKNOWN
        differs = verdict in (Word.DRIFT, Word.UNKNOWN)
        # only the primary can tell what that is by now
        self._agenda.note(differs_at=(self._agenda.past.differs_at or now) if differs else None)
        picture = snapshots.rechecked(
            self._board.snapshot, replace(outcome, verdict=verdict), self._recent_checks(), now
        )
        self._board.judge(verdict, "a new copy was judged by the last comparison", picture)
        self._look_again_if_it_changed(outcome.look.identity if outcome.look is not None else None)

    def _recent_checks(self) -> snapshots.Recent:
        return self._journal.history.recent_checks if self._journal is not None else _nothing_recent

    async def _count(self, job: Job) -> None:
        """How many rows the primary wrote since the last proof. No run that anybody needs to hear of."""
        self._cancel = Cancel()
        request = Request(self._settings_now(), self._token, max_attempts=1)
        before: Fingerprint | None = None

        async def look_first() -> None:
            nonlocal before
            before = await self._pulse.fingerprint()

        try:
            outcome = await perform(self._session, job.operation, request, quiet, self._cancel, first=look_first)
        finally:
            self._cancel = None
        if outcome.error is None and outcome.verdict is Word.STALE and before is not None:
            stand = self._pulse.stand(before)
            self._board.show(snapshots.counted(self._board.snapshot, outcome, stand, time.time()))

    async def _run_job(self, job: Job) -> None:
        if job.plans and job.command_id is not None and job.command_id < self._dropped:
            # it waited behind a run, and nobody reads it any more
            self._board.event(Refused(job.command_id, f"{CANCELLED} before it was begun", ""))
            return
        self._cancel = Cancel()
        self._planning = job.plans
        if job.operation.judges and not job.plans:
            self._agenda.note(asked_at=time.time())
        before: Fingerprint | None = None
        found = read_identity(self._session.cache_path)
        options = replace(
            job.options,
            wait_s=5.0 if job.trigger is Trigger.MANUAL else 0.0,
            free_since=self._pulse.free_since,
        )
        request = Request(self._settings_now(), self._token, options, max_attempts=1, trigger=str(job.trigger))
        word = job.operation.word
        title = f"{word} plan" if job.plans else word
        started: list[str] = []
        noted: list[str] = []

        def progress(run: Run) -> None:
            # first, so that nobody reads that it started beside a picture in which nothing runs
            self._board.update(run=run)
            if not started:
                started.append(run.id)
                self._board.event(RunStarted(run.id, run.kind, run.trigger))
                why = f"{run.trigger}{WAITED if job.waited else ''}"
                self._board.log("info", word, f"{run.id} {title} started ({why})", run.id)
            for note in run.notes[len(noted) :]:
                noted.append(note)
                self._board.log("info", "core", note)

        async def look_first() -> None:
            nonlocal before
            # part of the run: a primary that does not answer holds it up, and a person can stop it
            before = await self._pulse.fingerprint()

        try:
            outcome = await perform(
                self._session,
                job.operation,
                request,
                progress,
                self._cancel,
                first=None if isinstance(job.operation, Deliver) else look_first,
                unforeseen=lambda error: self._explained(title, error),
            )
        finally:
            self._cancel = None
            self._planning = False
        self._after(job, outcome, before, found)
        if not job.plans:
            # until the next ping it would be said of this file what was there before the run
            await self._pulse.look_at_file()

    def _after(self, job: Job, outcome: Outcome, before: Fingerprint | None, found: FileIdentity | None) -> None:
        """`before`, `found`: the primary's fingerprint and the file's identity when the run began."""
        kind = job.operation
        if job.plans and outcome.proposal is not None:
            plan = weighed(job, outcome.proposal, self._board.snapshot.profile)
            outcome = replace(outcome, proposal=plan)
            if job.command_id is None or job.command_id > self._dropped:
                self._plans = {
                    plan.id: replace(
                        job, options=replace(job.options, plan_only=False, keeps_rows=False, expected_plan=plan)
                    )
                }
                if not is_empty(plan):
                    # of a plan of nothing there is nothing to decide
                    self._agenda.hold(time.time() + PLAN_READ_S)
        elif job.options.expected_plan is not None:
            self._agenda.hold(0.0)
        run = self._board.snapshot.run
        self._remember(job, outcome, run)
        self._show(job, outcome, before)
        delivered = "waited" in outcome.extra
        if outcome.proof is not None and kind.judges and not delivered:
            self._pulse.reached(outcome.followed.at if outcome.followed is not None else outcome.proof.at)
        lasting = outcome.error is not None and outcome.error.code in _LASTING and not _says_nothing(job, outcome)
        compared = isinstance(kind, Verify | Stage) and outcome.error is None
        if delivered:
            # what is proven is the primary of an earlier moment: whether it moved since is still the question
            self._pulse.delivered()
        if kind.judges and not job.plans and not _outdated(job, outcome):
            self._agenda.ended(
                proof_at=outcome.proof.at if outcome.proof is not None else None,
                failed=outcome.error is not None and outcome.error.code not in (*_LASTING, CacheLocked.code),
                retry_after=outcome.error.retry_after if outcome.error is not None else None,
                asked=not delivered,
                followed=outcome.followed is not None,
                unfollowed_gap_s=self._unfollowed_gap(outcome),
            )
            if delivered and self._agenda.past.moved_at is not None:
                self._board.judge(Word.STALE, "the primary has changed since the waiting rows were fetched")
        if not delivered and (outcome.proof is not None or compared or (lasting and kind.judges)):
            # what was compared or refused once is looked at again when it moves on, not because it is still there;
            # after the end, which would answer what moved meanwhile
            self._pulse.proven(before)
        if not job.plans and (kind.judges or kind.writes):
            self._look_again_if_it_changed(outcome.proof.identity if outcome.proof is not None else found)
        if outcome.error is not None and outcome.error.code == CacheLocked.code:
            # who holds it is seen now, and so when that ends
            self._pulse.lock_refused()
        if kind.judges and not job.plans and not _says_nothing(job, outcome):
            self._found = start_facts(outcome, None)
        self._board.event(RunEnded(outcome.run_id, outcome))
        self._log_end(job, outcome)
        if job.command_id is not None:
            self._answer(job, job.command_id, outcome)

    def _remember(self, job: Job, outcome: Outcome, run: Run | None) -> None:
        if self._journal is not None and run is not None and job.remembered:
            self._journal.record(outcome, run)
            self._show_reads()
        if job.operation.judges and not job.plans and outcome.followed is None:
            read = "renewed" not in outcome.extra and sum(outcome.transfer.rows_read.values()) > 0
            self._agenda.note(read_rows=read)

    def _log_end(self, job: Job, outcome: Outcome) -> None:
        area, locked = job.operation.word, outcome.error is not None and outcome.error.code == CacheLocked.code
        level = "fail" if outcome.error is not None and not locked else "info"
        self._board.log(level, area, sentences.summary(outcome, planned=job.plans), outcome.run_id)
        for warning in outcome.warnings:
            if warning not in self._warnings:
                self._board.log("warn", area, warning, outcome.run_id)
        self._warnings = frozenset(outcome.warnings)

    def _unfollowed_gap(self, outcome: Outcome) -> float | None:
        """How soon what could not be followed is proven; None where nothing was left so."""
        told = outcome.extra.get("follow")
        if outcome.error is not None or outcome.proof is not None or told is None:
            return None
        gap = busy_gap_s(self._settings)
        # a file is read at no cost
        return UNEXPLAINED_GAP_S if gap and told["ended"] in _UNEXPLAINED else gap

    def _note_start(self, holder: LockHolder) -> None:
        """One line of history: what the program that has just taken the cache starts with. `exec` writes its own."""
        if self._journal is None or is_announced(self._session.cache_path, holder.pid) or self._is_ours(holder):
            return
        facts = self._found or StartFacts(None, None, None, Word.UNKNOWN.value)
        if self._agenda.past.moved_at is not None:
            # how many rows moved since is not known
            facts = StartFacts(facts.found, None, None, Word.STALE.value)
        elif self._agenda.past.differs_at is not None:
            # what an earlier holder rewrote was not compared
            facts = StartFacts(None, None, None, Word.UNKNOWN.value)
        self._journal.started(holder, facts, time.time())
        self._board.update(history=self._journal.history.view())

    def _is_ours(self, holder: LockHolder) -> bool:
        return holder.kind is HolderKind.OURS

    def _look_again_if_it_changed(self, seen: FileIdentity | None) -> None:
        """What happened to the file while a run looked at it is not answered by that run."""
        if self._pulse.identity() != seen:
            self._agenda.note(file_changed_at=time.time())

    def _answer(self, job: Job, command_id: int, outcome: Outcome) -> None:
        if job.plans and outcome.proposal is not None:
            self._board.event(Answer(command_id, outcome.proposal))
        elif outcome.error is not None:
            self._board.event(Refused.of(command_id, outcome.error))
        else:
            self._board.event(Answer(command_id, outcome))

    # --------------------------------------------------------------------------------------- the picture

    def _first_snapshot(self, views: tuple[Setting, ...]) -> Snapshot:
        settings = self._settings
        origin = self._token.origin if self._token is not None else ""
        return Snapshot(
            seq=0,
            taken_at=time.time(),
            beat=CoreBeat(time.monotonic()),
            profile=settings.profile,
            access="ro" if settings.access == "read-only" else "rw",
            primary=PrimaryHealth(url=settings.primary or "", token_origin=origin),
            cache=CacheHealth(path=os.fspath(settings.cache) if settings.cache is not None else ""),
            freshness=Freshness(max_age_s=settings.staleness_s),
            config=ConfigView(views, os.fspath(self._config_file) if self._config_file else "", time.time()),
        )

    def _recall(self) -> None:
        """What the state folder remembers of earlier runs: the last proof, never as a verdict."""
        witness, why = read_witness(self._session.state.folder, self._session.cache_path)
        if why:
            self._warn(why)
        if self._session.state.problem:
            self._warn(self._session.state.problem)
        proof = witness.proof if witness is not None else None
        if proof is not None and proof.age(time.time()) is None:
            self._warn(sentences.FROM_THE_FUTURE)
            proof = None
        self._pulse.identity()
        self._agenda.note(proof_at=proof.at if proof is not None else None)
        self._board.update(
            freshness=replace(self._board.snapshot.freshness, proof=proof),
            primary=replace(self._board.snapshot.primary, epoch=proof.epoch if proof is not None else 0),
            cache=replace(self._board.snapshot.cache, acked=witness.generation if witness is not None else None),
            # what was left out then, until a comparison tells it of what is there now
            quarantine=QuarantineView(Found(proof.refused or 0, Basis(None), proof.at) if proof is not None else None),
            history=self._journal.history.view() if self._journal is not None else self._board.snapshot.history,
        )

    def _show(self, job: Job, outcome: Outcome, before: Fingerprint | None) -> None:
        """Everything that the end of an operation says about cache, freshness and checks. `before`: as in `_after`."""
        kind, stand = job.operation, self._pulse.stand(before)
        if not job.plans:
            self._samples.changed(sum(sentences.sums(outcome.applied)))
        if self._journal is not None:
            self._board.update(history=self._journal.history.view())
            if isinstance(kind, Sync | Deliver) and not job.plans:
                self._board.update(advice=self._journal.advice(self._settings))
        recent = self._recent_checks()
        if isinstance(kind, Peek):
            self._board.show(snapshots.peeked(self._board.snapshot, outcome, recent, time.time()))
        judges = kind.judges and not (job.plans and job.options.adopt)
        if (judges or (kind.writes and not job.plans)) and not _says_nothing(job, outcome):
            picture = snapshots.after(self._board.snapshot, outcome, stand, recent, time.time())
            moved = outcome.verdict is Word.IN_SYNC and self._pulse.moved_since(before)
            verdict = Word.STALE if moved else outcome.verdict
            self._board.judge(verdict, sentences.line(outcome, planned=job.plans), picture)

    def _take_sample(self, now: float) -> None:
        proof = self._board.snapshot.freshness.proof
        self._board.update(samples=self._samples.take(now, proof.age(now) if proof is not None else None))

    def _show_next(self, due: Due | None) -> None:
        """A console that looks only compares where another one syncs; a held file is only compared too."""
        snapshot = self._board.snapshot
        at = due.at if due is not None else None
        writes = snapshot.access == "rw" and not self._agenda.past.held
        self._board.update(
            freshness=replace(
                snapshot.freshness,
                next_compare_at=None if writes else at,
                next_sync_at=at if writes else None,
                next_sync_reason=str(due.reason) if due is not None else "",
            )
        )

    # ------------------------------------------------------------------------------------------ helpers

    def _timing(self) -> Timing:
        settings = self._settings
        return Timing(
            settings.interval_s,
            settings.staleness_s,
            settings.on_start,
            busy_gap_s(settings),
            follows=True,
        )

    def _settings_now(self) -> Settings:
        """The settings with the access that the operator switched to."""
        if self._board.snapshot.access == "rw":
            return self._settings
        return msgspec.structs.replace(self._settings, access="read-only")

    def _record_ping(self, milliseconds: float | None) -> None:
        self._samples.pinged(milliseconds)
        if self._journal is not None:
            now = self._session.counters()
            read = now.since(self._counted)
            self._journal.ping(time.time(), milliseconds, read)
            self._counted = now
            if read.rows_read:
                self._samples.read(sum(read.rows_read.values()))
            self._show_reads()

    def _warn(self, text: str) -> None:
        self._board.log("warn", "core", text)


_UNEXPLAINED = frozenset({Ending.UNEXPLAINED, Ending.MARK_CHANGED, Ending.MARK_FELL})
"""Ends of a follow run that a primary which is written to in other ways causes again and again."""
_LASTING = frozenset({"interrupted", "guard", "cache_damaged", "cache_foreign", "version_mismatch"})
"""Ends that another try would only repeat, until somebody decides or the file is another one."""


def _options(reason: Trigger) -> Options:
    """Of a scheduled sync: what only grows old is made again as cheaply as it can be."""
    if reason is Trigger.MOVED:
        return Options(follows=True, moved=True, proves=False)
    return Options(renews=reason in (Trigger.INTERVAL, Trigger.STALENESS), estimates=True)


def _outdated(job: Job, outcome: Outcome) -> bool:
    """The plan did not fit any more: that says something about the plan, nothing about the cache."""
    return job.options.expected_plan is not None and outcome.error is not None and outcome.error.code == "guard"


def _says_nothing(job: Job, outcome: Outcome) -> bool:
    """Whether what was known of the cache still stands: it was not looked at to the end, or not for its own sake."""
    stopped = outcome.error is not None and outcome.error.code in ("interrupted", "lease_held")
    return stopped or _outdated(job, outcome)


def _nothing_recent(check: str) -> tuple[CheckStatus, ...]:
    return ()
