"""F9 with the real do-memory: two tools of ours and its crates race for one file (`make interop`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.race import race

ROUNDS = 200


@pytest.mark.interop
@pytest.mark.timeout(3600)
def test_two_tools_and_the_real_do_memory(tmp_path: Path) -> None:
    binary = os.environ.get("INTEROP_BIN")
    assert binary, "`make interop` builds the program and sets INTEROP_BIN"
    cache = tmp_path / "tool" / "cache.redb"
    tally = race(tmp_path, [binary, "opener", str(cache)], cache, ROUNDS)
    assert tally.opened > ROUNDS // 4
    assert len(tally.rows) > ROUNDS // 40
    assert len(tally.fractions) > 1
    assert len(tally.generations) > ROUNDS // 2
