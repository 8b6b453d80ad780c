"""What can be the matter with an embedding (docs/console.md#orphans)."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """What is wrong with a row; the first that holds, in this order."""

    OWNER_NOWHERE = "owner nowhere"
    DELETED_UPSTREAM = "deleted upstream"
    NOT_IN_WINDOW = "not in window"
    NOT_CACHED = "not cached"
    OWNER_UNKNOWN = "owner unknown"
    BAD_VALUES = "bad values"
    WRONG_DIMENSION = "wrong dimension"
    NOT_UPSTREAM = "not upstream"
    DUPLICATE = "duplicate"
    TEXT_NEWER = "text newer"
    MISSING = "missing"
    ATTACHED = "attached"


ORPHANED = (
    Reason.OWNER_NOWHERE,
    Reason.NOT_IN_WINDOW,
    Reason.NOT_CACHED,
    Reason.OWNER_UNKNOWN,
)
"""No owner in the cache: what the check of a run counts, whatever the primary has."""
ATTENTION = (Reason.DUPLICATE, Reason.TEXT_NEWER, Reason.MISSING)
CAN_LEAVE = (
    Reason.OWNER_NOWHERE,
    Reason.NOT_IN_WINDOW,
    Reason.NOT_CACHED,
    Reason.OWNER_UNKNOWN,
    Reason.BAD_VALUES,
    Reason.WRONG_DIMENSION,
    Reason.NOT_UPSTREAM,
)
"""Cases that an operator may quarantine or expect; the others are somebody's vectors, or none at all."""
