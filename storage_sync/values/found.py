"""A fact about cache and primary, with what it was found on."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

from storage_sync.values.outcome import FileIdentity

T_co = TypeVar("T_co", covariant=True)


class PrimaryStand(Struct, frozen=True):
    """Which primary it was and where it stood, as far as a poll tells. Two that are equal prove nothing; after a
    restore, a change of its schema and most changes of its rows they differ."""

    source_id: str
    epoch: int
    """How often its log was seen to go back, by this process."""
    schema: int | None
    """Its `schema_version`."""
    token: str
    """Digest of the values that a poll reads."""


class Basis(Struct, frozen=True):
    """What a fact was found on, or what is there now."""

    file: FileIdentity | None
    """None where the file changed while it was looked at, or where there is none: no fact holds of that."""
    primary: PrimaryStand | None = None
    """None for a fact that does not depend on the primary; for what is there now: not known."""


class Found(Struct, Generic[T_co], frozen=True):
    """`was` is what was found then, and may only be told as the past; what holds now is answered by `now`."""

    was: T_co
    on: Basis
    at: float
    """Epoch seconds."""

    def __str__(self) -> str:
        """TypeError: what was found once is no text; a person is told what holds now, or what was, with its age."""
        raise TypeError("a Found is not a text: ask what holds `now`, or say what it `was`")

    def __format__(self, _spec: str) -> str:
        return str(self)

    def now(self, present: Basis) -> T_co | None:
        """The value, while the file that is there is the one that it was found on, and so is the primary."""
        same_file = self.on.file is not None and self.on.file == present.file
        return self.was if same_file and self.on.primary in (None, present.primary) else None

    def then(self, present: Basis) -> T_co | None:
        """The value of the file that is there, as it was when it was looked at; None: that file is gone, and with it
        what was found of it."""
        then, now = self.on.file, present.file
        if then is None:
            return self.was
        return self.was if now is not None and (then.device, then.inode) == (now.device, now.inode) else None


def still(found: Found[T_co] | None, present: Basis) -> T_co | None:
    """What holds now of a fact that may never have been found."""
    return found.now(present) if found is not None else None
