"""The fields of a document that only one command has, or a few; their names are those of docs/cli.md.

A field is there when its command has something to say in it. `Rows`: plain JSON objects that nothing here reads again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

Rows = Sequence[Mapping[str, object]]


class Ping(TypedDict):
    url: str
    source_id: str
    proxy: str | None
    latency_ms: dict[str, float]
    authentication: str
    server: str
    digest: str | None
    proof: str
    generation: str
    foreign_keys: bool | None
    replication_index: int | None
    access: str


class Costs(TypedDict):
    """Rows read by each kind of question, and a month."""

    poll: int
    poll_quiet: int
    follow: int
    proof: int
    a_month_idle: int
    a_month_busy: int
    interval_s_that_halves: int | None


class Advice(TypedDict):
    setting: str
    now: int | float
    suggested: int | float
    saves_seconds: float
    saves_bytes: int | None
    text: str


class Peek(TypedDict):
    subject: str
    copied_at: str
    copy_age_seconds: float
    copy_seconds: float
    copy_bytes: int
    attempts: int
    method: str
    held_by: list[str]
    generation: int | None
    proved_at: str | None
    followed_at: str | None
    findings: Rows


class Compacted(TypedDict):
    """None: not known before it is done."""

    bytes_before: int
    bytes_after: int | None
    lock_seconds: float | None


class Retried(TypedDict):
    """Rejected rows that were fetched again, as `table/key`."""

    accepted: list[str]
    refused: list[str]


class Purged(TypedDict):
    rows: int
    bytes: int
    removed: int


class FollowStopped(TypedDict):
    """Why a follow run ended and a proof was made instead."""

    ended: str
    detail: str


class Waiting(TypedDict):
    """Rows that wait until the cache is free."""

    rows: int
    since: str
    as_of: str
    generation: int


class Waited(TypedDict):
    """Rows that had waited and that this run committed; times in epoch seconds."""

    rows: int
    since: float
    as_of: float


class Staged(TypedDict):
    """A new file that is ready beside the cache."""

    path: str
    root: str
    rows: int
    bytes: int


class Subset(TypedDict):
    """Which rows were compared, and how many are equal."""

    part: int
    of: int
    rows: int
    equal: int
    refused: int


class Column(TypedDict):
    """A field that differs; None: it is not there."""

    column: str
    cache: str | None
    primary: str | None


class Difference(TypedDict, total=False):
    """A row that is missing, differs or is surplus; `columns` where fields were asked for."""

    table: str
    key: str
    kind: str
    columns: list[Column]


class RowsRead(TypedDict, total=False):
    """What the primary read, by its own word."""

    today: int
    since: str
    a_month: int | None
    pace_of_seconds: int
    complete: bool
    per_day: int
    hold: str
    until: str


class Rung(TypedDict, total=False):
    """One step of a repair."""

    rung: str
    what: str
    why: str
    rotten_rows: int


class Rebuild(TypedDict):
    """Rows of a new file by where they come from, and those of the old one that it leaves out."""

    carried_rows: int
    cache_only_rows: int
    undecodable_rows: int
    fetched_rows: int
    left_out_rows: int


class RebuildPlan(Rebuild):
    """With what only a plan says."""

    disk_needed: int
    disk_free: int | None
    resumable: Rows


class Rescue(TypedDict, total=False):
    tables: dict[str, dict[str, object]]
    how: str
    unopened: str


class OrphanCounts(TypedDict):
    orphaned: int
    broken: int
    embeddings: int


class Versions(TypedDict):
    storage_sync: str
    redb: str
    enc: int


class Opened(TypedDict):
    repaired_by_redb: bool


class Renewed(TypedDict):
    read_at: str


class Extra(TypedDict, total=False):
    """Fields beside those that every document has."""

    # of runs
    advice: list[Advice]
    costs: Costs
    does: str
    follow: FollowStopped
    followed_age_seconds: float
    kept: str
    payload_bytes: int
    proof_age_seconds: float | None
    renewed: Renewed
    set_aside: int | Rows
    staged: Staged
    start: dict[str, object]
    waited: Waited
    waiting: Waiting | None
    # of plans
    lost: list[str]
    plan_id: str
    steps: Rows
    # of repairs and rebuilds
    ladder: list[Rung]
    opened: Opened
    rebuild: Rebuild
    rescued: Rescue
    # of edits
    changed_rows: list[str]
    comes_back: int
    compact: Compacted
    detached: list[str]
    expected: list[str]
    file_restored: str
    purge: Purged
    retried: Retried
    undone_run: str
    unexpected: list[str]
    # of findings
    cache: dict[str, object]
    cause: str
    check_seconds: float
    differences: list[Difference]
    orphan_counts: OrphanCounts
    orphans_found: int
    peek: Peek
    ping: Ping
    proof_holds: bool
    rows_read: RowsRead | None
    subset: Subset
    versions: Versions
    # of the command line alone
    carried_out: bool
    entry: Mapping[str, object]
    episodes: int
    file: str | None
    files: list[str]
    keys: Rows
    kind: str
    looked_in: str
    metrics: list[str]
    next: list[str]
    recording: dict[str, object]
    refused: Rows
    rows: Rows
    rows_cut: int
    rows_note: str | None
    rows_total: int
    run: dict[str, object]
    running: Rows
    runs: Rows
    script: str
    seed: int
    settings: Rows
    shell: str
    state_dir: str | None
    textfile: str
    undo: list[str]
    undo_note: str | None
    undoable: bool
