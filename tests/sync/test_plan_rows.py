"""What a plan fetched is not fetched again by the run that executes it, and is proven as if it had been."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.service.commands import Execute, MakePlan, Pause
from storage_sync.service.operations import Sync
from storage_sync.service.service import SyncService
from storage_sync.sync.plan_rows import PlanRows
from storage_sync.values.events import Answer, RunEnded
from storage_sync.values.outcome import Outcome, Plan, Word
from tests.independent.projection_check import check
from tests.service.test_service import Watcher, proven, running
from tests.support import hrana, stores
from tests.support.sqld import Sqld

HEAVY = "UPDATE episodes SET task_description = hex(randomblob(10000)) WHERE rowid <= 20"
LIGHT_BYTES = 20_000
"""Less than two heavy rows weigh."""


@dataclass
class Place:
    server: Sqld
    settings: Settings
    folder: Path

    def write(self, *statements: str) -> None:
        hrana.execute(self.server.url, statements)

    def equal(self) -> None:
        """The cache is the projection of the primary, for a second opinion."""
        assert self.settings.cache is not None
        assert check(stores.quiet_copy(self.server.database, self.folder / "copy"), self.settings.cache).holds()

    def left(self) -> list[str]:
        """What is left of a plan in the state folder, or beside the cache."""
        state, cache = self.settings.state_dir, self.settings.cache
        assert state is not None
        assert cache is not None
        return [path.name for path in (*state.rglob("plan.redb"), *cache.parent.glob("*.build-*"))]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    primary = tmp_path / "primary.db"
    generate(primary, 7, 60)
    with Sqld(primary) as server:
        settings = Settings(
            primary=server.url,
            cache=tmp_path / "cache" / "cache.redb",
            state_dir=tmp_path / "state",
            interval_s=3600.0,
            staleness_s=3600.0,
            poll_s=3600.0,
        )
        (tmp_path / "cache").mkdir()
        yield Place(server, settings, tmp_path)


async def planned(service: SyncService, watcher: Watcher) -> tuple[Plan, Outcome]:
    """The plan, and the run that made it."""
    plan = await watcher.told(service, MakePlan(Sync()))
    assert isinstance(plan, Plan)
    return plan, ended(watcher)


async def executed(service: SyncService, watcher: Watcher, plan: Plan) -> Outcome:
    answer = await watcher.answer(watcher.ask(service, Execute(plan.id, plan.phrase or "")))
    assert isinstance(answer, Answer), answer
    outcome = ended(watcher)
    assert outcome.verdict is Word.IN_SYNC
    assert outcome.proof is not None
    return outcome


def ended(watcher: Watcher) -> Outcome:
    return [event.outcome for event in watcher.events if isinstance(event, RunEnded)][-1]


async def test_a_changed_row_is_fetched_once_by_a_plan_and_its_execution(place: Place) -> None:
    async with running(place.settings) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        place.write(HEAVY)
        plan, making = await planned(service, watcher)
        # random octets as hex digits, which are compressed on the way to the octets and not below
        assert making.transfer.bytes_received > 20 * 10_000
        assert place.left() == ["plan.redb"]
        doing = await executed(service, watcher, plan)
        assert doing.applied["episodes"].update == 20
        assert doing.transfer.bytes_received < LIGHT_BYTES
        assert doing.transfer.requests <= making.transfer.requests
        assert place.left() == []
    place.equal()


async def test_what_changed_since_the_plan_is_fetched_again_and_nothing_else(place: Place) -> None:
    async with running(place.settings) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        place.write(HEAVY)
        plan, _ = await planned(service, watcher)
        place.write("UPDATE episodes SET task_description = 'short' WHERE rowid = 3")
        doing = await executed(service, watcher, plan)
        assert doing.applied["episodes"].update == 20
        assert doing.transfer.bytes_received < LIGHT_BYTES
    place.equal()


@pytest.mark.parametrize(
    ("identity", "generation", "taken"), [(b"one", 3, True), (b"two", 3, False), (b"one", 4, False)]
)
def test_rows_are_taken_for_what_they_were_fetched_for_and_once(
    tmp_path: Path, identity: bytes, generation: int, taken: bool
) -> None:
    rows, path = PlanRows(), tmp_path / "cache.redb.build-1"
    staged = rows.place(tmp_path / "copies") / "plan.redb"
    staged.write_bytes(b"rows")
    rows.keep(staged, b"one", 3)
    assert rows.take(path, identity, generation) is taken
    assert path.exists() is taken
    assert not staged.exists()
    assert not rows.take(tmp_path / "other", b"one", 3)


def test_another_plan_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    rows = PlanRows()
    staged = rows.place(tmp_path / "copies") / "plan.redb"
    staged.write_bytes(b"rows")
    rows.keep(staged, b"one", 3)
    assert rows.place(tmp_path / "copies").is_dir()
    assert not staged.exists()
    rows.close()
    assert list((tmp_path / "copies").rglob("plan.redb")) == []
