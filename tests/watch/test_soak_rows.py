"""`make soak`: a writer beside `watch`, for as long as STORAGE_SYNC_SOAK_S says, and what its primary reads meanwhile.

What `doctor` measured before says how much each follow run and each proof reads; the sum over the runs that were made
is what the meter must show.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from storage_sync.demo.demo import generate
from tests.support import hrana
from tests.support.command import Tool
from tests.support.sqld import Sqld
from tests.support.watching import watching, well, wrote
from tests.sync.test_follow import copied
from tests.watch.test_soak import LASTS_S, metric

TOLERANCE = 0.25
"""A follow run reads with what a write takes along, and a proof with how many rows are expected by then."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(LASTS_S + 300)]


def counted(tool: Tool) -> tuple[int, int]:
    """Follow runs and proofs of the history."""
    (history,) = (tool.folder / "state").rglob("history.db")
    with closing(sqlite3.connect(f"{history.as_uri()}?mode=ro", uri=True)) as db:
        documents = [json.loads(text) for (text,) in db.execute("SELECT document FROM runs WHERE kind='sync'")]
    good = [one for one in documents if one["error"] is None]
    follows = sum(one.get("followed") is not None for one in good)
    return follows, sum(one.get("followed") is None and "renewed" not in one for one in good)


def test_rows_read_grow_as_predicted(tmp_path: Path) -> None:
    generate(tmp_path / "primary.db", 7, 300, patterns=20)
    with Sqld(tmp_path / "primary.db") as server:
        tool = Tool.at(
            tmp_path,
            server.url,
            STORAGE_SYNC_STATE_DIR=str(tmp_path / "state"),
            STORAGE_SYNC_MAX_EPISODES_CACHE="200",
            STORAGE_SYNC_INTERVAL_S="120",
        )
        assert tool.run("sync").exit_code == 0
        costs = tool.run("doctor", "--json").document["costs"]
        with watching(tool) as watch:
            watch.until(well)
            before, runs, begun = metric(tool, "storage_sync_rows_read_total"), counted(tool), time.monotonic()
            told, number = [], 0
            while (passed := time.monotonic() - begun) < LASTS_S:
                number += 1
                position = len(watch.lines)
                hrana.execute(server.url, [copied(number)])
                watch.until(wrote("added"), after=position)
                if number % 12 == 0:
                    told.append((passed, metric(tool, "storage_sync_rows_read_total") - before))
            read = metric(tool, "storage_sync_rows_read_total") - before
            follows, proofs = (now - was for now, was in zip(counted(tool), runs, strict=True))
    predicted = follows * (costs["poll"] + costs["follow"]) + proofs * costs["proof"]
    lines = "\n".join(f"{at:5.0f} s {rows:9,d} rows" for at, rows in told)
    print(f"\n{lines}\n{number} writes, {follows} follow runs, {proofs} proofs: {read:,} rows, predicted {predicted:,}")
    assert follows + proofs >= number
    assert read == pytest.approx(predicted, rel=TOLERANCE)
