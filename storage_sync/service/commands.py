"""What a front end asks of the core: one value a command, with the type of its answer.

An answer is an event that carries the command's number, never a return value (docs/architecture.md#threads).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from storage_sync.embeddings.words import Marks, Wanted
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
    from storage_sync.service.orphan_queries import Marked  # noqa: F401

T_co = TypeVar("T_co", covariant=True)

PLAN_READ_S = 120.0
"""So long the timer's runs wait while a person reads a plan: each of them would make it void."""


class Command(Generic[T_co]):
    """Asked for by a front end; its answer is a `T_co`, and of a `Command[None]` only that it is accepted or not."""

    __slots__ = ()


# ------------------------------------------------------------------------------------------- operations


@dataclass(frozen=True, slots=True)
class Do(Command[Outcome]):
    """An operation that needs no plan."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class MakePlan(Command[Plan | Outcome]):
    """What the operation would change; an Outcome where there is nothing to plan."""

    operation: Operation
    options: Options = USUAL


@dataclass(frozen=True, slots=True)
class Execute(Command[Outcome]):
    """The plan that was read; `phrase`: what was typed."""

    plan_id: str
    phrase: str = ""


@dataclass(frozen=True, slots=True)
class DropPlan(Command[None]):
    """Nobody reads the plan any more."""


@dataclass(frozen=True, slots=True)
class Cancel(Command[None]):
    """Stop what runs, before its commit."""


# --------------------------------------------------------------------------------------------- the core


@dataclass(frozen=True, slots=True)
class TryNow(Command[None]):
    """Do now what was waiting."""


@dataclass(frozen=True, slots=True)
class Pause(Command[None]):
    """Pause or resume the scheduled syncs."""

    paused: bool


@dataclass(frozen=True, slots=True)
class SetAccess(Command[None]):
    """Allow writes, or only looks."""

    access: Literal["ro", "rw"]


@dataclass(frozen=True, slots=True)
class Reload(Command[None]):
    """Read the configuration again."""


# ------------------------------------------------------------------------------------------- questions


class Question(Command[T_co]):
    """Answered beside the queue. A newer one of the same type takes the place of the older."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class GiveUp(Command[None]):
    """The question of this number is not wanted any more."""

    number: int


@dataclass(frozen=True, slots=True)
class ListRuns(Question[Runs]):
    """All runs that are remembered."""


@dataclass(frozen=True, slots=True)
class ShowRun(Question[RunDetail]):
    """Steps and document of one run."""

    run_id: str


@dataclass(frozen=True, slots=True)
class ListCheckRuns(Question[tuple[CheckRun, ...]]):
    """How the checks ended in the newest runs."""


@dataclass(frozen=True, slots=True)
class ListChangedRows(Question[ChangedRows]):
    """Rows that a run changed, at most `limit` from `first` on."""

    run_id: str
    limit: int
    first: int = 0


@dataclass(frozen=True, slots=True)
class CompareRows(Question[Differences]):
    """Rows of `tables` that differ, after `after`, the last row of the page before."""

    tables: tuple[str, ...] = TABLES
    after: Difference | None = None
    limit: int = 200


@dataclass(frozen=True, slots=True)
class ExportRows(Question[Exported]):
    """`rows`: plain JSON values, one a line; `name`: what they are; `folder`: '' for the working directory."""

    name: str
    rows: tuple[Mapping[str, object], ...]
    folder: str = ""


@dataclass(frozen=True, slots=True)
class ListQuarantine(Question[QuarantinePage]):
    """At most `count` entries that fit the filter, from `first` on."""

    filter: str = ""
    first: int = 0
    count: int = 500


@dataclass(frozen=True, slots=True)
class ExportQuarantine(Question[Exported]):
    """Every entry that fits the filter, as `ExportRows`."""

    filter: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class ListBuilds(Question[tuple[UnfinishedBuild, ...]]):
    """Unfinished builds beside the cache, newest first."""


@dataclass(frozen=True, slots=True)
class PreviewSettings(Question[SettingsPreview]):
    """What the configuration file would say."""

    edits: tuple[SettingEdit, ...]


@dataclass(frozen=True, slots=True)
class WriteSettings(Question[SettingsWritten]):
    """Write them; `base`: of the preview that somebody read."""

    edits: tuple[SettingEdit, ...]
    base: str


@dataclass(frozen=True, slots=True)
class TryPrimary(Question[PrimaryTried]):
    """Ask the primary; `edits`: what is not written yet."""

    edits: tuple[SettingEdit, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanOrphans(Question["OrphanIndex | None"]):
    """A new index of every embedding; None when there is no cache file."""


@dataclass(frozen=True, slots=True)
class QueryOrphans(Question["View"]):
    """Rows of the index as they are wanted."""

    index: OrphanIndex
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class ShowOrphan(Question["Detail"]):
    """Facts of one row of the index."""

    index: OrphanIndex
    number: int


@dataclass(frozen=True, slots=True)
class FindNeighbours(Question["Neighbours"]):
    """The nearest of one row of the index."""

    index: OrphanIndex
    number: int


@dataclass(frozen=True, slots=True)
class ResolveMarks(Question["Marked"]):
    """Which rows of the index the marks mean."""

    index: OrphanIndex
    marks: Marks


@dataclass(frozen=True, slots=True)
class ExportOrphans(Question[Exported]):
    """What is marked, or without marks all that is wanted; `vectors`: with their numbers."""

    index: OrphanIndex
    path: str
    wanted: Wanted
    marks: Marks
    vectors: bool = False


# ----------------------------------------------------------------------------------------- first start


@dataclass(frozen=True, slots=True)
class TrySettings(Command[SetupTried]):
    """Try each entry of the form."""

    form: SetupForm


@dataclass(frozen=True, slots=True)
class SaveSettings(Command[SetupSaved | SetupTried]):
    """Write the configuration file."""

    form: SetupForm
