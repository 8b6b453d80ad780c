"""What this tool itself changed in the cache since the last proof, as the verdict says it. Pure."""

from __future__ import annotations

from storage_sync.reports.sentences import BRINGS_BACK, own_change, own_words
from storage_sync.values.snapshot import Snapshot
from widgets import fmt

NEXT = (f"{BRINGS_BACK}; s plans it now, 2 shows what differs.", f"{BRINGS_BACK}; s plans it.")


def cause_of(snapshot: Snapshot) -> str:
    """'' where nothing of the kind differs from what was proven."""
    return own_words(own_change(snapshot.history.last))


def sentences(cause: str) -> tuple[str, ...]:
    """Wordings that name it alone, longest first."""
    said = fmt.begin(cause)
    return f"{said}; {BRINGS_BACK}.", f"{said}."
