"""What a front end asks the core for, as one value; light to import."""

from __future__ import annotations

from dataclasses import dataclass

from storage_sync.config.settings import Settings
from storage_sync.config.token import Token
from storage_sync.values.outcome import Plan
from storage_sync.values.part import Part


@dataclass(frozen=True, slots=True)
class Request:
    """One command's arguments. Times in seconds; `deadline` counts from the start of the command."""

    settings: Settings
    token: Token | None
    deadline: float | None = None
    wait_s: float = 5.0
    """How long to wait for another run of ours, and for the cache's lock."""
    max_attempts: int = 3
    flags: frozenset[str] = frozenset()
    """plan, full, strict, allow_shrink, adopt, repair, deep, check, keys; no_rebuild, discard, staged, swap."""
    part: Part | None = None
    """`verify` compares only these rows with the primary."""
    trigger: str = "manual"
    """Why it runs (`schedule.Trigger`)."""
    expected_plan: Plan | None = None
    """Do only what this plan said."""
    quiet_s: float = 0.3
    """How long the cache must have been left alone before a commit."""
    free_since: float | None = None
    """When the last holder of the cache was seen to go, in epoch seconds."""
    rows_per_second: float | None = None
    """Of earlier runs, for estimates."""
