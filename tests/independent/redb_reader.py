"""A small reader of redb files (format 3) in plain Python: header, B-trees, tables of bytes.

Facts: docs/cache.md, the end of docs/formats.md, redb's public design document. It reads the committed slot that the
header names, verifies nothing, and never writes; it takes no lock, so the file must be at rest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"redb\x1a\n\xa9\r\n"
SLOTS = (64, 192)
LEAF, BRANCH = 1, 2
NORMAL_TABLE = 3


class NotReadable(Exception):
    """The file is not what this reader understands."""


@dataclass(frozen=True)
class Table:
    """One table of the file; widths are None for values of variable length."""

    name: str
    rows: int
    root: int | None
    key_width: int | None
    value_width: int | None
    key_type: str
    value_type: str


class RedbFile:
    """All of one file in memory (test sizes); `tables` by name."""

    def __init__(self, path: str | Path) -> None:
        self._data = Path(path).read_bytes()
        if self._data[:9] != MAGIC:
            raise NotReadable("no redb magic")
        god = self._data[9]
        self.clean = not god & 2
        page, header_pages, data_pages = struct.unpack_from("<3I", self._data, 12)
        self._page_size = page
        self._region_header = header_pages * page
        self._region_size = (header_pages + data_pages) * page
        slot = SLOTS[god & 1]
        version, has_user_root = self._data[slot], self._data[slot + 1]
        if version != 3:
            raise NotReadable(f"format version {version}")
        (root,) = struct.unpack_from("<Q", self._data, slot + 8)
        self.tables: dict[str, Table] = {}
        if has_user_root:
            for key, value in self._walk(root, None, None):
                table = _definition(key.decode(), value)
                if table is not None:
                    self.tables[table.name] = table

    def rows(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in key order; nothing when the table does not exist."""
        table = self.tables.get(name)
        if table is not None and table.root is not None:
            yield from self._walk(table.root, table.key_width, table.value_width)

    def _page(self, number: int) -> bytes:
        index = number & 0xFFFFF
        region = (number >> 20) & 0xFFFFF
        size = self._page_size << (number >> 59)
        start = self._page_size + region * self._region_size + self._region_header + index * size
        page = self._data[start : start + size]
        if len(page) != size:
            raise NotReadable(f"page {number:#x} lies outside the file")
        return page

    def _walk(self, number: int, key_width: int | None, value_width: int | None) -> Iterator[tuple[bytes, bytes]]:
        page = self._page(number)
        kind, count = page[0], struct.unpack_from("<H", page, 2)[0]
        if kind == LEAF:
            yield from _leaf(page, count, key_width, value_width)
        elif kind == BRANCH:
            children = struct.unpack_from(f"<{count + 1}Q", page, 8 + 16 * (count + 1))
            for child in children:
                yield from self._walk(child, key_width, value_width)
        else:
            raise NotReadable(f"page {number:#x} is of kind {kind}")


def _leaf(page: bytes, count: int, key_width: int | None, value_width: int | None) -> Iterator[tuple[bytes, bytes]]:
    offset = 4
    key_ends: tuple[int, ...] = ()
    value_ends: tuple[int, ...] = ()
    if key_width is None:
        key_ends = struct.unpack_from(f"<{count}I", page, offset)
        offset += 4 * count
    if value_width is None:
        value_ends = struct.unpack_from(f"<{count}I", page, offset)
        offset += 4 * count
    start = offset
    if key_width is not None:
        key_ends = tuple(start + key_width * (i + 1) for i in range(count))
    values = key_ends[-1] if count else start
    if value_width is not None:
        value_ends = tuple(values + value_width * (i + 1) for i in range(count))
    key_start, value_start = start, values
    for key_end, value_end in zip(key_ends, value_ends, strict=True):
        yield page[key_start:key_end], page[value_start:value_end]
        key_start, value_start = key_end, value_end


def _definition(name: str, value: bytes) -> Table | None:
    """The entry of one table in the tree of tables; None for a multimap."""
    if value[0] != NORMAL_TABLE:
        return None
    rows, has_root = struct.unpack_from("<QB", value, 1)
    (root,) = struct.unpack_from("<Q", value, 10)
    at = 10 + 32
    fixed_key, key_width, fixed_value, value_width = struct.unpack_from("<BIBI", value, at)
    at += 10 + 8  # the two alignments are always one
    (length,) = struct.unpack_from("<I", value, at)
    key_type = value[at + 5 : at + 4 + length].decode()
    value_type = value[at + 4 + length + 1 :].decode()
    return Table(
        name,
        rows,
        root if has_root else None,
        key_width if fixed_key else None,
        value_width if fixed_value else None,
        key_type,
        value_type,
    )
