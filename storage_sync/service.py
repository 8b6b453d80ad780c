"""The long-running core: when a sync runs, what is watched, and all that a front end can ask for (S2–S6, S12).

One event loop, one queue of operations: a run, a plan and a validation never overlap. What is shown lives on the
`Board`; what is due next is decided by `schedule`; what a run does is in `sync` and `validate`.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from storage_sync import health, picture
from storage_sync.board import Board
from storage_sync.cache.identity import read_identity
from storage_sync.cache.lease import lease_holder
from storage_sync.cache.states import judge_file
from storage_sync.cache.witness import read_witness
from storage_sync.config import Settings, Token
from storage_sync.errors import ConfigError, StorageSyncError
from storage_sync.journal import Journal
from storage_sync.model import (
    Accepted,
    Answer,
    CacheHealth,
    CheckStatus,
    Command,
    ConfigChanged,
    ConfigView,
    CoreBeat,
    Event,
    FileChanged,
    FileIdentity,
    Freshness,
    Outcome,
    Plan,
    PrimaryHealth,
    PrimaryStatus,
    Refused,
    Run,
    RunEnded,
    RunStarted,
    Setting,
    Snapshot,
    StateChanged,
    Word,
)
from storage_sync.operations import Work, perform
from storage_sync.outcome import error_value
from storage_sync.primary.source import Fingerprint
from storage_sync.request import Request
from storage_sync.schedule import Due, Past, Timing, Trigger, after_run, next_run
from storage_sync.session import Session
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.context import Context
from storage_sync.sync.run import run_sync
from storage_sync.validate.verify import run_verify

BEAT_S = 0.5
TREND_EVERY_S = 10.0
TREND_KEPT = 60
FORCED_POLL_MS = 2_000


@dataclass(frozen=True, slots=True)
class Configuration:
    """Effective settings as the core was given them. `again` reads them anew; ConfigError when they do not fit."""

    settings: Settings
    file: Path | None = None
    views: tuple[Setting, ...] = ()
    again: Callable[[], Configuration] | None = None
    unattended: bool = False
    """There is no person to ask: a damaged cache is repaired without one, while the setting `auto_repair` is on."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One operation in the queue."""

    kind: str
    trigger: Trigger
    flags: frozenset[str] = frozenset()
    command_id: int | None = None
    plan: Plan | None = None


class SyncService:
    """Everything that a front end can ask for. All methods belong to the loop of `run`."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        token: Token | None = None,
        publish: Callable[[Snapshot], None],
        emit: Callable[[Event], None],
    ) -> None:
        self._configuration = configuration
        self._settings = configuration.settings
        self._session = Session(self._settings, token)
        self._token = token
        self._config_file = configuration.file
        self._board = Board(self._first_snapshot(configuration.views), publish, emit)
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._cancel: Cancel | None = None
        self._past = Past(started_at=time.time(), jitter=random.uniform(-1, 1), spread=random.random())  # noqa: S311
        self._at_proof: Fingerprint | None = None
        self._identity: FileIdentity | None = None
        self._plans: dict[str, Plan] = {}
        self._journal: Journal | None = None

    # ------------------------------------------------------------------------------------------ the face

    async def run(self) -> None:
        """Until `request_stop`; a run is then cancelled before its commit, or its commit is waited for."""
        with Journal.open(self._session.state, self._warn) as journal:
            self._journal = journal
            self._recall()
            tasks = [
                asyncio.create_task(loop())
                for loop in (self._beat, self._ping, self._watch, self._schedule, self._work)
            ]
            stopped = asyncio.create_task(self._stop.wait())
            try:
                done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopped}:
                    await task
            finally:
                await self._end([stopped, *tasks])

    def submit(self, command: Command) -> None:
        """Answered by events that carry the command's id."""
        handler = self._handlers().get(command.kind)
        if handler is None:
            self._board.event(Refused(command.id, f"the core knows no command {command.kind!r}", "this is a bug"))
            return
        try:
            handler(command)
        except StorageSyncError as error:
            self._board.event(Refused(command.id, error.message, error.hint))

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
        await self._session.close()
        self._board.flush(now=True)

    # ------------------------------------------------------------------------------------------ commands

    def _handlers(self) -> Mapping[str, Callable[[Command], None]]:
        return {
            "ping": self._on_ping,
            "try_now": self._on_try_now,
            "sync_now": self._on_sync_now,
            "make_plan": lambda command: self._queue_for(command, _Job("plan", Trigger.MANUAL, frozenset({"plan"}))),
            "execute": self._on_execute,
            "compare": lambda command: self._queue_for(command, _Job("verify", Trigger.MANUAL)),
            "validate": self._on_validate,
            "peek": lambda command: self._queue_for(command, _Job("verify", Trigger.MANUAL)),
            "cancel": self._on_cancel,
            "pause": self._on_pause,
            "set_access": self._on_set_access,
            "page": self._on_page,
            "reload": self._on_reload,
            "stop": lambda command: self.request_stop(),
        }

    def _queue_for(self, command: Command, job: _Job) -> None:
        self._jobs.put_nowait(replace(job, command_id=command.id))
        self._board.event(Accepted(command.id))

    def _on_ping(self, command: Command) -> None:
        self._board.event(Accepted(command.id))
        self._wake_pinger()

    def _on_try_now(self, command: Command) -> None:
        """Do now what was waiting: the next ping, and a run if the schedule waits for a retry."""
        self._board.event(Accepted(command.id))
        self._wake_pinger()
        if not self._board.snapshot.paused:
            self._past = replace(self._past, manual_at=time.time())
            self._wake.set()

    def _on_sync_now(self, command: Command) -> None:
        self._require_write(command)
        self._queue_for(command, _Job("sync", Trigger.MANUAL))

    def _on_execute(self, command: Command) -> None:
        self._require_write(command)
        plan = self._plans.get(str(command.arguments.get("plan_id")))
        if plan is None:
            self._board.event(Refused(command.id, "this plan is not known any more", "make a new one"))
            return
        if plan.phrase is not None and command.arguments.get("phrase") != plan.phrase:
            self._board.event(Refused(command.id, f"this plan needs the typed name {plan.phrase!r}", "type it"))
            return
        self._queue_for(command, _Job("sync", Trigger.MANUAL, plan=plan))

    def _on_validate(self, command: Command) -> None:
        flags = frozenset({"deep"}) if command.arguments.get("deep") else frozenset()
        self._queue_for(command, _Job("verify", Trigger.MANUAL, flags))

    def _on_cancel(self, command: Command) -> None:
        if self._cancel is None:
            self._board.event(Refused(command.id, "nothing is running", ""))
        elif self._cancel.ask("cancelled by the operator"):
            run = self._board.snapshot.run
            if run is not None:
                self._board.update(run=replace(run, cancel_asked_at=time.time()))
            self._board.event(Accepted(command.id))
        else:
            self._board.event(Refused(command.id, "it is committing and ends in under 1 s", "wait for it"))

    def _on_pause(self, command: Command) -> None:
        paused = bool(command.arguments.get("paused", True))
        self._board.update(paused=paused)
        self._board.event(Accepted(command.id))
        self._board.log("info", "core", "scheduled syncs paused" if paused else "scheduled syncs go on")
        self._wake.set()

    def _on_set_access(self, command: Command) -> None:
        """Only what the settings allow: a console that was started read-only stays so."""
        wanted = str(command.arguments.get("access"))
        if wanted == "rw" and self._settings.access == "read-only":
            raise StorageSyncError("the console was started read-only", hint="start it without --read-only")
        self._board.update(access=wanted)
        self._board.event(Accepted(command.id))
        self._board.log("info", "core", f"access is now {wanted}")
        self._wake.set()

    def _on_page(self, command: Command) -> None:
        if command.arguments.get("list") == "orphans":
            self._queue_for(command, _Job("orphans", Trigger.MANUAL))
        else:
            self._board.event(Refused(command.id, f"there is no list {command.arguments.get('list')!r}", ""))

    def _on_reload(self, command: Command) -> None:
        self._reload()
        self._board.event(Accepted(command.id))

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
        kept = {name: getattr(old, name) for name in _NEEDS_RESTART}
        waiting = sorted(name for name, value in kept.items() if getattr(fresh.settings, name) != value)
        self._settings = msgspec.structs.replace(fresh.settings, **kept)
        self._session.settings = self._settings
        changed = tuple(name for name in old.__struct_fields__ if getattr(old, name) != getattr(self._settings, name))
        self._board.update(
            config=ConfigView(fresh.views, os.fspath(fresh.file) if fresh.file else "", time.time()),
            freshness=replace(self._board.snapshot.freshness, max_age_s=self._settings.staleness_s),
        )
        if waiting:
            self._board.log("warn", "config", f"{', '.join(waiting)}: takes effect after a restart")
        if changed:
            self._board.event(ConfigChanged(changed))
            self._board.log("info", "config", f"now in effect: {', '.join(changed)}")
        self._wake.set()

    def _require_write(self, command: Command) -> None:
        if self._board.snapshot.access != "rw":
            raise StorageSyncError("the cache may only be looked at now", hint="W allows writes again")

    # ------------------------------------------------------------------------------------------- loops

    async def _beat(self) -> None:
        last_trend = 0.0
        while True:
            run = self._board.snapshot.run
            doing = run.step if run is not None and run.ended_at is None else "idle"
            self._board.beat(doing, self._jobs.qsize())
            now = time.time()
            if now - last_trend >= TREND_EVERY_S:
                last_trend = now
                self._note_trend(now)
            await asyncio.sleep(BEAT_S)

    async def _ping(self) -> None:
        """The primary's pulse; also the cheap question whether it moved."""
        self._ping_now = asyncio.Event()
        while True:
            await self._ping_once()
            await self._look_at_file()
            wait = self._settings.poll_s
            self._board.update(primary=replace(self._board.snapshot.primary, next_at=time.time() + wait))
            self._ping_now.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._ping_now.wait()
            except TimeoutError:
                continue

    def _wake_pinger(self) -> None:
        if hasattr(self, "_ping_now"):
            self._ping_now.set()

    async def _ping_once(self) -> None:
        before = self._board.snapshot.primary
        try:
            source = self._session.source
            capabilities = await source.probe()
            started = time.perf_counter()
            fingerprint = await source.fingerprint()
            milliseconds = (time.perf_counter() - started) * 1000
        except StorageSyncError as error:
            after = health.failed(before, error, time.time())
            self._board.update(primary=after)
            if before.status is not after.status:
                self._board.log("fail", "primary", error.message)
            self._unproven("the primary does not answer")
            self._record_ping(None)
            return
        after = health.answered(before, milliseconds, time.time())
        after = replace(
            after,
            server=capabilities.server,
            digest_function=capabilities.digest,
            generation=capabilities.generation,
            source_id=source.source_id,
            url=source.url,
        )
        self._board.update(primary=after)
        self._record_ping(milliseconds)
        if before.status in (PrimaryStatus.UNREACHABLE, PrimaryStatus.REFUSED):
            self._board.log("info", "primary", f"answers again after {before.retries} failed tries")
            self._past = replace(self._past, recovered_at=time.time())
            self._wake.set()
        self._note_fingerprint(fingerprint)

    async def _fingerprint(self) -> Fingerprint | None:
        """Taken before a run, so that what moves during it is seen as moved after it."""
        try:
            return await self._session.source.fingerprint()
        except StorageSyncError:
            return None

    def _note_fingerprint(self, fingerprint: Fingerprint) -> None:
        if self._at_proof is None or fingerprint == self._at_proof or self._past.moved_at is not None:
            return
        self._past = replace(self._past, moved_at=time.time())
        self._board.log("info", "primary", "moved since the last proof")
        freshness = self._board.snapshot.freshness
        self._board.update(freshness=replace(freshness, exact=False, as_of=time.time()))
        if self._board.snapshot.verdict is Word.IN_SYNC:
            self._set_verdict(Word.STALE, "the primary moved")
        self._wake.set()

    async def _watch(self) -> None:
        """The folders of cache and configuration: renames and new files are normal there."""
        from watchfiles import awatch

        cache = Path(self._session.cache_path)
        names = _watched(cache, self._config_file)
        folders = sorted({name.parent for name in names if name.parent.is_dir()})
        if not folders:
            await asyncio.Event().wait()
        wanted = {os.fspath(name) for name in names}
        async for changes in awatch(
            *folders,
            watch_filter=lambda _, path: path in wanted,
            recursive=False,
            debounce=400,
            stop_event=self._stop,
            poll_delay_ms=FORCED_POLL_MS,
        ):
            for _, path in changes:
                self._file_event(path, cache)

    def _file_event(self, path: str, cache: Path) -> None:
        if path != os.fspath(cache.absolute()):
            self._board.event(FileChanged(path))
            if self._config_file is not None and path == os.fspath(self._config_file.absolute()):
                self._reload()
            return
        identity = read_identity(path)
        if identity == self._identity or (self._cancel is not None and self._cancel.too_late):
            return
        self._identity = identity
        self._board.event(FileChanged(path))
        self._board.log("info", "watch", f"{cache.name} changed")
        self._past = replace(self._past, file_changed_at=time.time())
        self._unproven("the cache file changed")
        self._wake.set()

    async def _schedule(self) -> None:
        """Puts a job into the queue when one is due; one at a time, reasons coalesce."""
        while True:
            self._wake.clear()
            due = None if self._board.snapshot.paused or self._busy() else next_run(self._timing(), self._past)
            self._show_next(due)
            now = time.time()
            if due is not None and due.at <= now:
                kind = "sync" if self._board.snapshot.access == "rw" else "verify"
                self._jobs.put_nowait(_Job(kind, due.reason, self._repairs()))
                # whatever else was waiting is answered by this run
                self._past = replace(self._past, manual_at=None, recovered_at=None, last_end=now)
                continue
            try:
                async with asyncio.timeout(due.at - now if due is not None else None):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _work(self) -> None:
        # a cancellation that came too late for a run was kept from it, and ends nothing else
        while not self._stop.is_set():
            job = await self._jobs.get()
            await self._run_job(job)
            self._wake.set()

    # --------------------------------------------------------------------------------------------- jobs

    async def _run_job(self, job: _Job) -> None:
        self._cancel = Cancel()
        before = await self._fingerprint()
        found = read_identity(self._session.cache_path)
        request = Request(
            settings=self._settings_now(),
            token=self._token,
            wait_s=5.0 if job.trigger is Trigger.MANUAL else 0.0,
            max_attempts=1,
            flags=job.flags if job.kind in ("sync", "plan") else job.flags | {"plan"},
            trigger=str(job.trigger),
            expected_plan=job.plan,
            rows_per_second=self._journal.rows_per_second() if self._journal is not None else None,
        )
        started: list[str] = []

        def progress(run: Run) -> None:
            if not started:
                started.append(run.id)
                self._board.event(RunStarted(run.id, run.kind, run.trigger))
                self._board.log("info", job.kind, f"{run.id} started ({run.trigger})")
            self._board.update(run=run)

        try:
            outcome = await perform(self._session, _COMMANDS[job.kind], request, progress, self._cancel, _work_of(job))
        finally:
            self._cancel = None
        self._after(job, outcome, before, found)

    def _after(self, job: _Job, outcome: Outcome, before: Fingerprint | None, found: FileIdentity | None) -> None:
        """`before`, `found`: the primary's fingerprint and the file's identity when the run began."""
        if outcome.proposal is not None:
            self._plans = {outcome.proposal.id: outcome.proposal}
        run = self._board.snapshot.run
        if self._journal is not None and run is not None and job.kind in ("sync", "verify"):
            self._journal.record(outcome, run)
        self._show(job, outcome)
        if outcome.proof is not None:
            self._at_proof = before
        failed = outcome.error is not None and outcome.error.code not in ("interrupted", "guard")
        if job.kind in ("sync", "verify"):
            self._past = after_run(
                replace(self._past, jitter=random.uniform(-1, 1), spread=random.random()),  # noqa: S311
                ended_at=time.time(),
                proof_at=outcome.proof.at if outcome.proof is not None else None,
                failed=failed,
                retry_after=None,
            )
            self._look_again_if_it_changed(outcome.proof.identity if outcome.proof is not None else found)
        self._board.event(RunEnded(outcome.run_id, outcome))
        level = "fail" if outcome.error is not None else "warn" if outcome.warnings else "info"
        self._board.log(level, job.kind, picture.sentence(job.kind, outcome))
        if job.command_id is not None:
            self._answer(job.command_id, outcome)

    def _look_again_if_it_changed(self, seen: FileIdentity | None) -> None:
        """What happened to the file while a run looked at it is not answered by that run."""
        self._identity = read_identity(self._session.cache_path)
        if self._identity != seen:
            self._past = replace(self._past, file_changed_at=time.time())

    def _answer(self, command_id: int, outcome: Outcome) -> None:
        if outcome.proposal is not None:
            self._board.event(Answer(command_id, outcome.proposal))
        elif outcome.error is not None:
            self._board.event(Refused(command_id, outcome.error.message, outcome.error.hint))
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
        self._identity = read_identity(self._session.cache_path)
        self._past = replace(self._past, proof_at=proof.at if proof is not None else None)
        self._board.update(
            freshness=replace(self._board.snapshot.freshness, proof=proof),
            cache=replace(self._board.snapshot.cache, acked=witness.generation if witness is not None else None),
            history=self._journal.view() if self._journal is not None else self._board.snapshot.history,
        )

    async def _look_at_file(self) -> None:
        """States, size, lock and space of the file, from outside."""
        try:
            judgement = await self._session.on_cache_thread(judge_file, self._session.cache_path)
        except StorageSyncError as error:
            self._board.update(cache=replace(self._board.snapshot.cache, error=error_value(error)))
            return
        lease = lease_holder(self._session.cache_path)
        self._board.update(
            cache=picture.from_outside(
                self._board.snapshot,
                judgement,
                ours=self._cancel is not None and self._cancel.committing,
                lease=lease if lease is not None and lease.pid != os.getpid() else None,
                now=time.time(),
            )
        )

    def _show(self, job: _Job, outcome: Outcome) -> None:
        """Everything that the end of an operation says about cache, freshness and checks."""
        recent = self._journal.recent if self._journal is not None else _nothing_recent
        self._board.show(picture.after(self._board.snapshot, outcome, recent, time.time()))
        if self._journal is not None:
            self._board.update(history=self._journal.view())
        if job.kind != "orphans":
            self._set_verdict(outcome.verdict, picture.sentence(job.kind, outcome))

    def _set_verdict(self, word: Word, why: str) -> None:
        old = self._board.snapshot.verdict
        if old is not word:
            self._board.update(verdict=word)
            self._board.event(StateChanged(old, word, why))

    def _unproven(self, why: str) -> None:
        if self._board.snapshot.verdict is Word.IN_SYNC:
            self._set_verdict(Word.UNKNOWN, why)

    def _note_trend(self, now: float) -> None:
        freshness = self._board.snapshot.freshness
        age = now - freshness.proof.at if freshness.proof is not None else None
        self._board.update(freshness=replace(freshness, trend=(*freshness.trend, age)[-TREND_KEPT:]))

    def _show_next(self, due: Due | None) -> None:
        freshness = self._board.snapshot.freshness
        self._board.update(
            freshness=replace(
                freshness,
                next_sync_at=due.at if due is not None else None,
                next_sync_reason=str(due.reason) if due is not None else "",
            )
        )

    # ------------------------------------------------------------------------------------------ helpers

    def _timing(self) -> Timing:
        settings = self._settings
        return Timing(settings.interval_s, settings.staleness_s, settings.on_start)

    def _repairs(self) -> frozenset[str]:
        wanted = self._configuration.unattended and self._settings.auto_repair
        return frozenset({"repair"}) if wanted else frozenset()

    def _busy(self) -> bool:
        return self._cancel is not None or not self._jobs.empty()

    def _settings_now(self) -> Settings:
        """The settings with the access that the operator switched to."""
        if self._board.snapshot.access == "rw":
            return self._settings
        return msgspec.structs.replace(self._settings, access="read-only")

    def _record_ping(self, milliseconds: float | None) -> None:
        if self._journal is not None:
            self._journal.ping(time.time(), milliseconds)

    def _warn(self, text: str) -> None:
        self._board.log("warn", "core", text)


_NEEDS_RESTART = ("profile", "primary", "token_file", "token_env", "cache", "state_dir", "timeout_s")
_COMMANDS = {"sync": "sync", "plan": "sync", "verify": "verify", "orphans": "orphans"}


def _watched(cache: Path, config: Path | None) -> set[Path]:
    files = [cache, Path(f"{cache}.lock"), *([config] if config is not None else [])]
    return {file.absolute() for file in files}


def _work_of(job: _Job) -> Work:
    if job.kind == "sync" and "repair" in job.flags:
        from storage_sync.repair.ladder import run_sync_repairing

        return run_sync_repairing
    if job.kind in ("sync", "plan"):
        return run_sync
    if job.kind == "orphans":
        from storage_sync.validate.orphans import run_orphans

        return run_orphans

    async def verify(context: Context) -> Outcome:
        return await run_verify(context, deep="deep" in job.flags)

    return verify


def _nothing_recent(check: str) -> tuple[CheckStatus, ...]:
    return ()
