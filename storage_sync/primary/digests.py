"""Digests that are made here, with the algorithms that servers have."""

from __future__ import annotations

import hashlib

CLIENT_DIGEST = "blake3"
"""What digests the rows of a primary that has no digest function."""


def half_digest(digest: str, text: bytes) -> str:
    """First 16 bytes of a digest as 32 upper-case hex digits."""
    if digest == "sha3-256":
        whole = hashlib.sha3_256(text).digest()
    elif digest == "sha-256":
        whole = hashlib.sha256(text).digest()
    else:
        from storage_sync import _native

        whole = _native.digest(digest, text)
    return whole[:16].hex().upper()
