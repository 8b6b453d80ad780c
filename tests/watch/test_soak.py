"""`make soak`: rounds of trouble, then a writer and killed runs, for as long as STORAGE_SYNC_SOAK_S says.

At the end of each round the primary rests, and what `watch` and the console call in sync is compared by the independent
check. Memory, descriptors, sizes and rows read are written down, and printed at the end.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest

from tests.independent.projection_check import check
from tests.support import stores
from tests.support.command import Tool
from tests.support.watching import Line, resident_and_descriptors, said, well
from tests.watch.test_trouble import GROWTH_BYTES, TROUBLES, WARM_UP, Day, days

LASTS_S = float(os.environ.get("STORAGE_SYNC_SOAK_S", "600"))
WRITES = 60
KILLS = 6
EXTRA_DESCRIPTORS = 2
ASKED = 200
"""So often the history is asked at most; each question starts a command."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(LASTS_S + 900)]


@dataclass(frozen=True)
class Sample:
    """After one round. Bytes; `rows_read`: what the primary said it read for `watch` since the beginning."""

    at_s: float
    memory: tuple[int, int]
    descriptors: tuple[int, int]
    files: tuple[int, int]
    rows_read: int


def written(day: Day, chance: random.Random) -> None:
    """One percent of the episodes each time, and runs beside `watch` that are killed wherever they are."""
    for number in range(WRITES):
        part = f"rowid % 100 = {chance.randrange(100)}"
        day.sql(f"UPDATE episodes SET task_description = hex(randomblob(20)) WHERE {part}")
        if number % (WRITES // KILLS) == 0:
            killed(day, chance.uniform(0.2, 1.5))


def killed(day: Day, after_s: float) -> None:
    """A full sync beside `watch`, ended by SIGKILL after that long unless it ended by itself."""
    words = ("sync", "--full", "--quiet", "--token-file", str(day.token))
    with day.tools[0].start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()


def metric(tool: Tool, name: str) -> int:
    """The sum over its labels."""
    text = tool.run("metrics").stdout
    return round(sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))


def good(line: Line) -> bool:
    """Of a run that ended in sync; one that followed nothing and says stale ends with 0 too."""
    return line["area"] == "sync" and str(line["message"]).startswith("in sync")


def judged(day: Day, folder: Path) -> None:
    """The primary rests: after a run that began then, `watch` and the console say in sync, and are."""
    since = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    number = 0
    for _ in range(2):
        # of the runs that end from now on, the second one began from now on
        day.watch.until(lambda line: good(line) and line["at"] > since, after=number)
        number = len(day.watch.lines)
    assert any(synced_since(day.tools[1], since) for _ in range(ASKED)), "the console has no good run"
    day.screen.wait("IN SYNC")
    copy = stores.quiet_copy(day.server.database, folder)
    for tool in day.tools:
        assert check(copy, tool.cache).holds(exact=True), f"{tool.cache} is called in sync and is not"


def synced_since(tool: Tool, since: str) -> bool:
    """Whether a good run began in a later second than `since`; the screen alone may show the run before."""
    runs = tool.json("history", "--limit", "5").document["runs"]
    return any(run["started_at"] > f"{since[:19]}Z" and run["result"] == "IN_SYNC" for run in runs)


def sample(day: Day, begun: float) -> Sample:
    seen = [resident_and_descriptors(pid) for pid in (day.watch.process.pid, day.screen.pid)]
    watched = day.tools[0]
    return Sample(
        time.monotonic() - begun,
        (seen[0][0], seen[1][0]),
        (seen[0][1], seen[1][1]),
        (day.tools[0].cache.stat().st_size, day.tools[1].cache.stat().st_size),
        metric(watched, "storage_sync_rows_read_total"),
    )


HEAD = "   s  watch MiB  fds  console MiB  fds  file KiB  rows read"


def line(one: Sample) -> str:
    return (
        f"{one.at_s:5.0f} {one.memory[0] / 2**20:9.1f} {one.descriptors[0]:4d} {one.memory[1] / 2**20:11.1f} "
        f"{one.descriptors[1]:4d} {one.files[0] / 1024:9.0f} {one.rows_read:10d}"
    )


def told(samples: list[Sample]) -> str:
    return "\n".join([HEAD, *map(line, samples)])


def grown(values: list[int]) -> float:
    """From the first third to the last one, by their medians."""
    third = max(len(values) // 3, 1)
    return median(values[-third:]) - median(values[:third])


def test_nothing_grows_and_nothing_untrue_is_said(tmp_path: Path) -> None:
    chance = random.Random(int(os.environ.get("STORAGE_SYNC_SOAK_SEED", "1")))
    samples: list[Sample] = []
    with days(tmp_path) as day:
        day.watch.until(well)
        day.screen.wait("IN SYNC")
        begun = time.monotonic()
        print(f"\n{HEAD}")
        while len(samples) < WARM_UP + 1 or time.monotonic() - begun < LASTS_S:
            day.number += 1
            for trouble in TROUBLES:
                trouble(day)
            written(day, chance)
            judged(day, tmp_path / "copy")
            samples.append(sample(day, begun))
            print(line(samples[-1]), flush=True)
        assert day.screen.leave() == 0
        assert day.watch.stop(signal.SIGTERM)[0] == 143
    print(f"{len(samples)} rounds, {2 * len(samples)} verdicts judged, none untrue")
    assert not [line for line in day.watch.lines if said("internal error")(line)]
    warm = samples[WARM_UP - 1 :]
    for which in (0, 1):
        assert grown([one.memory[which] for one in warm]) < GROWTH_BYTES, told(samples)
        # a sample may fall into a run, which has its own files open: one that leaks stays open
        assert grown([one.descriptors[which] for one in warm]) <= EXTRA_DESCRIPTORS, told(samples)
        assert grown([one.files[which] for one in warm]) < warm[0].files[which], told(samples)
