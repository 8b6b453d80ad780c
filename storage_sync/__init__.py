"""Keep a do-memory redb cache equal to its Turso/libSQL primary, and prove it."""

from __future__ import annotations

from storage_sync._native import VERSION as __version__  # noqa: N811 - the name that Python has for it

__all__ = ["__version__"]
