"""Rows that do-memory drops in the primary when it rewrites an episode are named when they leave the cache."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.values.outcome import Word
from tests.support import stores

SAID = re.compile(
    r"(1 row removed \(1 (summary|relationship|episode_pattern_relationship)\): the primary no longer has it; "
    r"do-memory deletes it when it rewrites its episode"
    r"|\d+ rows removed \(\d+ (summaries|relationships|episode_pattern_relationships)\): the primary no longer has "
    r"them; do-memory deletes them when it rewrites their episode)$"
)
SOURCES = {
    "summaries": "episode_summaries",
    "relationships": "episode_relationships",
    "episode_pattern_relationships": "episode_pattern_relationships",
    "heuristics": "heuristics",
}


@pytest.mark.parametrize("table", SOURCES)
async def test_what_a_rewrite_of_an_episode_takes_along_is_named(table: str, tmp_path: Path) -> None:
    database = stores.primary("small", tmp_path)
    settings = Settings(
        primary=f"file:{database}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state", max_removal_ratio=1.0
    )
    first = await once(Sync(), Request(settings, None))
    held = first.counts[table].cache
    assert held, f"the store has no {table}"
    assert first.warnings == ()

    stores.execute(database, [f"DELETE FROM {SOURCES[table]}"])
    outcome = await once(Sync(), Request(settings, None))
    assert outcome.verdict is Word.IN_SYNC, outcome.error
    assert outcome.applied[table].remove == held
    named = [text for text in outcome.warnings if "do-memory deletes" in text]
    assert len(named) == (0 if table == "heuristics" else 1)
    assert all(SAID.match(text) and f"{held} {table[:4]}" in text for text in named)
