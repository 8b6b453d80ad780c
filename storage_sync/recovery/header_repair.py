"""Copies of a damaged file that may open although it does not: what the first page says is put right.

Nothing here judges rows. A copy that opens because of a guess is walked like any other, and every row of it must
prove itself (`salvage.py`).

See docs/cache.md#errors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from storage_sync import _native
from storage_sync.cache.identity import real_path
from storage_sync.cache.states import HEADER_BYTES, MAGIC, PAGE_BYTES
from storage_sync.files.kinds import reading
from storage_sync.files.writing import ensure_file, patch
from storage_sync.values.errors import CacheLocked, LocalIO

_FLAGS = 9
_OTHER_SLOT = 1
_RECOVERY_REQUIRED = 2
_TWO_PHASE = 4
_SLOT_STARTS = (64, 192)
_SLOT_BYTES = 128
_LAYOUT = slice(12, 32)
_SMALL = 1 << 20


class MendedCopy(Struct, frozen=True):
    """`how`: what was changed in it, '' for a true copy."""

    path: str
    how: str


def mended_copies(cache: str, folder: Path) -> Iterator[MendedCopy]:
    """Copies in the order in which they should be tried; the caller removes each."""
    source = real_path(cache)
    for number, (how, mend) in enumerate(_WAYS):
        target = os.fspath(folder / f"copy-{number}.redb")
        _copy(source, target)
        if mend is None or mend(Path(target)):
            yield MendedCopy(target, how)


def _copy(source: str, target: str) -> None:
    try:
        _native.copy_file(source, target)
    except BlockingIOError as error:
        raise CacheLocked(f"{source} is being written to") from error
    except OSError as error:
        raise LocalIO(f"{source} cannot be copied: {error.strerror or error}") from error


def _length(path: Path) -> bool:
    """As long as its layout says: zeros are added, or what is too much is cut."""
    header = _native.read_header(os.fspath(path))
    size = path.stat().st_size
    # A layout that asks for many times the file is itself damaged.
    if size < HEADER_BYTES or header.layout_length == size or header.layout_length > 16 * size + _SMALL:
        return False
    os.truncate(path, max(header.layout_length, PAGE_BYTES))
    return True


def _magic(path: Path) -> bool:
    """The mark of a redb file, the size of a page and, as far as it can be told, the length."""
    if path.stat().st_size < HEADER_BYTES:
        return False
    patch(path, 0, MAGIC)
    patch(path, _LAYOUT.start, PAGE_BYTES.to_bytes(4, "little"))
    _length(path)
    return True


def _slots(path: Path) -> bool:
    """A commit slot whose checksum one flipped bit made wrong: that bit is found by trying each."""
    with reading(path) as file:
        head = file.read(HEADER_BYTES)
    tried = path.with_name("slot.redb")
    mended = False
    ensure_file(tried)
    for number, start in enumerate(_SLOT_STARTS):
        if len(head) < HEADER_BYTES or _slot_ok(tried, head, number):
            continue
        for bit in range(8 * _SLOT_BYTES):
            guess = bytearray(head)
            guess[start + bit // 8] ^= 1 << bit % 8
            if _slot_ok(tried, guess, number):
                head, mended = bytes(guess), True
                break
    tried.unlink()
    if mended:
        patch(path, 0, head)
        _magic(path)
    return mended


def _slot_ok(tried: Path, head: bytes | bytearray, number: int) -> bool:
    patch(tried, 0, bytes(head))
    return _native.read_header(os.fspath(tried)).slot_checksums_ok[number]


def _flags(wanted: Callable[[int], int]) -> Callable[[Path], bool]:
    def change(path: Path) -> bool:
        if not _magic(path):
            return False
        with reading(path) as file:
            file.seek(_FLAGS)
            (flags,) = file.read(1)
        patch(path, _FLAGS, bytes([wanted(flags)]))
        return True

    return change


def _layout(path: Path) -> bool:
    """The layout that redb gives a file of this length when it makes a new one, and a repair of what it asks for."""
    size = path.stat().st_size
    if size < 3 * PAGE_BYTES:
        return False
    fresh = path.with_name("layout.redb")
    salvage = _native.Salvage(os.fspath(fresh))
    salvage.close()
    header = bytearray(_native.read_header(os.fspath(fresh)).raw[_LAYOUT])
    fresh.unlink()
    region_header = int.from_bytes(header[4:8], "little")
    header[12:16] = (0).to_bytes(4, "little")
    header[16:20] = (size // PAGE_BYTES - 1 - region_header).to_bytes(4, "little")
    patch(path, 0, MAGIC)
    patch(path, _LAYOUT.start, bytes(header))
    os.truncate(path, size // PAGE_BYTES * PAGE_BYTES)
    return True


_WAYS: tuple[tuple[str, Callable[[Path], bool] | None], ...] = (
    ("", None),
    ("a flipped bit of a commit slot was corrected", _slots),
    ("its length was set to that of its layout", _length),
    ("its first bytes were restored", _magic),
    ("it was opened as a file that was not closed", _flags(lambda flags: (flags | _RECOVERY_REQUIRED) & ~_TWO_PHASE)),
    (
        "it was opened as it was one commit before",
        _flags(lambda flags: ((flags ^ _OTHER_SLOT) | _RECOVERY_REQUIRED) & ~_TWO_PHASE),
    ),
    ("its layout was rebuilt", _layout),
)
