"""The primary between the runs: whether it answers, and whether it changed since the last proof."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress

from msgspec.structs import replace

from storage_sync.primary.source import Fingerprint
from storage_sync.reports.sentences import plural
from storage_sync.service import health
from storage_sync.service.cache_monitor import CacheMonitor
from storage_sync.service.meter import Meter
from storage_sync.service.parts import Parts
from storage_sync.service.schedule import backoff_s
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.found import PrimaryStand, still
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import Hold, PrimaryHealth


class PrimaryMonitor:
    """Belongs to the core's loop."""

    def __init__(self, parts: Parts, meter: Meter, cache: CacheMonitor) -> None:
        """`cache` is looked at after each ping."""
        self._parts = parts
        self._effective = parts.effective
        self._session = parts.session
        self._board = parts.board
        self._agenda = parts.agenda
        self._meter = meter
        self._cache = cache
        self._at_proof: Fingerprint | None = None
        self._latest: Fingerprint | None = None
        """By the last answer, whoever asked."""
        self._now = asyncio.Event()

    async def run(self) -> None:
        """Ask the primary again and again, and so whether it changed."""
        loop = asyncio.get_running_loop()
        while True:
            await self._ping_once()
            self._now.clear()
            asked, pause = loop.time(), self._pause()
            await self._cache.look()
            while (left := self._left(pause, loop.time() - asked)) > 0 and not self._now.is_set():
                primary = replace(self._board.snapshot.primary, next_at=time.time() + left, poll_s=max(pause, left))
                self._board.update(primary=primary)
                # the file is looked at as often as ever, however rarely the primary may be asked
                poll_s = self._effective.settings.poll_s
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, poll_s)):
                        await self._now.wait()
                if left > poll_s:
                    await self._cache.look()

    def _left(self, pause: float, passed: float) -> float:
        """Seconds until the next ping, so many after the last one."""
        return max(pause - passed, self._held_back(passed))

    def _held_back(self, passed: float) -> float:
        """Seconds for which `rows_read_per_day` still holds the next ping back, so many after the last one."""
        budget = self._meter.budget()
        if budget is None:
            return 0.0
        return budget.until - time.time() if budget.hold is Hold.USED_UP else budget.poll_s - passed

    def _pause(self) -> float:
        """Seconds until the next ping: a primary that does not answer is asked less and less often."""
        poll_s, primary = self._effective.settings.poll_s, self._board.snapshot.primary
        if not primary.retries:
            return poll_s
        asked = primary.error.retry_after if primary.error is not None else None
        pause = max(poll_s, backoff_s(primary.retries, random.random(), asked))  # noqa: S311  (no secret)
        self._board.update(primary=replace(primary, backoff_s=pause))
        return pause

    def ping_now(self) -> None:
        self._now.set()

    async def fingerprint(self) -> Fingerprint | None:
        """Taken before a run, so that a change during it is seen as a change after it."""
        try:
            found = await self._session.source.fingerprint()
        except StorageSyncError:
            return None
        self._note_fingerprint(found)
        self._board.update(primary=replace(self._board.snapshot.primary, stand=self._stood(found)))
        return found

    def stand(self, at: Fingerprint | None) -> PrimaryStand | None:
        """Where the primary stood at this fingerprint, or at that of the last proof."""
        found = at if at is not None else self._at_proof
        return self._stand_of(found) if found is not None else None

    def _stood(self, found: Fingerprint) -> PrimaryStand:
        self._latest = found
        return self._stand_of(found)

    def _stand_of(self, found: Fingerprint) -> PrimaryStand:
        source = self._session.source
        return PrimaryStand(source.source_id, source.log.steps_back, found.schema, found.token)

    async def has_moved(self) -> bool | None:
        """Whether the primary is another one than at the last proof or comparison; None when that cannot be told."""
        budget = self._meter.budget()
        used_up = budget is not None and budget.hold is Hold.USED_UP
        fingerprint = await self.fingerprint() if not used_up else None
        if self._agenda.past.moved_at is not None:
            return True
        return None if fingerprint is None or self._at_proof is None else False

    def delivered(self) -> None:
        """A proof was made of the primary as it was when the rows that waited were fetched."""
        if self._at_proof is None:
            # by an earlier process of ours: only the primary can tell whether it moved since
            self._agenda.note(moved_at=time.time())

    def moved_since(self, at: Fingerprint | None) -> bool:
        """Whether the primary was seen to be another one than at this fingerprint."""
        return at is not None and self._latest is not None and self._latest != at

    def proven(self, at: Fingerprint | None) -> None:
        """A proof was made of the primary as it was at this fingerprint; it may be another one by now."""
        self._at_proof = at
        if self._latest is not None:
            self._note_fingerprint(self._latest)

    def reached(self, at: float) -> None:
        """A run proved something against the primary at this moment."""
        before = self._board.snapshot.primary
        after = health.proven(before, at)
        if after is not before:
            self._board.update(primary=after)
            self._log_answer(before)
            self.ping_now()

    async def _ping_once(self) -> None:
        began = time.time()
        try:
            source = self._session.source
            capabilities = await source.probe()
            started = time.perf_counter()
            fingerprint = await source.fingerprint()
            milliseconds = (time.perf_counter() - started) * 1000
            # the fingerprint may have found that it is another one
            capabilities = await source.probe()
        except StorageSyncError as error:
            self._not_answered(error, began)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this ping and not the service
            self._not_answered(self._parts.explained("a ping of the primary", error), began)
            return
        # no snapshot may show another primary and the cache in sync with it
        self._note_fingerprint(fingerprint)
        # only now: a run may have told of the primary meanwhile
        before = self._board.snapshot.primary
        after = health.answered(before, milliseconds, time.time())
        after = replace(
            after,
            server=capabilities.server,
            digest_function=capabilities.digest,
            generation=capabilities.generation,
            source_id=source.source_id,
            url=source.url,
            stand=self._stood(fingerprint),
        )
        self._board.update(primary=after)
        self._meter.pinged(milliseconds)
        if before.status.failed:
            self._log_answer(before)
            self._agenda.note(recovered_at=time.time())

    def _log_answer(self, before: PrimaryHealth) -> None:
        tries = plural(before.retries, "failed try", "failed tries")
        self._board.log("info", "primary", f"answers again after {tries}")

    def _not_answered(self, error: StorageSyncError, began: float) -> None:
        """`began`: when it was asked. A run that ended since then knows better."""
        before, proof = self._board.snapshot.primary, self._board.snapshot.freshness.proof
        proven = proof is not None and proof.source_id == self._session.source.source_id
        known = before.auth_at is not None or proven
        after = health.failed(before, error, began, known=known)
        self._board.update(primary=after)
        if before.status is not after.status:
            self._board.log("fail", "primary", error.message)
        self._board.unproven("the primary does not answer")
        self._meter.pinged(None)

    def _note_fingerprint(self, fingerprint: Fingerprint) -> None:
        if self._at_proof is None or fingerprint == self._at_proof:
            return
        if self._agenda.past.moved_at is not None:
            if fingerprint != self._latest:
                self._agenda.note(uncounted_at=time.time())
            return
        self._board.log("info", "primary", "changed since the last proof")
        snapshot = self._board.snapshot
        moved_at = time.time()
        self._board.update(freshness=replace(snapshot.freshness, moved_at=moved_at))
        # rows that differ from the earlier primary may be what it has now
        rewritten = still(snapshot.cache.rewritten, snapshot.present)
        if snapshot.verdict is Word.IN_SYNC or (snapshot.verdict is Word.DRIFT and rewritten):
            self._board.judge(Word.STALE, "the primary has changed")
        self._agenda.note(moved_at=moved_at, uncounted_at=moved_at)
