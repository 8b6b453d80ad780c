"""Databases that do-memory wrote, unpacked once, and what the tests ask of a primary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage_sync.values.outcome import PATTERN_TABLES, TABLES
from tests.support import stores


@dataclass(frozen=True)
class Wanted:
    """Stands for a `_native.Scope`."""

    window: int = 1000
    digest: str = "sha3-256"
    patterns: bool = True
    embeddings: bool = True
    part: tuple[int, int] | None = None

    @property
    def tables(self) -> list[str]:
        return [
            table
            for table in TABLES
            if (self.patterns or table not in PATTERN_TABLES) and (self.embeddings or table != "embeddings")
        ]


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Path of an unpacked primary by the name of its set; never written."""
    unpacked: dict[str, Path] = {}

    def give(name: str) -> Path:
        if name not in unpacked:
            unpacked[name] = stores.primary(name, tmp_path_factory.mktemp(name))
        return unpacked[name]

    return give


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[str], Path]:
    """A writable copy of a primary."""
    return lambda name: stores.primary(name, tmp_path / name)
