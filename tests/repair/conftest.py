"""A proven cache of a real primary, with rows that only the cache holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from storage_sync import _native
from tests.support import stores
from tests.support.command import Tool

CACHE_ONLY = "ffffffff-0000-4000-8000-000000000001"
"""A heuristic that do-memory wrote and the primary never had."""


def add_cache_only(cache: Path, key: str = CACHE_ONLY) -> None:
    """As do-memory does it: one row more, of which nobody told the primary."""
    copy = cache.with_suffix(".look")
    _native.copy_file(str(cache), str(copy))
    file = _native.CacheFile.open(str(copy), "private")
    ((old, value),) = file.page("heuristics", None, 1)
    generation = int(file.meta()["generation"])
    file.close()
    copy.unlink()
    text = _native.decode_value("heuristics", value).replace(old, key)
    _native.edit(str(cache), [("heuristics", key, None, _native.encode_value("heuristics", text))], {}, generation, 0)


def held(cache: Path, table: str, key: str) -> bytes | None:
    """What a sound cache holds under a key."""
    file = _native.CacheFile.open(str(cache), "read")
    try:
        return file.get(table, [key])[0]
    finally:
        file.close()


class Store:
    """A tool with its primary and a proven cache that can be put back as it was."""

    def __init__(self, folder: Path) -> None:
        primary = stores.primary("small", folder / "primary")
        self.tool = Tool.at(folder / "tool", f"file:{primary}")
        self.tool.sync()
        add_cache_only(self.tool.cache)
        # lists the row of the cache alone: a proof lists what it saw
        self.root = self.tool.sync("--full")["proof"]["root"]
        self._kept = folder / "kept"
        shutil.copytree(self.tool.folder, self._kept)
        self.whole = self.tool.cache.read_bytes()

    @property
    def cache(self) -> Path:
        return self.tool.cache

    @property
    def primary(self) -> Path:
        return Path(self.tool.primary.removeprefix("file:"))

    def restore(self) -> None:
        """As after the last proof, state folder included."""
        shutil.rmtree(self.tool.folder)
        shutil.copytree(self._kept, self.tool.folder)

    def kept_files(self, why: str) -> list[Path]:
        return sorted(self.cache.parent.glob(f"cache.redb.{why}-*"))


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(shared_store: Store) -> Store:
    shared_store.restore()
    return shared_store
