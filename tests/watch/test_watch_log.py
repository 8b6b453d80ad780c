"""What is said, and how often."""

from __future__ import annotations

import logging

import pytest

from storage_sync.values.errors import UsageError
from storage_sync.values.events import LogLine, RunEnded
from storage_sync.values.outcome import ErrorValue, Outcome, Word
from storage_sync.watch.alert_state import Change, Condition
from storage_sync.watch.metrics_server import Address
from storage_sync.watch.watch_log import KEYS_KEPT, Repeats, Said, Voice

DOWN = ErrorValue("primary_unavailable", "connection refused", "try later", True, 3)


def failed(number: int) -> RunEnded:
    return RunEnded(f"s-{number}", Outcome("sync", Word.UNKNOWN, 3, run_id=f"s-{number}", error=DOWN))


def well(*warnings: str) -> RunEnded:
    return RunEnded("s-1", Outcome("sync", Word.IN_SYNC, 0, run_id="s-1", warnings=warnings))


def test_a_repeated_line_comes_after_30_s_then_a_minute_and_never_later_than_five() -> None:
    repeats = Repeats()
    said = [second for second in range(1200) if repeats.admit("x", float(second)) is not None]
    assert said == [0, 30, 90, 210, 450, 750, 1050]
    assert repeats.admit("y", 1200.0) == 0


def test_it_says_how_many_it_held_back() -> None:
    repeats = Repeats()
    assert [repeats.admit("x", at) for at in (0.0, 10.0, 20.0, 30.0, 31.0)] == [0, None, None, 2, None]


def test_what_was_long_quiet_is_new_again() -> None:
    repeats = Repeats()
    repeats.admit("x", 0.0)
    assert [repeats.admit("x", at) for at in (1000.0, 1029.0, 1030.0)] == [0, None, 1]


def test_ever_new_lines_do_not_fill_the_memory() -> None:
    repeats = Repeats()
    for number in range(10 * KEYS_KEPT):
        repeats.admit(str(number), 0.0)
    assert len(repeats._heard) == KEYS_KEPT


def test_each_good_run_has_its_summary_and_a_failing_one_is_limited() -> None:
    voice = Voice()
    assert [said.level for at in range(3) for said in voice.hear(well(), float(at))] == [logging.INFO] * 3
    summaries = [said for at in range(100) for said in voice.hear(failed(at), float(at))]
    assert [said.run_id for said in summaries] == ["s-0", "s-30", "s-90"]
    assert {said.level for said in summaries} == {logging.INFO}


def test_a_warning_of_the_runs_is_said_when_it_appears() -> None:
    voice = Voice()
    runs = (well("a"), well("a"), well("a", "b"), well(), well("a"))
    warned = [said.text for run in runs for said in voice.hear(run, 0.0) if said.level == logging.WARNING]
    assert warned == ["a", "b", "a"]


def test_lines_that_the_condition_tells_are_for_debugging() -> None:
    voice = Voice()
    lines = [LogLine(0.0, "fail", "primary", "refused"), LogLine(0.0, "info", "repair", "s-1 started (retry)", "s-1")]
    assert [said.level for line in lines for said in voice.hear(line, 0.0)] == [logging.DEBUG, logging.DEBUG]
    assert list(voice.hear(LogLine(0.0, "warn", "core", "odd"), 0.0)) == [Said(logging.WARNING, "core", "odd")]


def test_trouble_is_one_warning_and_its_end_one_line_with_the_tries() -> None:
    voice = Voice()
    ok, down = Condition("ok", "in sync", since=0.0), Condition("cache_locked", "held", "wait", 6, 10.0, 4)
    assert voice.changed(Change(ok, down), 10.0) == Said(logging.WARNING, "watch", "cache_locked: held; wait")
    said = voice.changed(Change(down, ok), 52.0)
    assert said == Said(logging.INFO, "watch", "recovered after 4 failed tries, 42 s of cache_locked")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:9200", "127.0.0.1", 9200), ("[::1]:1", "::1", 1), ("localhost:0", "localhost", 0)],
)
def test_an_address_reads_back_as_it_was_typed(text: str, host: str, port: int) -> None:
    address = Address.parse(text)
    assert (address.host, address.port, str(address)) == (host, port, text)


@pytest.mark.parametrize("text", ["9200", "127.0.0.1", ":9200", "::1:9200", "a:b", "localhost:70000", "a b:1"])
def test_an_address_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        Address.parse(text)
