"""What a plan says that its run reads and writes is what the run counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.service.operations import Operation, Rebuild, Repair, Sync
from storage_sync.service.performing import once
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Outcome, Plan
from storage_sync.values.planned import rows_written
from storage_sync.values.snapshot import Phase, Run
from tests.recovery.test_repair import other_pages
from tests.support import hrana, stores
from tests.support.sqld import Sqld

CHANGE = "UPDATE episodes SET task_description = 'another one' WHERE rowid <= 3"


@dataclass
class Place:
    settings: Settings
    write: Callable[[str], object]
    sends_all: bool
    """The primary cannot digest its rows, so it sends them all."""


@pytest.fixture(params=["file", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    primary = tmp_path / "primary.db"
    generate(primary, 7, 60)
    (tmp_path / "cache").mkdir()
    settings = Settings(
        primary=f"file:{primary}", cache=tmp_path / "cache" / "cache.redb", state_dir=tmp_path / "state"
    )
    if request.param == "file":
        yield Place(settings, lambda said: stores.execute(primary, [said]), sends_all=True)
        return
    with Sqld(primary) as server:
        remote = Settings(primary=server.url, cache=settings.cache, state_dir=settings.state_dir)
        yield Place(remote, lambda said: hrana.execute(server.url, [said]), sends_all=False)


def ended(place: Place, operation: Operation, options: Options = USUAL) -> tuple[Outcome, list[Run]]:
    seen: list[Run] = []
    outcome = asyncio.run(once(operation, Request(place.settings, None, options), seen.append))
    assert outcome.error is None
    return outcome, seen


def planned(place: Place, operation: Operation) -> Plan:
    plan = ended(place, operation, Options(plan_only=True))[0].proposal
    assert plan is not None
    return plan


def damage(place: Place) -> None:
    assert place.settings.cache is not None
    other_pages(place.settings.cache)


def expected(outcome: Outcome) -> int:
    return sum(count.expected or 0 for count in outcome.counts.values())


def test_the_plan_of_a_sync_reads_what_its_run_reads_and_changes_what_it_changes(place: Place) -> None:
    first, _ = ended(place, Sync())
    place.write(CHANGE)
    plan = planned(place, Sync())
    _, seen = ended(place, Sync())
    assert plan.compared == expected(first)
    assert plan.reads == seen[-1].done == (plan.compared if place.sends_all else 3)
    assert rows_written(plan) == seen[-1].writes == 3


@pytest.mark.parametrize("operation", [Repair(), Rebuild()], ids=lambda one: one.command)
def test_the_plan_of_a_new_file_reads_and_writes_what_its_run_does(place: Place, operation: Operation) -> None:
    ended(place, Sync())
    place.write(CHANGE)
    if isinstance(operation, Repair):
        damage(place)
    plan = planned(place, operation)
    outcome, seen = ended(place, operation)
    assert plan.compared == expected(outcome)
    assert plan.reads == seen[-1].done
    assert rows_written(plan) == seen[-1].writes == expected(outcome)


def test_a_plan_knows_how_long_it_looked_and_no_more(place: Place) -> None:
    plan = planned(place, Sync())
    outcome, _ = ended(place, Sync(), Options(plan_only=True))
    assert plan.looked_s is not None
    assert outcome.proposal is not None
    assert outcome.proposal.looked_s == pytest.approx(outcome.seconds.total - outcome.seconds.lock_wait)


def test_a_run_does_not_say_how_much_it_writes_before_it_has_compared(place: Place) -> None:
    ended(place, Sync())
    place.write(CHANGE)
    _, seen = ended(place, Sync())
    early = [run for run in seen if run.step in (Phase.LEASE, Phase.COPY, Phase.HASH, Phase.MANIFEST, Phase.FETCH)]
    assert {run.writes for run in early if run.done < seen[-1].done} == {None}
