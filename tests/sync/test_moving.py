"""Cache and primary that change while a run looks at them: what is said is true of what is there at its end."""

from __future__ import annotations

import shutil
from pathlib import Path

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import Phase, Run
from tests.independent.projection_check import check
from tests.support import stores

NOW = 1_795_392_000.0


def request(demo: Demo, primary: Path | None = None) -> Request:
    settings = Settings(primary=f"file:{primary or demo.primary}", cache=demo.cache, state_dir=demo.state_dir)
    return Request(settings, None, max_attempts=1)


async def test_a_file_put_there_meanwhile_is_not_called_proven(tmp_path: Path) -> None:
    """The run looked at the newer file and found nothing to do; before it ends the older one is back."""
    demo = Demo.create(tmp_path, episodes=10, now=int(NOW))
    assert (await once(Sync(), request(demo))).verdict is Word.IN_SYNC
    older = tmp_path / "older.redb"
    shutil.copyfile(demo.cache, older)
    demo.grow(3, NOW)
    assert (await once(Sync(), request(demo))).verdict is Word.IN_SYNC

    def put_back(run: Run) -> None:
        if run.step == Phase.GUARD and older.exists():
            older.replace(demo.cache)

    outcome = await once(Sync(), request(demo), put_back)
    assert not check(demo.primary, demo.cache).holds()
    assert outcome.verdict is Word.DAMAGED
    assert outcome.exit_code == 5


async def test_a_primary_that_goes_after_the_commit_takes_no_proof_with_it(tmp_path: Path) -> None:
    """Only how many rows are cache-only, and how many lie beyond the window, is then not known."""
    # a cache with rows that its ledger does not list: all of one that do-memory wrote itself
    cache = stores.cache("small", tmp_path / "own")
    primary = stores.primary("small", tmp_path / "own")
    stores.execute(primary, ["DELETE FROM episodes WHERE episode_id = (SELECT min(episode_id) FROM episodes)"])
    settings = Settings(primary=f"file:{primary}", cache=cache, state_dir=tmp_path / "own-state")
    away = primary.with_suffix(".away")

    def leave(run: Run) -> None:
        if run.step == Phase.READ_BACK and primary.exists():
            primary.rename(away)

    outcome = await once(Sync(), Request(settings, None, max_attempts=1), leave)
    assert (outcome.verdict, outcome.exit_code) == (Word.IN_SYNC, 0), outcome.error
    assert check(away, cache).holds()
    assert outcome.counts["episodes"].cache_only is None
    away.rename(primary)
    known = await once(Sync(), Request(settings, None))
    assert known.counts["episodes"].cache_only == 1
