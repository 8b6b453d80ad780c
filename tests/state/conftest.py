"""The cache files that these tests stand on."""

from __future__ import annotations

from tests.support.cache_files import cache, open_folder

__all__ = ["cache", "open_folder"]
