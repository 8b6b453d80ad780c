"""What questions are answered with: frozen values, light enough for the console to import before the core.

Units as in `model.py`: times in UTC epoch seconds, durations in seconds, sizes in bytes, None for unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from storage_sync.values.outcome import CheckStatus
from storage_sync.values.snapshot import RunSummary

# ------------------------------------------------------------------------------------------- history


class PastRun(Struct, frozen=True):
    """A run that ended. `rate`: rows fetched a second; `proof_age`: how old the proof was when it began."""

    summary: RunSummary
    rate: float | None = None
    proof_age: float | None = None
    older: tuple[PastRun, ...] = ()
    """Follow runs in a row before it that a list shows with it as one, newest first."""

    @property
    def all(self) -> tuple[PastRun, ...]:
        """It and those that are shown with it."""
        return (self, *self.older)


class Runs(Struct, frozen=True):
    """Newest first. `pings`: (moment, milliseconds or None where it failed), newest last."""

    runs: tuple[PastRun, ...] = ()
    pings: tuple[tuple[float, float | None], ...] = ()
    file: str = ""


class RunDetail(Struct, frozen=True):
    """One run as the history keeps it; `document` is what it printed (docs/cli.md), empty when none is kept.

    `undo_off`: why it cannot be undone, '' when it can.
    """

    id: str
    steps: tuple[tuple[str, float], ...] = ()
    document: Mapping[str, object] = field(default_factory=dict)
    undo_off: str = ""


class ChangedRow(Struct, frozen=True):
    """A row that a run changed. `kind`: added, changed, removed or rejected.

    `columns`: its fields, `primary` before the run and `cache` after it.

    `cut`: what the run left in it is not kept any more. `reason`: why it was rejected.
    """

    table: str
    key: str
    kind: str
    columns: tuple[ColumnDifference, ...] = ()
    cut: bool = False
    reason: str = ""


class ChangedRows(Struct, frozen=True):
    """What one run changed, a page of it. `total`: rows of all pages; `rejected`, `cut`: those of them that were
    rejected, and those with one side missing.

    `said`: why rows are not listed, '' when they are. `undo_off`: why the run cannot be undone, '' when it can.
    """

    run_id: str
    rows: tuple[ChangedRow, ...] = ()
    total: int = 0
    rejected: int = 0
    cut: int = 0
    said: str = ""
    undo_off: str = ""


class CheckRun(Struct, frozen=True):
    """How the checks of one run ended."""

    run_id: str
    kind: str
    at: float
    took_s: float
    statuses: tuple[CheckStatus, ...]


# --------------------------------------------------------------------------------------- differences


class ColumnDifference(Struct, frozen=True):
    """One field of a row on both sides, as text; None: that side has no such row or field."""

    name: str
    primary: str | None
    cache: str | None
    equal: bool = False


class Difference(Struct, frozen=True):
    """A row that differs. `kind`: missing (from the cache), differs, or surplus (gone from the primary)."""

    table: str
    key: str
    kind: str
    columns: tuple[ColumnDifference, ...] = ()


class Differences(Struct, frozen=True):
    """Rows of one page, table by table and in key order. `total`: of all pages; `more`: there are rows after these."""

    rows: tuple[Difference, ...]
    total: int
    more: bool
    at: float
    generation: int | None
    tables: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------- quarantine


class QuarantineKind(StrEnum):
    """`RUN`: can be undone; `ASIDE`: can be restored; `REFUSED`: can be fetched again; `FILE`: an old file kept
    beside the cache; `HEAD`: a line above those of one kind or run."""

    RUN = "run"
    ASIDE = "quarantined"
    REFUSED = "rejected"
    FILE = "old file"
    HEAD = "head"


class QuarantineEntry(Struct, frozen=True):
    """One line of the quarantine. `id`: of its kind; a head says its kind in `reason`."""

    kind: QuarantineKind
    id: str
    table: str = ""
    key: str = ""
    column: str = ""
    reason: str = ""
    run_id: str = ""
    generation: int | None = None
    at: float | None = None
    rows: int | None = None
    bytes: int | None = None
    digest: str = ""
    expires_at: float | None = None


class QuarantinePage(Struct, frozen=True):
    """`entries` from `first` of the `total` that match; the numbers count all, filter or not. `problem`: why the
    rejected rows could not be listed. `matching`: (kind, id) of every row that matches and can be marked, by the id of
    the head that it is under."""

    entries: tuple[QuarantineEntry, ...]
    first: int
    total: int
    refused: int
    aside: int
    files: int
    runs: int
    bytes: int
    matching: Mapping[str, tuple[tuple[QuarantineKind, str], ...]] = field(default_factory=dict)
    problem: str = ""


class UnfinishedBuild(Struct, frozen=True):
    """A file that a rebuild or a first sync left beside the cache. `bytes`: on disk."""

    path: str
    bytes: int
    at: float


# ----------------------------------------------------------------------------------------- first run


class SetupForm(Struct, frozen=True):
    """What a person typed at the first start. `token_file`, where it is not empty, goes before `token_env`."""

    primary: str = ""
    token_env: str = ""
    token_file: str = ""
    cache: str = ""
    profile: str = "default"
    look_only: bool = False


class SetupFinding(Struct, frozen=True):
    """`entry`: primary, token, cache, or file for the configuration itself; `role`: ok, attention, failed or off;
    `text` may quote what was typed."""

    entry: str
    role: str
    text: str


class SetupTried(Struct, frozen=True):
    """How the entries of a form fared. `savable`: whether they can be understood, so that a file can hold them."""

    form: SetupForm
    findings: tuple[SetupFinding, ...]
    savable: bool = True

    @property
    def usable(self) -> bool:
        return not any(finding.role == "failed" for finding in self.findings)


class SetupSaved(Struct, frozen=True):
    file: str


# -------------------------------------------------------------------------------------------- config


class SettingEdit(Struct, frozen=True):
    """A setting to be changed in the file; `value` None takes it out of the file."""

    key: str
    value: str | None


class SettingsPreview(Struct, frozen=True):
    """What writing would do. `diff`: lines of a unified diff; `base`: digest of the file that it was made for;
    `notes`: settings that something else decides anyway."""

    file: str
    diff: tuple[str, ...]
    base: str
    notes: tuple[str, ...] = ()


class SettingsWritten(Struct, frozen=True):
    file: str
    keys: tuple[str, ...]


class PrimaryTried(Struct, frozen=True):
    """The primary answered with these settings."""

    url: str
    ping_ms: float
    server: str
    digest: str | None
    generation: str
    token: str
    """Where the token came from, or '' without one."""


# -------------------------------------------------------------------------------------------- export


class Exported(Struct, frozen=True):
    path: str
    rows: int
    bytes: int
