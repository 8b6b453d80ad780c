"""What the steps of one run hand to each other."""

from __future__ import annotations

from msgspec import Struct

from storage_sync import _native
from storage_sync.primary.source import LogStand
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.outcome_builder import Draft
from storage_sync.sync.progress import Tracker
from storage_sync.sync.session import Session
from storage_sync.values.marks import Marks
from storage_sync.values.options import Options

PAGE = 500
"""Keys in one call across the native border, and in one question to the primary."""


class Context(Struct, frozen=True):
    """One run: its surroundings and its decisions."""

    session: Session
    options: Options
    tracker: Tracker
    cancel: Cancel
    draft: Draft


class Projection(Struct, frozen=True):
    """What is to be proven, with which digests, and for which state of the primary's history."""

    scope: _native.Scope
    digest: str
    epoch: int
    log: LogStand
    """Before anything was read for the comparison."""
    marks: Marks | None = None
    """Where the primary's tables ended, before or when its rows were read."""
