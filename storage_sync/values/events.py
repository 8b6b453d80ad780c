"""What happens in the core, as numbered events; bounded and in order."""

from __future__ import annotations

from dataclasses import dataclass

from storage_sync.values.errors import StorageSyncError
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import ErrorValue, Outcome, Word


@dataclass(frozen=True, slots=True)
class LogLine:
    at: float
    level: str
    """info, warn or fail."""
    area: str
    text: str
    run_id: str = ""
    """The run that it belongs to; '' for none."""


@dataclass(frozen=True, slots=True)
class Accepted:
    command_id: int


@dataclass(frozen=True, slots=True)
class Refused:
    command_id: int
    reason: str
    hint: str
    step: NextStep | None = None
    """The hint as a value, where a front end words it otherwise."""

    @classmethod
    def of(cls, command_id: int, error: StorageSyncError | ErrorValue) -> Refused:
        return cls(command_id, error.message, error.hint, error.step)


@dataclass(frozen=True, slots=True)
class Answer:
    command_id: int
    value: object


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the work on a question is, for one that takes long: `done` of `total` rows."""

    command_id: int
    done: int
    total: int


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
    | Progressed
    | RunStarted
    | RunEnded
    | StateChanged
    | FileChanged
    | ConfigChanged
    | CoreDied
)
