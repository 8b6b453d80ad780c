"""The folder that these tests stand on."""

from __future__ import annotations

from tests.support.cache_files import open_folder

__all__ = ["open_folder"]
