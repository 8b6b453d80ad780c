"""What single questions cost a primary, as it said when they were asked."""

from __future__ import annotations

from msgspec import Struct


class Measured(Struct, frozen=True):
    """Rows read, by the primary's own word."""

    poll: int
    """Where something was written."""
    quiet_poll: int
    """Where nothing was: next to none where the primary tells that by a replication index."""
    follow: int
    """A run that takes in the newest row of each table; none where no follow run can be made."""
    proof: int
    """One that finds nothing to do, and is no audit."""
    has_index: bool
