"""What the console asks about earlier runs, and what it exports."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from storage_sync.demo.demo import Demo
from storage_sync.service.commands import Do, ExportRows, GiveUp, ListCheckRuns, ListRuns, Question, ShowRun
from storage_sync.service.history_queries import with_ages
from storage_sync.service.operations import Verify
from storage_sync.values.answers import CheckRun, Exported, RunDetail, Runs
from storage_sync.values.events import Answer, Progressed, Refused
from storage_sync.values.outcome import CheckStatus, Word
from storage_sync.values.snapshot import RunSummary
from tests.service.test_service import NOW, proven, running, settings_of


def summary(number: int, started: float, exit_code: int = 0, kind: str = "sync") -> RunSummary:
    return RunSummary(f"s-{number}", kind, "interval", started, 2.0, 1, 0, 0, exit_code, "IN_SYNC")


def test_the_age_of_the_proof_is_since_the_last_good_end() -> None:
    newest_first = [
        summary(6, 600.0),
        replace(summary(5, 500.0), followed=True),
        summary(4, 400.0, kind="compact"),
        summary(3, 300.0, exit_code=3),
        summary(2, 200.0, exit_code=7),
        summary(1, 100.0),
    ]
    found = with_ages(newest_first, {"s-2": 120.0})
    assert [run.summary for run in found] == newest_first
    assert [run.proof_age for run in found] == [398.0, 298.0, 198.0, 98.0, 98.0, None]
    assert [run.rate for run in found] == [None, None, None, None, 120.0, None]


async def test_runs_their_details_and_their_checks(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    async with running(settings_of(demo)) as (service, watcher):
        await watcher.until(proven)
        await watcher.answer(watcher.ask(service, Do(Verify(deep=True))))
        answer = await watcher.answer(watcher.ask(service, ListRuns()))
        assert isinstance(answer, Answer)
        assert isinstance(answer.value, Runs)
        runs = answer.value.runs
        assert [run.summary.kind for run in runs] == ["verify", "sync"]
        assert runs[1].rate is not None
        assert runs[0].proof_age is not None
        assert answer.value.pings
        assert answer.value.file.endswith("history.db")

        answer = await watcher.answer(watcher.ask(service, ShowRun(runs[1].summary.id)))
        assert isinstance(answer, Answer)
        assert isinstance(answer.value, RunDetail)
        assert answer.value.document["verdict"] == Word.IN_SYNC
        assert {"fetch", "apply"} <= {name for name, _ in answer.value.steps}

        answer = await watcher.answer(watcher.ask(service, ListCheckRuns()))
        assert isinstance(answer, Answer)
        assert isinstance(answer.value, tuple)
        newest = answer.value[0]
        assert isinstance(newest, CheckRun)
        assert newest.run_id == runs[0].summary.id
        assert newest.statuses.count(CheckStatus.PASS) == 8

        refused = await watcher.answer(watcher.ask(service, ShowRun("s-nowhere")))
        assert isinstance(refused, Refused)
        assert "s-nowhere" in refused.reason


async def test_an_export_is_a_new_file_of_json_lines(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    rows: list[Mapping[str, object]] = [{"key": "[/b]\x1b[31m名前\ud800", "n": 1}, {"key": "b", "n": None}]
    async with running(settings_of(demo, access="read-only", on_start=False)) as (service, watcher):
        paths = []
        for _ in range(2):
            answer = await watcher.answer(watcher.ask(service, ExportRows("My Runs/../x", tuple(rows), str(tmp_path))))
            assert isinstance(answer, Answer)
            assert isinstance(answer.value, Exported)
            paths.append(Path(answer.value.path))
            assert answer.value.rows == 2
            assert answer.value.bytes == paths[-1].stat().st_size
        for reason, shown, folder in (
            ("nothing to export", rows[:0], tmp_path),
            ("cannot be written", rows, tmp_path / "no"),
        ):
            refused = await watcher.answer(watcher.ask(service, ExportRows("rows", tuple(shown), str(folder))))
            assert isinstance(refused, Refused)
            assert reason in refused.reason
    assert len(set(paths)) == 2
    assert all(path.parent == tmp_path for path in paths)
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o600
    assert [json.loads(line) for line in paths[0].read_text().splitlines()] == rows


async def test_an_export_says_how_far_it_is_and_leaves_nothing_when_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    class Held(dict[str, object]):
        """A row that is not written before the gate opens."""

        def items(self) -> Any:
            gate.wait(60.0)
            return super().items()

    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.setattr("storage_sync.reports.row_lines.TOLD_EVERY_S", 0.0)
    async with running(settings_of(demo, access="read-only", on_start=False)) as (service, watcher):
        rows: list[Mapping[str, object]] = [{"n": 1}, Held(n=2), {"n": 3}]
        number = watcher.ask(service, ExportRows("rows", tuple(rows), str(folder)))
        assert await watcher.heard(lambda event: event == Progressed(number, 1, 3))
        assert isinstance(await watcher.answer(watcher.ask(service, ListRuns())), Answer), "others do not wait for it"
        watcher.ask(service, GiveUp(number))
        assert isinstance(await watcher.answer(number), Refused)
        gate.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("question", [ListRuns(), ShowRun("s-1"), ListCheckRuns()])
async def test_without_a_history_there_is_nothing_to_say(tmp_path: Path, question: Question[object]) -> None:
    demo = Demo.create(tmp_path, episodes=2, now=int(NOW))
    async with running(settings_of(demo, access="read-only", on_start=False)) as (service, watcher):
        answer = await watcher.answer(watcher.ask(service, question))
    if isinstance(question, ShowRun):
        assert isinstance(answer, Refused)
    else:
        assert isinstance(answer, Answer)
        assert answer.value == () or (isinstance(answer.value, Runs) and answer.value.runs == ())
