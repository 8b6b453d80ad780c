"""Every operation of the core, each defined once for the command line, the screens and the schedule.

An operation is a value: its arguments, its work, and what kind of work that is. Light to import: what an operation
needs is imported when it runs.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct, StructMeta

from storage_sync.values.errors import CacheDamaged

if TYPE_CHECKING:
    from storage_sync.sync.context import Context
    from storage_sync.values.outcome import Outcome


class _Abstract(StructMeta, ABCMeta):
    """Of values with methods that each kind defines."""


class Operation(Struct, frozen=True, metaclass=_Abstract):
    """One operation with its arguments. `command`: its name in documents and history."""

    command: ClassVar[str]
    does: ClassVar[str] = ""
    """What a person calls it, where several operations share the name of a command."""
    planned: ClassVar[bool] = False
    """It changes something, and so a screen runs it only from a plan that somebody read."""
    writes: ClassVar[bool] = False
    """It may write the cache."""
    judges: ClassVar[bool] = False
    """It compares with the primary, and so its verdict is the cache's."""
    level: ClassVar[int] = 1
    """The least level of its plans (docs/console.md#plans)."""

    @property
    def word(self) -> str:
        """What a person calls it."""
        return self.does or self.command

    @property
    def only_looks(self) -> bool:
        """It changes nothing, and so compares as a plan does."""
        return not self.planned and not self.writes

    @property
    def remembered(self) -> bool:
        """Whether the history keeps it."""
        return self.planned or self.writes or self.judges

    @abstractmethod
    async def run(self, context: Context) -> Outcome:
        """Do it; raises the StorageSyncError that stopped it."""


class Sync(Operation, frozen=True):
    """Bring the cache to the primary's state and prove it. `repairs`: a damaged cache is repaired first."""

    command = "sync"
    planned = writes = judges = True
    repairs: bool = False

    async def run(self, context: Context) -> Outcome:
        if self.repairs:
            from storage_sync.recovery.repair import run_sync_repairing

            return await run_sync_repairing(context)
        from storage_sync.sync.run import run_sync

        return await run_sync(context)


class Deliver(Operation, frozen=True):
    """A sync that commits what waits, and asks the primary for nothing that is there."""

    command = "sync"
    planned = writes = judges = True
    repairs: bool = False

    async def run(self, context: Context) -> Outcome:
        from storage_sync.sync.run import run_waiting

        try:
            return await run_waiting(context)
        except CacheDamaged:
            if not self.repairs:
                raise
            from storage_sync.recovery.repair import run_repair

            return await run_repair(context)


class Stage(Operation, frozen=True):
    """Compare a held file and let wait what it lacks."""

    command = "sync"
    writes = judges = True

    async def run(self, context: Context) -> Outcome:
        from storage_sync.sync.run import run_staging

        return await run_staging(context)


class Repair(Operation, frozen=True):
    """Repair step by step; `no_rebuild` stops before the last one."""

    command = "repair"
    planned = writes = judges = True
    level = 2
    no_rebuild: bool = False

    async def run(self, context: Context) -> Outcome:
        from storage_sync.recovery.repair import run_repair

        return await run_repair(context, no_rebuild=self.no_rebuild)


class Rebuild(Operation, frozen=True):
    """A new cache beside the old one, proven, then swapped. `discard`: nothing is resumed; `swap`: only finish what
    was staged."""

    command = "rebuild"
    planned = writes = judges = True
    level = 3
    discard: bool = False
    swap: bool = False

    async def run(self, context: Context) -> Outcome:
        from storage_sync.recovery.rebuild import run_rebuild

        return await run_rebuild(context, discard=self.discard, swap=self.swap)


class Verify(Operation, frozen=True):
    """All checks; `deep` adds redb's own, and every vector."""

    command = "verify"
    judges = True
    deep: bool = False

    async def run(self, context: Context) -> Outcome:
        from storage_sync.verify.verify import run_verify

        return await run_verify(context, deep=self.deep)


class Diff(Operation, frozen=True):
    """Which rows differ, by column, or only their keys."""

    command = "diff"
    keys_only: bool = False

    async def run(self, context: Context) -> Outcome:
        from storage_sync.verify.verify import run_diff

        return await run_diff(context, keys_only=self.keys_only)


class Status(Operation, frozen=True):
    """`status --check`: asks the primary. Without it see `storage_sync.reports.status.status_quick`."""

    command = "status"

    async def run(self, context: Context) -> Outcome:
        from storage_sync.verify.verify import run_check

        return await run_check(context)


class Ping(Operation, frozen=True):
    """Latency, authentication and capabilities of the primary."""

    command = "ping"

    async def run(self, context: Context) -> Outcome:
        from storage_sync.verify.ping import run_ping

        return await run_ping(context)


class Orphans(Operation, frozen=True):
    """Embeddings without their owner and other broken vectors, with what the primary says of them."""

    command = "orphans"

    async def run(self, context: Context) -> Outcome:
        from storage_sync.verify.orphans import run_orphans

        return await run_orphans(context)


class Doctor(Operation, frozen=True):
    """Each part by itself: configuration, state folder, cache file, primary; with the next step for each."""

    command = "doctor"

    async def run(self, context: Context) -> Outcome:
        from storage_sync.verify.doctor import run_doctor

        return await run_doctor(context)


class CountWritten(Operation, frozen=True):
    """Count what was written to the primary since the last proof of a held file; too frequent to be told as a run."""

    command = "count"

    async def run(self, context: Context) -> Outcome:
        from storage_sync.verify.count import run_count

        return await run_count(context)


class Recheck(Operation, frozen=True):
    """Judge a held file by what is known; too frequent to be told as a run."""

    command = "recheck"

    async def run(self, context: Context) -> Outcome:
        from storage_sync.verify.recheck import run_recheck

        return await run_recheck(context)


class Peek(Operation, frozen=True):
    """Look at the cache through a private copy."""

    command = "peek"

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.peek import run_peek

        return await run_peek(context)


class Undo(Operation, frozen=True):
    """Undo a run; None: the newest one that changed the cache."""

    command = "undo"
    planned = writes = True
    level = 2
    run_id: str | None = None

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.undo import run_undo

        return await run_undo(context, self.run_id)


class Restore(Operation, frozen=True):
    """Restore quarantined rows by their numbers."""

    command = "quarantine"
    does = "restore"
    planned = writes = True
    ids: tuple[int, ...]

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.quarantine import run_restore

        return await run_restore(context, self.ids)


class Purge(Operation, frozen=True):
    """Forget quarantined rows that are old; the cache is not written."""

    command = "quarantine"
    does = "purge"
    planned = True
    level = 3

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.quarantine import run_purge

        return await run_purge(context)


class Retry(Operation, frozen=True):
    """Fetch rejected rows again. `ids`: `table/key` of each."""

    command = "quarantine"
    does = "retry"
    writes = judges = True
    ids: tuple[str, ...]

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.quarantine import run_retry

        return await run_retry(context, self.ids)


class QuarantineOrphans(Operation, frozen=True):
    """Take broken embeddings out of the cache."""

    command = "orphans"
    does = "quarantine"
    planned = writes = True
    level = 2
    keys: tuple[str, ...]

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.orphans import run_set_aside

        return await run_set_aside(context, self.keys)


class Expect(Operation, frozen=True):
    """Mark broken embeddings as expected."""

    command = "orphans"
    keys: tuple[str, ...]
    note: str = ""

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.orphans import run_expect

        return await run_expect(context, self.keys, self.note)


class Unexpect(Operation, frozen=True):
    """Take that mark away."""

    command = "orphans"
    keys: tuple[str, ...]

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.orphans import run_unexpect

        return await run_unexpect(context, self.keys)


class Detach(Operation, frozen=True):
    """Take everything of this tool out of the cache."""

    command = "detach"
    planned = writes = True
    level = 3

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.detach import run_detach

        return await run_detach(context)


class Compact(Operation, frozen=True):
    """Give unused pages of the file back."""

    command = "compact"
    planned = writes = True

    async def run(self, context: Context) -> Outcome:
        from storage_sync.edits.detach import run_compact

        return await run_compact(context)
