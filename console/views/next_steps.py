"""What is added to a verdict: the next step of a console that may not write, notes (docs/console.md#verdict)."""

from __future__ import annotations

import re

from console.views.access import LOCKED, why_only_looking
from storage_sync.reports.sentences import a
from storage_sync.values.snapshot import LockState, Promise, Run, Snapshot
from widgets import fmt

_WRITING_KEY = re.compile(r"(?<!\S)[srRA] ")
"""A key of the next step that ends in writing to the cache."""


def possible(steps: tuple[str, ...], key: str, access: str) -> tuple[tuple[str, ...], str]:
    """The wordings of a step and its key: what would allow to write comes before a step that writes."""
    if access == "rw" or not any(map(_WRITING_KEY.search, steps)):
        return steps, key
    needed, locked = why_only_looking(access), access == LOCKED
    texts = tuple(_with_what_is_needed(text, needed, locked=locked) for text in steps)
    if _WRITING_KEY.match(f"{key} "):
        key = "" if locked else "W"
    return (*texts, f"{needed}."), key


def _with_what_is_needed(text: str, needed: str, *, locked: bool) -> str:
    """What can be done now, then what is needed for the rest, and the rest where it can be had."""
    clauses = text.removesuffix(".").split("; ")
    rest = [clause for clause in clauses if _WRITING_KEY.search(clause)]
    if not rest:
        return text
    now = [clause for clause in clauses if clause not in rest]
    later = needed if locked else f"{needed}, then {'; '.join(rest)}"
    return f"{'; '.join([*now, later])}."


def noted(text: str, note: str) -> str:
    """The sentence with a note where it has a place for one, else at its end."""
    if "{run}" in text:
        return text.replace("{run}", note)
    return f"{text.removesuffix('.')}{note}{'.' if text.endswith('.') else ''}" if note else text


_BEHIND = ("STALE", "DRIFT", "EMPTY", "PARTIAL")
_HEALED_BY = {
    "sync": _BEHIND,
    "repair": (*_BEHIND, "DAMAGED", "WRONG VERSION"),
    "rebuild": (*_BEHIND, "DAMAGED", "WRONG VERSION"),
}
"""The verdicts that a run of a kind ends, when it ends well."""


LEAST_S = 1.0
_MAKES = {
    Promise.PROOF: "proves the cache again when it commits",
    Promise.FOLLOW: "takes in what was written, without a proof",
}


def while_running(run: Run | None, word: str) -> tuple[str, ...]:
    """The wordings of the step while a run ends this verdict; () where none does: a plan leaves the cache as it is."""
    does = _MAKES.get(run.promise) if run is not None else None
    if run is None or run.ended_at is not None or does is None or word not in _HEALED_BY.get(run.kind, ()):
        return ()
    # of the rows alone: what comes after them takes about as long as a shorter time than this
    about = f", about {fmt.took(run.eta_s)}" if run.eta_s is not None and run.eta_s >= LEAST_S else ""
    end = f"let {run.id} finish{about}"
    return f"{end}; it {does}.", f"{end}."


def run_note(snapshot: Snapshot) -> str:
    """What runs now, to be added to a sentence; '' for nothing."""
    run, lease = snapshot.run, snapshot.cache.lease_holder
    if run is not None and run.ended_at is None:
        return f"; {a(run.word)} is {'being planned' if run.promise is Promise.PLAN else 'running'}"
    if lease is not None and snapshot.cache.lock is not LockState.OURS:
        return f"; a run of pid {lease.pid} is active"
    return ""
