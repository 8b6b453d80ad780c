"""What happens in the core, as numbered events; bounded and in order."""

from __future__ import annotations

from msgspec import Struct

from storage_sync.values.errors import StorageSyncError
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import ErrorValue, Outcome, Word


class LogLine(Struct, frozen=True):
    at: float
    level: str
    """info, warn or fail."""
    area: str
    text: str
    run_id: str = ""
    """The run that it belongs to; '' for none."""


class Accepted(Struct, frozen=True):
    command_id: int


class Refused(Struct, frozen=True):
    command_id: int
    reason: str
    hint: str
    step: NextStep | None = None
    """The hint as a value, where a front end words it otherwise."""

    @classmethod
    def of(cls, command_id: int, error: StorageSyncError | ErrorValue) -> Refused:
        return cls(command_id, error.message, error.hint, error.step)


class Answer(Struct, frozen=True):
    command_id: int
    value: object


class Progressed(Struct, frozen=True):
    """How far the work on a question is, for one that takes long: `done` of `total` rows."""

    command_id: int
    done: int
    total: int


class RunStarted(Struct, frozen=True):
    run_id: str
    kind: str
    trigger: str


class RunEnded(Struct, frozen=True):
    run_id: str
    outcome: Outcome


class StateChanged(Struct, frozen=True):
    old: Word
    new: Word
    why: str


class FileChanged(Struct, frozen=True):
    path: str


class ConfigChanged(Struct, frozen=True):
    keys: tuple[str, ...]


class CoreDied(Struct, frozen=True):
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
