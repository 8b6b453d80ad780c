"""Every kind of work through the long-running core: read as a plan, executed, undone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from storage_sync.demo.demo import Demo
from storage_sync.service import operations
from storage_sync.service.commands import Execute, MakePlan, Pause
from storage_sync.service.jobs import Job, weighed
from storage_sync.service.operations import (
    CountWritten,
    Diff,
    Doctor,
    Expect,
    Operation,
    Orphans,
    Peek,
    Ping,
    Purge,
    Rebuild,
    Recheck,
    Repair,
    Restore,
    Retry,
    Stage,
    Status,
    Sync,
    Undo,
    Unexpect,
    Verify,
)
from storage_sync.service.schedule import Trigger
from storage_sync.service.service import SyncService
from storage_sync.values.events import Answer, Refused
from storage_sync.values.next_step import NextStep
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Outcome, Plan, Word
from storage_sync.values.snapshot import Snapshot
from tests.service.test_service import NOW, Watcher, proven, running, settings_of
from tests.support import stores

LOOKS = {CountWritten, Verify, Diff, Status, Ping, Orphans, Doctor, Recheck, Peek, Expect, Unexpect, Retry, Stage}


async def planned(service: SyncService, watcher: Watcher, operation: Operation, options: Options = USUAL) -> Plan:
    answer = await watcher.answer(watcher.ask(service, MakePlan(operation, options)))
    assert isinstance(answer, Answer), answer
    assert isinstance(answer.value, Plan), answer.value
    return answer.value


async def executed(service: SyncService, watcher: Watcher, plan: Plan) -> Outcome:
    answer = await watcher.answer(watcher.ask(service, Execute(plan.id, plan.phrase or "")))
    assert isinstance(answer, Answer), answer
    assert isinstance(answer.value, Outcome)
    return answer.value


async def test_a_rebuild_is_typed_and_an_undo_puts_the_old_file_back(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        before = demo.cache.read_bytes()
        plan = await planned(service, watcher, Rebuild())
        assert plan.level == 3
        assert plan.phrase == "default"
        assert demo.cache.read_bytes() == before
        refused = await watcher.answer(watcher.ask(service, Execute(plan.id, "")))
        assert isinstance(refused, Refused)
        rebuilt = await executed(service, watcher, plan)
        assert rebuilt.proof is not None
        assert rebuilt.undoable
        back = await planned(service, watcher, Undo(rebuilt.run_id))
        assert back.level == 3
        restored = await executed(service, watcher, back)
        assert "file_restored" in restored.extra
        assert restored.undoable
    kinds = [run.kind for run in watcher.snapshots[-1].history.last]
    assert kinds[:2] == ["undo", "rebuild"]


async def test_an_outcome_says_that_it_can_be_undone_only_where_undo_says_so(tmp_path: Path) -> None:
    """The file that a repair replaced was damaged, and is never the cache again."""
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        demo.cache.write_bytes(bytes(4096))
        repaired = await executed(service, watcher, await planned(service, watcher, Repair()))
        assert "kept" in repaired.extra
        assert not repaired.undoable
        stores.execute(demo.primary, ["UPDATE episodes SET task_description = 'one' WHERE rowid = 3"])
        assert (await executed(service, watcher, await planned(service, watcher, Sync()))).undoable
        assert not (await executed(service, watcher, await planned(service, watcher, Sync()))).undoable


async def test_a_plan_for_nothing_says_so_and_changes_no_verdict(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        answer = await watcher.answer(watcher.ask(service, MakePlan(Restore((4711,)))))
        assert isinstance(answer, Refused)
        assert "4711" in answer.reason
        nothing = await watcher.answer(watcher.ask(service, MakePlan(Purge())))
        assert isinstance(nothing, Answer)
        assert isinstance(nothing.value, Outcome), "there is nothing to purge, and so no plan"
        assert proven(watcher.snapshots[-1])


async def test_look_only_refuses_every_plan_that_was_made(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo, access="read-only")) as (service, watcher):
        for operation in (Sync(), Rebuild(), Repair()):
            plan = await planned(service, watcher, operation)
            refused = await watcher.answer(watcher.ask(service, Execute(plan.id, plan.phrase or "")))
            assert isinstance(refused, Refused)
            assert "W" in refused.hint
    assert not demo.cache.exists()


def test_every_kind_is_a_plan_or_a_look() -> None:
    kinds = [
        kind
        for kind in vars(operations).values()
        if isinstance(kind, type) and issubclass(kind, Operation) and kind is not Operation
    ]
    assert len(kinds) > 20
    for operation in kinds:
        # stage keeps rows beside the cache; what commits them is a sync
        assert operation.planned != (operation in LOOKS), operation


@pytest.mark.parametrize(("level", "asked", "phrase"), [(2, None, None), (2, "prod", "prod"), (3, None, "prod")])
def test_a_kind_of_work_may_ask_for_more_than_its_rows(level: int, asked: str | None, phrase: str | None) -> None:
    plan = Plan("p-1", "undo", (1, ""), "", {}, (), 0.0, (), level, asked)
    assert weighed(Job(Undo(), Trigger.MANUAL), plan, "prod").phrase == phrase


def last_commit(commit: int, snapshot: Snapshot) -> bool:
    return snapshot.cache.acked == commit


async def test_few_rows_of_a_large_table_need_no_typing_whatever_was_done_to_the_file_before(tmp_path: Path) -> None:
    """A restore leaves a file of which no comparison has counted the rows yet: the plan counts them itself."""
    demo = Demo.create(tmp_path, episodes=60, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        stores.execute(demo.primary, ["DELETE FROM episodes WHERE rowid = 1"])
        synced = await executed(service, watcher, await planned(service, watcher, Sync()))
        assert synced.applied["episodes"].remove == 1
        last = watcher.snapshots[-1].cache.acked
        assert last is not None
        for number in range(1, 4):
            plan = await planned(service, watcher, Undo())
            assert (plan.level, plan.phrase) == (2, None), plan
            await executed(service, watcher, plan)
            # each is a commit that the witness has noted, without a proof
            await watcher.until(partial(last_commit, last + number))


async def test_a_primary_that_loses_most_of_a_table_stops_a_running_service(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=60, now=int(NOW))
    async with running(settings_of(demo, interval_s=1.0)) as (_, watcher):
        await watcher.until(proven)
        before = demo.cache.read_bytes()
        stores.execute(demo.primary, ["DELETE FROM episodes WHERE rowid % 10 < 8"])
        await watcher.until(lambda snapshot: snapshot.verdict is Word.REFUSED)
        error = watcher.snapshots[-1].error
        assert error is not None
        assert "proven rows or what they belong to (48 of 60 episodes" in error.message
        assert demo.cache.read_bytes() == before


@pytest.mark.parametrize("operation", [Sync(), Rebuild()])
async def test_rows_that_a_guard_keeps_go_only_by_a_typed_plan_of_their_own(
    tmp_path: Path, operation: Operation
) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo, interval_s=1.0)) as (service, watcher):
        await watcher.until(proven)
        before = demo.cache.read_bytes()
        stores.execute(demo.primary, ["DELETE FROM episodes"])
        stopped = await planned(service, watcher, operation)
        assert stopped.refusal is not None
        assert stopped.consent is NextStep.ALLOW_SHRINK
        refused = await watcher.answer(watcher.ask(service, Execute(stopped.id, stopped.phrase or "")))
        assert isinstance(refused, Refused)
        assert demo.cache.read_bytes() == before
        plan = await planned(service, watcher, operation, Options(allow_shrink=True))
        assert (plan.refusal, plan.consent, plan.level, plan.phrase) == (None, NextStep.ALLOW_SHRINK, 3, "default")
        assert plan.changes["episodes"].remove == 20
        assert plan.gone >= 20
        untyped = await watcher.answer(watcher.ask(service, Execute(plan.id, "")))
        assert isinstance(untyped, Refused)
        assert demo.cache.read_bytes() == before
        done = await executed(service, watcher, plan)
        assert done.proof is not None
        assert done.counts["episodes"].cache == 0
        await planned(service, watcher, Undo(done.run_id))
