"""The values of one command's outcome: verdict, proof, counts, changes, checks, error.

They stand apart from those of `snapshot`, because `status` imports no others and must start fast. Units as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct, field

from storage_sync.values.errors import PrimaryUnavailable, StorageSyncError, exit_code_of
from storage_sync.values.extra import Extra  # at run time: a recording is read by these types
from storage_sync.values.followed import Followed
from storage_sync.values.next_step import NextStep

TABLES: tuple[str, ...] = (
    "episodes",
    "summaries",
    "relationships",
    "recommendation_sessions",
    "recommendation_feedback",
    "patterns",
    "heuristics",
    "procedural",
    "episode_pattern_relationships",
    "embeddings",
)
"""Cache tables that have rows in the manifest, in the order of their numbers."""

DERIVED_TABLES: tuple[str, ...] = ("recommendation_episode_index",)

PATTERN_TABLES: frozenset[str] = frozenset({"patterns", "heuristics", "procedural", "episode_pattern_relationships"})
"""Tables that `sync_patterns` switches."""


class Word(StrEnum):
    """The seven verdicts of docs/cli.md."""

    IN_SYNC = "IN_SYNC"
    STALE = "STALE"
    DRIFT = "DRIFT"
    UNKNOWN = "UNKNOWN"
    DAMAGED = "DAMAGED"
    REFUSED = "REFUSED"
    EMPTY = "EMPTY"


class CacheState(StrEnum):
    """The states of docs/cache.md#states."""

    ABSENT = "ABSENT"
    NOT_A_FILE = "NOT_A_FILE"
    UNREADABLE = "UNREADABLE"
    READ_ONLY = "READ_ONLY"
    DISK_LOW = "DISK_LOW"
    IO_ERROR = "IO_ERROR"
    EMPTY_FILE = "EMPTY_FILE"
    INTERRUPTED_CREATE = "INTERRUPTED_CREATE"
    FOREIGN = "FOREIGN"
    TRUNCATED = "TRUNCATED"
    FORMAT_OLD = "FORMAT_OLD"
    FORMAT_NEW = "FORMAT_NEW"
    LOCKED_EXCLUSIVE = "LOCKED_EXCLUSIVE"
    LOCKED_SHARED = "LOCKED_SHARED"
    CLEAN = "CLEAN"
    UNCLEAN = "UNCLEAN"
    HELD = "HELD"
    REPAIRED = "REPAIRED"
    CORRUPT = "CORRUPT"
    ROLLED_BACK = "ROLLED_BACK"
    UNSTAMPED = "UNSTAMPED"
    WRONG_SCHEMA = "WRONG_SCHEMA"
    WRONG_TYPES = "WRONG_TYPES"
    BIT_ROT = "BIT_ROT"
    LOCAL_DRIFT = "LOCAL_DRIFT"
    PARTIAL = "PARTIAL"
    EMPTY_CACHE = "EMPTY_CACHE"

    @property
    def damaged(self) -> bool:
        """What was proven is not there any more, or cannot be read."""
        return self in _DAMAGED

    @property
    def other_version(self) -> bool:
        """Another version of redb's format, or of do-memory's schema."""
        return self in _OTHER_VERSION

    @property
    def inaccessible(self) -> bool:
        """It cannot even be read."""
        return self in _INACCESSIBLE

    @property
    def unwritable(self) -> bool:
        """It can be read, and not written."""
        return self in _UNWRITABLE

    @property
    def locked(self) -> bool:
        """Another process holds it."""
        return self in _LOCKED

    @property
    def absent(self) -> bool:
        """There is no file yet, or none with anything in it: a sync makes it without a question."""
        return self in _ABSENT

    @property
    def empty(self) -> bool:
        """There is nothing in it."""
        return self.absent or self is CacheState.EMPTY_CACHE

    @property
    def found_inside(self) -> bool:
        """Only a look inside can tell; it stays until the next one."""
        return self in _FOUND_INSIDE


_DAMAGED = frozenset(
    {
        CacheState.TRUNCATED,
        CacheState.CORRUPT,
        CacheState.ROLLED_BACK,
        CacheState.WRONG_TYPES,
        CacheState.BIT_ROT,
    }
)
_OTHER_VERSION = frozenset({CacheState.FORMAT_OLD, CacheState.FORMAT_NEW, CacheState.WRONG_SCHEMA})
_INACCESSIBLE = frozenset({CacheState.NOT_A_FILE, CacheState.UNREADABLE, CacheState.IO_ERROR})
_UNWRITABLE = frozenset({CacheState.READ_ONLY, CacheState.DISK_LOW})
_LOCKED = frozenset({CacheState.LOCKED_EXCLUSIVE, CacheState.LOCKED_SHARED})
_ABSENT = frozenset({CacheState.ABSENT, CacheState.EMPTY_FILE, CacheState.INTERRUPTED_CREATE})
_FOUND_INSIDE = frozenset(
    {
        CacheState.UNSTAMPED,
        CacheState.WRONG_SCHEMA,
        CacheState.WRONG_TYPES,
        CacheState.BIT_ROT,
        CacheState.LOCAL_DRIFT,
        CacheState.ROLLED_BACK,
        CacheState.CORRUPT,
        CacheState.EMPTY_CACHE,
        CacheState.PARTIAL,
    }
)


class CheckStatus(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - a word of the contract
    FAIL = "fail"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class FileIdentity(Struct, frozen=True):
    """What must be unchanged for a proof to still speak of the file: docs/cli.md#verdicts."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class HolderKind(StrEnum):
    """Who holds the file, as far as it decides what to do about it."""

    DO_MEMORY = "do-memory"
    OURS = "storage-sync"
    OTHER = "other"
    UNLISTED = "unlisted"
    """The kernel's list names nobody, and yet the lock is taken: a process of another container."""


class LockHolder(Struct, frozen=True):
    """A process that holds a lock on the file; `since` in epoch seconds. A `pid` of 0 or less is unknown."""

    pid: int
    command: str
    user: str
    since: float | None
    exclusive: bool
    kind: HolderKind = HolderKind.OTHER


class LookedAt(Struct, frozen=True):
    """What a finding was made of, and when. `of`: `copy` when somebody holds the file or wrote to it meanwhile, so
    that the finding is of that moment; `file` when nobody does, so that it holds until the file changes."""

    of: str
    at: float
    """Epoch seconds at which the copy was complete."""
    held_by: tuple[LockHolder, ...] = ()
    identity: FileIdentity | None = None
    """Of the file that was copied; None when it changed meanwhile."""


class Proof(Struct, frozen=True):
    """Root equality for one primary instant."""

    root: str
    digest: str
    generation: int
    source_id: str
    epoch: int
    at: float
    config_hash: str = ""
    identity: FileIdentity | None = None
    refused: int | None = None
    """Rows of the primary that the proof leaves out because they were rejected; None: an older version did not say."""
    audited_at: float | None = None
    """When every row of the primary was last looked at that may be expected (docs/protocol.md#what-a-proof-reads);
    None: not known."""

    def age(self, now: float) -> float | None:
        """Seconds since it was made, at `now` in epoch seconds.

        None when that lies in the future: the clock was wrong, then or now, and a proof of no known age is none.
        """
        return now - self.at if self.at <= now else None


class TableCounts(Struct, frozen=True):
    """Rows of one table. `primary`: in the source table, None where it was not counted; `expected`: by the projection;
    `cache`: in the file."""

    primary: int | None = None
    expected: int | None = None
    cache: int | None = None
    cache_only: int | None = None
    refused: int | None = None
    beyond: int = 0
    as_of: float | None = None
    """When the source table was last counted, where `primary` is None."""


class TableChange(Struct, frozen=True):
    """Rows of one table that would change, or did."""

    insert: int = 0
    update: int = 0
    remove: int = 0

    @property
    def rows(self) -> int:
        """How many in all."""
        return self.insert + self.update + self.remove


class Check(Struct, frozen=True):
    """One check of docs/cli.md. `detail` is a sentence; `seconds` how long it took."""

    name: str
    status: CheckStatus
    expected: int | str | None
    actual: int | str | None
    detail: str = ""
    keys: tuple[str, ...] = ()
    seconds: float = 0.0
    made_at: float | None = None
    """Of one that this run did not make: when it was, in epoch seconds."""


WARN_ONLY: frozenset[str] = frozenset({"orphaned_embeddings", "embedding_vectors"})
"""Checks whose failure does not touch a sync's verdict."""
OF_THE_PROOF: frozenset[str] = frozenset({"episode_count", "latest_episodes", "pattern_counts", "content_digests"})
"""Checks that compare with the whole primary."""


class Purpose(StrEnum):
    """What the primary reads rows for."""

    POLL = "poll"
    """To see whether anything changed."""
    PROOF = "proof"
    """The manifest, or all expected rows where the server cannot digest."""
    FOLLOW = "follow"
    """What was written since the last proof, and what hangs on that."""
    FETCH = "fetch"
    """Rows that are to be written."""
    VERIFY = "verify"
    """Single keys: whether the primary has them, and what it has there."""


class Transfer(Struct, frozen=True):
    """HTTP requests, probes and closes included; body bytes before decompression."""

    requests: int = 0
    bytes_received: int = 0
    retries: int = 0
    by_code: Mapping[str, int] = field(default_factory=dict)
    """Requests by HTTP status, `none` where no answer came; one that nobody waits for any more may be missing."""
    rows_read: Mapping[Purpose, int] = field(default_factory=dict)
    """Rows that the primary said it read, which is what a hosted one bills."""
    unmetered: Mapping[Purpose, int] = field(default_factory=dict)
    """Statements for which it did not say so: those of a cursor, those whose answer was lost."""

    def since(self, earlier: Transfer, retries: int = 0) -> Transfer:
        """What came after `earlier`; `retries`: whole tries that were made again."""
        return Transfer(
            self.requests - earlier.requests,
            self.bytes_received - earlier.bytes_received,
            self.retries - earlier.retries + retries,
            _more(self.by_code, earlier.by_code),
            _more(self.rows_read, earlier.rows_read, known=True),
            _more(self.unmetered, earlier.unmetered),
        )

    def read(self, purpose: Purpose) -> int | None:
        """Rows read for a purpose; None: unknown, since a statement did not say it."""
        return None if self.unmetered.get(purpose) else self.rows_read.get(purpose, 0)


Name = TypeVar("Name", bound=str)


def _more(now: Mapping[Name, int], earlier: Mapping[Name, int], *, known: bool = False) -> dict[Name, int]:
    """What was counted since; `known`: a name that is new counts also when it stands at zero."""
    gained = {name: count - earlier.get(name, 0) for name, count in now.items()}
    return {name: more for name, more in gained.items() if more > 0 or (known and name not in earlier)}


class CacheWrites(Struct, frozen=True):
    """Transactions on the live file, and the bytes put into them."""

    commits: int = 0
    bytes: int = 0


class Seconds(Struct, frozen=True):
    """How long each part took."""

    manifest: float = 0.0
    fetch: float = 0.0
    apply: float = 0.0
    total: float = 0.0
    lock: float = 0.0
    """How long redb's lock was held on the live file."""
    lock_wait: float = 0.0
    """How long another process kept us from it."""


class ErrorValue(Struct, frozen=True):
    """`error` of the document."""

    code: str
    message: str
    hint: str
    retry: bool
    exit_code: int
    retry_after: float | None = None
    """Seconds that a primary asked us to wait, if it did."""
    step: NextStep | None = None
    """The hint as a value, where a front end words it otherwise."""


def error_value(error: StorageSyncError) -> ErrorValue:
    """What a document says of an error."""
    wait = error.retry_after if isinstance(error, PrimaryUnavailable) else None
    return ErrorValue(error.code, error.message, error.hint, error.retry, exit_code_of(error), wait, error.step)


class Orphan(Struct, frozen=True):
    """An embedding without its owner, or an otherwise broken vector (docs/console.md#orphans)."""

    key: str
    reason: str
    owner_kind: str
    owner_id: str
    in_primary: bool | None
    dimension: int | None
    norm: float | None
    bytes: int


class PlanRow(Struct, frozen=True):
    """One line of a plan as an operator reads it."""

    step: str
    text: str
    rows: int
    bytes: int | None
    undo: str


class Plan(Struct, frozen=True):
    """What a run would change; `base` is (generation, root) that it was made for."""

    id: str
    kind: str
    base: tuple[int, str]
    root: str
    changes: Mapping[str, TableChange]
    rows: tuple[PlanRow, ...]
    removes_ratio: float
    """Largest part of a table, or of all rows, that would leave because the primary lost it; 0 where so few would that
    they may always."""
    lost: tuple[str, ...]
    level: int
    phrase: str | None = None
    refusal: ErrorValue | None = None
    """Why a guard would stop it, if one would."""
    consent: NextStep | None = None
    """The consent with which such a plan passes that guard; without a refusal: the consent that it had."""
    gone: int = 0
    """Rows that would leave because the primary lost them or what they belong to."""
    named: tuple[str, ...] = ()
    """The first rows of `changes`, as `table/key`, where they were picked one by one."""
    undoes: str = ""
    """The run that it undoes, as `s-8cbd5d (sync, 15:00:19Z)`."""
    compared: int = 0
    """Rows that the cache should hold: each is compared; 0 where no primary is asked."""
    reads: int = 0
    """Rows that the primary sends for that, as the run counts them."""
    looked_s: float | None = None
    """Seconds that it took to make the plan; the run looks again, and writes. None: not known."""
    comes_back: int = 0
    """Rows of `changes` that the next sync brings back: they are now as the primary had them when it was last read."""


class Outcome(Struct, frozen=True):
    """How a command ended: everything that the document of docs/cli.md says about it."""

    command: str
    verdict: Word
    exit_code: int
    run_id: str = ""
    states: tuple[CacheState, ...] = ()
    proof: Proof | None = None
    counts: Mapping[str, TableCounts] = field(default_factory=dict)
    plan: Mapping[str, TableChange] = field(default_factory=dict)
    applied: Mapping[str, TableChange] = field(default_factory=dict)
    transfer: Transfer = Transfer()
    cache_writes: CacheWrites = CacheWrites()
    seconds: Seconds = Seconds()
    checks: tuple[Check, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    warnings: tuple[str, ...] = ()
    next_action: str | None = None
    error: ErrorValue | None = None
    look: LookedAt | None = None
    """What was looked at; None where the cache was not, or is not there."""
    drift: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows that the first look found to be other than proven, by table and kind (drifted, rotten, absent)."""
    rolled_back: bool = False
    """The first look found that the file is older than its last commit."""
    proposal: Plan | None = None
    """The plan as an operator reads it, when one was asked for; not part of the document."""
    followed: Followed | None = None
    """What was taken in since the proof; None where the proof speaks of all of it."""
    undoable: bool = False
    """The run changed the cache, and that can be undone: what `state/undoable` answered when it ended."""
    extra: Extra = {}
    """Fields that only some commands have."""

    @property
    def generation(self) -> int | None:
        """Of the cache, by the proof or by what was followed since; None without a proof."""
        if self.followed is not None:
            return self.followed.generation
        return self.proof.generation if self.proof is not None else None
