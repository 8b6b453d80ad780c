"""What a command learned becomes its outcome, however it ends."""

from __future__ import annotations

from unittest.mock import sentinel

import pytest
from msgspec.structs import fields

from storage_sync.sync.outcome_builder import Draft, verdict_of
from storage_sync.values import errors
from storage_sync.values.followed import Followed
from storage_sync.values.outcome import (
    CacheState,
    CacheWrites,
    Check,
    CheckStatus,
    Outcome,
    Seconds,
    TableChange,
    TableCounts,
    Word,
)

LEARNED = {
    "command": "sync",
    "run_id": "s-1",
    "verdict": Word.DRIFT,
    "exit_code": 7,
    "states": (CacheState.BIT_ROT,),
    "counts": {"episodes": TableCounts(1)},
    "plan": {"episodes": TableChange(insert=1)},
    "applied": {"episodes": TableChange(update=2)},
    "cache_writes": CacheWrites(1, 2),
    "seconds": Seconds(lock=1.0),
    "checks": (Check("a", CheckStatus.PASS, None, None, ""),),
    "next_action": "storage-sync sync",
    "drift": {"episodes": {"rotten": 1}},
    "rolled_back": True,
    "extra": {"kept": "file"},
    "followed": Followed(1, 2.0, 3, "root"),
    **{name: getattr(sentinel, name) for name in ("proof", "orphans", "look", "proposal")},
}
"""Something for each field that both have, but for the warnings."""


def test_what_was_learned_is_told() -> None:
    draft = Draft(**LEARNED)
    draft.warn("twice")
    draft.warn("twice")
    outcome = draft.outcome()
    both = {one.name for one in fields(Draft)} & {one.name for one in fields(Outcome)}
    assert both == {*LEARNED, "warnings"}
    told = {field.name: getattr(outcome, field.name) for field in fields(Outcome)}
    assert {name: told[name] for name in LEARNED} == LEARNED
    assert outcome.warnings == ("twice",)
    assert outcome.error is None


def test_an_error_decides_what_nothing_stronger_has_said() -> None:
    error = errors.GuardStopped("no", hint="do this")
    ended = Draft("sync", verdict=Word.IN_SYNC).outcome(error)
    assert (ended.verdict, ended.exit_code, ended.next_action) == (Word.REFUSED, 9, "do this")
    assert ended.error is not None
    assert ended.error.message == "no"
    assert Draft("sync", next_action="do that").outcome(error).next_action == "do that"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((CacheState.CLEAN,), (CacheState.CORRUPT,)),
        ((), (CacheState.CORRUPT,)),
        ((CacheState.CLEAN, CacheState.HELD), (CacheState.HELD, CacheState.CORRUPT)),
        ((CacheState.BIT_ROT,), (CacheState.BIT_ROT,)),
    ],
)
def test_damage_that_is_found_by_reading_is_a_state_of_the_file(
    before: tuple[CacheState, ...], after: tuple[CacheState, ...]
) -> None:
    assert Draft("sync", states=before).outcome(errors.CacheDamaged("x")).states == after
    assert Draft("sync", states=before).outcome(errors.LocalIO("x")).states == before


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (errors.RowsRefused, Word.IN_SYNC),
        (errors.CacheLocked, Word.IN_SYNC),
        (errors.GuardStopped, Word.REFUSED),
        (errors.CacheForeign, Word.REFUSED),
        (errors.CacheDamaged, Word.DAMAGED),
        (errors.VersionMismatch, Word.DAMAGED),
        (errors.PrimaryUnavailable, Word.UNKNOWN),
        (errors.LocalIO, Word.UNKNOWN),
    ],
)
def test_the_word_for_a_run_that_ended_with_an_error(kind: type[errors.StorageSyncError], word: Word) -> None:
    assert verdict_of(kind("x"), Word.IN_SYNC) is word
