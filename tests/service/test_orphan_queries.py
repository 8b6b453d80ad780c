"""Scan, query, detail, marks and export through the long-running core, on a demo."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from storage_sync import _native
from storage_sync.demo.demo import Demo
from storage_sync.embeddings.detail import Detail, Neighbours
from storage_sync.embeddings.export import export
from storage_sync.embeddings.index import OrphanIndex
from storage_sync.embeddings.query import View
from storage_sync.embeddings.reason import Reason
from storage_sync.embeddings.wanted import Marked, Marks, Wanted
from storage_sync.service.commands import (
    Do,
    ExportOrphans,
    FindNeighbours,
    GiveUp,
    Pause,
    QueryOrphans,
    ResolveMarks,
    ScanOrphans,
    ShowOrphan,
)
from storage_sync.service.operations import Expect, Unexpect
from storage_sync.service.service import SyncService
from storage_sync.values.answers import Exported
from storage_sync.values.events import Accepted, Progressed, Refused
from storage_sync.values.outcome import Outcome
from tests.service.test_service import NOW, Watcher, proven, running, settings_of

LOST = "episode_00000000-0000-4000-8000-000000000000"


def lose(cache: Path) -> None:
    """Put a vector under the key of an episode that is nowhere."""
    file = _native.CacheFile.open(str(cache), "read")
    value = next(value for _, value in file.page("embeddings", None, 1))
    generation = int(file.meta()["generation"])
    file.close()
    _native.edit(str(cache), [("embeddings", LOST, None, value)], {}, generation, int(NOW * 1000))


def written(folder: Path) -> list[Path]:
    return list(folder.glob("one.jsonl*"))


async def scanned(service: SyncService, watcher: Watcher) -> OrphanIndex:
    index = await watcher.told(service, ScanOrphans())
    assert isinstance(index, OrphanIndex)
    return index


async def test_from_the_scan_to_the_export(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        lose(demo.cache)
        index = await scanned(service, watcher)
        number = index.keys.index(LOST)
        assert index.reason(number) is Reason.OWNER_NOWHERE
        assert index.row(number).first_seen is not None
        assert index.primary_problem == ""

        view = await watcher.told(service, QueryOrphans(index, Wanted("reason:nowhere")))
        assert isinstance(view, View)
        assert [view.at(place) for place in range(len(view))] == [-1, number]
        facts = await watcher.told(service, ShowOrphan(index, number))
        assert isinstance(facts, Detail)
        assert facts.vector is not None
        assert facts.vector.count == 384
        near = await watcher.told(service, FindNeighbours(index, number))
        assert isinstance(near, Neighbours)
        assert round(near.nearest[0].cosine, 6) == 1.0
        assert near.nearest[0].title is not None
        marked = await watcher.told(service, ResolveMarks(index, Marks("reason:nowhere")))
        assert isinstance(marked, Marked)
        assert marked.keys == (LOST,)
        target = tmp_path / "out.jsonl"
        done = await watcher.told(service, ExportOrphans(index, str(target), Wanted(), Marks(keys=frozenset({LOST}))))
        assert isinstance(done, Exported)
        assert [json.loads(line)["key"] for line in target.read_text().splitlines()] == [LOST]


async def test_a_long_export_holds_nothing_up_and_leaves_no_file_when_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(*_: object, **__: object) -> Iterator[bytes]:
        while True:
            begun.set()
            yield b"{}\n"

    def watched(index: OrphanIndex, rows: Sequence[int], path: str, **options: Any) -> Exported:
        try:
            return export(index, rows, path, **options)
        finally:
            if path:
                ended.set()

    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    monkeypatch.setattr("storage_sync.embeddings.export.lines", endless)
    monkeypatch.setattr("storage_sync.embeddings.export.export", watched)
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        index = await scanned(service, watcher)
        first = watcher.ask(service, ExportOrphans(index, str(tmp_path / "one.jsonl"), Wanted(), Marks()))
        await asyncio.to_thread(begun.wait, 60.0)
        assert isinstance(await watcher.told(service, QueryOrphans(index, Wanted())), View)
        second = watcher.ask(service, ExportOrphans(index, "", Wanted(), Marks()))
        for number in (first, second):
            assert isinstance(await watcher.answer(number), Refused)
        assert await asyncio.to_thread(ended.wait, 60.0)
    assert written(tmp_path) == []


async def test_a_long_export_says_how_far_it_is_and_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def held(*_: object, **__: object) -> Iterator[bytes]:
        yield b"{}\n"
        gate.wait(60.0)
        yield b"{}\n"

    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    monkeypatch.setattr("storage_sync.reports.row_lines.TOLD_EVERY_S", 0.0)
    monkeypatch.setattr("storage_sync.embeddings.export.lines", held)
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        index = await scanned(service, watcher)
        wanted = Wanted("!reason:attached")
        view = await watcher.told(service, QueryOrphans(index, wanted))
        assert isinstance(view, View)
        number = watcher.ask(service, ExportOrphans(index, str(tmp_path / "one.jsonl"), wanted, Marks()))
        far = await watcher.heard(lambda event: isinstance(event, Progressed))
        assert far == Progressed(number, 1, view.rows)
        watcher.ask(service, GiveUp(number))
        refused = await watcher.answer(number)
        assert isinstance(refused, Refused)
        assert refused.reason == "you cancelled it; nothing was kept"
        gate.set()
        other = watcher.ask(service, GiveUp(number))
        assert await watcher.heard(lambda event: event == Accepted(other))
    await asyncio.get_running_loop().shutdown_default_executor()
    assert written(tmp_path) == []
    assert [event for event in watcher.events if isinstance(event, Progressed)] == [far]


async def test_what_lies_near_is_computed_for_the_row_where_the_cursor_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []

    def noted(index: OrphanIndex, number: int) -> Neighbours:
        computed.append(number)
        return Neighbours(index.revision, number, ())

    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        index = await scanned(service, watcher)
        monkeypatch.setattr("storage_sync.service.orphan_queries.REST_S", 30.0)
        passed = [watcher.ask(service, FindNeighbours(index=index, number=number)) for number in range(5)]
        await asyncio.sleep(0)
        monkeypatch.setattr("storage_sync.embeddings.detail.neighbours", noted)
        monkeypatch.setattr("storage_sync.service.orphan_queries.REST_S", 0.0)
        near = await watcher.told(service, FindNeighbours(index, 5))
        assert isinstance(near, Neighbours)
        for number in passed:
            assert isinstance(await watcher.answer(number), Refused)
    assert (near.number, computed) == (5, [5])


async def test_expected_and_not_any_more(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        lose(demo.cache)
        first = await scanned(service, watcher)
        done = await watcher.told(service, Do(Expect((LOST,), "a test")))
        assert isinstance(done, Outcome)
        index = await scanned(service, watcher)
        assert index.row(index.keys.index(LOST)).expected == "a test"
        assert index.row(index.keys.index(LOST)).first_seen == first.row(first.keys.index(LOST)).first_seen
        done = await watcher.told(service, Do(Unexpect((LOST,))))
        assert isinstance(done, Outcome)
        assert done.extra["unexpected"] == [LOST]
        index = await scanned(service, watcher)
        assert index.row(index.keys.index(LOST)).expected is None
        assert index.revision > first.revision


async def test_questions_that_cannot_be_answered(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        index = await scanned(service, watcher)
        answer = await watcher.answer(watcher.ask(service, ShowOrphan(index=index, number=len(index))))
        assert isinstance(answer, Refused)
        answer = await watcher.answer(watcher.ask(service, QueryOrphans(index=index, wanted=Wanted("colour:red"))))
        assert isinstance(answer, Refused)
        assert "colour" in answer.reason


async def test_a_primary_that_is_gone_leaves_owners_unknown(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=20, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        watcher.ask(service, Pause(True))
        lose(demo.cache)
        demo.primary.rename(tmp_path / "elsewhere.db")
        index = await scanned(service, watcher)
        assert index.reason(index.keys.index(LOST)) is Reason.OWNER_UNKNOWN
        assert index.primary_problem
        assert index.row(index.keys.index(LOST)).owner_in_primary is None
