"""F9 with an opener that behaves as do-memory does; `tests/interop` has the same with the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.race import race
from tests.faults.racers import an_opener
from tests.support import size

ROUNDS = size.of(40, 80, 1000)


@pytest.mark.timeout(3600)
def test_two_tools_and_a_do_memory(tmp_path: Path) -> None:
    cache = tmp_path / "tool" / "cache.redb"
    tally = race(tmp_path, an_opener(cache), cache, ROUNDS)
    assert tally.opened > ROUNDS // 4
    assert len(tally.rows) > ROUNDS // 40
    assert len(tally.fractions) > 1
    assert len(tally.generations) > ROUNDS // 2
