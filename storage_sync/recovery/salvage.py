"""From a damaged file to one that holds the rows which can be trusted (docs/protocol.md#recovery).

Only rows that the ledger lists are taken over, and only when they are what it says: the bytes hash to what was proven,
or of a cache-only row to what was there at the last proof, and they decode whole and hold the id that their key names.
Everything else that could be read waits to be quarantined.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, field

from storage_sync import _native
from storage_sync.cache.cancelled import Cancelled
from storage_sync.cache.copy import private_folder
from storage_sync.recovery.header_repair import mended_copies
from storage_sync.recovery.rescue import LEDGER, META, QUARANTINE, Message, walk
from storage_sync.state.quarantine import Removed
from storage_sync.values.outcome import TABLES

REASON = "from a damaged file"

_ASIDE = "storage_sync_aside"
_STAGING_KEYS = frozenset({"staging", "build"})
_PROVED, _REFUSED, _CACHE_ONLY = 1, 2, 3
_VALUE_DIGEST = slice(17, 33)
_NOT_TAKEN = bytes(16)
"""In place of the digest of a cache-only row, in files of earlier versions."""
_PAGE = 500


class TableRescue(Struct):
    """Rows of one table: `proved` and `cache_only` are taken over, `aside` quarantined; `gaps`: unreadable places."""

    proved: int = 0
    cache_only: int = 0
    aside: int = 0
    gaps: int = 0
    note: str = ""

    @property
    def read(self) -> int:
        return self.proved + self.cache_only + self.aside

    def to_json(self) -> dict[str, object]:
        shape: dict[str, object] = {
            "proved": self.proved,
            "cache_only": self.cache_only,
            "set_aside": self.aside,
            "unreadable_places": self.gaps,
        }
        return shape | ({"note": self.note} if self.note else {})


class Rescued(Struct):
    """A file of trusted rows at `path`, and what became of each table. `how`: what was done to the copy so that it
    opens; `unopened`: why nothing could be read at all, ''."""

    path: str
    how: str = ""
    unopened: str = ""
    tables: dict[str, TableRescue] = field(default_factory=dict)

    def leftover(self) -> Iterator[Removed]:
        """Rows that are not taken over, for the quarantine."""
        file = _native.CacheFile.open(self.path, "private")
        try:
            after: str | None = None
            while page := file.page(_ASIDE, after, _PAGE):
                after = page[-1][0]
                for name, value in page:
                    table, _, key = name.partition("\0")
                    yield Removed(table, key, value, REASON)
        finally:
            file.close()


@contextmanager
def rescued(cache: str, folder: Path | None, cancelled: Cancelled | None = None) -> Iterator[Rescued]:
    """Read what can be read out of the damaged file at `cache`; everything made for it is gone at the end.

    `folder`: where private copies go (`StateDir.copies`). LocalIO, Interrupted.
    """
    with private_folder(folder) as place:
        best = _Collector(place / "empty.redb")
        for number, copy in enumerate(mended_copies(cache, place)):
            collector = _Collector(place / f"rows-{number}.redb")
            for message in walk(copy.path, cancelled=cancelled):
                collector.take(message)
            Path(copy.path).unlink(missing_ok=True)
            collector.rescued.how = copy.how
            best = max(best, collector, key=_Collector.worth)
            if not best.rescued.unopened and best.worth() > 0:
                break
        best.finish()
        yield best.rescued


class _Collector:
    """Takes the walker's messages and fills the file of trusted rows."""

    def __init__(self, path: Path) -> None:
        self.rescued = Rescued(os.fspath(path), unopened="there was nothing to open")
        self._salvage = _native.Salvage(os.fspath(path))
        self._ledger: dict[str, bytes] = {}

    def worth(self) -> int:
        return sum(table.read for table in self.rescued.tables.values())

    def finish(self) -> None:
        """Rejected rows stay rejected until the primary's manifest says otherwise."""
        refused = [(name, entry) for name, entry in self._ledger.items() if entry[0] == _REFUSED]
        self._salvage.put(LEDGER, refused)
        self._salvage.close()

    def take(self, message: Message) -> None:
        match message.kind:
            case "opened":
                self.rescued.unopened = message.note
            case "ended" if message.table in TABLES:
                table = self._table(message.table)
                table.gaps += message.gaps
                table.note = message.note or table.note
            case "rows" if message.table == LEDGER:
                self._ledger.update((name, entry) for name, entry in message.rows if len(entry) >= _VALUE_DIGEST.stop)
            case "rows" if message.table == META:
                self._salvage.put(META, [row for row in message.rows if row[0] not in _STAGING_KEYS])
            case "rows" if message.table == QUARANTINE:
                self._salvage.put(QUARANTINE, list(message.rows))
            case "rows":
                self._judge(message.table, message.rows)
            case _:
                return

    def _table(self, name: str) -> TableRescue:
        return self.rescued.tables.setdefault(name, TableRescue())

    def _judge(self, name: str, rows: tuple[tuple[str, bytes], ...]) -> None:
        counts = self._table(name)
        kept: list[tuple[str, bytes]] = []
        entries: list[tuple[str, bytes]] = []
        aside: list[tuple[str, bytes]] = []
        for key, value in rows:
            listed = f"{name}/{key}"
            entry = self._ledger.get(listed)
            flag = entry[0] if entry is not None else 0
            if entry is None or not _trusted(name, key, value, entry):
                aside.append((f"{name}\0{key}", value))
                continue
            kept.append((key, value))
            entries.append((listed, entry))
            counts.proved += flag == _PROVED
            counts.cache_only += flag == _CACHE_ONLY
        counts.aside += len(aside)
        if kept:
            self._salvage.put(name, kept)
            self._salvage.put(LEDGER, entries)
        if aside:
            self._salvage.put(_ASIDE, aside)


def _trusted(table: str, key: str, value: bytes, entry: bytes) -> bool:
    if entry[0] not in (_PROVED, _CACHE_ONLY) or not _native.is_whole(table, key, value):
        return False
    if entry[0] == _CACHE_ONLY and entry[_VALUE_DIGEST] == _NOT_TAKEN:
        return True
    return _native.digest("blake3", value)[:16] == entry[_VALUE_DIGEST]
