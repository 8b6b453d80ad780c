"""Cached values with other texts in them, as do-memory would have written them."""

from __future__ import annotations

import json
from uuid import UUID

from storage_sync import _native


def altered(table: str, value: bytes, **texts: str) -> bytes:
    """The bytes of a row with other texts or ids in the named fields; both lie there behind their length."""
    fields = json.loads(_native.decode_value(table, value))
    for name, text in texts.items():
        value = value.replace(_piece(str(fields[name])), _piece(text), 1)
    assert json.loads(_native.decode_value(table, value)) == {**fields, **texts}
    return value


def _piece(text: str) -> bytes:
    try:
        data = UUID(text).bytes
    except ValueError:
        data = text.encode()
    length, left = bytearray(), len(data)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*length, left]) + data
