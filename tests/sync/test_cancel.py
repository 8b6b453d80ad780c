"""Cancelling is at once before the commit, and never in it."""

from __future__ import annotations

import asyncio

import pytest

from storage_sync.sync.cancel import Cancel
from storage_sync.values.errors import Interrupted


async def test_a_waiting_run_stops_at_once() -> None:
    cancel = Cancel()
    running = asyncio.Event()

    async def work() -> None:
        running.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(cancel.run(work()))
    await running.wait()
    assert cancel.ask("by a test", 143)
    with pytest.raises(Interrupted, match="by a test") as caught:
        await task
    assert caught.value.actual_exit_code == 143


async def test_asked_before_the_start_it_never_runs() -> None:
    cancel = Cancel()
    cancel.ask("early")
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    with pytest.raises(Interrupted):
        await cancel.run(work())
    assert ran == []


async def test_a_commit_is_finished_and_its_result_kept() -> None:
    cancel = Cancel()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def commit() -> str:
        entered.set()
        await leave.wait()
        return "committed"

    task = asyncio.create_task(cancel.run(cancel.uncancellable(commit)))
    await entered.wait()
    assert cancel.committing
    assert not cancel.ask("too late")
    leave.set()
    assert await task == "committed"
    assert not cancel.committing


async def test_an_outer_cancellation_waits_for_the_commit() -> None:
    cancel = Cancel()
    entered, leave = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def commit() -> None:
        entered.set()
        await leave.wait()
        ended.append("commit")

    task = asyncio.create_task(cancel.uncancellable(commit))
    await entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    leave.set()
    await asyncio.wait({task})
    assert ended == ["commit"]
