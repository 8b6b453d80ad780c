"""The queue of jobs, one after the other: a run, a plan and a validation never overlap; and what their ends say."""

from __future__ import annotations

import asyncio
import time

from msgspec.structs import replace

from storage_sync.cache.identity import read_identity
from storage_sync.config.request import Request
from storage_sync.primary.source import Fingerprint
from storage_sync.reports import sentences
from storage_sync.reports.costs import busy_gap_s
from storage_sync.service import snapshots
from storage_sync.service.cache_monitor import CacheMonitor
from storage_sync.service.jobs import Job, weighed
from storage_sync.service.journal import start_facts
from storage_sync.service.meter import Meter
from storage_sync.service.operations import CountWritten, Deliver, Peek, Recheck, Stage, Sync, Verify
from storage_sync.service.parts import Parts
from storage_sync.service.performing import perform, quiet
from storage_sync.service.primary_monitor import PrimaryMonitor
from storage_sync.service.schedule import PLAN_READ_S, UNEXPLAINED_GAP_S, Trigger
from storage_sync.sync.cancel import Cancel
from storage_sync.values.errors import CacheLocked, GuardStopped, StorageSyncError
from storage_sync.values.events import Answer, Refused, RunEnded, RunStarted
from storage_sync.values.followed import Ending
from storage_sync.values.outcome import FileIdentity, Outcome, Word
from storage_sync.values.planned import is_empty
from storage_sync.values.snapshot import PrimaryStatus, Run, StartFacts

CANCELLED = "cancelled by the operator"
WAITED = "; it waited while a plan was open"


class Worker:
    """Belongs to the core's loop."""

    def __init__(self, parts: Parts, primary: PrimaryMonitor, cache: CacheMonitor, meter: Meter) -> None:
        self._parts = parts
        self._effective = parts.effective
        self._session = parts.session
        self._board = parts.board
        self._agenda = parts.agenda
        self._journal = parts.journal
        self._samples = parts.samples
        self._active = parts.active
        self._primary = primary
        self._cache = cache
        self._meter = meter
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._planning = False
        """Whether what can be cancelled is the making of a plan."""
        self._plans: dict[str, Job] = {}
        """The newest plan and the job that executes it."""
        self._dropped = 0
        """Plans that were asked for before this command have no reader."""
        self.found: StartFacts | None = None
        """What a program that opens the cache now starts with, by the last comparison."""
        self._quiet = {Recheck: self._recheck, CountWritten: self._count}
        """Work that is too frequent to be told as runs."""
        self._warnings: frozenset[str] = frozenset()
        """Of the last run: what it warned of and still does is no news."""

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self._jobs.qsize()

    @property
    def is_busy(self) -> bool:
        return self._active.cancel is not None or not self._jobs.empty()

    def put(self, job: Job) -> None:
        self._jobs.put_nowait(job)

    # ---------------------------------------------------------------------------------- plans and cancelling

    def agreed(self, plan_id: str, phrase: str) -> Job:
        """The job of a plan that may run now."""
        job = self._plans.get(plan_id)
        plan = job.options.expected_plan if job is not None else None
        if job is None or plan is None:
            raise GuardStopped("this plan is no longer known", hint="make a new one")
        self._effective.require_write()
        if plan.phrase is not None and phrase != plan.phrase:
            raise GuardStopped(f"this plan needs the typed name {plan.phrase!r}", hint="type it")
        return job

    def stop_run(self) -> None:
        """As an operator wants it; StorageSyncError where that cannot be."""
        if self._active.cancel is None:
            raise StorageSyncError("nothing is running", hint="")
        if not self._ask_to_stop(self._active.cancel, CANCELLED):
            raise StorageSyncError("it is committing and ends in under 1 s", hint="wait for it")

    def drop_plan(self, number: int) -> None:
        """The plan was closed; one that is still being made has no reader either, and is stopped."""
        self._plans = {}
        self._dropped = number
        self._agenda.hold(0.0)
        if self._planning and self._active.cancel is not None:
            self._ask_to_stop(self._active.cancel, CANCELLED)

    def end(self, why: str) -> None:
        """Cancel what runs, as far as it can be; a commit is waited for."""
        if self._active.cancel is not None:
            self._active.cancel.ask(why)

    def _ask_to_stop(self, cancel: Cancel, why: str) -> bool:
        """Whether it was not too late."""
        asked = cancel.ask(why)
        run = self._board.snapshot.run
        if asked and run is not None and run.ended_at is None:
            self._board.update(run=replace(run, cancel_asked_at=time.time()))
        return asked

    # --------------------------------------------------------------------------------------------- jobs

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        # a cancellation that came too late for a run was kept from it, and ends nothing else
        while not stop.is_set():
            job = await self._jobs.get()
            try:
                work = self._quiet.get(type(job.operation), self._run_job)
                await work(job)
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends this job and not the service
                self._give_up(job, error)
            self._agenda.ring()

    def _give_up(self, job: Job, error: Exception) -> None:
        """What is done about a job failed in a way that nobody foresaw; the next one comes after a pause."""
        self._active.cancel = None
        told = self._parts.explained(job.operation.command, error)
        self._board.log("fail", "core", told.message)
        self._board.unproven(told.message)
        self._agenda.ended(proof_at=None, failed=True)
        if job.command_id is not None:
            self._board.event(Refused.of(job.command_id, told))

    async def _recheck(self, job: Job) -> None:
        """Judge the file by the last comparison. No run that anybody needs to hear of."""
        self._active.cancel = Cancel()
        request = Request(self._effective.of_a_run(), self._effective.token, max_attempts=1)
        try:
            outcome = await perform(self._session, job.operation, request, quiet, self._active.cancel)
        finally:
            self._active.cancel = None
        now = time.time()
        self._agenda.note(rechecked_at=now)
        if outcome.error is not None and outcome.error.code not in _LASTING:
            self._parts.warn(f"the changed cache could not be looked at: {outcome.error.message}")
            self._agenda.note(file_changed_at=now)
            return
        verdict = outcome.verdict
        if verdict is Word.DRIFT:
            # what its holder wrote may be in the primary too
            moved = await self._primary.has_moved()
            verdict = Word.UNKNOWN if moved is None else Word.STALE if moved else Word.DRIFT
        elif verdict is Word.IN_SYNC and self._agenda.past.moved_at is not None:
            verdict = Word.STALE
        elif verdict is Word.IN_SYNC and self._board.snapshot.primary.status is not PrimaryStatus.CONNECTED:
            verdict = Word.UNKNOWN
        differs = verdict in (Word.DRIFT, Word.UNKNOWN)
        # only the primary can tell what that is by now
        self._agenda.note(differs_at=(self._agenda.past.differs_at or now) if differs else None)
        picture = snapshots.rechecked(
            self._board.snapshot,
            replace(outcome, verdict=verdict),
            self._journal.history.recent_checks,
            now,
        )
        self._board.judge(verdict, "a new copy was judged by the last comparison", picture)
        self._look_again_if_it_changed(outcome.look.identity if outcome.look is not None else None)

    async def _count(self, job: Job) -> None:
        """How many rows the primary wrote since the last proof. No run that anybody needs to hear of."""
        self._active.cancel = Cancel()
        request = Request(self._effective.of_a_run(), self._effective.token, max_attempts=1)
        before: Fingerprint | None = None

        async def look_first() -> None:
            nonlocal before
            before = await self._primary.fingerprint()

        try:
            outcome = await perform(self._session, job.operation, request, quiet, self._active.cancel, first=look_first)
        finally:
            self._active.cancel = None
        if outcome.error is None and outcome.verdict is Word.STALE and before is not None:
            stand = self._primary.stand(before)
            self._board.show(snapshots.counted(self._board.snapshot, outcome, stand, time.time()))

    async def _run_job(self, job: Job) -> None:
        if job.plans and job.command_id is not None and job.command_id < self._dropped:
            # it waited behind a run, and nobody reads it any more
            self._board.event(Refused(job.command_id, f"{CANCELLED} before it was begun", ""))
            return
        self._active.cancel = Cancel()
        self._planning = job.plans
        if job.operation.judges and not job.plans:
            self._agenda.note(asked_at=time.time())
        before: Fingerprint | None = None
        found = read_identity(self._session.cache_path)
        options = replace(
            job.options,
            wait_s=5.0 if job.trigger is Trigger.MANUAL else 0.0,
            free_since=self._cache.free_since,
        )
        request = Request(
            self._effective.of_a_run(),
            self._effective.token,
            options,
            max_attempts=1,
            trigger=str(job.trigger),
        )
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
            before = await self._primary.fingerprint()

        try:
            outcome = await perform(
                self._session,
                job.operation,
                request,
                progress,
                self._active.cancel,
                first=None if isinstance(job.operation, Deliver) else look_first,
                unforeseen=lambda error: self._parts.explained(title, error),
            )
        finally:
            self._active.cancel = None
            self._planning = False
        self._after(job, outcome, before, found)
        if job.operation.writes and not job.plans:
            await self._cache.look_at_witness()
        if not job.plans:
            # until the next ping it would be said of this file what was there before the run
            await self._cache.look_at_file()

    # ------------------------------------------------------------------------------------- ends of jobs

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
            self._primary.reached(outcome.followed.at if outcome.followed is not None else outcome.proof.at)
        lasting = outcome.error is not None and outcome.error.code in _LASTING and not _says_nothing(job, outcome)
        compared = isinstance(kind, Verify | Stage) and outcome.error is None
        if delivered:
            # what is proven is the primary of an earlier moment: whether it moved since is still the question
            self._primary.delivered()
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
            self._primary.proven(before)
        if not job.plans and (kind.judges or kind.writes):
            self._look_again_if_it_changed(outcome.proof.identity if outcome.proof is not None else found)
        if outcome.error is not None and outcome.error.code == CacheLocked.code:
            # who holds it is seen now, and so when that ends
            self._cache.lock_refused()
        if kind.judges and not job.plans and not _says_nothing(job, outcome):
            self.found = start_facts(outcome, None)
        self._board.event(RunEnded(outcome.run_id, outcome))
        self._log_end(job, outcome)
        if job.command_id is not None:
            self._answer(job, job.command_id, outcome)

    def _remember(self, job: Job, outcome: Outcome, run: Run | None) -> None:
        if run is not None and job.remembered:
            self._journal.record(outcome, run)
            self._meter.show()
        if job.operation.judges and not job.plans and outcome.followed is None:
            read = "renewed" not in outcome.extra and sum(outcome.transfer.rows_read.values()) > 0
            self._agenda.note(read_rows=read)

    def _show(self, job: Job, outcome: Outcome, before: Fingerprint | None) -> None:
        """Everything that the end of an operation says about cache, freshness and checks. `before`: as in `_after`."""
        kind, stand = job.operation, self._primary.stand(before)
        if not job.plans:
            self._samples.changed(sum(sentences.sums(outcome.applied)))
        self._board.update(history=self._journal.history.view())
        if isinstance(kind, Sync | Deliver) and not job.plans:
            self._board.update(advice=self._journal.advice(self._effective.settings))
        recent = self._journal.history.recent_checks
        if isinstance(kind, Peek):
            self._board.show(snapshots.peeked(self._board.snapshot, outcome, recent, time.time()))
        judges = kind.judges and not (job.plans and job.options.adopt)
        if (judges or (kind.writes and not job.plans)) and not _says_nothing(job, outcome):
            picture = snapshots.after(self._board.snapshot, outcome, stand, recent, time.time())
            moved = outcome.verdict is Word.IN_SYNC and self._primary.moved_since(before)
            verdict = Word.STALE if moved else outcome.verdict
            self._board.judge(verdict, sentences.line(outcome, planned=job.plans), picture)

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
        gap = busy_gap_s(self._effective.settings)
        # a file is read at no cost
        return UNEXPLAINED_GAP_S if gap and told["ended"] in _UNEXPLAINED else gap

    def _look_again_if_it_changed(self, seen: FileIdentity | None) -> None:
        """What happened to the file while a run looked at it is not answered by that run."""
        if self._cache.identity() != seen:
            self._agenda.note(file_changed_at=time.time())

    def _answer(self, job: Job, command_id: int, outcome: Outcome) -> None:
        if job.plans and outcome.proposal is not None:
            self._board.event(Answer(command_id, outcome.proposal))
        elif outcome.error is not None:
            self._board.event(Refused.of(command_id, outcome.error))
        else:
            self._board.event(Answer(command_id, outcome))


_UNEXPLAINED = frozenset({Ending.UNEXPLAINED, Ending.MARK_CHANGED, Ending.MARK_FELL})
"""Ends of a follow run that a primary which is written to in other ways causes again and again."""
_LASTING = frozenset({"interrupted", "guard", "cache_damaged", "cache_foreign", "version_mismatch"})
"""Ends that another try would only repeat, until somebody decides or the file is another one."""


def _outdated(job: Job, outcome: Outcome) -> bool:
    """The plan no longer fitted: that says something about the plan, nothing about the cache."""
    return job.options.expected_plan is not None and outcome.error is not None and outcome.error.code == "guard"


def _says_nothing(job: Job, outcome: Outcome) -> bool:
    """Whether what was known of the cache still stands: it was not looked at to the end, or not for its own sake."""
    stopped = outcome.error is not None and outcome.error.code in ("interrupted", "lease_held")
    return stopped or _outdated(job, outcome)
