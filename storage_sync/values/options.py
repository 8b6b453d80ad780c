"""What a caller decides about one run, from the command line or a screen down to the steps."""

from __future__ import annotations

from msgspec import Struct

from storage_sync.values.outcome import Plan
from storage_sync.values.part import Part


class Consent(Struct, frozen=True):
    """Which guards somebody has lifted."""

    adopt: bool = False
    allow_shrink: bool = False


class Options(Struct, frozen=True):
    """Times in seconds. What belongs to one operation only is a field of that operation."""

    plan_only: bool = False
    keeps_rows: bool = False
    """The rows that a plan fetches stay for the run that executes it, in this process."""
    full: bool = False
    adopt: bool = False
    allow_shrink: bool = False
    strict: bool = False
    wait_s: float = 5.0
    """How long to wait for another run of ours, and for the cache's lock."""
    expected_plan: Plan | None = None
    """Only do what this plan said; GuardStopped when cache or primary changed since."""
    refetch_rotten: bool = False
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


USUAL = Options()
