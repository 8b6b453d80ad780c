"""SIGKILL at random moments of syncs and rebuilds: the old state or the new one, and the next run finishes."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from random import Random

import pytest

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.service.operations import Rebuild, Sync
from storage_sync.service.performing import once
from storage_sync.state.quarantine import SetAside
from storage_sync.values.outcome import Outcome, Word
from storage_sync.values.snapshot import Phase, Run
from tests.faults.looping import Told, looping
from tests.independent.projection_check import check
from tests.independent.redb_reader import RedbFile
from tests.support import size, stores
from tests.support.sqld import Sqld

ROUNDS = size.of(20, 60, 1_600)
SERVED = size.of(10, 20, 400)
"""Further rounds, each a first rebuild from a server."""
ROWS = 1_100
"""Of its primary, about."""
LIVES = 4.0
"""At first a process lives up to so many times as long as one rebuild took."""
EARLIER = 0.85
LATER = 1.35
"""What a kill that came late, or early, does to the longest life: a third of the kills come early, at any speed."""
FIRST = "(SELECT min(heuristic_id) FROM heuristics)"


class Place:
    """A cache with its state folder."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.cache = folder / "cache.redb"
        self.state = folder / "state"
        self.request = Request(Settings(primary=url, cache=self.cache, state_dir=self.state, batch_size=10), None)
        folder.mkdir(parents=True)
        self._copy = folder.with_suffix(".redb")

    def opened(self) -> Path:
        """A copy of the cache as do-memory finds it, whose redb puts a killed commit away when it opens the file."""
        shutil.copyfile(self.cache, self._copy)
        file = _native.CacheFile.open(str(self._copy), "private")
        try:
            assert file.check_integrity()
            assert int(file.meta()["generation"]) >= self.acknowledged()
        finally:
            file.close()
        return self._copy

    def acknowledged(self) -> int:
        witness = self.state / "acked.json"
        return int(json.loads(witness.read_bytes())["generation"]) if witness.exists() else 0

    def heuristics(self) -> dict[str, bytes]:
        return {key.decode(): bytes(value) for key, value in RedbFile(self.opened()).rows("heuristics")}

    def set_aside(self) -> list[tuple[str, bytes]]:
        if not (self.state / "set-aside").is_dir():
            return []
        with SetAside.open(self.state / "set-aside") as store:
            shown = [(row.key, store.show(row.id)) for row in store.rows(limit=10_000)]
        return sorted((key, one.value) for key, one in shown if one is not None)

    async def sync(self) -> Outcome:
        outcome = await once(Sync(), self.request)
        assert (outcome.error, outcome.exit_code, outcome.verdict) == (None, 0, Word.IN_SYNC)
        return outcome


class Moments:
    """Random moments from 0 to `longest_s`, which follows how the kills fell, for no machine keeps its speed."""

    def __init__(self, seed: int, longest_s: float) -> None:
        self.random = Random(seed)
        self._longest_s = longest_s

    def next_s(self) -> float:
        return self.random.uniform(0, self._longest_s)

    def fell(self, *, late: bool) -> None:
        self._longest_s *= EARLIER if late else LATER


async def seconds_of_a_rebuild(place: Place) -> float:
    """At the speed of this machine now: where `Moments` begin."""
    started = time.monotonic()
    outcome = await once(Rebuild(), place.request)
    assert outcome.verdict is Word.IN_SYNC
    return time.monotonic() - started


@pytest.mark.timeout(size.of(1200, 1200, 7200))
async def test_it_is_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    primary = tmp_path / "primary.db"
    generate(primary, 7, 60, patterns=ROUNDS // 4 + 10, step_bytes=300)
    place = Place(tmp_path / "tool", f"file:{primary}")
    moments = Moments(7, LIVES * await seconds_of_a_rebuild(place))
    had = place.heuristics()
    seen = [0, 0]
    for number in range(ROUNDS):
        old = stores.quiet_copy(primary, tmp_path / "old")
        changed = f"UPDATE episodes SET task_description = '{number}' || task_type WHERE rowid % 3 = {number % 3}"
        gone = [f"DELETE FROM heuristics WHERE heuristic_id = {FIRST}"] if number % 4 == 0 else []
        stores.execute(primary, [*gone, changed])
        with looping(place.request, number, moments.next_s()):
            copy = place.opened()
        states = [check(one, copy).holds(exact=True) for one in (old, primary)]
        assert states.count(True) == 1, f"round {number}: {states}"
        seen[states.index(True)] += 1
        moments.fell(late=states[1])
        await place.sync()
        assert check(primary, place.opened()).holds(exact=True), f"round {number}"
        left = place.heuristics()
        lost = sorted((key, value) for key, value in had.items() if key not in left)
        assert place.set_aside() == lost, f"round {number}: each once, with its bytes"
        assert not list((place.state / "copies").glob("*")), f"round {number}"
    print(f"{ROUNDS} kills: {seen[0]} times the old state, {seen[1]} times the new one")
    assert min(seen) >= ROUNDS // 20, "the moments are not spread over a run"
    builds = await once(Rebuild(), place.request)
    assert builds.verdict is Word.IN_SYNC
    assert not list(place.folder.glob("*.build-*"))


@pytest.mark.timeout(size.of(1200, 1200, 7200))
async def test_what_was_durable_is_not_fetched_again(tmp_path: Path) -> None:
    """A first rebuild from a server: the next run takes up every row that was said to be durable."""
    primary = tmp_path / "primary.db"
    generate(primary, 8, 400, step_bytes=300)
    with Sqld(primary) as server:
        moments = Moments(8, await seconds_of_a_rebuild(Place(tmp_path / "measured", server.url)) / 4)
        taken_up = durable = 0
        for number in range(SERVED):
            place = Place(tmp_path / "tool", server.url)
            rows, more = moments.random.randrange(ROWS), moments.next_s()
            with looping(place.request, number, more, rows=rows) as told:
                resumed = await finished(place, told)
            taken_up += resumed > 0
            moments.fell(late=resumed == 0)
            durable += told.rows > 0
            assert check(primary, place.opened()).holds(exact=True), f"round {number}"
            assert not list(place.folder.glob("*.build-*")), f"round {number}"
            shutil.rmtree(place.folder)
    print(f"{SERVED} kills: {durable} after rows were told to be durable, {taken_up} builds taken up")
    assert min(durable, taken_up) >= SERVED // 10, "the moments are not spread over a run"


async def finished(place: Place, told: Told) -> int:
    """Rows that a rebuild took up from the killed one; none when the new file had its name by then."""
    in_place = place.cache.exists()
    if in_place:
        place.opened()
    fetching: list[int] = []

    def look(run: Run) -> None:
        if run.step == Phase.FETCH and run.total is not None:
            fetching.append(run.done)

    outcome = await once(Rebuild(), place.request, look)
    assert (outcome.error, outcome.exit_code, outcome.verdict) == (None, 0, Word.IN_SYNC)
    if in_place:
        return 0
    resumed = fetching[0] if fetching else 0
    assert resumed >= told.rows
    return resumed
