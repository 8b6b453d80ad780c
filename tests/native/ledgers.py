"""What one key can be in a cache, in its ledger and on the primary, and what a sync must make of it.

The expectations are written from docs/protocol.md with dictionaries alone; they share no code with the data plane but
the encoder of a whole row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storage_sync import _native
from tests.native import journey
from tests.native.synthetic import TABLES, Primary, Row, heuristic, name, row_digest

TABLE = "heuristics"
LEDGER, QUARANTINE, META = "storage_sync_digest", "storage_sync_quarantine", "storage_sync_meta"
ROT = b"\xff\xff\xff"
"""Bytes that are no row."""
PROVED, REJECTED, CACHE_ONLY = 1, 2, 3


def first(number: int) -> Row:
    return heuristic(number, "first")


def second(number: int) -> Row:
    return heuristic(number, "second")


def local(number: int) -> Row:
    return heuristic(number, "local")


def broken(number: int) -> Row:
    """A row that no cache can hold."""
    good = heuristic(number)
    return (*good[:4], "{broken", *good[5:])


def broken_otherwise(number: int) -> Row:
    good = heuristic(number)
    return (*good[:4], "{otherwise", *good[5:])


def value_digest(value: bytes) -> bytes:
    return _native.digest("blake3", value)[:16]


def source(row: Row) -> bytes:
    return bytes.fromhex(row_digest(row))


@dataclass(frozen=True)
class Held:
    """What a cache has under one key: bytes, ledger entries by name, reasons of rejected rows by name."""

    value: bytes | None = None
    entries: Mapping[str, bytes] = field(default_factory=dict)
    reasons: Mapping[str, bytes] = field(default_factory=dict)


class Encoder:
    """The bytes of whole rows, as a first sync stores them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Row, bytes] = {}

    def learn(self, rows: Sequence[Row]) -> None:
        new = [row for row in rows if row not in self._known]
        cache = self._folder / f"encoded-{len(self._known)}.redb"
        if new:
            journey.build(Primary({TABLE: new}), cache)
            stored = contents(cache)[TABLE]
            self._known |= {row: stored[str(row[0])] for row in new}

    def __call__(self, row: Row) -> bytes:
        return self._known[row]


def contents(cache: Path) -> dict[str, dict[str, bytes]]:
    file = _native.CacheFile.open(str(cache), "read")
    found = {table: dict(file.page(table, None, 100_000)) for table in (TABLE, LEDGER, QUARANTINE, META)}
    file.close()
    return found


def proved(row: Row, value: bytes) -> bytes:
    return bytes([PROVED]) + source(row) + value_digest(value)


def cache_only(value: bytes) -> bytes:
    return bytes([CACHE_ONLY]) + bytes(16) + value_digest(value)


def rejected(*rows: Row) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Entries and reasons of rejected rows of one key, as a proof writes them."""
    key = str(rows[0][0])
    entries: dict[str, bytes] = {}
    reasons: dict[str, bytes] = {}
    for place, row in enumerate(sorted(rows, key=source)):
        listed = key if place == 0 else f"{key}\0{place}"
        entries[listed] = bytes([REJECTED]) + source(row) + bytes(16) + key.encode()
        told = {"source_digest": source(row).hex().upper(), "reason": "r", "column": "c"}
        reasons[listed] = json.dumps(told).encode()
    return entries, reasons


Tables = dict[str, dict[str, bytes]]


def rewritten(cache: Path, change: Callable[[Tables], None]) -> Path:
    """A cache with the same rows, but for what `change` does to them."""
    file = _native.CacheFile.open(str(cache), "read")
    tables = {table: dict(file.page(table, None, 1000)) for table in (*TABLES, META, LEDGER, QUARANTINE)}
    file.close()
    change(tables)
    target = cache.with_name("rewritten.redb")
    salvage = _native.Salvage(str(target))
    for table, rows in tables.items():
        salvage.put(table, list(rows.items()))
    salvage.close()
    return target


Encode = Callable[[Row], bytes]
HELD: dict[str, Callable[[int, Encode], Held]] = {
    "nothing": lambda n, enc: Held(),
    "proved": lambda n, enc: Held(enc(first(n)), {name(n): proved(first(n), enc(first(n)))}),
    "absent": lambda n, enc: Held(None, {name(n): proved(first(n), enc(first(n)))}),
    "drifted": lambda n, enc: Held(enc(local(n)), {name(n): proved(first(n), enc(first(n)))}),
    "rotten": lambda n, enc: Held(ROT, {name(n): proved(first(n), enc(first(n)))}),
    "rotten id": lambda n, enc: Held(enc(local(n + 1)), {name(n): proved(first(n), enc(first(n)))}),
    "unlisted": lambda n, enc: Held(enc(local(n))),
    "unlisted, equal": lambda n, enc: Held(enc(first(n))),
    "unlisted, rotten": lambda n, enc: Held(ROT),
    "cache-only": lambda n, enc: Held(enc(local(n)), {name(n): cache_only(enc(local(n)))}),
    "cache-only, altered": lambda n, enc: Held(enc(local(n)), {name(n): cache_only(enc(second(n)))}),
    "cache-only, rotten": lambda n, enc: Held(ROT, {name(n): cache_only(ROT)}),
    "cache-only, absent": lambda n, enc: Held(None, {name(n): cache_only(enc(local(n)))}),
    "rejected": lambda n, enc: Held(None, *rejected(broken(n))),
    "rejected, with a row": lambda n, enc: Held(enc(local(n)), *rejected(broken(n))),
    "rejected, with rot": lambda n, enc: Held(ROT, *rejected(broken(n))),
    "rejected twice": lambda n, enc: Held(None, *rejected(first(n), second(n))),
    "rejected without a reason": lambda n, enc: Held(None, rejected(broken(n))[0]),
    "rejected for another row": lambda n, enc: Held(None, rejected(broken(n))[0], rejected(broken_otherwise(n))[1]),
    "rejected for another row, with a row": lambda n, enc: Held(
        enc(local(n)), rejected(broken(n))[0], rejected(broken_otherwise(n))[1]
    ),
    "a reason alone, with a row": lambda n, enc: Held(enc(local(n)), {}, rejected(broken(n))[1]),
    "no entry": lambda n, enc: Held(None, {name(n): b"\x09" + bytes(32)}),
    "no entry, with a row": lambda n, enc: Held(enc(local(n)), {name(n): b"\x01" + bytes(32) + b"more"}),
}
PRIMARY: dict[str, Callable[[int], list[Row]]] = {
    "gone": lambda n: [],
    "first": lambda n: [first(n)],
    "second": lambda n: [second(n)],
    "broken": lambda n: [broken(n)],
    "broken otherwise": lambda n: [broken_otherwise(n)],
    "twice": lambda n: [first(n), second(n)],
    "twice otherwise": lambda n: [first(n), local(n)],
}
GOOD = (first, second, local)


@dataclass(frozen=True)
class Key:
    """One key: what the cache has, which rows the primary has."""

    number: int
    held: Held
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        return name(self.number)

    @property
    def listed(self) -> dict[str, bytes]:
        """The entries that can be believed."""
        return {
            listed: entry
            for listed, entry in self.held.entries.items()
            if PROVED <= entry[0] <= CACHE_ONLY
            and (entry[0] == REJECTED or len(entry) == 33)
            and (entry[0] != REJECTED or self._told(listed) == entry[1:17].hex().upper())
        }

    def _told(self, listed: str) -> str | None:
        told: str | None = json.loads(self.held.reasons.get(listed, b"{}")).get("source_digest")
        return told

    @property
    def flag(self) -> int:
        return self.listed.get(self.name, b"\0")[0]

    @property
    def is_ours(self) -> bool:
        """A proof stored a row there, and there is one."""
        return self.flag == PROVED and self.held.value is not None

    @property
    def as_proved(self) -> bool:
        value = self.held.value
        return value is not None and self.flag == PROVED and self.listed[self.name][17:33] == value_digest(value)

    @property
    def is_whole(self) -> bool:
        """Its bytes are a row of this key; they always are but for what `HELD` damages."""
        return self.held.value is not None and _native.is_whole(TABLE, self.name, self.held.value)

    @property
    def accepted(self) -> Row | None:
        """The row that the cache must hold, where the primary has one that it can hold."""
        good = {make(self.number) for make in GOOD}
        return self.rows[0] if len(self.rows) == 1 and self.rows[0] in good else None


def value_after(key: Key, encode: Encode) -> bytes | None:
    """The bytes that the cache holds after a commit in place."""
    if key.accepted is not None:
        return encode(key.accepted)
    return None if key.is_ours else key.held.value


def value_rebuilt(key: Key, encode: Encode) -> bytes | None:
    """The bytes that a rebuilt cache holds: what only the old file had, whole and of no key that the primary has."""
    if key.accepted is not None:
        return encode(key.accepted)
    return key.held.value if key.flag in (0, CACHE_ONLY) and key.is_whole and not key.rows else None


COUNTED = ("rows", "listed", "refused", "cache_only", "drifted", "rotten", "absent", "altered", "undecodable")


def sources_listed(key: Key) -> list[bytes]:
    """Digests of the primary's rows that the last proof knew."""
    return sorted(entry[1:17] for entry in key.listed.values() if entry[0] != CACHE_ONLY)


def counts(keys: Sequence[Key]) -> dict[str, int]:
    """What a scan must count before the sync."""
    found = dict.fromkeys(COUNTED, 0)
    for key in keys:
        value, flag = key.held.value, key.flag
        found["rows"] += value is not None
        found["refused"] += sum(entry[0] == REJECTED for entry in key.listed.values())
        found["listed"] += flag == PROVED
        if flag != PROVED:
            found["cache_only"] += value is not None
            found["undecodable"] += value is not None and not key.is_whole and flag != REJECTED
        elif value is None:
            found["absent"] += 1
        elif not key.as_proved:
            found["drifted" if key.is_whole else "rotten"] += 1
        if flag == CACHE_ONLY:
            found["altered"] += value is None or value_digest(value) != key.listed[key.name][17:33]
    return found


def proven_rows(keys: Sequence[Key]) -> dict[str, list[str]]:
    """Source digests by key, of what a scan must give a root of before the sync."""
    found: dict[str, list[str]] = {}
    for key in keys:
        digests = [entry[1:17] for entry in key.listed.values() if entry[0] == REJECTED]
        digests += [key.listed[key.name][1:17]] if key.as_proved else []
        if digests:
            found[key.name] = sorted(digest.hex().upper() for digest in digests)
    return found


def lost(keys: Sequence[Key], encode: Encode) -> dict[str, tuple[bytes, str]]:
    """Old bytes and reason of what the commit takes away and the primary cannot give back, by key."""
    found: dict[str, tuple[bytes, str]] = {}
    for key in keys:
        value = key.held.value
        if value is None or value == value_after(key, encode):
            continue
        if not key.rows:
            reason = "gone from the primary"
        elif key.accepted is None:
            reason = "refused by the primary's new row"
        elif key.as_proved:
            continue
        elif key.flag == REJECTED and not key.is_whole:
            reason = "local fields replaced"
        else:
            reason = "local change replaced" if key.is_whole else "bit rot"
        found[key.name] = (value, reason)
    return found


def ledger_after(keys: Sequence[Key], encode: Encode) -> dict[str, bytes]:
    """Every entry that the commit in place must leave."""
    found: dict[str, bytes] = {}
    for key in keys:
        value = value_after(key, encode)
        if key.accepted is not None:
            found[key.name] = proved(key.accepted, encode(key.accepted))
        elif key.rows:
            found |= rejected(*key.rows)[0]
        elif value is not None and key.flag != REJECTED:
            found[key.name] = cache_only(value)
    return {f"{TABLE}/{listed}": entry for listed, entry in found.items()}


def written(keys: Sequence[Key], folder: Path) -> Path:
    """A cache of these keys."""
    cache = folder / "cache.redb"
    salvage = _native.Salvage(str(cache))
    salvage.put(META, [("digest", b"sha3-256"), ("generation", b"1")])
    salvage.put(TABLE, [(key.name, key.held.value) for key in keys if key.held.value is not None])
    for table, part in ((LEDGER, "entries"), (QUARANTINE, "reasons")):
        rows = [(f"{TABLE}/{listed}", data) for key in keys for listed, data in getattr(key.held, part).items()]
        salvage.put(table, rows)
    salvage.close()
    return cache


def primary_of(keys: Sequence[Key]) -> Primary:
    return Primary({TABLE: [row for key in keys for row in key.rows]})
