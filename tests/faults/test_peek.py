"""F11: a look at the cache while another process commits to it: each copy is one state that was committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.cache.copy import COPY_ATTEMPTS
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Peek
from storage_sync.service.performing import once
from storage_sync.values.outcome import CheckStatus, Word
from tests.faults.writers import EVERY, TEXT_FIELD, version_of, writing
from tests.support import size, stores

ROUNDS = size.of(40, 100, 2500)
"""For each of the two writers."""
WHOLE_PEEKS = ROUNDS // 10
MISSES = 20 * ROUNDS
"""Copies that may be given up because the file moved during each attempt, before the test is."""


def versions(copy: Path) -> dict[str, set[int]]:
    """What the rows of a private copy say, by table; the copy must be sound to its last page."""
    file = _native.CacheFile.open(str(copy), "private")
    try:
        assert file.scan().clean
        found = {
            table: {version_of(table, value) for _, value in file.page(table, None, EVERY)} for table in TEXT_FIELD
        }
    finally:
        file.close()
    again = _native.CacheFile.open(str(copy), "private")
    try:
        assert again.check_integrity()
    finally:
        again.close()
    return found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", ["held", "reopened"])
def test_each_copy_is_a_committed_state(how: str, tmp_path: Path) -> None:
    cache, copy = stores.cache("v47-small", tmp_path / "cache"), tmp_path / "copy.redb"
    taken = missed = 0
    seen = set()
    with writing(how, cache, tmp_path) as counter:
        while taken < ROUNDS:
            before = counter.value
            try:
                _native.copy_file(str(cache), str(copy), COPY_ATTEMPTS)
            except BlockingIOError:
                missed += 1
                assert missed < MISSES, f"{missed} copies were given up, {taken} were taken"
                continue
            after = counter.value
            found = versions(copy)
            judge(how, found, before, after)
            seen.add(max(found["episodes"]))
            taken += 1
    assert len(seen) > ROUNDS // 10, "the writer stood still"


def judge(how: str, found: dict[str, set[int]], before: int, after: int) -> None:
    """`before` and `after`: the last version whose commit had returned when the copy began and when it ended."""
    assert all(len(versions) == 1 for versions in found.values()), found
    of_tables = [max(versions) for versions in found.values()]
    assert before <= min(of_tables), f"{found} lost version {before}"
    assert max(of_tables) <= after + 1, f"{found} is ahead of version {after}"
    if how == "reopened":
        assert len(set(of_tables)) == 1, f"{found}: one transaction wrote them all"
    else:
        assert of_tables == sorted(of_tables, reverse=True), f"{found}: an earlier transaction is missing"
        assert of_tables[0] - of_tables[-1] <= 1, found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", ["held", "reopened"])
async def test_peek_tells_a_sound_file(how: str, tmp_path: Path) -> None:
    """The whole command, child and redb's own check included; a file that never rests is named locked, not damaged."""
    cache = stores.cache("v47-small", tmp_path / "cache")
    settings = Settings(cache=cache, state_dir=tmp_path / "state")
    told = 0
    with writing(how, cache, tmp_path):
        for _ in range(WHOLE_PEEKS):
            outcome = await once(Peek(), Request(settings, None))
            assert outcome.exit_code in (0, 6), outcome
            if outcome.exit_code == 6:
                continue
            assert outcome.verdict is Word.UNKNOWN
            assert all(check.status is not CheckStatus.FAIL for check in outcome.checks), outcome.checks
            assert outcome.counts["episodes"].cache == 60
            told += 1
    assert told > WHOLE_PEEKS // 2, f"only {told} of {WHOLE_PEEKS} looks found a moment"
