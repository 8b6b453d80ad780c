"""What a front end asks of the core: one value a command, with the type of its answer.

An answer is an event that carries the command's number, never a return value (docs/architecture.md#threads).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from msgspec import Struct

from storage_sync.embeddings.wanted import Marked, Marks, Wanted
from storage_sync.service.operations import Operation
from storage_sync.values.answers import (
    ChangedRows,
    CheckRun,
    Difference,
    Differences,
    Exported,
    PrimaryTried,
    QuarantinePage,
    RunDetail,
    Runs,
    SettingEdit,
    SettingsPreview,
    SettingsWritten,
    SetupForm,
    SetupSaved,
    SetupTried,
    UnfinishedBuild,
)
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import TABLES, Outcome, Plan

if TYPE_CHECKING:
    # in quotes below, since they bring numpy
    from storage_sync.embeddings.detail import Detail, Neighbours  # noqa: F401
    from storage_sync.embeddings.index import OrphanIndex
    from storage_sync.embeddings.query import View  # noqa: F401

T_co = TypeVar("T_co", covariant=True)


class Command(Struct, Generic[T_co], frozen=True):
    """Asked for by a front end; its answer is a `T_co`, and of a `Command[None]` only that it is accepted or not."""


# ------------------------------------------------------------------------------------------- operations


class Do(Command[Outcome], frozen=True):
    """An operation that needs no plan."""

    operation: Operation


class MakePlan(Command[Plan | Outcome], frozen=True):
    """What the operation would change; an Outcome where there is nothing to plan."""

    operation: Operation
    options: Options = USUAL


class Execute(Command[Outcome], frozen=True):
    """The plan that was read; `phrase`: what was typed."""

    plan_id: str
    phrase: str = ""


class DropPlan(Command[None], frozen=True):
    """The plan was closed."""


class Cancel(Command[None], frozen=True):
    """Stop what runs, before its commit."""


# --------------------------------------------------------------------------------------------- the core


class TryNow(Command[None], frozen=True):
    """Do now what was waiting."""


class Pause(Command[None], frozen=True):
    """Pause or resume the scheduled syncs."""

    paused: bool


class SetAccess(Command[None], frozen=True):
    """Allow writes, or only looks."""

    access: Literal["ro", "rw"]


class Reload(Command[None], frozen=True):
    """Read the configuration again."""


# ------------------------------------------------------------------------------------------- questions


class Question(Command[T_co], frozen=True):
    """Answered beside the queue. A newer one of the same type takes the place of the older."""


class GiveUp(Command[None], frozen=True):
    """The question of this number is no longer wanted."""

    number: int


class ListRuns(Question[Runs], frozen=True):
    """All runs that are remembered."""


class ShowRun(Question[RunDetail], frozen=True):
    """Steps and document of one run."""

    run_id: str


class ListCheckRuns(Question[tuple[CheckRun, ...]], frozen=True):
    """How the checks ended in the newest runs."""


class ListChangedRows(Question[ChangedRows], frozen=True):
    """Rows that a run changed, at most `limit` from `first` on."""

    run_id: str
    limit: int
    first: int = 0


class CompareRows(Question[Differences], frozen=True):
    """Rows of `tables` that differ, after `after`, the last row of the page before."""

    tables: tuple[str, ...] = TABLES
    after: Difference | None = None
    limit: int = 200


class ExportRows(Question[Exported], frozen=True):
    """`rows`: plain JSON values, one a line; `name`: what they are; `folder`: '' for the working directory."""

    name: str
    rows: tuple[Mapping[str, object], ...]
    folder: str = ""


class ListQuarantine(Question[QuarantinePage], frozen=True):
    """At most `count` entries that fit the filter, from `first` on."""

    filter: str = ""
    first: int = 0
    count: int = 500


class ExportQuarantine(Question[Exported], frozen=True):
    """Every entry that fits the filter, as `ExportRows`."""

    filter: str = ""
    folder: str = ""


class ListBuilds(Question[tuple[UnfinishedBuild, ...]], frozen=True):
    """Unfinished builds beside the cache, newest first."""


class PreviewSettings(Question[SettingsPreview], frozen=True):
    """What the configuration file would say."""

    edits: tuple[SettingEdit, ...]


class WriteSettings(Question[SettingsWritten], frozen=True):
    """Write them; `base`: of the preview that somebody read."""

    edits: tuple[SettingEdit, ...]
    base: str


class TryPrimary(Question[PrimaryTried], frozen=True):
    """Ask the primary; `edits`: what is not written yet."""

    edits: tuple[SettingEdit, ...] = ()


class ScanOrphans(Question["OrphanIndex | None"], frozen=True):
    """A new index of every embedding; None when there is no cache file."""


class QueryOrphans(Question["View"], frozen=True):
    """Rows of the index as they are wanted."""

    index: OrphanIndex
    wanted: Wanted


class ShowOrphan(Question["Detail"], frozen=True):
    """Facts of one row of the index."""

    index: OrphanIndex
    number: int


class FindNeighbours(Question["Neighbours"], frozen=True):
    """The nearest of one row of the index."""

    index: OrphanIndex
    number: int


class ResolveMarks(Question[Marked], frozen=True):
    """Which rows of the index the marks mean."""

    index: OrphanIndex
    marks: Marks


class ExportOrphans(Question[Exported], frozen=True):
    """What is marked, or without marks all that is wanted; `vectors`: with their numbers."""

    index: OrphanIndex
    path: str
    wanted: Wanted
    marks: Marks
    vectors: bool = False


# ----------------------------------------------------------------------------------------- first start


class TrySettings(Command[SetupTried], frozen=True):
    """Try each entry of the form."""

    form: SetupForm


class SaveSettings(Command[SetupSaved | SetupTried], frozen=True):
    """Write the configuration file."""

    form: SetupForm
