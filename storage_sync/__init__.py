"""Keep a do-memory redb cache equal to its Turso/libSQL primary, and prove it."""

from __future__ import annotations

__version__ = "0.1.0"
