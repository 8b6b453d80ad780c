"""A synced demo, and what its cache holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage_sync import _native
from storage_sync.demo.demo import Demo
from storage_sync.values.outcome import TABLES
from tests.cli.conftest import Cli, clean_environment, cli

__all__ = ["clean_environment", "cli"]

NOW = 1_795_392_000
NEW = "00000000-0000-4000-8000-00000000000a"
"""Heuristic that `change_primary` adds."""


@dataclass
class Stores:
    """A primary, its cache and the command line."""

    cli: Cli
    demo: Demo

    @property
    def cache(self) -> Path:
        return self.demo.config_file.parent / "cache.redb"

    def json(self, *words: str) -> tuple[int, dict[str, Any]]:
        return self.cli.json(*words, "--config", str(self.demo.config_file))

    def sync(self) -> dict[str, Any]:
        code, document = self.json("sync")
        assert code in (0, 7), document
        assert document["verdict"] == "IN_SYNC"
        return document

    def sql(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.demo.primary)) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()

    def rows(self) -> dict[tuple[str, str], bytes]:
        """Every row of do-memory's tables."""
        file = _native.CacheFile.open(str(self.cache), "read")
        try:
            return {(table, key): value for table in TABLES for key, value in file.page(table, None, 100_000)}
        finally:
            file.close()

    def meta(self, table: str = "storage_sync_meta") -> dict[str, bytes]:
        file = _native.CacheFile.open(str(self.cache), "read")
        try:
            return dict(file.page(table, None, 100_000))
        finally:
            file.close()

    @property
    def generation(self) -> int:
        return int(self.meta()["generation"])

    def change_primary(self) -> None:
        """One row changes, one goes, one new one arrives, one can no longer be represented."""
        self.sql(
            "UPDATE episodes SET task_description = 'changed' WHERE rowid = 3",
            "DELETE FROM episodes WHERE rowid = 2",
            "UPDATE episodes SET steps = '{not json' WHERE rowid = 1",
            f"INSERT INTO heuristics SELECT '{NEW}', condition_text, action_text, confidence, evidence, created_at,"
            " updated_at FROM heuristics LIMIT 1",
        )


@pytest.fixture
def stores(cli: Cli) -> Stores:
    folder = cli.folder / "demo"
    folder.mkdir()
    made = Stores(cli, Demo.create(folder, 2, 30, now=NOW))
    made.sync()
    return made
