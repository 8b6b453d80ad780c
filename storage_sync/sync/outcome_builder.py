"""What a command learned so far; it becomes an Outcome at the end, however it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from storage_sync.values.errors import (
    CacheDamaged,
    CacheForeign,
    CacheLocked,
    GuardStopped,
    RowsRefused,
    StorageSyncError,
    VersionMismatch,
    exit_code_of,
)
from storage_sync.values.extra import Extra
from storage_sync.values.followed import Followed
from storage_sync.values.outcome import (
    CacheState,
    CacheWrites,
    Check,
    LookedAt,
    Orphan,
    Outcome,
    Plan,
    Proof,
    Seconds,
    TableChange,
    TableCounts,
    Word,
    error_value,
)

LOCK_POLL_S = 0.05


class Draft(Struct):
    """Belongs to one command; filled step by step."""

    command: str
    run_id: str = ""
    verdict: Word = Word.UNKNOWN
    exit_code: int = 0
    states: tuple[CacheState, ...] = ()
    proof: Proof | None = None
    counts: Mapping[str, TableCounts] = field(default_factory=dict)
    plan: Mapping[str, TableChange] = field(default_factory=dict)
    applied: Mapping[str, TableChange] = field(default_factory=dict)
    retries: int = 0
    cache_writes: CacheWrites = field(default_factory=CacheWrites)
    seconds: Seconds = field(default_factory=Seconds)
    checks: tuple[Check, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    warnings: list[str] = field(default_factory=list)
    next_action: str | None = None
    look: LookedAt | None = None
    drift: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows that the first look found to be other than proven, by table and kind (drifted, rotten, absent)."""
    rolled_back: bool = False
    """The first look found that the file is older than its last commit."""
    proposal: Plan | None = None
    extra: Extra = {}
    followed: Followed | None = None

    def warn(self, text: str) -> None:
        """Said once, however often it happens."""
        if text not in self.warnings:
            self.warnings.append(text)

    async def wait_for_lock(self) -> None:
        """A moment, while another process holds the cache; it counts as waiting."""
        started = time.monotonic()
        await asyncio.sleep(LOCK_POLL_S)
        self.seconds = replace(self.seconds, lock_wait=self.seconds.lock_wait + time.monotonic() - started)

    def outcome(self, error: StorageSyncError | None = None) -> Outcome:
        """The end. An error decides verdict, exit code and next step unless something stronger was said."""
        verdict, exit_code, next_action = self.verdict, self.exit_code, self.next_action
        if error is not None:
            verdict = verdict_of(error, self.verdict)
            exit_code = exit_code_of(error)
            next_action = next_action or error.hint
            if isinstance(error, CacheDamaged) and not any(state.damaged for state in self.states):
                # from outside the file looked well; it was found by reading it
                self.states = (*(state for state in self.states if state is not CacheState.CLEAN), CacheState.CORRUPT)
        return Outcome(
            command=self.command,
            verdict=verdict,
            exit_code=exit_code,
            run_id=self.run_id,
            states=self.states,
            proof=self.proof,
            counts=self.counts,
            plan=self.plan,
            applied=self.applied,
            cache_writes=self.cache_writes,
            seconds=self.seconds,
            checks=self.checks,
            orphans=self.orphans,
            warnings=tuple(self.warnings),
            next_action=next_action,
            error=error_value(error) if error is not None else None,
            look=self.look,
            drift=self.drift,
            rolled_back=self.rolled_back,
            proposal=self.proposal,
            followed=self.followed,
            extra=self.extra,
        )


def verdict_of(error: StorageSyncError, so_far: Word = Word.UNKNOWN) -> Word:
    """The word for a run that ended with this error.

    Rejected rows under `--strict`, and a file that another process holds, take nothing from what was found."""
    if isinstance(error, RowsRefused | CacheLocked):
        return so_far
    if isinstance(error, GuardStopped | CacheForeign):
        return Word.REFUSED
    if isinstance(error, CacheDamaged | VersionMismatch):
        return Word.DAMAGED
    return Word.UNKNOWN
