"""Why a key does nothing now: what the footer greys, the palette says, and the key itself answers."""

from __future__ import annotations

from collections.abc import Mapping

from console.views.access import LOCKED, why_only_looking
from console.views.states import adoptable
from storage_sync.values.snapshot import Run, Snapshot

NOT_REFUSED = "A adopts a primary, but only one that a guard has refused"
IS_DEMO = "this is the demo already"


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
    if demo:
        found["demo"] = IS_DEMO
    return found
