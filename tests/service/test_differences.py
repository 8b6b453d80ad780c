"""Rows that differ, page by page, and both sides of each."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.demo.demo import Demo
from storage_sync.service.commands import CompareRows
from storage_sync.service.differences import sides
from storage_sync.service.service import SyncService
from storage_sync.values.answers import ColumnDifference, Difference, Differences
from storage_sync.values.events import Answer, Refused
from tests.service.test_service import NOW, Watcher, proven, running, settings_of

ALL = CompareRows()


async def compared(service: SyncService, watcher: Watcher, question: CompareRows = ALL) -> Differences:
    answer = await watcher.answer(watcher.ask(service, question))
    assert isinstance(answer, Answer), answer
    assert isinstance(answer.value, Differences)
    return answer.value


async def every_page(service: SyncService, watcher: Watcher, limit: int) -> list[Difference]:
    rows: list[Difference] = []
    while True:
        found = await compared(service, watcher, CompareRows(limit=limit, after=rows[-1] if rows else None))
        assert len(found.rows) <= limit
        rows += found.rows
        if not found.more:
            assert len(rows) == found.total
            return rows


async def test_missing_changed_and_surplus_rows_with_both_sides(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=12, now=int(NOW))
    async with running(settings_of(demo, max_episodes_cache=8)) as (_, watcher):
        await watcher.until(proven)
    cached = demo.cache.read_bytes()
    with closing(sqlite3.connect(demo.primary)) as db:
        newest = [row[0] for row in db.execute("SELECT episode_id FROM episodes ORDER BY start_time DESC")]
        db.execute("UPDATE episodes SET task_description = '[/b] moved' WHERE episode_id = ?", (newest[1],))
        db.execute("DELETE FROM episodes WHERE episode_id = ?", (newest[2],))
        db.commit()
    async with running(settings_of(demo, max_episodes_cache=9, access="read-only", on_start=False)) as (service, one):
        whole = await compared(service, one)
        episodes = {row.key: row for row in whole.rows if row.table == "episodes"}
        assert not whole.more
        assert whole.generation == 1
        kinds = {key: row.kind for key, row in episodes.items()}
        assert kinds[newest[1]] == "differs"
        assert kinds[newest[2]] == "surplus"
        assert [kinds[key] for key in newest[8:10]] == ["missing", "missing"]

        changed = episodes[newest[1]].columns
        assert [column.name for column in changed if not column.equal] == ["task_description"]
        assert changed[0].primary == "[/b] moved"
        assert changed[0].cache not in (None, changed[0].primary)
        assert all(column.cache is None for column in episodes[newest[8]].columns)
        assert all(column.primary is None for column in episodes[newest[2]].columns)

        only = await compared(service, one, CompareRows(("episodes",)))
        assert {row.table for row in only.rows} == {"episodes"}
        assert only.total == len(episodes)
        for limit in (1, 2, 1000):
            assert await every_page(service, one, limit) == list(whole.rows)
    assert demo.cache.read_bytes() == cached


async def test_nothing_differs_after_a_proof(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        assert (await compared(service, watcher)).total == 0


async def test_a_primary_that_is_gone_is_a_refusal(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo, access="read-only", on_start=False)) as (service, watcher):
        demo.primary.unlink()
        answer = await watcher.answer(watcher.ask(service, CompareRows()))
    assert isinstance(answer, Refused)
    assert answer.reason


@pytest.mark.parametrize("data", [b"", b"\xff" * 9])
def test_a_value_that_cannot_be_read_is_said(data: bytes) -> None:
    (column,) = sides("episodes", None, data)
    assert column.name == "*"
    assert column.cache is not None
    assert "not decodable" in column.cache


def test_a_vector_says_where_it_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {b"1": b"[" + b",".join([b"0.5"] * 20) + b"]", b"2": b"[" + b",".join([b"0.5"] * 19) + b",0.25]"}
    monkeypatch.setattr(_native, "decode_value", lambda table, data: values[data])
    assert sides("embeddings", b"1", b"2") == (
        ColumnDifference("value", "20 values, [19] 0.5", "20 values, [19] 0.25"),
    )
    assert sides("embeddings", b"1", b"1") == (ColumnDifference("value", "20 values", "20 values", True),)
