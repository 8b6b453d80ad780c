"""The values that the parts speak in: frozen, slotted, picklable, compared by value.

Times are UTC epoch seconds (float) unless a field says monotonic; sizes are bytes; `None` means unknown and
is drawn as `?`, never as 0. Shapes: `console.md` 6.1 and `cli.md` (the document).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

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
    """The seven verdicts of `cli.md`."""

    IN_SYNC = "IN_SYNC"
    STALE = "STALE"
    DRIFT = "DRIFT"
    UNKNOWN = "UNKNOWN"
    DAMAGED = "DAMAGED"
    REFUSED = "REFUSED"
    EMPTY = "EMPTY"


class CacheState(StrEnum):
    """The states of `cache.md` 2.6."""

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
    REPAIRED = "REPAIRED"
    CORRUPT = "CORRUPT"
    ROLLED_BACK = "ROLLED_BACK"
    UNSTAMPED = "UNSTAMPED"
    WRONG_SCHEMA = "WRONG_SCHEMA"
    WRONG_TYPES = "WRONG_TYPES"
    WRONG_SOURCE = "WRONG_SOURCE"
    BIT_ROT = "BIT_ROT"
    LOCAL_DRIFT = "LOCAL_DRIFT"
    PARTIAL = "PARTIAL"
    EMPTY_CACHE = "EMPTY_CACHE"
    STALE = "STALE"
    IN_SYNC = "IN_SYNC"
    UNKNOWN = "UNKNOWN"


class CheckStatus(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What must be unchanged for a proof to still speak of the file: `cli.md`, verdict."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class LockHolder:
    pid: int
    command: str
    user: str
    since: float | None
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """Root equality for one primary instant."""

    root: str
    digest: str
    generation: int
    source_id: str
    epoch: int
    at: float
    config_hash: str = ""
    identity: FileIdentity | None = None


@dataclass(frozen=True, slots=True)
class TableCounts:
    """Rows of one table. `primary`: in the source table; `expected`: by the projection; `cache`: in the file."""

    primary: int | None = None
    expected: int | None = None
    cache: int | None = None
    cache_only: int | None = None
    refused: int | None = None
    beyond: int = 0


@dataclass(frozen=True, slots=True)
class TableChange:
    insert: int = 0
    update: int = 0
    remove: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One check of `cli.md`. `detail` is a sentence; `seconds` how long it took."""

    name: str
    status: CheckStatus
    expected: int | str | None
    actual: int | str | None
    detail: str = ""
    keys: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Transfer:
    requests: int = 0
    bytes_received: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class CacheWrites:
    commits: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Seconds:
    manifest: float = 0.0
    fetch: float = 0.0
    apply: float = 0.0
    total: float = 0.0
    lock: float = 0.0
    """How long redb's lock was held on the live file."""


@dataclass(frozen=True, slots=True)
class ErrorValue:
    """`error` of the document."""

    code: str
    message: str
    hint: str
    retry: bool
    exit_code: int


@dataclass(frozen=True, slots=True)
class Orphan:
    """An embedding without its owner, or an otherwise broken vector (`console.md` 5.1)."""

    key: str
    reason: str
    owner_kind: str
    owner_id: str
    in_primary: bool | None
    dimension: int | None
    norm: float | None
    bytes: int


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One line of a plan as an operator reads it."""

    step: str
    text: str
    rows: int
    bytes: int | None
    undo: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would change; `base` is (generation, root) that it was made for."""

    id: str
    kind: str
    base: tuple[int, str]
    root: str
    changes: Mapping[str, TableChange]
    rows: tuple[PlanRow, ...]
    removes_ratio: float
    takes_s: float | None
    lost: tuple[str, ...]
    level: int
    phrase: str | None = None
    refusal: ErrorValue | None = None
    """Why a guard would stop it, if one would."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: everything that the document of `cli.md` says about it."""

    command: str
    verdict: Word
    exit_code: int
    run_id: str = ""
    states: tuple[str, ...] = ()
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
    proposal: Plan | None = None
    """The plan as an operator reads it, when one was asked for; not part of the document."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Fields of one command only (`ping`, `status`, `diff` …); plain JSON values."""


class Phase(StrEnum):
    """Steps of a run as they are shown (`sync.md` 4.3)."""

    LEASE = "lease"
    COPY = "copy"
    HASH = "hash"
    MANIFEST = "manifest"
    FETCH = "fetch"
    GUARD = "guard"
    COMMIT = "commit"
    READ_BACK = "read-back"
    WITNESS = "witness"
    HISTORY = "history"


class StepState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


# ------------------------------------------------------------------------------------------ snapshot


class PrimaryStatus(StrEnum):
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class LockState(StrEnum):
    FREE = "free"
    OURS = "ours"
    OTHER = "other"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class CoreBeat:
    """The core's sign of life; `at` is monotonic."""

    at: float
    doing: str = "starting"
    queue: int = 0
    events_total: int = 0
    events_dropped: int = 0


@dataclass(frozen=True, slots=True)
class PrimaryHealth:
    status: PrimaryStatus = PrimaryStatus.UNKNOWN
    url: str = ""
    ping_ms: float | None = None
    p95_ms: float | None = None
    pings: tuple[float | None, ...] = ()
    """Newest last, at most 60; None: that ping failed."""
    auth: str = "unknown"
    """accepted, refused, none needed or unknown."""
    auth_at: float | None = None
    token_origin: str = ""
    last_error: str = ""
    last_error_at: float | None = None
    unreachable_since: float | None = None
    retries: int = 0
    next_at: float | None = None
    backoff_s: float | None = None
    server: str = ""
    digest_function: str | None = None
    generation: str = ""
    """Generation of do-memory's schema, by its features: `0.1.40` or `0.1.47`."""
    epoch: int = 0
    source_id: str = ""
    error: ErrorValue | None = None


@dataclass(frozen=True, slots=True)
class Peek:
    copied_at: float
    took_ms: float
    attempts: int


@dataclass(frozen=True, slots=True)
class CacheHealth:
    path: str = ""
    states: tuple[CacheState, ...] = ()
    size: int | None = None
    payload: int | None = None
    disk_free: int | None = None
    lock: LockState = LockState.FREE
    holder: LockHolder | None = None
    lease_holder: LockHolder | None = None
    integrity: Check | None = None
    integrity_at: float | None = None
    generation: int | None = None
    acked: int | None = None
    schema: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    looked_at: float | None = None
    peek: Peek | None = None
    error: ErrorValue | None = None


@dataclass(frozen=True, slots=True)
class Behind:
    new: int
    changed: int
    gone: int


@dataclass(frozen=True, slots=True)
class Freshness:
    proof: Proof | None = None
    max_age_s: float = 900.0
    behind: Mapping[str, Behind] = field(default_factory=dict)
    exact: bool = False
    as_of: float | None = None
    cache_only: Mapping[str, int] = field(default_factory=dict)
    next_compare_at: float | None = None
    next_sync_at: float | None = None
    next_sync_reason: str = ""
    trend: tuple[float | None, ...] = ()
    """Proof age in seconds at the last 60 samples, newest last."""


@dataclass(frozen=True, slots=True)
class Run:
    """The running operation, or the last one once `ended_at` is set."""

    id: str
    kind: str
    path: str
    """in_place, sibling or staged."""
    trigger: str
    """start, interval, staleness, cache changed, recovery or manual."""
    started_at: float
    step: str = ""
    steps: tuple[tuple[str, StepState], ...] = ()
    done: int = 0
    total: int | None = None
    batch: int = 0
    batches: int | None = None
    bytes: int = 0
    bytes_total: int | None = None
    rate: float | None = None
    """Rows a second."""
    rates: tuple[float, ...] = ()
    eta_s: float | None = None
    round: int = 1
    checkpoint_rows: int | None = None
    checkpoint_at: float | None = None
    cancellable: bool = True
    cancel_asked_at: float | None = None
    ended_at: float | None = None
    result: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    check: Check
    at: float
    generation: int | None
    subject: str = "file"
    """file, or copy when another process holds it."""
    recent: tuple[CheckStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class RunSummary:
    id: str
    kind: str
    trigger: str
    started_at: float
    took_s: float
    new: int
    changed: int
    gone: int
    exit_code: int
    result: str
    resumable: bool = False
    generation: int | None = None
    bytes_received: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class HistoryView:
    revision: int = 0
    runs: int = 0
    ok_ratio: float | None = None
    last: tuple[RunSummary, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective setting; `value` of a secret is `set` or `not set`, never the secret."""

    key: str
    value: str
    origin: str
    applies: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class ConfigView:
    settings: tuple[Setting, ...] = ()
    file: str = ""
    loaded_at: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineView:
    refused: int = 0
    aside: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a front end draws, at one moment. Latest wins."""

    seq: int
    taken_at: float
    beat: CoreBeat
    profile: str = ""
    access: str = "rw"
    """ro, rw or locked ro."""
    paused: bool = False
    verdict: Word = Word.UNKNOWN
    states: tuple[str, ...] = ()
    primary: PrimaryHealth = PrimaryHealth()
    cache: CacheHealth = CacheHealth()
    freshness: Freshness = Freshness()
    run: Run | None = None
    checks: tuple[CheckResult, ...] = ()
    quarantine: QuarantineView = QuarantineView()
    history: HistoryView = HistoryView()
    config: ConfigView = ConfigView()
    plan: Plan | None = None
    error: ErrorValue | None = None


# ------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class LogLine:
    at: float
    level: str
    """info, warn or fail."""
    area: str
    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    command_id: int


@dataclass(frozen=True, slots=True)
class Refused:
    command_id: int
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Answer:
    command_id: int
    value: object


@dataclass(frozen=True, slots=True)
class RunStarted:
    run_id: str
    kind: str
    trigger: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    run_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class StateChanged:
    old: Word
    new: Word
    why: str


@dataclass(frozen=True, slots=True)
class FileChanged:
    path: str


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CoreDied:
    report: str


Event = (
    LogLine
    | Accepted
    | Refused
    | Answer
    | RunStarted
    | RunEnded
    | StateChanged
    | FileChanged
    | ConfigChanged
    | CoreDied
)


# ----------------------------------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class Command:
    """Something a front end asks for; answered by events that carry the same id, never by a return value.

    Kinds so far: ping, compare, validate, make_plan, execute, cancel, set_access, pause, try_now, reload, page, stop.
    """

    id: int
    kind: str
    arguments: Mapping[str, object] = field(default_factory=dict)
