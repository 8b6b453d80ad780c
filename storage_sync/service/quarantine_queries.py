"""What an operator can bring back or fetch again: runs, quarantined rows, rejected rows, old files.

See docs/console.md#screens.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, to_builtins

from storage_sync.cache.checkpoint import stamped_generation
from storage_sync.cache.copies import Copies
from storage_sync.cache.kept import kept_files
from storage_sync.cache.lease import cache_holders
from storage_sync.config.settings import Settings
from storage_sync.service.commands import ExportQuarantine, ExportRows, ListQuarantine
from storage_sync.service.exports import export_rows
from storage_sync.state.directory import StateDir
from storage_sync.state.quarantine import DAY_S, SetAside
from storage_sync.state.quarantine import FILE_NAME as ASIDE_NAME
from storage_sync.state.undoable import undoable
from storage_sync.state.witness import read_witness
from storage_sync.values.answers import Exported, QuarantineEntry, QuarantineKind, QuarantinePage
from storage_sync.values.errors import StorageSyncError
from storage_sync.values.filters import TEXT, Fields, Row, fits, parse
from storage_sync.values.found import still
from storage_sync.values.outcome import LookedAt
from storage_sync.values.visible import LONGEST

if TYPE_CHECKING:
    from storage_sync.service.question import Asked
    from storage_sync.state.quarantine import AsideRow
    from storage_sync.state.undo_log import UndoRun

LIMIT = 20_000
"""At most so many rows of each kind are listed."""
PAGE = 500
_ANY_GENERATION = 1 << 62
FIELDS: Fields = dict.fromkeys(("id", "kind", "table", "key", "reason", "run"), TEXT)
"""What a filter may name."""


async def quarantine(question: ListQuarantine, asked: Asked) -> QuarantinePage:
    """LocalIO when the state folder cannot be read, UsageError for a filter that cannot be understood."""
    return await _paged(asked, question.filter, question.first, question.count)


async def quarantine_export(question: ExportQuarantine, asked: Asked) -> Exported:
    """Every entry that fits `filter`, as JSON lines in a new file in `folder`; UsageError when there is none."""
    page = await _paged(asked, question.filter, 0, LIMIT * 4)
    rows = tuple(to_builtins(entry) for entry in page.entries if entry.kind is not QuarantineKind.HEAD)
    return await export_rows(ExportRows("quarantine", rows, question.folder), asked)


async def _paged(asked: Asked, text: str, first: int, count: int) -> QuarantinePage:
    generation = still(asked.snapshot.cache.generation, asked.snapshot.present)
    return await asked.aside(_page, asked.settings, asked.state, asked.copies, generation, text, first, count)


def _page(
    settings: Settings, state: StateDir, copies: Copies, generation: int | None, text: str, first: int, count: int
) -> QuarantinePage:
    """Blocking. UsageError for a filter that cannot be understood."""
    terms = parse(text, FIELDS)
    cache = str(settings.cache)
    problem = ""
    try:
        refused, stamped, _ = _of_file(copies, state, LIMIT)
    except StorageSyncError as error:
        # what is quarantined does not depend on the file, and is wanted most when the file is damaged
        refused, stamped, problem = [], None, error.message
    aside = [_of_row(row, settings.quarantine_days) for row in aside_rows(state)]
    # a run that has just ended is in the file before the picture tells of it
    live = next((known for known in (stamped, generation) if known is not None), _ANY_GENERATION)
    runs = [_of_run(run) for run in undoable(state.folder, cache, live)]
    files = [
        QuarantineEntry(QuarantineKind.FILE, file.path, bytes=file.bytes, reason=file.why) for file in kept_files(cache)
    ]
    groups = _by_heads(entry for entry in (*aside, *refused, *files, *runs) if fits(row_of(entry), terms))
    shown = [entry for head, members in groups for entry in (head, *members)]
    return QuarantinePage(
        entries=tuple(shown[first : first + count]),
        first=first,
        total=len(shown),
        refused=len(refused),
        aside=len(aside),
        files=len(files),
        runs=len(runs),
        bytes=sum(entry.bytes or 0 for entry in (*aside, *refused)),
        matching={
            head.id: tuple((entry.kind, entry.id) for entry in members)
            for head, members in groups
            if head.reason in (QuarantineKind.ASIDE, QuarantineKind.REFUSED)
        },
        problem=problem,
    )


def row_of(entry: QuarantineEntry) -> Row:
    """What a filter looks at."""
    return {
        "id": entry.id,
        "kind": entry.kind,
        "table": entry.table,
        "key": entry.key,
        "reason": entry.reason,
        "run": entry.run_id,
    }


def _by_heads(entries: Iterable[QuarantineEntry]) -> list[tuple[QuarantineEntry, list[QuarantineEntry]]]:
    """A head for each kind, and each run that quarantined rows, and what is under it."""
    groups: list[tuple[QuarantineEntry, list[QuarantineEntry]]] = []
    for (kind, run_id), group in groupby(entries, key=lambda entry: (entry.kind, _batch(entry))):
        members = list(group)
        head = QuarantineEntry(
            QuarantineKind.HEAD,
            f"{kind}:{run_id}",
            reason=str(kind),
            run_id=run_id,
            at=members[0].at,
            rows=len(members),
            bytes=sum(one.bytes or 0 for one in members),
        )
        groups.append((head, members))
    return groups


def _batch(entry: QuarantineEntry) -> str:
    return entry.run_id if entry.kind is QuarantineKind.ASIDE else ""


# ------------------------------------------------------------------------------------------------ sources


def refused_rows(copies: Copies, state: StateDir, limit: int = LIMIT) -> tuple[list[QuarantineEntry], LookedAt | None]:
    """Rejected rows of the primary, in key order, and what they were read from; None when there is no file.

    DamagedCopy, CacheLocked (it kept changing), LocalIO.
    """
    rows, _, look = _of_file(copies, state, limit)
    return rows, look


def _of_file(copies: Copies, state: StateDir, limit: int) -> tuple[list[QuarantineEntry], int | None, LookedAt | None]:
    """Rejected rows, the generation that is stamped on the file, and what was looked at."""
    cache = copies.cache
    if not Path(cache).exists():
        return [], None, None
    witness, _ = read_witness(state.folder, cache)
    proven = witness.proof.identity if witness is not None and witness.proof is not None else None
    found: list[QuarantineEntry] = []
    holders = cache_holders(cache)
    with copies.lend(proven=proven) as copy:
        after: str | None = None
        while len(found) < limit and (page := copy.file.quarantine(after, PAGE)):
            after = page[-1][0]
            found.extend(_of_ledger(name, text) for name, text in page)
        return found, stamped_generation(copy.file.meta()), copy.looked_at(holders)


def _of_ledger(name: str, text: str) -> QuarantineEntry:
    table, _, key = name.partition("\0")
    if not key:
        table, _, key = name.partition("/")
    told = _entry(text)
    return QuarantineEntry(
        QuarantineKind.REFUSED,
        f"{table}/{key}",
        table=table,
        key=key,
        column=told.column[:LONGEST],
        reason=told.reason[:LONGEST],
        at=told.first_seen / 1000 if told.first_seen else None,
        digest=told.source_digest[:LONGEST],
    )


class _Entry(msgspec.Struct, frozen=True):
    """What the ledger keeps of a rejected row; `first_seen` in milliseconds, 0 while nobody knows."""

    reason: str = ""
    column: str = ""
    source_digest: str = ""
    first_seen: Annotated[int, Meta(ge=0, lt=253_402_300_800_000)] = 0


def _entry(text: str) -> _Entry:
    """One that cannot be read says so in place of a reason."""
    try:
        return msgspec.json.decode(text, type=_Entry)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return _Entry(reason=f"its entry in the cache cannot be read: {error}")


def aside_rows(state: StateDir, limit: int = LIMIT) -> list[AsideRow]:
    """Quarantined rows, those of the newest run first. LocalIO."""
    if not (state.set_aside / ASIDE_NAME).exists():
        return []
    with SetAside.open(state.set_aside, create=False) as store:
        rows = store.rows(limit=limit)
    newest: dict[str, float] = {}
    for row in rows:
        newest[row.run_id] = max(row.at, newest.get(row.run_id, row.at))
    return sorted(rows, key=lambda row: (-newest[row.run_id], row.run_id, row.id))


def _of_row(row: AsideRow, days: float) -> QuarantineEntry:
    return QuarantineEntry(
        QuarantineKind.ASIDE,
        str(row.id),
        table=row.table,
        key=row.key,
        reason=row.reason,
        run_id=row.run_id,
        generation=row.generation,
        at=row.at,
        bytes=row.bytes,
        digest=row.digest,
        expires_at=row.at + days * DAY_S,
    )


def _of_run(run: UndoRun) -> QuarantineEntry:
    what = f"{run.kind}, the file that it replaced" if run.file is not None else run.kind
    return QuarantineEntry(
        QuarantineKind.RUN,
        run.id,
        reason=what if run.whole else f"{what}, only what it quarantined",
        run_id=run.id,
        generation=run.generation,
        at=run.at,
        rows=run.rows,
        bytes=run.bytes,
        key=run.file or "",
    )
