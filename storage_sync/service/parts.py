"""What the loops of the core share."""

from __future__ import annotations

from msgspec import Struct

from storage_sync.service.effective_settings import EffectiveSettings
from storage_sync.service.journal import Journal
from storage_sync.service.publisher import Board
from storage_sync.service.samples import Samples
from storage_sync.service.triggers import Agenda
from storage_sync.service.unforeseen import Unforeseen
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Session
from storage_sync.values.errors import StorageSyncError


class Active:
    """The run that goes on, as far as others must know of it. Belongs to the core's loop."""

    cancel: Cancel | None = None

    @property
    def commits(self) -> bool:
        return self.cancel is not None and self.cancel.committing

    @property
    def replaces(self) -> bool:
        """Whether its commit has begun and cannot be stopped: a change of the file is its own."""
        return self.cancel is not None and self.cancel.too_late


class Parts(Struct, frozen=True):
    """All of it belongs to the core's loop."""

    effective: EffectiveSettings
    session: Session
    board: Board
    agenda: Agenda
    journal: Journal
    samples: Samples
    unforeseen: Unforeseen
    active: Active

    def explained(self, work: str, error: Exception) -> StorageSyncError:
        """What to tell of an error that nobody foresaw."""
        return self.unforeseen.explained(work, error, self.effective.secrets)

    def warn(self, text: str) -> None:
        self.board.log("warn", "core", text)
