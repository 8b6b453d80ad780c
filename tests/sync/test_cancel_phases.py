"""Being asked to stop in each phase: before the commit nothing happened, from the commit on the run ends proven."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.sync.cancel import Cancel
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import Phase, Run
from tests.independent.projection_check import check
from tests.support.command import fingerprint

NOW = 1_795_392_000.0
BEFORE_THE_COMMIT = (Phase.LEASE, Phase.COPY, Phase.HASH, Phase.MANIFEST, Phase.FETCH, Phase.GUARD)
FROM_THE_COMMIT_ON = (Phase.READ_BACK, Phase.WITNESS)


async def stopped_in(demo: Demo, phase: Phase) -> tuple[Outcome, str | None]:
    """Sync a cache that is behind, asked to stop when `phase` begins; the file as it was before."""
    settings = Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir)
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    demo.grow(3, NOW)
    before = fingerprint(demo.cache)
    cancel = Cancel()

    def ask(run: Run) -> None:
        if run.step == phase:
            cancel.ask("a test")

    return await once(Sync(), Request(settings, None), ask, cancel), before


@pytest.mark.parametrize("phase", BEFORE_THE_COMMIT)
async def test_before_the_commit_nothing_happened(phase: Phase, tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    outcome, before = await stopped_in(demo, phase)
    assert outcome.exit_code == 130
    assert outcome.error is not None
    assert outcome.error.code == "interrupted"
    assert fingerprint(demo.cache) == before
    copies = [path for path in demo.state_dir.rglob("*.redb*") if path.is_file()]
    assert copies == []


@pytest.mark.parametrize("phase", FROM_THE_COMMIT_ON)
async def test_from_the_commit_on_it_ends_proven(phase: Phase, tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    outcome, before = await stopped_in(demo, phase)
    assert fingerprint(demo.cache) != before
    assert (outcome.verdict, outcome.exit_code) == (Word.IN_SYNC, 0), outcome.error
    assert check(demo.primary, demo.cache).holds(exact=True)
