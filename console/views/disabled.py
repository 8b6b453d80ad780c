"""Why a key does nothing now: what the footer greys, the palette says, and the key itself answers."""

from __future__ import annotations

from collections.abc import Mapping

from console.views.verdict import adoptable
from storage_sync.values.snapshot import Run, Snapshot

NOT_REFUSED = "A adopts another primary, and is only for one that is refused"
LOCKED = "locked ro"
"""Access of a console that was started read-only, or that shows a recording."""


def why_only_looking(access: str) -> str:
    """What would allow writes; empty where they are allowed."""
    if access == "rw":
        return ""
    return "this console was started read-only" if access == LOCKED else "W allows writes again"


def off(snapshot: Snapshot, run: Run | None, *, demo: bool = False) -> Mapping[str, str]:
    """(id of a key, why) of those that do nothing now. `run`: the running operation; `demo`: whether this is one."""
    found: dict[str, str] = {}
    if not demo:
        found["guide"] = "only the demo has a guide"
    if run is None:
        found["cancel"] = "nothing is running"
    elif not run.cancellable:
        found["cancel"] = "committing, ends in under 1 s"
    if snapshot.access != "rw":
        found["pause"] = f"no sync is scheduled; {why_only_looking(snapshot.access)}"
    if snapshot.access == LOCKED:
        found["access"] = why_only_looking(snapshot.access)
    if not adoptable(snapshot):
        found["adopt"] = NOT_REFUSED
    if run is not None:
        found["demo"] = found["history.replay"] = "a run is active; x cancels it"
    return found
