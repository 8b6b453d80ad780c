"""Puts a job into the queue when one is due, as far as the limits on copies and on rows read allow."""

from __future__ import annotations

import asyncio
import time

from msgspec.structs import replace

from storage_sync.cache.identity import read_identity
from storage_sync.reports.costs import busy_gap_s
from storage_sync.service.cache_monitor import CacheMonitor
from storage_sync.service.jobs import Job
from storage_sync.service.meter import Meter
from storage_sync.service.operations import CountWritten, Deliver, Recheck, Stage, Sync, Verify
from storage_sync.service.parts import Parts
from storage_sync.service.schedule import Due, Timing, Trigger, may_ask, within_rows
from storage_sync.service.worker import Worker
from storage_sync.values.options import Options


class Scheduler:
    """Belongs to the core's loop."""

    def __init__(self, parts: Parts, cache: CacheMonitor, meter: Meter, worker: Worker) -> None:
        self._parts = parts
        self._effective = parts.effective
        self._session = parts.session
        self._board = parts.board
        self._agenda = parts.agenda
        self._cache = cache
        self._meter = meter
        self._worker = worker

    async def run(self) -> None:
        """Puts a job into the queue when one is due; one at a time, reasons coalesce."""
        # whether somebody holds the file decides what the first run may do
        await self._cache.look_at_file()
        while True:
            self._agenda.quiet()
            held = self._board.snapshot.paused or self._worker.is_busy
            due = None if held else self._allowed(self._agenda.next_run(self._timing()))
            self._show_next(due)
            now = time.time()
            if due is not None and due.at <= now:
                job = replace(self._job_for(due, now), waited=self._agenda.waited(self._timing()))
                self._worker.put(job)
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
        repairs = self._effective.repairs
        return Job(Deliver(repairs) if waits else Sync(repairs), due.reason, _options(due.reason))

    def _allowed(self, due: Due | None) -> Due | None:
        """Not before it fits into what may be copied and read; what a person asks for is not held back."""
        due, budget = self._within_copies(due), self._meter.budget()
        if due is None or budget is None:
            return due
        renews = self._renews()
        return within_rows(due, self._timing(), self._agenda.past, budget, time.time(), renews=renews)

    def _renews(self) -> bool:
        """Whether the next proof by time will read nothing, as far as the last poll told."""
        return self._session.reading is not None and self._agenda.past.moved_at is None

    def _within_copies(self, due: Due | None) -> Due | None:
        """Not before a copy of the file fits into `copy_bytes_per_hour`."""
        cache, waits, copies = self._board.snapshot.cache, 0.0, self._session.copies
        held_back = due is not None and due.reason is not Trigger.MANUAL and cache.size is not None
        if held_back and not copies.has(read_identity(self._session.cache_path)):
            waits = copies.wait_for(cache.size or 0, self._effective.settings.copy_bytes_per_hour)
        until = time.time() + waits if waits > 0 else None
        if until is not None and cache.waits_until is None:
            self._parts.warn(f"copies of the cache reached copy_bytes_per_hour; the next look is in {waits:,.0f} s")
        if (until is None) is not (cache.waits_until is None):
            self._board.update(cache=replace(cache, waits_until=until))
        return due if due is None or until is None else replace(due, at=max(due.at, until))

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

    def _timing(self) -> Timing:
        settings = self._effective.settings
        return Timing(
            settings.interval_s,
            settings.staleness_s,
            settings.on_start,
            busy_gap_s(settings),
            follows=True,
        )


def _options(reason: Trigger) -> Options:
    """Of a scheduled sync: what only grows old is made again as cheaply as it can be."""
    if reason is Trigger.MOVED:
        return Options(follows=True, moved=True, proves=False)
    return Options(renews=reason in (Trigger.INTERVAL, Trigger.STALENESS), estimates=True)
