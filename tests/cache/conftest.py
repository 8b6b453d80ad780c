"""The cache files that these tests stand on."""

from __future__ import annotations

from tests.support.cache_files import cache, killed, open_folder, torn

__all__ = ["cache", "killed", "open_folder", "torn"]
