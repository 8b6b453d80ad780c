"""Whether this console may write, and what would allow it."""

from __future__ import annotations

LOCKED = "locked ro"
"""Access of a console that was started read-only, or that shows a recording."""


def why_only_looking(access: str) -> str:
    """What would allow writes; empty where they are allowed."""
    if access == "rw":
        return ""
    return "this console was started read-only" if access == LOCKED else "W allows writes again"
