"""Where the metrics get their figures: requests by status, the wait for the cache's lock, and the lag."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.reports import metric_facts
from storage_sync.reports.metrics import Facts
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.state.directory import open_state_dir
from storage_sync.sync.outcome_builder import Draft
from storage_sync.values.found import Basis, Found
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import Behind, CoreBeat, Freshness, RowsBehind, Snapshot
from tests.independent.redb_reader import RedbFile
from tests.support import processes, stores
from tests.support.command import Tool
from tests.support.network import answer, no_answer
from tests.support.relay import Relay
from tests.support.sqld import Sqld

NOW = 1_795_392_000.0


def gathered(settings: Settings, outcome: Outcome) -> Facts:
    assert settings.cache is not None
    assert settings.state_dir is not None
    history = open_state_dir(settings.state_dir, str(settings.cache)).history
    warnings: list[str] = []
    found = metric_facts.facts_of(outcome, settings, history, warnings.append)
    assert warnings == []
    return found


async def test_requests_are_told_by_their_status(tmp_path: Path) -> None:
    with Sqld(stores.primary("batch", tmp_path)) as server, Relay(server.port) as relay:
        settings = Settings(primary=relay.url, cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
        first = await once(Sync(), Request(settings, None))
        # probe, marks and cursor; the close of its stream is still under way when the run ends, or over
        assert first.transfer.by_code in ({"200": 3}, {"200": 4})
        relay.play(lambda number, path: {1: answer(503), 2: answer(429)}.get(number))
        second = await once(Sync(), Request(settings, None))
        assert second.transfer.by_code == {"503": 1, "429": 1, "200": 2}
        relay.play(lambda number, path: no_answer if number == 1 else None)
        third = await once(Sync(), Request(settings, None))
        assert third.transfer.by_code == {"none": 1, "200": 2}
        totals = gathered(settings, third).totals
    codes = {label: value for (kind, label), value in totals.items() if kind == "requests"}
    assert codes == {"200": first.transfer.by_code["200"] + 4, "503": 1, "429": 1, "none": 1}


async def test_a_wait_for_the_lock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    settings = Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir)
    free = await once(Sync(), Request(settings, None))
    assert (free.seconds.lock_wait, gathered(settings, free).lock_wait_s) == (0.0, 0.0)
    waiting = asyncio.Event()
    pause = Draft.wait_for_lock

    async def noted(draft: Draft) -> None:
        await pause(draft)
        waiting.set()

    monkeypatch.setattr(Draft, "wait_for_lock", noted)
    demo.grow(1, NOW)
    with processes.running(processes.HOLD_REDB, demo.cache, "write"):
        run = asyncio.create_task(once(Sync(), Request(settings, None, Options(wait_s=120.0))))
        await waiting.wait()
    outcome = await run
    assert outcome.verdict is Word.IN_SYNC
    assert outcome.seconds.lock_wait >= 0.05
    assert gathered(settings, outcome).lock_wait_s == pytest.approx(outcome.seconds.lock_wait, abs=1e-3)


def behind(tables: dict[str, Behind], at: float) -> Found[RowsBehind]:
    return Found(RowsBehind(tables), Basis(None), at)


@pytest.mark.parametrize(
    ("freshness", "verdict", "lag"),
    [
        (Freshness(), Word.UNKNOWN, None),
        (Freshness(behind=behind({}, NOW - 9)), Word.IN_SYNC, 0.0),
        (Freshness(behind=behind({}, NOW - 9)), Word.UNKNOWN, None),
        (Freshness(behind=behind({}, NOW - 30), moved_at=NOW - 9), Word.STALE, 9.0),
        (Freshness(moved_at=NOW + 9), Word.STALE, 0.0),
        (Freshness(behind=behind({"episodes": Behind(0, 1, 0)}, NOW - 5)), Word.STALE, 5.0),
        (Freshness(behind=behind({"episodes": Behind(0, 0, 0)}, NOW - 5)), Word.DRIFT, None),
    ],
)
def test_the_lag_counts_from_when_the_primary_was_seen_elsewhere(
    freshness: Freshness, verdict: Word, lag: float | None
) -> None:
    snapshot = Snapshot(seq=1, taken_at=NOW, beat=CoreBeat(at=NOW), freshness=freshness)
    assert metric_facts.seen_now(Facts(lag_s=77.0), snapshot, verdict, NOW).lag_s == lag


async def test_after_a_proof_there_is_no_lag_and_without_one_it_is_unknown(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    settings = Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir)
    assert gathered(settings, await once(Sync(), Request(settings, None))).lag_s == 0.0
    demo.primary.rename(tmp_path / "away")
    failed = await once(Sync(), Request(settings, None, max_attempts=1))
    assert failed.error is not None
    assert gathered(settings, failed).lag_s is None


def told(tool: Tool, folder: Path, *words: str) -> str:
    """The metrics file after a command."""
    target = folder / "metrics.prom"
    tool.run(*words, "--metrics-file", str(target))
    return target.read_text()


def test_drift_is_told_where_it_was_found_and_gone_when_it_is_mended(tmp_path: Path) -> None:
    tool = Tool.at(tmp_path, f"file:{stores.primary('small', tmp_path / 'p')}")
    assert "storage_sync_drift_rows{" not in told(tool, tmp_path, "sync")
    key, value = next(iter(RedbFile(tool.cache).rows("heuristics")))
    digest = _native.digest("blake3", bytes(value))
    _native.edit(str(tool.cache), [("heuristics", bytes(key).decode(), digest, None)], {}, None, 0)
    assert 'storage_sync_drift_rows{kind="absent",table="heuristics"} 1.0' in told(tool, tmp_path, "verify")
    assert "storage_sync_drift_rows{" not in told(tool, tmp_path, "sync")


def test_a_file_that_went_back_is_counted_once(tmp_path: Path) -> None:
    database = stores.primary("small", tmp_path / "p")
    tool = Tool.at(tmp_path, f"file:{database}")
    assert "\nstorage_sync_rollbacks_detected_total 0.0\n" in told(tool, tmp_path, "sync")
    kept = tool.cache.read_bytes()
    stores.execute(database, ["UPDATE episodes SET task_description = 'later'"])
    tool.sync()
    tool.cache.write_bytes(kept)
    assert "\nstorage_sync_rollbacks_detected_total 1.0\n" in told(tool, tmp_path, "sync", "--repair")


def test_a_primary_that_is_not_there_is_not_up(tmp_path: Path) -> None:
    database = stores.primary("small", tmp_path / "p")
    tool = Tool.at(tmp_path, f"file:{database}")
    assert "\nstorage_sync_primary_up 1.0\n" in told(tool, tmp_path, "sync")
    database.rename(tmp_path / "away.db")
    assert "\nstorage_sync_primary_up 0.0\n" in told(tool, tmp_path, "sync")


def test_what_waits_and_how_long_the_lock_was_held_are_told(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    tool = Tool.at(tmp_path / "tool", f"file:{demo.primary}")
    metrics = tmp_path / "metrics.prom"
    tool.sync()
    stores.execute(demo.primary, ["UPDATE episodes SET task_description = 'other'"])
    tool.sync("--metrics-file", str(metrics))
    first = metrics.read_text()
    assert "storage_sync_waiting_rows 0.0" in first
    assert "\nstorage_sync_waiting_since_timestamp_seconds " not in first
    (held,) = [line for line in first.splitlines() if line.startswith("storage_sync_lock_held_seconds_total ")]
    assert 0 < float(held.split()[1]) < 60


@pytest.mark.parametrize(("dimension", "failed"), [("384", False), ("385", True)])
def test_vectors_are_judged_by_the_dimension_that_is_set(tmp_path: Path, dimension: str, failed: bool) -> None:
    demo = Demo.create(tmp_path, episodes=5, now=int(NOW))
    Tool.at(tmp_path / "tool", f"file:{demo.primary}").sync()
    tool = Tool.at(tmp_path / "tool", f"file:{demo.primary}", STORAGE_SYNC_EMBEDDING_DIMENSION=dimension)
    checks = {check["name"]: check["status"] for check in tool.json("verify").document["checks"]}
    assert checks["embedding_vectors"] == ("fail" if failed else "pass")
