"""Advice from figures: what is said, by how much, and when nothing is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.reports.advice import Figures, advise, figures_of, to_json
from storage_sync.service.operations import Doctor, Sync
from storage_sync.service.performing import once
from storage_sync.state.history import History
from storage_sync.values.outcome import CheckStatus
from storage_sync.values.snapshot import Advice, RunSummary

CALM = Figures(
    window=1000,
    batch_size=100,
    interval_s=300.0,
    staleness_s=900.0,
    episodes=1000,
    rows=2500,
    cache_bytes=5_000_000,
    disk_free=10**12,
    rows_per_s=5000.0,
    ping_ms=20.0,
    quiet_run_s=0.3,
    moved_rows=40,
    requests=4,
)


def only(figures: Figures) -> Advice:
    (advice,) = advise(figures)
    return advice


def test_nothing_is_said_when_little_would_be_won_or_nothing_is_known() -> None:
    assert advise(CALM) == ()
    assert advise(Figures(1000, 100, 300.0, 900.0)) == ()


def test_a_quiet_sync_that_fills_the_interval_wants_a_smaller_window() -> None:
    advice = only(replace(CALM, window=100_000, episodes=100_000, quiet_run_s=60.0))
    assert (advice.setting, advice.now, advice.suggested) == ("max_episodes_cache", 100_000, 50_000)
    assert advice.saves_s == pytest.approx(30.0)
    assert advice.saves_bytes == 2_500_000
    assert "takes 60 s, 20 % of interval_s" in advice.text
    assert "about 30 s instead of 60 s" in advice.text


def test_a_first_sync_longer_than_a_proof_may_be_old_wants_a_smaller_window() -> None:
    advice = only(replace(CALM, rows=9_000_000))
    assert advice.suggested == 250
    assert "1800 s, longer than staleness_s" in advice.text


def test_a_full_disk_wants_a_smaller_window() -> None:
    advice = only(replace(CALM, disk_free=5_000_000))
    assert (advice.suggested, advice.saves_bytes) == (500, 2_500_000)
    assert "5,000,000 bytes of free space" in advice.text


def test_the_tightest_reason_is_the_one_that_is_told() -> None:
    advice = only(replace(CALM, quiet_run_s=60.0, disk_free=1_000_000))
    assert advice.suggested == 100


def test_a_window_that_is_not_full_is_measured_by_its_episodes() -> None:
    assert only(replace(CALM, window=10**6, episodes=1000, quiet_run_s=300.0)).suggested == 100


def test_requests_that_grow_with_the_batches_want_a_larger_batch() -> None:
    slow = replace(CALM, moved_rows=5000, requests=54, ping_ms=100.0, rows_per_s=800.0, batch_size=100)
    advice = only(slow)
    assert (advice.setting, advice.now, advice.suggested) == ("batch_size", 100, 2000)
    assert advice.saves_s == pytest.approx((50 - 3) * 0.1)
    assert "waits for the primary 50 times, 100 ms each" in advice.text
    assert "fetching would take about 1.5 s instead of 6.2 s" in advice.text


def test_rows_that_come_as_one_stream_gain_nothing_from_a_larger_batch() -> None:
    assert advise(replace(CALM, moved_rows=5000, requests=3, ping_ms=100.0, rows_per_s=800.0)) == ()


def run(name: str, at: float, new: int, took: float, requests: int) -> RunSummary:
    return RunSummary(name, "sync", "interval", at, took, new, 0, 0, 0, "IN_SYNC", requests=requests)


def test_figures_come_from_the_history(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache.redb", interval_s=10.0)
    (tmp_path / "cache.redb").write_bytes(b"x" * 1000)
    document = {"counts": {"episodes": {"expected": 800}, "embeddings": {"expected": 200}, "index": {"expected": None}}}
    warnings: list[str] = []
    with History.open(tmp_path / "history.db", warnings.append) as book:
        for number, took in enumerate((1.0, 3.0, 2.0)):
            book.record_run(run(f"q{number}", number, 0, took, 2), document=document)
        book.record_run(run("m", 0.5, 60, 5.0, 4), document={}, rows_fetched=60, fetch_s=0.5)
        book.record_ping(1.0, 12.0)
        figures = figures_of(book, settings)
    assert warnings == []
    assert (figures.episodes, figures.rows, figures.cache_bytes) == (800, 1000, 1000)
    assert (figures.quiet_run_s, figures.moved_rows, figures.requests) == (2.0, 60, 4)
    assert (figures.rows_per_s, figures.ping_ms) == (120.0, 12.0)
    (told,) = to_json(advise(figures))
    assert (told["setting"], told["suggested"]) == ("max_episodes_cache", 400)


async def test_a_sync_and_the_doctor_say_it(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=30)
    calm = Settings(primary=f"file:{demo.primary}", cache=demo.cache, state_dir=demo.state_dir)
    first = await once(Sync(), Request(calm, None))
    assert first.extra["advice"] == []
    hectic = msgspec.structs.replace(calm, interval_s=0.001)
    second = await once(Sync(), Request(hectic, None))
    found = second.extra["advice"]
    assert isinstance(found, list)
    (told,) = found
    assert (told["setting"], told["suggested"] < 30) == ("max_episodes_cache", True)
    (check,) = [check for check in (await once(Doctor(), Request(hectic, None))).checks if check.name == "advice"]
    assert check.status is CheckStatus.PASS
    assert "max_episodes_cache = " in str(check.actual)


def test_an_empty_history_advises_nothing(tmp_path: Path) -> None:
    with History.open(tmp_path / "history.db", lambda why: None) as book:
        assert to_json(advise(figures_of(book, Settings()))) == []
