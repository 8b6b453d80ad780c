"""What the guard counts as lost, against a second computation of it, and what is said about it in each place."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Word
from tests.independent.projection_check import Primary
from tests.support import stores

WINDOW = 40
FREE = 10
DELETES = (
    "episodes WHERE rowid % 10 < {tenths}",
    "episodes WHERE episode_id IN (SELECT episode_id FROM episodes ORDER BY start_time DESC LIMIT {count})",
    "episodes WHERE episode_id IN (SELECT episode_id FROM episodes ORDER BY start_time LIMIT {count})",
    "patterns WHERE rowid % 10 < {tenths}",
    "heuristics WHERE rowid % 10 < {tenths}",
    "embeddings WHERE rowid % 10 < {tenths}",
    "recommendation_sessions WHERE rowid % 10 < {tenths}",
)
NEWER = (
    "INSERT OR IGNORE INTO episodes(episode_id,task_type,task_description,context,start_time,end_time,steps,outcome,"
    "reward,reflection,patterns,heuristics,checkpoints,metadata,domain) SELECT substr(episode_id,1,24)||"
    "printf('%012x',rowid),task_type,task_description,context,start_time+100000000,end_time,steps,outcome,reward,"
    "reflection,patterns,heuristics,checkpoints,metadata,domain FROM episodes WHERE rowid <= {count}"
)
"""Newer copies of some episodes, so that the window slides on."""


@dataclass(frozen=True)
class Store:
    """A store in `place`, where it was first synced, and a copy of it as it was then: its path is part of its proof."""

    place: Path
    copy: Path

    @property
    def settings(self) -> Settings:
        return Settings(
            primary=f"file:{self.primary}",
            cache=self.place / "cache.redb",
            state_dir=self.place / "state",
            max_episodes_cache=WINDOW,
        )

    @property
    def primary(self) -> Path:
        return self.place / "primary.db"

    @property
    def before(self) -> Path:
        """The primary as it was proven."""
        return self.copy / "primary.db"

    async def restore(self) -> None:
        if not self.copy.exists():
            assert (await once(Sync(), Request(self.settings, None))).verdict is Word.IN_SYNC
            shutil.copytree(self.place, self.copy)
        shutil.rmtree(self.place)
        shutil.copytree(self.copy, self.place)


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("losses")
    stores.execute(stores.primary("v47-small", folder / "place"), ["DROP INDEX idx_embeddings_vector"])
    return Store(folder / "place", folder / "copy")


def keys(primary: Path, window: int) -> dict[str, set[str]]:
    found = Primary(primary, window, patterns=True, embeddings=True).expected
    return {table: {key for key, _ in rows} for table, rows in found.items()}


def losses(before: Path, after: Path, window: int) -> tuple[dict[str, int], dict[str, int]]:
    """Rows by table that were proven and are lost, and that were proven: by sets of keys alone."""
    was, now, endless = keys(before, WINDOW), keys(after, window), keys(after, 1 << 40)
    lost = {table: len(was[table] - now[table] - endless[table]) for table in was}
    return lost, {table: len(rows) for table, rows in was.items()}


def changed(primary: Path, statements: list[str], *, foreign_keys: bool) -> None:
    with closing(sqlite3.connect(primary)) as db, db:
        db.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        for statement in statements:
            db.execute(statement)


async def planned(settings: Settings) -> Outcome:
    return await once(Sync(), Request(settings, None, Options(plan_only=True)))


STATEMENTS = st.lists(
    st.one_of(
        st.builds(
            lambda text, tenths, count: "DELETE FROM " + text.format(tenths=tenths, count=count),
            st.sampled_from(DELETES),
            st.integers(1, 10),
            st.integers(1, 60),
        ),
        st.builds(lambda count: NEWER.format(count=count), st.integers(1, 60)),
    ),
    min_size=1,
    max_size=4,
)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statements=STATEMENTS, foreign_keys=st.booleans(), window=st.sampled_from([WINDOW, WINDOW, 15, 100]))
async def test_the_guard_counts_what_a_second_computation_finds_lost(
    proven: Store, statements: list[str], foreign_keys: bool, window: int
) -> None:
    await proven.restore()
    settings = msgspec.structs.replace(proven.settings, max_episodes_cache=window)
    changed(proven.primary, statements, foreign_keys=foreign_keys)
    lost, of = losses(proven.before, proven.primary, window)
    pairs = [*((lost[table], of[table]) for table in lost), (sum(lost.values()), sum(of.values()))]
    stops = any(less > FREE and 2 * less > whole for less, whole in pairs)
    cache = proven.place / "cache.redb"
    before = cache.read_bytes()
    plan = (await planned(settings)).proposal
    assert plan is not None
    assert plan.gone == sum(lost.values())
    emptied = not keys(proven.primary, window)["episodes"]
    assert (plan.refusal is not None) == (stops or emptied)
    outcome = await once(Sync(), Request(settings, None))
    assert (outcome.exit_code == 9) == (stops or emptied), outcome.error
    if outcome.exit_code == 9:
        assert cache.read_bytes() == before
        outcome = await once(Sync(), Request(settings, None, Options(allow_shrink=True)))
    assert outcome.verdict is Word.IN_SYNC, outcome.error


async def test_an_exchange_of_all_episodes_for_newer_ones_is_stopped(proven: Store) -> None:
    """The window would have let the old ones go as well; another database under the same address looks just so."""
    await proven.restore()
    was = "CREATE TEMP TABLE was AS SELECT episode_id FROM episodes"
    gone = "DELETE FROM episodes WHERE episode_id IN (SELECT episode_id FROM was)"
    changed(proven.primary, [was, NEWER.format(count=60), gone], foreign_keys=False)
    lost, of = losses(proven.before, proven.primary, WINDOW)
    assert lost["episodes"] == of["episodes"]
    before = (proven.place / "cache.redb").read_bytes()
    outcome = await once(Sync(), Request(proven.settings, None))
    assert outcome.exit_code == 9
    assert (proven.place / "cache.redb").read_bytes() == before


async def test_what_belongs_to_deleted_episodes_is_lost_with_them(proven: Store) -> None:
    """Their embeddings stay in the primary, and leave the cache because their owner is gone."""
    await proven.restore()
    kept = "(SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT 5)"
    changed(proven.primary, [f"DELETE FROM episodes WHERE episode_id NOT IN {kept}"], foreign_keys=True)
    lost, of = losses(proven.before, proven.primary, WINDOW)
    assert lost["embeddings"] > FREE
    plan = (await planned(proven.settings)).proposal
    assert plan is not None
    assert plan.refusal is not None
    removed = sum(change.remove for change in plan.changes.values())
    assert removed == sum(lost.values()) == plan.gone
    assert f"the primary lost {removed:,} of {sum(of.values()):,} proven rows" in plan.refusal.message
    outcome = await once(Sync(), Request(proven.settings, None))
    assert outcome.error is not None
    assert outcome.error.message == plan.refusal.message
    assert outcome.exit_code == 9


async def test_a_window_that_slides_on_is_no_loss(proven: Store) -> None:
    await proven.restore()
    changed(proven.primary, [NEWER.format(count=60)], foreign_keys=True)
    plan = (await planned(proven.settings)).proposal
    assert plan is not None
    assert plan.changes["episodes"].remove > WINDOW // 2
    assert (plan.gone, plan.removes_ratio, plan.refusal) == (0, 0.0, None)
    assert (await once(Sync(), Request(proven.settings, None))).verdict is Word.IN_SYNC
