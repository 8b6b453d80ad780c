"""The values that the parts speak in: frozen, slotted, picklable, compared by value.

Times are UTC epoch seconds (float) unless a field says monotonic; sizes are bytes; `None` means unknown and
is drawn as `?`, never as 0. Shapes: docs/architecture.md#threads and docs/cli.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from storage_sync.values.followed import Followed
from storage_sync.values.found import Basis, Found, PrimaryStand
from storage_sync.values.outcome import (
    CacheState,
    Check,
    CheckStatus,
    ErrorValue,
    FileIdentity,
    LockHolder,
    LookedAt,
    Plan,
    Proof,
    Word,
)


class Phase(StrEnum):
    """Steps of a run as they are shown (docs/protocol.md#steps)."""

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


class PrimaryStatus(StrEnum):
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    GONE = "gone"
    """Its file was there before, and is not."""
    UNUSABLE = "unusable"
    """It was read before, and answers now with what cannot be compared; nothing was said about access."""
    UNKNOWN = "unknown"

    @property
    def lost(self) -> bool:
        """It answered before, or may have, and cannot be compared now."""
        return self in (PrimaryStatus.UNREACHABLE, PrimaryStatus.GONE, PrimaryStatus.UNUSABLE)

    @property
    def failed(self) -> bool:
        """The last question was not answered as it should be."""
        return self.lost or self is PrimaryStatus.REFUSED


class LockState(StrEnum):
    FREE = "free"
    OURS = "ours"
    OTHER = "other"
    SHARED = "shared"


class CoreBeat(Struct, frozen=True):
    """The core's sign of life; `at` is monotonic."""

    at: float
    doing: str = "starting"
    queue: int = 0
    events_total: int = 0
    events_dropped: int = 0


MONTH_S = 30 * 86_400.0
LEAST_PACE_S = 3_600.0


class RowsRead(Struct, frozen=True):
    """Rows that the primary read for this cache, by its own word; times are epoch seconds."""

    today: int
    """Since midnight."""
    lately: int
    """Within the last day, whatever the date."""
    since: float
    """When the first of those was read."""
    unmetered: int = 0
    """Statements for which it did not say how many rows they read; `today` is then a lower bound."""

    def a_month(self, now: float) -> int | None:
        """At the pace of the last day, to two digits; None while there is not an hour of it."""
        lasted = self.lasted_s(now)
        return two_digits(self.lately * MONTH_S / lasted) if lasted >= LEAST_PACE_S else None

    def lasted_s(self, now: float) -> float:
        """The time that the pace is of."""
        return max(now - self.since, 0.0)


class ReadCosts(Struct, frozen=True):
    """Rows that the primary read lately, for one of each; None: none was made yet."""

    poll: float | None = None
    """With what it made to be followed, on average."""
    proof: int | None = None
    """The last that read all expected rows and was no audit."""
    renews: bool = False
    """The last proof was a renewal, and read nothing."""


class Hold(StrEnum):
    """How `rows_read_per_day` holds polls and proofs back."""

    NOT = "not"
    SPREAD = "spread out"
    """They come less often than the settings say."""
    NO_PROOF = "no proof"
    """What is left of the day is less than a proof reads."""
    USED_UP = "used up"
    """Nothing is asked by itself before the day ends."""
    UNMETERED = "unmetered"
    """The primary does not say how many rows it reads, so that nothing can be kept."""


class Budget(Struct, frozen=True):
    """What `rows_read_per_day` means now. Rows; seconds; `until` in epoch seconds."""

    a_day: int
    read: int
    hold: Hold
    poll_s: float
    """Least time from one poll to the next."""
    proof_s: float
    """Least time from a proof that read rows to the next."""
    until: float
    """When the day ends."""
    proof: int | None = None
    """Rows that a proof reads."""

    @property
    def proof_never_fits(self) -> bool:
        """Not even a whole day has room for one."""
        return self.proof is not None and self.proof > self.a_day


def two_digits(number: float) -> int:
    """An estimate without the digits that it does not know."""
    return int(float(f"{number:.1e}"))


class PrimaryHealth(Struct, frozen=True):
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
    poll_s: float | None = None
    """From one poll to the next while it answers."""
    backoff_s: float | None = None
    server: str = ""
    digest_function: str | None = None
    generation: str = ""
    """Generation of do-memory's schema, by its features: `0.1.40` or `0.1.47`."""
    epoch: int = 0
    source_id: str = ""
    stand: PrimaryStand | None = None
    """Where it stood when it last answered."""
    error: ErrorValue | None = None
    rows_read: RowsRead | None = None
    """None: it never said."""
    budget: Budget | None = None
    """None: `rows_read_per_day` is not set, or the primary is a file."""


class Peek(Struct, frozen=True):
    copied_at: float
    took_ms: float
    attempts: int


class WaitingRows(Struct, frozen=True):
    """Rows of the primary that wait until nobody else holds the cache."""

    rows: int
    since: float
    as_of: float
    """When the primary was asked for them."""


class CacheHealth(Struct, frozen=True):
    path: str = ""
    states: tuple[CacheState, ...] = ()
    size: int | None = None
    payload: Found[int] | None = None
    disk_free: int | None = None
    lock: LockState = LockState.FREE
    holder: LockHolder | None = None
    lease_holder: LockHolder | None = None
    identity: FileIdentity | None = None
    """Of the file as it is now: what holds only of another one is the past."""
    integrity: Found[Check] | None = None
    """What redb's own check said."""
    generation: Found[int] | None = None
    acked: int | None = None
    schema: Found[int] | None = None
    counts: Found[Mapping[str, int]] | None = None
    looked_at: float | None = None
    look: LookedAt | None = None
    """What the last finding was made of."""
    rewritten: Found[int] | None = None
    """Rows of the copy that are not what the last comparison with the primary found."""
    waits_until: float | None = None
    """Nothing looks by itself before, because of `copy_bytes_per_hour`."""
    copied_bytes: int = 0
    """Written for copies within the last hour."""
    memory_only: tuple[LockHolder, ...] = ()
    """do-memory's servers that found the cache locked and go on without it."""
    peek: Peek | None = None
    waiting: WaitingRows | None = None
    error: ErrorValue | None = None


class Behind(Struct, frozen=True):
    new: int
    changed: int
    gone: int


class RowsBehind(Struct, frozen=True):
    """What a comparison found, by table; nothing of a table that is equal."""

    tables: Mapping[str, Behind] = field(default_factory=dict)
    complete: bool = True
    """False: only what was written since the last proof was looked at, and not what was deleted or updated in place."""

    @property
    def rows(self) -> int:
        return sum(one.new + one.changed + one.gone for one in self.tables.values())


class Freshness(Struct, frozen=True):
    proof: Proof | None = None
    followed: Followed | None = None
    """What was taken in since that proof."""
    max_age_s: float = 900.0
    behind: Found[RowsBehind] | None = None
    moved_at: float | None = None
    """When the primary was seen to have changed since the last comparison, without a comparison since."""
    cache_only: Found[Mapping[str, int]] | None = None
    next_compare_at: float | None = None
    next_sync_at: float | None = None
    next_sync_reason: str = ""


SAMPLE_S = 10.0
"""From one sample to the next."""


class Sample(Struct, frozen=True):
    """What the SAMPLE_S seconds before `at` were like. None: nothing is known of them."""

    at: float
    ping_ms: float | None = None
    """The slowest answer of the primary."""
    failed: bool = False
    """A ping was not answered."""
    proof_age_s: float | None = None
    changes: int = 0
    """Rows that runs took in."""
    rows_read: int | None = None
    """Rows that the primary said it read for this cache."""


class Promise(StrEnum):
    """What a run makes when it ends well."""

    PROOF = "proof"
    FOLLOW = "follow"
    """It takes in what was written since the last proof, and proves nothing."""
    PLAN = "plan"
    NOTHING = "nothing"
    """Nothing that changes how the cache stands to the primary."""


class _Called:
    """A run, as a person calls it."""

    __slots__ = ()
    kind: str
    """The name of its command."""
    does: str
    """What a person calls it where `kind` says less."""

    @property
    def word(self) -> str:
        """What a person calls it."""
        return self.does or self.kind


class Run(Struct, _Called, frozen=True):
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
    byte_rate: float | None = None
    """Bytes a second."""
    spent: tuple[tuple[str, float], ...] = ()
    """Seconds of each step that was left, in the order of the steps."""
    step_since: float | None = None
    """When the running step began."""
    eta_s: float | None = None
    round: int = 1
    checkpoint_rows: int | None = None
    checkpoint_at: float | None = None
    cancellable: bool = True
    cancel_asked_at: float | None = None
    ended_at: float | None = None
    result: str = ""
    exit_code: int | None = None
    notes: tuple[str, ...] = ()
    """What it had to say before its end."""
    promise: Promise = Promise.NOTHING
    writes: int | None = None
    """Rows that it writes or removes, or would; None: not compared yet."""
    does: str = ""

    @property
    def share(self) -> float | None:
        """How much of the running step is done, 0 to 1; None where that is not counted: only a fetch has rows."""
        counted = self.ended_at is None and self.step == Phase.FETCH and self.total
        return min(1.0, self.done / self.total) if counted and self.total else None


class CheckResult(Struct, frozen=True):
    name: str
    found: Found[Check]
    subject: str = "file"
    """file, or copy when another process holds it."""
    recent: tuple[CheckStatus, ...] = ()


class StartFacts(Struct, frozen=True):
    """What a program started with. None: not known."""

    found: int | None
    """Rows that differed from the primary when it was asked."""
    behind: int | None
    """Rows that still did when the program started."""
    delay_s: float | None
    """From the wish to start to the start; None where the start was only seen."""
    verdict: str


LOCK_TAKEN = "start"
"""Kind of the line of a program that took the cache without us: no run of ours."""


class RunSummary(Struct, _Called, frozen=True):
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
    start: StartFacts | None = None
    """Of a run that came before a program's start."""
    followed: bool = False
    """It took in what was written since the last proof, and made none."""
    does: str = ""
    undoes: str = ""
    """The run that this one undid; '' for none."""
    undone_by: str = ""
    """The run that undid this one, and that was not undone itself."""
    drifts: bool = False
    """It left rows in the cache that are not what was proven."""


class HistoryView(Struct, frozen=True):
    revision: int = 0
    runs: int = 0
    compared: int = 0
    """Of `runs`, those that asked the primary and did not only follow."""
    in_sync: int = 0
    """Of `compared`, those that ended in sync."""
    last: tuple[RunSummary, ...] = ()
    followed: int = 0
    """Of `runs`, those that took in what was written and proved nothing."""


class Setting(Struct, frozen=True):
    """One effective setting; `value` of a secret is `set` or `not set`, never the secret."""

    key: str
    value: str
    origin: str
    applies: str
    help: str = ""
    waiting: str = ""
    """What the configuration says meanwhile, and takes effect after a restart; '' where that is `value`."""
    waits_from: str = ""
    """Where that comes from."""


class ConfigView(Struct, frozen=True):
    settings: tuple[Setting, ...] = ()
    file: str = ""
    loaded_at: float | None = None
    error: str = ""


class QuarantineView(Struct, frozen=True):
    refused: Found[int] | None = None
    """Rows of the primary that the last comparison left out."""


class Advice(Struct, frozen=True):
    """Another value for one setting, and what it is worth."""

    setting: str
    now: int
    suggested: int
    saves_s: float
    """Seconds of each run that the sentence speaks of."""
    saves_bytes: int
    text: str


class Snapshot(Struct, frozen=True):
    """All that a front end draws, at one moment. Latest wins."""

    seq: int
    taken_at: float
    beat: CoreBeat
    profile: str = ""
    access: str = "rw"
    """ro, rw or locked ro."""
    paused: bool = False
    verdict: Word = Word.UNKNOWN
    states: tuple[CacheState, ...] = ()
    primary: PrimaryHealth = PrimaryHealth()
    cache: CacheHealth = CacheHealth()
    freshness: Freshness = Freshness()
    run: Run | None = None
    checks: tuple[CheckResult, ...] = ()
    quarantine: QuarantineView = QuarantineView()
    history: HistoryView = HistoryView()
    config: ConfigView = ConfigView()
    plan: Plan | None = None
    advice: tuple[Advice, ...] = ()
    """What would make syncs cheaper, from the figures of the last ones."""
    samples: tuple[Sample, ...] = ()
    """The last minutes, newest last."""
    error: ErrorValue | None = None

    @property
    def present(self) -> Basis:
        """What is there now, against which each `Found` is read; a primary that does not answer is not known."""
        answers = self.primary.status is PrimaryStatus.CONNECTED
        return Basis(self.cache.identity, self.primary.stand if answers else None)
