"""A plan is what was agreed to: of another cache, or with more rows that are lost, it is not carried out."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Plan, Word
from tests.support import stores

SAID = "UPDATE episodes SET task_description = '{}'"
LOSES = "DELETE FROM heuristics WHERE heuristic_id = (SELECT min(heuristic_id) FROM heuristics)"


@pytest.fixture
async def proven(tmp_path: Path) -> Settings:
    primary = stores.primary("v47-small", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    return settings


def changed(settings: Settings, *statements: str) -> None:
    assert settings.primary is not None
    stores.execute(Path(settings.primary.removeprefix("file:")), statements)


async def planned(settings: Settings) -> Plan:
    plan = (await once(Sync(), Request(settings, None, Options(plan_only=True)))).proposal
    assert plan is not None
    return plan


async def carried_out(settings: Settings, plan: Plan) -> Outcome:
    return await once(Sync(), Request(settings, None, Options(expected_plan=plan)))


async def refused(settings: Settings, plan: Plan, why: str) -> None:
    assert settings.cache is not None
    before = settings.cache.read_bytes()
    outcome = await carried_out(settings, plan)
    assert (outcome.exit_code, outcome.verdict, outcome.proof) == (9, Word.REFUSED, None)
    assert outcome.error is not None
    assert why in outcome.error.message
    assert settings.cache.read_bytes() == before


async def test_a_plan_of_an_earlier_state_of_the_cache_is_refused(proven: Settings) -> None:
    changed(proven, SAID.format("first"))
    plan = await planned(proven)
    assert (await once(Sync(), Request(proven, None))).verdict is Word.IN_SYNC
    changed(proven, SAID.format("second"))
    await refused(proven, plan, "the cache has changed")
    assert (await carried_out(proven, await planned(proven))).verdict is Word.IN_SYNC


async def test_a_plan_is_refused_when_more_rows_are_lost_by_now(proven: Settings) -> None:
    changed(proven, LOSES)
    plan = await planned(proven)
    assert plan.gone == 1
    changed(proven, LOSES)
    await refused(proven, plan, "2 rows would be removed instead of 1")
    assert (await carried_out(proven, await planned(proven))).verdict is Word.IN_SYNC


async def test_a_primary_that_goes_on_without_losing_more_voids_no_plan(proven: Settings) -> None:
    changed(proven, LOSES)
    plan = await planned(proven)
    changed(proven, SAID.format("later"))
    assert (await carried_out(proven, plan)).verdict is Word.IN_SYNC
