"""`quarantine list|show`: rejected rows, from the ledger in the cache, and quarantined rows, from the state folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.invocation import Answer, Invocation
from console.cli.output import width_of
from storage_sync.config.places import state_directory
from storage_sync.values.errors import UsageError
from storage_sync.values.outcome import LookedAt, Outcome, Word

if TYPE_CHECKING:
    from storage_sync.state.directory import StateDir
    from storage_sync.state.quarantine import AsideRow
    from storage_sync.values.extra import Extra

_LIMIT = 10_000
"""At most so many of each kind are listed."""


def listing(invocation: Invocation) -> Answer:
    (refused, look), aside = _refused(invocation), _set_aside(invocation)
    outcome = Outcome("quarantine", Word.UNKNOWN, 0, look=look, extra={"refused": refused, "set_aside": aside})
    return Answer(outcome, _text(invocation, refused, aside))


def show(invocation: Invocation, identity: str) -> Answer:
    """One entry by the id that the list gives."""
    refused, look = _refused(invocation)
    for kind, entries in (("refused", refused), ("set_aside", _set_aside(invocation))):
        for entry in entries:
            if str(entry["id"]) == identity:
                text = "\n".join(f"{name}: {value}" for name, value in entry.items())
                extra: Extra = {"kind": kind, "entry": entry}
                return Answer(Outcome("quarantine", Word.UNKNOWN, 0, look=look, extra=extra), text)
    raise UsageError(f"nothing in quarantine has the id {identity!r}", hint="storage-sync quarantine list names them")


def _state(invocation: Invocation) -> tuple[str, StateDir]:
    from storage_sync.state.directory import open_state_dir

    settings = invocation.request(primary=False).settings
    cache = str(settings.cache)
    return cache, open_state_dir(state_directory(settings) or Path(), cache, create=False)


def _refused(invocation: Invocation) -> tuple[list[dict[str, object]], LookedAt | None]:
    from storage_sync.cache.copies import Copies
    from storage_sync.reports.document import rfc3339
    from storage_sync.service.quarantine_queries import refused_rows

    cache, state = _state(invocation)
    copies = Copies(cache, state.copies)
    try:
        rows, look = refused_rows(copies, state, _LIMIT)
    finally:
        copies.close()
    entries: list[dict[str, object]] = [
        {
            "id": row.id,
            "table": row.table,
            "key": row.key,
            "column": row.column,
            "reason": row.reason,
            "first_seen": rfc3339(row.at) if row.at is not None else None,
            "source_digest": row.digest,
        }
        for row in rows
    ]
    return entries, look


def _set_aside(invocation: Invocation) -> list[dict[str, object]]:
    from storage_sync.service.quarantine_queries import aside_rows

    _, state = _state(invocation)
    return [_aside_json(row) for row in sorted(aside_rows(state, _LIMIT), key=lambda row: row.id)]


def _aside_json(row: AsideRow) -> dict[str, object]:
    from storage_sync.reports.document import rfc3339

    return {
        "id": row.id,
        "table": row.table,
        "key": row.key,
        "reason": row.reason,
        "bytes": row.bytes,
        "run_id": row.run_id,
        "generation": row.generation,
        "at": rfc3339(row.at),
    }


def _text(invocation: Invocation, refused: list[dict[str, object]], aside: list[dict[str, object]]) -> str:
    from storage_sync.reports.document import number, table

    width, colour = width_of(sys.stdout), invocation.colour()
    rows = [[str(entry.get(name, "")) for name in ("id", "column", "reason")] for entry in refused]
    blocks = [table(("rejected", "column", "reason"), rows, width=width, colour=colour)]
    rows = [[str(entry[name]) for name in ("id", "at", "table", "key", "reason")] for entry in aside]
    blocks.append(table(("quarantined", "at", "table", "key", "reason"), rows, width=width, colour=colour))
    told = f"{number(len(refused))} rejected, {number(len(aside))} quarantined."
    return "\n\n".join(["\n".join(block) for block in blocks if block] + [told])
