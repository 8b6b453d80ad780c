"""The document of docs/cli.md, held by golden files; and what people read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from storage_sync import __version__
from storage_sync.reports.document import notes, progress_line, report, rfc3339, table, to_json
from storage_sync.values.extra import Extra
from storage_sync.values.outcome import (
    CacheState,
    CacheWrites,
    Check,
    CheckStatus,
    ErrorValue,
    Orphan,
    Outcome,
    Proof,
    Purpose,
    Seconds,
    TableChange,
    TableCounts,
    Transfer,
    Word,
)
from storage_sync.values.snapshot import Run
from storage_sync.values.visible import spoken

GOLDEN = Path(__file__).parents[1] / "fixtures" / "documents"
PROOF = Proof("ab" * 32, "sha3-256", 7, "cd" * 32, 0, 1_795_341_600.9)

IN_SYNC = Outcome(
    "sync",
    Word.IN_SYNC,
    0,
    run_id="s-1a2b3c",
    states=(CacheState.CLEAN,),
    proof=PROOF,
    counts={
        "embeddings": TableCounts(1000, 1000, 1000, 0, 0),
        "episodes": TableCounts(1200, 1000, 1002, 2, 0, beyond=1),
    },
    plan={"episodes": TableChange(3, 1, 0)},
    applied={"episodes": TableChange(3, 1, 0)},
    transfer=Transfer(3, 81_234, 0, {}, {Purpose.PROOF: 3_423, Purpose.FETCH: 4}, {Purpose.FETCH: 1}),
    cache_writes=CacheWrites(1, 65_536),
    seconds=Seconds(0.05, 0.2, 0.03, 0.31234567, 0.012),
    checks=(
        Check("episode_count", CheckStatus.PASS, 1000, 1000, "all there", (), 0.001),
        Check("cache_integrity", CheckStatus.SKIPPED, None, None, "only with --deep"),
        Check("content_digests", CheckStatus.PASS, None, None, "at the last proof", made_at=1_795_341_600.0),
    ),
)
REFUSED_ROWS = Outcome(
    "sync",
    Word.IN_SYNC,
    7,
    proof=PROOF,
    counts={"episodes": TableCounts(10, 10, 9, 0, 1)},
    warnings=("1 row of the primary was refused",),
    next_action="storage-sync quarantine list",
)
GUARD = Outcome(
    "sync",
    Word.REFUSED,
    9,
    plan={"episodes": TableChange(0, 0, 900)},
    next_action="storage-sync sync --plan shows what would change",
    error=ErrorValue("guard", "900 of 1,000 episodes would go", "storage-sync sync --allow-shrink", False, 9),
)
VERIFY = Outcome(
    "verify",
    Word.IN_SYNC,
    1,
    proof=PROOF,
    checks=(Check("orphaned_embeddings", CheckStatus.FAIL, 0, 23, "no owner", tuple(f"k{n}" for n in range(30)), 0.2),),
    next_action="storage-sync orphans list",
)
ORPHANS = Outcome(
    "orphans",
    Word.UNKNOWN,
    0,
    orphans=(Orphan("episode_x", "owner nowhere", "episode", "x", None, 384, 0.99, 1536),),
)
STATUS = Outcome("status", Word.EMPTY, 0, states=(CacheState.ABSENT,), extra={"cache": {"path": "/c.redb"}})
USAGE = Outcome("config", Word.UNKNOWN, 2, error=ErrorValue("usage", "No such option '--x'.", "see --help", False, 2))

DOCUMENTS = {
    "sync_in_sync": IN_SYNC,
    "sync_refused_rows": REFUSED_ROWS,
    "sync_guard": GUARD,
    "verify_finding": VERIFY,
    "orphans": ORPHANS,
    "status_empty": STATUS,
    "usage_error": USAGE,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_is_the_golden_one(name: str) -> None:
    printed = json.dumps(to_json(DOCUMENTS[name]), indent=2, ensure_ascii=False) + "\n"
    golden = (GOLDEN / f"{name}.json").read_text("utf-8")
    assert printed == golden.replace("@VERSION@", __version__)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_every_document_has(name: str) -> None:
    document = to_json(DOCUMENTS[name])
    assert list(document)[:4] == ["schema", "command", "exit_code", "version"]
    assert list(document)[-2:] == ["next_action", "error"]


def test_no_field_of_one_command_takes_the_place_of_another() -> None:
    assert set(Extra.__annotations__) & set(to_json(IN_SYNC) | to_json(GUARD) | to_json(VERIFY)) == set()


def test_a_failed_sync_still_has_every_field() -> None:
    document = to_json(Outcome("demo", Word.UNKNOWN, 3))
    for name in ("counts", "plan", "applied", "transfer", "cache_writes", "seconds", "checks", "proof"):
        assert name in document


def test_times_are_utc_and_whole() -> None:
    assert rfc3339(1_795_341_600.999) == "2026-11-22T10:00:00Z"


def test_progress_line() -> None:
    run = Run(
        "s-1", "sync", "in_place", "manual", 1.0, step="fetch", done=5, total=10, rate=12.345, eta_s=0.44, bytes=9
    )
    assert progress_line(run) == {
        "event": "progress",
        "run_id": "s-1",
        "kind": "sync",
        "phase": "fetch",
        "round": 1,
        "rows": 5,
        "rows_total": 10,
        "batch": 0,
        "batches": None,
        "bytes": 9,
        "bytes_total": None,
        "rows_per_second": 12.3,
        "eta_s": 0.4,
        "cancellable": True,
    }


# -------------------------------------------------------------------------------------------- people


def test_a_person_reads_sentence_proof_and_next_step() -> None:
    text = report(IN_SYNC)
    assert (
        "IN_SYNC: The cache equals the primary. 3 rows added, 1 changed. 2 episodes exist only in the cache. (CLEAN)"
        in text
    )
    assert "proof: root abababababababab… by sha3-256, generation 7, 2026-11-22T10:00:00Z" in text
    assert "took 0.31 s, 3 requests, 79.3 KiB received" in text
    assert "\x1b" not in text
    assert "next: storage-sync quarantine list" in notes(REFUSED_ROWS)


def test_an_error_is_said_beside_the_facts() -> None:
    assert "error" not in report(GUARD)
    assert notes(GUARD).splitlines() == [
        "error: 900 of 1,000 episodes would go",
        "hint: storage-sync sync --allow-shrink",
        "next: storage-sync sync --plan shows what would change",
    ]
    assert notes(GUARD, quiet=True).splitlines() == [
        "sync: 900 of 1,000 episodes would go (next: storage-sync sync --plan shows what would change)"
    ]
    assert notes(REFUSED_ROWS, quiet=True).count("\n") == 0
    assert notes(replace(GUARD, exit_code=11), quiet=True) == ""


def test_colours_only_when_asked() -> None:
    assert "\x1b[32mIN_SYNC\x1b[0m" in report(IN_SYNC, colour=True)


def test_tables_are_aligned_and_cut() -> None:
    lines = table(("name", "rows", ""), [("a", "1,000", "x" * 50), ("bcdef", "7", "")], width=30, colour=False)
    assert lines == ["name    rows", "a      1,000  " + "x" * 15 + "…", "bcdef      7"]
    assert table(("name",), [], width=30, colour=False) == []


def test_data_cannot_steer_the_terminal() -> None:
    hostile = "a\x1b[31mb\u202ec\x07\nd\u2066名前[/b]"
    assert spoken(hostile) == "a\\e[31mb\\u202ec\\x07 d\\u2066名前[/b]"
    outcome = Outcome("sync", Word.UNKNOWN, 3, warnings=(hostile,), next_action=hostile)
    assert not set("\x1b\x07\u202e\u2066") & set(report(outcome) + notes(outcome))
