"""What to do next in the words of the console: a key where the command line names a command."""

from __future__ import annotations

from collections.abc import Mapping

from storage_sync.values.events import Refused
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import ErrorValue

KEYS: Mapping[NextStep, str] = {
    NextStep.ADOPT: "check the URL (5); A on 1 builds a new cache from this primary",
    NextStep.ADOPT_UNKNOWN: "check the paths and the URL; A on 1 takes it over anyway",
    NextStep.COMPARE: (
        "a crash of the server loses no rows, a restore may; 2 shows the rows that differ; A on 1 builds a new cache"
    ),
    NextStep.ALLOW_EMPTY: "check that the URL names the right database; s empties the cache with your consent",
    NextStep.ALLOW_SHRINK: "s lists these rows, and removes them with your consent",
    NextStep.CHECK_URL: "check the URL (5)",
    NextStep.CHECK_URL_AND_TOKEN: "check the URL and the token (t on 1)",
    NextStep.CHECK_TOKEN: "check the token (--token-file, TURSO_AUTH_TOKEN), then t on 1",
    NextStep.CHECK_SERVER: "this does not look like a libSQL server; check the URL (t on 1)",
    NextStep.CHECK_SETTINGS: "5 shows every setting and where it came from",
    NextStep.CHECK_CACHE: "t on 1 looks again",
    NextStep.CHECK_DISK: "check the disk, then t on 1",
    NextStep.SYNC: "s syncs",
    NextStep.PLAN_SYNC: "s shows what would change",
    NextStep.REPAIR: "r says what can be saved",
    NextStep.REBUILD: "R plans a new cache",
    NextStep.REBUILD_OR_UPGRADE: "use the newest storage-sync, or R plans a new cache",
    NextStep.WAIT: "wait, or look at a copy with p on 1",
    NextStep.WAIT_FOR_DO_MEMORY: "reading works meanwhile; to write, stop do-memory, or wait for it",
    NextStep.ASK_HOLDER: "find out why it has the cache open, since only do-memory and this tool should",
    NextStep.LIST_REASONS: "u names each row and its reason",
    NextStep.LIST_QUARANTINE: "u names them",
    NextStep.LIST_ORPHANS: "3 names them",
    NextStep.LIST_RUNS: "4 lists the runs",
}


def in_keys(step: str | NextStep) -> str:
    """A step as the console says it; what is no step is said as it is."""
    return KEYS[step] if isinstance(step, NextStep) else step


def hint_of(error: Refused | ErrorValue) -> str:
    """What to do about it; '' where nobody knows."""
    return KEYS[error.step] if error.step is not None else error.hint


def hint_in(error: Mapping[str, object]) -> str:
    """What to do about the error of a document; one of an older version has only the words of the command line."""
    step = error.get("step")
    known = next((KEYS[one] for one in NextStep if one.value == step), None)
    return known if known is not None else str(error.get("hint") or "")


def reason_and_hint(refused: Refused) -> str:
    """Why something was not done, and what to do about it where that is known."""
    hint = hint_of(refused)
    return f"{refused.reason}; {hint}" if hint else refused.reason
