"""Metrics: every name of the contract, in a form that Prometheus reads."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from storage_sync.files.kinds import NotUsable
from storage_sync.reports.metrics import Facts, render, write_textfile
from storage_sync.values.followed import Followed
from storage_sync.values.outcome import CacheState, TableCounts, Word
from storage_sync.values.snapshot import Hold

FULL = Facts(
    verdict=Word.IN_SYNC,
    states=(CacheState.CLEAN,),
    last_success_at=10.0,
    last_attempt_at=11.0,
    last_exit_code=0,
    lag_s=3.0,
    proof_age_s=4.0,
    generation=7,
    counts={"episodes": TableCounts(12, 10, 11, 1, 0)},
    drift={"episodes": {"rotten": 2}},
    quarantined=0,
    orphans=5,
    cache_bytes=4096,
    payload_bytes=1000,
    disk_free=10_000,
    primary_up=True,
    primary_latency_s=0.044,
    lock_wait_s=0.0,
    waiting_rows=6,
    waiting_since=8.0,
    memory_only=1,
    copied_bytes=300,
    copies_wait_until=12.0,
    rows_read_today=1210,
    rows_a_day=100_000,
    hold=Hold.SPREAD,
    interval_s=300.0,
    wait_notice_s=1800.0,
    followed=Followed(changes=2, at=9.0, generation=7, root="aa"),
    redb="4.6.0",
    enc="1",
    totals={
        ("runs", "in sync"): 3.0,
        ("changes", "episodes\tinsert"): 9.0,
        ("bytes", ""): 100.0,
        ("requests", "200"): 8.0,
        ("retries", ""): 1.0,
        ("rows_read", "proof"): 3423.0,
        ("unmetered", "fetch"): 1.0,
        ("repairs", "reseed"): 1.0,
        ("rollbacks", ""): 1.0,
        ("bitrot_keys", ""): 2.0,
        ("phase_count", "fetch"): 2.0,
        ("phase_seconds", "fetch"): 0.7,
        ("phase_bucket", "fetch\t0.1"): 1.0,
        ("phase_bucket", "fetch\t1"): 1.0,
    },
)


def samples(facts: Facts) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(render(facts).decode())
    return {
        (sample.name.removeprefix("storage_sync_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("last_success_timestamp_seconds", {}, 10),
        ("last_attempt_timestamp_seconds", {}, 11),
        ("last_exit_code", {}, 0),
        ("lag_seconds", {}, 3),
        ("in_sync", {}, 1),
        ("proof_age_seconds", {}, 4),
        ("generation", {}, 7),
        ("rows", {"table": "episodes", "side": "primary"}, 12),
        ("rows", {"table": "episodes", "side": "cache_only"}, 1),
        ("changes_total", {"table": "episodes", "op": "insert"}, 9),
        ("drift_rows", {"table": "episodes", "kind": "rotten"}, 2),
        ("quarantined_rows", {}, 0),
        ("orphan_embeddings", {}, 5),
        ("runs_total", {"result": "in sync"}, 3),
        ("duration_seconds_count", {"phase": "fetch"}, 2),
        ("duration_seconds_sum", {"phase": "fetch"}, 0.7),
        ("duration_seconds_bucket", {"phase": "fetch", "le": "0.05"}, 0),
        ("duration_seconds_bucket", {"phase": "fetch", "le": "0.5"}, 1),
        ("duration_seconds_bucket", {"phase": "fetch", "le": "+Inf"}, 2),
        ("fetch_bytes_total", {}, 100),
        ("requests_total", {"code": "200"}, 8),
        ("retries_total", {}, 1),
        ("rows_read_total", {"purpose": "proof"}, 3423),
        ("unmetered_statements_total", {"purpose": "fetch"}, 1),
        ("cache_file_bytes", {}, 4096),
        ("cache_payload_bytes", {}, 1000),
        ("disk_free_bytes", {}, 10_000),
        ("cache_state", {"state": "CLEAN"}, 1),
        ("cache_state", {"state": "CORRUPT"}, 0),
        ("primary_up", {}, 1),
        ("primary_latency_seconds", {}, 0.044),
        ("repairs_total", {"kind": "reseed"}, 1),
        ("rollbacks_detected_total", {}, 1),
        ("bitrot_keys_total", {}, 2),
        ("lock_wait_seconds", {}, 0),
        ("waiting_rows", {}, 6),
        ("waiting_since_timestamp_seconds", {}, 8),
        ("memory_only_servers", {}, 1),
        ("copied_bytes_last_hour", {}, 300),
        ("copies_wait_until_timestamp_seconds", {}, 12),
        ("interval_seconds", {}, 300),
        ("wait_notice_seconds", {}, 1800),
        ("followed_timestamp_seconds", {}, 9),
    ],
)
def test_each_metric(name: str, labels: dict[str, str], value: float) -> None:
    assert samples(FULL)[name, tuple(sorted(labels.items()))] == value


def test_build_info() -> None:
    (labels,) = [dict(labels) for name, labels in samples(FULL) if name == "build_info"]
    assert labels["redb"] == "4.6.0"
    assert labels["enc"] == "1"


def test_what_is_unknown_has_no_sample() -> None:
    names = {name for name, _ in samples(Facts())}
    assert "proof_age_seconds" not in names
    assert "primary_up" not in names
    assert samples(Facts())["in_sync", ()] == 0


def test_nothing_enters_the_global_registry() -> None:
    before = set(REGISTRY._names_to_collectors)
    render(FULL)
    assert set(REGISTRY._names_to_collectors) == before


def test_the_text_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "storage_sync.prom"
    target.write_text("old")
    write_textfile(target, FULL)
    assert target.read_bytes().split(b"\n", 1)[1] == render(FULL)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(OSError):
        write_textfile(tmp_path / "none" / "x.prom", FULL)


def test_the_text_file_of_one_cache_is_not_overwritten_by_another(tmp_path: Path) -> None:
    """The exporter would show now the figures of one, now those of the other."""
    target, first, second = tmp_path / "x.prom", tmp_path / "first\n.redb", tmp_path / "second.redb"
    first.touch()
    second.touch()
    write_textfile(target, replace(FULL, cache=str(first)))
    before = target.read_bytes()
    assert list(text_string_to_metric_families(before.decode()))
    with pytest.raises(NotUsable, match=r"metrics of the cache .*first.*give each cache a file of its own"):
        write_textfile(target, replace(FULL, cache=str(second)))
    assert target.read_bytes() == before
    write_textfile(target, replace(FULL, cache=str(first), generation=8))
    assert b"storage_sync_generation 8.0\n" in target.read_bytes()
    first.unlink()
    write_textfile(target, replace(FULL, cache=str(second)))
    assert b"second.redb" in target.read_bytes()


@pytest.mark.parametrize("line", ["# of the cache 7", "# of the cache {", "# of the cache", "storage_sync_in_sync 1.0"])
def test_a_text_file_that_names_no_cache_is_replaced(tmp_path: Path, line: str) -> None:
    target = tmp_path / "x.prom"
    target.write_text(line + "\n")
    write_textfile(target, replace(FULL, cache=str(tmp_path)))
    assert target.read_bytes().endswith(render(FULL))
