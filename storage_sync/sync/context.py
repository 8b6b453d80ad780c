"""What the steps of one run hand to each other."""

from __future__ import annotations

from dataclasses import dataclass

from storage_sync import _native
from storage_sync.primary.source import LogStand
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.guard import Consent
from storage_sync.sync.outcome_builder import Draft
from storage_sync.sync.progress import Tracker
from storage_sync.sync.session import Session
from storage_sync.values.marks import Marks
from storage_sync.values.outcome import Plan
from storage_sync.values.part import Part

PAGE = 500
"""Keys in one call across the native border, and in one question to the primary."""
CLIENT_DIGEST = "blake3"
"""Where the server has no digest function, any good one will do: it is computed here."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller of one run decided."""

    plan_only: bool = False
    full: bool = False
    adopt: bool = False
    allow_shrink: bool = False
    strict: bool = False
    wait_s: float = 5.0
    expected_plan: Plan | None = None
    """Only do what this plan said; GuardStopped when cache or primary moved since."""
    heals: bool = False
    """Rotten rows of a sound file do not stop the run: it fetches them again."""
    stage_only: bool = False
    """Stop before the new file gets the cache's name."""
    rebuilds: bool = False
    """A new file is built; what it is made for is remembered beside its rows, for a resume."""
    part: Part | None = None
    """Compare only these rows; no proof comes of it."""
    quiet_s: float = 0.3
    """How long the cache must have been left alone before a commit: a do-memory that restarts comes back within it."""
    free_since: float | None = None
    """When the caller saw the last holder go, in epoch seconds."""
    rows_per_second: float | None = None
    """Of earlier runs, for the plan's estimate."""
    follows: bool = False
    """Take in what was written since the last proof, and prove only where that will not do."""
    moved: bool = False
    """The primary was seen to change since it was last read."""
    proves: bool = True
    """Prove where a follow run ended; else say that a proof is due."""
    renews: bool = False
    """Where nobody wrote to the primary since it was read, its rows need not be read again."""

    estimates: bool = False
    """Before the first proof against a primary, say what watching it will cost."""
    audits: bool = False
    """Every row of the primary is looked at, whenever that was last done."""

    @property
    def consent(self) -> Consent:
        return Consent(adopt=self.adopt, allow_shrink=self.allow_shrink)


@dataclass(frozen=True, slots=True)
class Context:
    """One run: its surroundings and its decisions."""

    session: Session
    options: Options
    tracker: Tracker
    cancel: Cancel
    draft: Draft


@dataclass(frozen=True, slots=True)
class Projection:
    """What is to be proven, in which digests, of which state of the primary's history."""

    scope: _native.Scope
    digest: str
    epoch: int
    log: LogStand
    """Before anything was read for the comparison."""
    marks: Marks | None = None
    """Where the primary's tables ended, before or when its rows were read."""
