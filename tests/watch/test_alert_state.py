"""When the state that is told to others changes, and when it does not."""

from __future__ import annotations

from msgspec.structs import replace

from storage_sync.values.outcome import (
    ErrorValue,
    LockHolder,
    LookedAt,
    Outcome,
    Proof,
    TableChange,
    TableCounts,
    Word,
)
from storage_sync.values.snapshot import CacheHealth, PrimaryHealth, PrimaryStatus, WaitingRows
from storage_sync.watch.alert_state import Change, Condition, after_ping, after_run, after_wait

DOWN = ErrorValue("primary_unavailable", "connection refused", "try later", True, 3)
LOCKED = ErrorValue("cache_locked", "another process holds it", "wait", True, 6)
DAMAGED = ErrorValue("cache_damaged", "a page is damaged", "repair", False, 5)
STOPPED = ErrorValue("interrupted", "stopped", "run it again", True, 143)
GONE = PrimaryHealth(status=PrimaryStatus.UNREACHABLE, error=DOWN)
PROOF = Proof("00" * 32, "blake3", 1, "source", 0, 100.0)
START = Condition(since=100.0)


def ended(verdict: Word = Word.IN_SYNC, exit_code: int = 0, error: ErrorValue | None = None) -> Outcome:
    refused = {"episodes": TableCounts(refused=2)} if exit_code == 7 else {}
    return Outcome("sync", verdict, error.exit_code if error else exit_code, proof=PROOF, error=error, counts=refused)


def test_a_proof_makes_it_well_and_a_start_is_no_recovery() -> None:
    well = after_run(START, ended(), 105.0)
    assert (well.word, well.trouble, well.since) == ("ok", False, 105.0)
    assert not Change(START, well).recovered


def test_trouble_keeps_its_beginning_and_counts_the_tries_until_a_run_ends_it() -> None:
    well = after_run(START, ended(), 105.0)
    down = after_ping(well, GONE, 110.0)
    assert (down.word, down.since, down.tries, down.exit_code) == ("primary_unavailable", 110.0, 1, 3)
    assert after_ping(down, GONE, 111.0) is down
    down = after_run(down, ended(Word.UNKNOWN, error=DOWN), 112.0)
    assert (down.since, down.tries) == (110.0, 2)
    assert after_ping(down, PrimaryHealth(status=PrimaryStatus.CONNECTED), 113.0) is down
    again = after_run(down, ended(), 120.0)
    assert Change(down, again).recovered
    assert again.tries == 0


def test_another_trouble_is_another_state() -> None:
    down = after_ping(START, GONE, 110.0)
    damaged = after_run(down, ended(Word.DAMAGED, error=DAMAGED), 112.0)
    assert (damaged.word, damaged.since, damaged.tries) == ("cache_damaged", 112.0, 1)
    assert not Change(down, damaged).recovered


def test_a_held_file_is_no_trouble() -> None:
    well = after_run(START, ended(), 105.0)
    assert after_run(well, ended(Word.UNKNOWN, error=LOCKED), 106.0) is well
    look = LookedAt("copy", 110.0, (LockHolder(4711, "do-memory-mcp-server", "mem", 100.0, exclusive=True),))
    behind = replace(ended(Word.STALE, exit_code=1), plan={"episodes": TableChange(2, 1, 0)}, look=look)
    waits = after_run(well, behind, 111.0)
    assert (waits.word, waits.trouble) == ("waits", False)
    assert "3 rows wait until do-memory-mcp-server (pid 4711, mem," in waits.message
    assert not Change(waits, after_run(waits, ended(), 120.0)).recovered
    assert after_run(well, replace(behind, look=None), 112.0).trouble


def test_refused_rows_are_a_state_of_their_own() -> None:
    partial = after_run(START, ended(exit_code=7), 105.0)
    assert (partial.word, partial.trouble) == ("partial", True)
    assert partial.message == "in sync, except for 2 rejected rows"


def test_a_finding_without_an_error_is_named_by_its_verdict() -> None:
    assert after_run(START, ended(Word.DRIFT, 1), 105.0).word == "drift"


def test_an_interrupted_run_says_nothing() -> None:
    assert after_run(START, ended(Word.UNKNOWN, error=STOPPED), 105.0) is START


def test_rows_that_wait_too_long_are_told_once() -> None:
    well = after_run(START, ended(), 105.0)
    held = CacheHealth(waiting=WaitingRows(rows=12, since=100.0, as_of=100.0))
    assert after_wait(well, held, 3600.0, 3700.0) is well
    long = after_wait(well, held, 3600.0, 3701.0)
    assert (long.word, long.trouble, long.exit_code) == ("waits_long", True, 6)
    assert "12 rows have waited 60 min" in long.message
    assert after_wait(long, held, 3600.0, 4000.0) is long
    holder = LockHolder(1, "do-memory-mcp-server", "", None, exclusive=True)
    look = LookedAt("copy", 0.0, (holder,))
    beside = replace(ended(Word.STALE), look=look, plan={"episodes": TableChange(insert=12)})
    later = after_run(long, beside, 4001.0)
    assert (later.word, later.since) == (long.word, long.since), "each comparison while it waits would tell it again"
    assert Change(long, after_run(long, ended(), 4002.0)).recovered
