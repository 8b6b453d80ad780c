"""One moment of a cache, as a run looked at it: what was found from outside, and a scan of a private copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.checkpoint import Checkpoint
from storage_sync.cache.content import ContentJudgement
from storage_sync.cache.copy import PrivateCopy
from storage_sync.cache.kept import Why
from storage_sync.cache.states import FileJudgement, Finding
from storage_sync.state.quarantine import Removed
from storage_sync.values.outcome import CacheState, FileIdentity, LookedAt
from storage_sync.values.witness import Witness

_HELD = Finding(CacheState.HELD, "it is in use, and a copy of it opens")


class Look(Struct, frozen=True):
    """One moment of the cache. `scan` is None when there is no file to scan."""

    judgement: FileJudgement
    witness: Witness | None
    copy: PrivateCopy | None = None
    content: ContentJudgement | None = None
    scan: _native.Scan | None = None
    integrity: bool | None = None
    """redb's own check of a copy; None: not made."""
    replaces: Why | None = None
    """A new cache is built, and the file that is there is kept beside it, under this word."""
    leftover: Callable[[], Iterator[Removed]] | None = None
    """Rows read out of a damaged file that the new one does not take over: they are quarantined."""

    @property
    def checkpoint(self) -> Checkpoint | None:
        return self.content.checkpoint if self.content is not None else None

    @property
    def generation(self) -> int:
        return self.checkpoint.generation if self.checkpoint is not None else 0

    @property
    def schema(self) -> int | None:
        return self.content.schema_version if self.content is not None else None

    @property
    def identity(self) -> FileIdentity | None:
        """Of the live file that the copy was made of."""
        return self.copy.identity if self.copy is not None else self.judgement.identity

    @property
    def held(self) -> bool:
        """Whether another process had the file open for writing."""
        return self.judgement.finding(CacheState.LOCKED_EXCLUSIVE) is not None

    @property
    def looked_at(self) -> LookedAt | None:
        """None when there was nothing to copy."""
        return self.copy.looked_at(self.judgement.holders) if self.copy is not None else None

    @property
    def sibling(self) -> bool:
        """Whether a sync builds the file beside it and renames it into place (docs/protocol.md#recovery)."""
        return (
            self.replaces is not None
            or self.scan is None
            or (self.content is not None and CacheState.EMPTY_CACHE in self.content.states)
        )

    def published(self, scan: _native.Scan, identity: FileIdentity | None) -> Look:
        """This look after a file was put in place that `scan` read whole and redb's own check found sound."""
        clean = Finding(CacheState.CLEAN, "it was read back before it was put in place")
        judgement = replace(self.judgement, findings=(clean,), identity=identity)
        content = ContentJudgement((), None, _native.CACHE_SCHEMA_VERSION)
        return Look(judgement, None, None, content, scan, integrity=True)

    @property
    def findings(self) -> tuple[Finding, ...]:
        copied = (_HELD if self.held else self.copy.finding,) if self.copy is not None else ()
        inside = self.content.findings if self.content is not None else ()
        outside = tuple(
            finding
            for finding in self.judgement.findings
            if not copied or finding.state not in (CacheState.CLEAN, CacheState.UNCLEAN)
        )
        return outside + copied + inside

    @property
    def states(self) -> tuple[CacheState, ...]:
        return tuple(finding.state for finding in self.findings)

    @property
    def base(self) -> tuple[int, str]:
        """Generation and root that are stamped in it; '' for none."""
        return self.generation, self.checkpoint.root if self.checkpoint is not None else ""

    def values(self, table: str, keys: Sequence[str]) -> list[bytes | None]:
        """Bytes of these keys in the private copy. Blocking."""
        return self.copy.file.get(table, list(keys)) if self.copy is not None else [None] * len(keys)
