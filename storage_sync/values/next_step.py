"""What an operator can decide about a run that a guard stopped; each front end words it for itself."""

from __future__ import annotations

from enum import StrEnum


class NextStep(StrEnum):
    """What lifts a guard, or helps to decide."""

    ADOPT = "adopt"
    """Take on the primary that is set; the cache is built from it."""
    ALLOW_SHRINK = "allow_shrink"
    """Let rows leave that the primary lost."""
    COMPARE = "compare"
    """See which rows differ, then adopt: the primary is the same one, and its log went back."""
