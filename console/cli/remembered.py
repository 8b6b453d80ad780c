"""What earlier runs left behind: the history, and the metrics made from it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.invocation import Answer, Invocation
from storage_sync import config
from storage_sync.errors import ConfigError
from storage_sync.outcome import Outcome

if TYPE_CHECKING:
    from storage_sync.history import History
    from storage_sync.metrics import Facts


def _history_file(invocation: Invocation) -> Path:
    settings = invocation.loaded().settings
    folder = config.state_directory(settings)
    if folder is None:
        raise ConfigError("no cache is named", hint="give --cache PATH or --state-dir DIR, or set REDB_CACHE_PATH")
    if settings.cache is None:
        return folder / "history.db"
    from storage_sync.cache.statedir import open_state_dir

    return open_state_dir(folder, str(settings.cache), create=False).history


def open_history(invocation: Invocation, warnings: list[str]) -> History:
    """The history of this cache, to read; what is wrong with it goes into `warnings`."""
    from storage_sync.history import History

    return History.open(_history_file(invocation), warnings.append, read_only=True)


def gather(invocation: Invocation, warnings: list[str], ran: Outcome | None = None) -> Facts:
    """What is known without asking the primary; `ran`: the run that just ended and knows better."""
    import os

    from storage_sync import _native
    from storage_sync.metrics import Facts
    from storage_sync.status import status_quick

    outcome = ran if ran is not None else status_quick(invocation.request(primary=False))
    cache = invocation.loaded().settings.cache or Path()
    now = time.time()
    with open_history(invocation, warnings) as book:
        last, good, totals, pings = book.last_run(), book.last_run(successful=True), book.totals(), book.pings(1)
    refused = [counts.refused for counts in outcome.counts.values() if counts.refused is not None]
    size: int | None
    free: int | None
    try:
        size = cache.stat().st_size
        room = os.statvfs(cache.parent)
        free = room.f_bavail * room.f_frsize
    except OSError:
        size = free = None
    return Facts(
        verdict=outcome.verdict,
        states=outcome.states,
        last_success_at=good.started_at + good.took_s if good is not None else None,
        last_attempt_at=last.started_at + last.took_s if last is not None else None,
        last_exit_code=last.exit_code if last is not None else None,
        proof_age_s=max(now - outcome.proof.at, 0.0) if outcome.proof is not None else None,
        generation=outcome.proof.generation if outcome.proof is not None else None,
        counts=outcome.counts,
        orphans=_orphans(outcome),
        quarantined=sum(refused) if refused else None,
        cache_bytes=size,
        disk_free=free,
        primary_up=pings[-1] is not None if pings else None,
        primary_latency_s=pings[-1] / 1000 if pings and pings[-1] is not None else None,
        redb=_native.REDB_VERSION,
        enc=str(_native.ENCODING),
        totals=totals,
    )


def _orphans(outcome: Outcome) -> int | None:
    """Embeddings without an owner, when this run counted them."""
    for check in outcome.checks:
        if check.name == "orphaned_embeddings" and isinstance(check.actual, int):
            return check.actual
    return None


def with_metrics(invocation: Invocation, answer: Answer) -> Answer:
    """The same answer, after the metrics file is written where one is set; failing that is a warning."""
    target = invocation.loaded().settings.metrics_file
    if target is None:
        return answer
    from storage_sync.metrics import write_textfile

    warnings: list[str] = []
    try:
        write_textfile(target, gather(invocation, warnings, answer.outcome))
    except OSError as error:
        warnings.append(f"the metrics file {target} cannot be written: {error.strerror}")
    outcome = answer.outcome
    return replace(answer, outcome=replace(outcome, warnings=(*outcome.warnings, *warnings)))
