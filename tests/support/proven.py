"""A proven cache of a real primary, with rows that only the cache holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from storage_sync import _native
from storage_sync.config.settings import Settings
from tests.support import stores
from tests.support.command import Tool
from tests.support.values import altered

CACHE_ONLY = "ffffffff-0000-4000-8000-000000000001"
"""A heuristic that do-memory wrote and the primary never had."""


def add_cache_only(cache: Path, key: str = CACHE_ONLY) -> None:
    """As do-memory does it: one row more, of which nobody told the primary."""
    copy = cache.with_suffix(".look")
    _native.copy_file(str(cache), str(copy))
    file = _native.CacheFile.open(str(copy), "private")
    ((_, value),) = file.page("heuristics", None, 1)
    generation = int(file.meta()["generation"])
    file.close()
    copy.unlink()
    row = ("heuristics", key, None, altered("heuristics", value, heuristic_id=key))
    _native.edit(str(cache), [row], {}, generation, 0)


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder on a file system without a disk, where there is one: thousands of repairs wait for no disk there."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK | os.X_OK) else None) as name:
        yield Path(name)


def flip(path: Path, bit: int) -> None:
    """Turn one bit of the file over, as a disk or a memory does it."""
    with path.open("r+b", buffering=0) as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


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

    @property
    def settings(self) -> Settings:
        return Settings(primary=self.tool.primary, cache=self.cache, state_dir=self.tool.folder / "state")

    def restore(self) -> None:
        """As after the last proof, state folder included."""
        shutil.rmtree(self.tool.folder)
        shutil.copytree(self._kept, self.tool.folder)

    def kept_files(self, why: str) -> list[Path]:
        return sorted(self.cache.parent.glob(f"cache.redb.{why}-*"))
