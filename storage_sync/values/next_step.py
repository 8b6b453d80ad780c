"""What to do next, as a value; each front end words it for itself: a command here, a key in the console."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class NextStep(Enum):
    """What lifts a guard, mends something, or helps to decide."""

    ADOPT = "adopt"
    """Take on the primary that is set; the cache is built from it."""
    ADOPT_UNKNOWN = "adopt_unknown"
    """Take over a cache that does not say whose it is."""
    COMPARE = "compare"
    """See which rows differ, then adopt: the primary is the same one, and its log went back."""
    ALLOW_EMPTY = "allow_empty"
    """Let all rows leave: the primary has none."""
    ALLOW_SHRINK = "allow_shrink"
    """Let rows leave that the primary lost."""
    CHECK_URL = "check_url"
    CHECK_URL_AND_TOKEN = "check_url_and_token"  # noqa: S105 - the name of a step
    CHECK_TOKEN = "check_token"  # noqa: S105 - the name of a step
    CHECK_SERVER = "check_server"
    CHECK_SETTINGS = "check_settings"
    CHECK_CACHE = "check_cache"
    CHECK_DISK = "check_disk"
    SYNC = "sync"
    PLAN_SYNC = "plan_sync"
    REPAIR = "repair"
    REBUILD = "rebuild"
    REBUILD_OR_UPGRADE = "rebuild_or_upgrade"
    WAIT = "wait"
    WAIT_FOR_DO_MEMORY = "wait_for_do_memory"
    ASK_HOLDER = "ask_holder"
    LIST_REASONS = "list_reasons"
    LIST_QUARANTINE = "list_quarantine"
    LIST_ORPHANS = "list_orphans"
    LIST_RUNS = "list_runs"

    @property
    def adopts(self) -> bool:
        """Whether adopting the primary lifts the guard."""
        return self in (NextStep.ADOPT, NextStep.ADOPT_UNKNOWN, NextStep.COMPARE)

    @property
    def shrinks(self) -> bool:
        """Whether a consent to remove rows lifts the guard."""
        return self in (NextStep.ALLOW_EMPTY, NextStep.ALLOW_SHRINK)


COMMANDS: Mapping[NextStep, str] = {
    NextStep.ADOPT: "check the URL (storage-sync config show); sync --adopt builds a new cache from this primary",
    NextStep.ADOPT_UNKNOWN: "check the paths and the URL; sync --adopt takes it over anyway",
    NextStep.COMPARE: (
        "a crash of the server loses no rows, a restore may; storage-sync diff shows the rows that differ; "
        "sync --adopt builds a new cache"
    ),
    NextStep.ALLOW_EMPTY: "check that the URL names the right database; sync --allow-shrink empties the cache",
    NextStep.ALLOW_SHRINK: "sync --plan lists these rows; sync --allow-shrink removes them",
    NextStep.CHECK_URL: "check the URL (storage-sync config show)",
    NextStep.CHECK_URL_AND_TOKEN: "check the URL and the token (storage-sync ping)",
    NextStep.CHECK_TOKEN: "check the token (--token-file, TURSO_AUTH_TOKEN), then storage-sync ping",
    NextStep.CHECK_SERVER: "this does not look like a libSQL server; check the URL (storage-sync ping)",
    NextStep.CHECK_SETTINGS: "storage-sync config show lists every setting and where it came from",
    NextStep.CHECK_CACHE: "storage-sync status --check",
    NextStep.CHECK_DISK: "check the disk, then run storage-sync status --check",
    NextStep.SYNC: "storage-sync sync",
    NextStep.PLAN_SYNC: "storage-sync sync --plan shows what would change",
    NextStep.REPAIR: "storage-sync repair --plan",
    NextStep.REBUILD: "storage-sync rebuild --plan",
    NextStep.REBUILD_OR_UPGRADE: "use the newest storage-sync, or storage-sync rebuild --plan",
    NextStep.WAIT: "wait with --wait SECONDS, or look at a copy with storage-sync peek",
    NextStep.WAIT_FOR_DO_MEMORY: (
        "reading works meanwhile; to write, stop do-memory, or wait for it with --wait SECONDS"
    ),
    NextStep.ASK_HOLDER: (
        "find out why it has the cache open, since only do-memory and this tool should; --wait SECONDS waits for it"
    ),
    NextStep.LIST_REASONS: "storage-sync quarantine list names each row and its reason",
    NextStep.LIST_QUARANTINE: "storage-sync quarantine list names them",
    NextStep.LIST_ORPHANS: "storage-sync orphans list names them",
    NextStep.LIST_RUNS: "storage-sync history lists the runs",
}
"""The words of the command line, which are those of documents and logs too."""


def in_commands(step: str | NextStep) -> str:
    """A step as the command line says it; what is no step is said as it is."""
    return COMMANDS[step] if isinstance(step, NextStep) else step
