"""A fact about the cache file, with what it was found on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from storage_sync.values.outcome import FileIdentity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """`was` is what was found then, and may only be told as the past; what holds now is answered by `now`."""

    was: T
    on: FileIdentity | None
    """The file that it was found on; None when that changed while it was looked at, so that it holds for none."""
    at: float
    """Epoch seconds."""

    def now(self, present: FileIdentity | None) -> T | None:
        """The value, while the file that is there is the one that it was found on."""
        return self.was if present is not None and self.on == present else None
