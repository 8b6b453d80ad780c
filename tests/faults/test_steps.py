"""SIGKILL at every step of every command that writes: the old state or the new one, and the next run finishes.

A step is one call by which the command changes its files: what it does, and to which of them. A recording names them
all; then the command is killed before each, and in the middle of some writes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from msgspec import Struct, field

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service import operations
from storage_sync.service.performing import once
from storage_sync.state.quarantine import SetAside
from storage_sync.values.outcome import TABLES, Word
from tests.independent.projection_check import check
from tests.support import recorder, size, stores
from tests.support.command import Tool
from tests.support.forks import forks
from tests.support.proven import CACHE_ONLY, add_cache_only
from tests.support.recorder import Fault, Kind, Operation
from tests.support.sqld import Sqld

SAMPLE = 4
"""Further places of each command, beside the last one of each step."""
SHARE = size.of(3, 1, 1)
"""One step in so many is died at, where there are more than `ENOUGH` of them."""
ENOUGH = 12
ORPHAN = "episode_00000000-0000-4000-8000-00000000000f"
FIRST = "(SELECT min(heuristic_id) FROM heuristics)"
GONE = f"DELETE FROM heuristics WHERE heuristic_id = {FIRST}"
CHANGED = "UPDATE episodes SET task_description = 'x' || task_description WHERE rowid % 2 = 0"
NEXT: dict[str, operations.Operation] = {
    "sync": operations.Sync(),
    "rebuild": operations.Rebuild(),
    "repair": operations.Repair(),
}

Row = tuple[str, str, bytes]
"""Table, key, value."""
Precious = dict[Row, int]
"""In how many places a row is: the cache, the rows set aside."""


class Seen(Struct, frozen=True):
    """What a cache says: its generation, and do-memory's rows."""

    generation: int
    rows: frozenset[Row]


def read(copy: Path) -> Seen | None:
    """Of a file that redb may repair; None when it cannot be read."""
    try:
        file = _native.CacheFile.open(str(copy), "private")
        try:
            rows = ((table, *row) for table in TABLES for row in file.page(table, None, 100_000))
            return Seen(int(file.meta()["generation"]), frozenset(rows)) if file.check_integrity() else None
        finally:
            file.close()
    except _native.NativeError:
        return None


class Scene(Struct, frozen=True):
    """A command that is about to run, and what may run after it."""

    words: tuple[str, ...]
    following: tuple[str, ...] = ("sync",)
    fresh: bool = False
    prepare: Callable[[Stage], object] = field(default=lambda stage: None)
    served: bool = False
    """The primary is a server's."""
    thorough: bool = False
    """Steps on what is only seen, or private, count too."""


class Stage:
    """The files of a scene, which can be put back as they were."""

    def __init__(self, folder: Path, url: str | None, primary: Path) -> None:
        self.primary = primary
        # so small that there are many batches of a small primary
        self.tool = Tool.at(folder / "tool", url or f"file:{primary}", STORAGE_SYNC_BATCH_SIZE="10")
        self._kept = folder / "kept"
        self._scratch = folder / "copy.redb"

    @property
    def cache(self) -> Path:
        return self.tool.cache

    @property
    def state(self) -> Path:
        return self.tool.folder / "state"

    @property
    def request(self) -> Request:
        return Request(Settings(primary=self.tool.primary, cache=self.cache, state_dir=self.state), None)

    def proven(self) -> None:
        """A proven cache, a row and an orphan that only it has, and a row that was set aside."""
        self.tool.sync()
        add_cache_only(self.cache)
        file = _native.CacheFile.open(str(self.cache), "read")
        ((_, value),) = file.page("embeddings", None, 1)
        generation = int(file.meta()["generation"])
        file.close()
        _native.edit(str(self.cache), [("embeddings", ORPHAN, None, value)], {}, generation, 0)
        self.tool.sync("--full")

    def keep(self) -> None:
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.tool.folder, self._kept)

    def put_back(self) -> None:
        shutil.rmtree(self.tool.folder)
        shutil.copytree(self._kept, self.tool.folder)

    def seen(self) -> Seen | None:
        """What the cache says, read from a copy; None when it is not there."""
        if not self.cache.exists():
            return None
        shutil.copyfile(self.cache, self._scratch)
        return read(self._scratch)

    def is_the_projection(self) -> bool:
        """Whether the cache holds what the primary says, and says it to do-memory, whose redb repairs on open."""
        return self.seen() is not None and check(self.primary, self._scratch).holds()

    def acknowledged(self) -> int:
        witness = self.state / "acked.json"
        return int(json.loads(witness.read_bytes())["generation"]) if witness.exists() else 0

    def set_aside(self) -> list[Row]:
        folder = self.state / "set-aside"
        if not (folder / "rows.db").exists():
            return []
        with SetAside.open(folder, create=False) as store:
            rows = [(row.table, row.key, store.show(row.id)) for row in store.rows(limit=1000)]
        return [(table, key, shown.value) for table, key, shown in rows if shown is not None]

    def places(self, precious: Precious) -> Precious:
        aside, seen = self.set_aside(), self.seen()
        rows = seen.rows if seen is not None else frozenset()
        return {one: aside.count(one) + (one in rows) for one in precious}


def moved(stage: Stage) -> None:
    stores.execute(stage.primary, [GONE, CHANGED])


def half_built(stage: Stage) -> None:
    """A rebuild that was killed when half of its rows were staged."""
    stage.cache.unlink(missing_ok=True)
    stage.keep()
    words = ("rebuild", "--yes", "--json")
    done = recorder.record(stage.tool, *words).operations
    # written through a name that it had before, and lost
    (built,) = {one.file for one in done if one.kind is Kind.RENAME and ".build-" in one.name}
    writes = [one.number for one in done if one.kind is Kind.WRITE and one.file == built]
    stage.put_back()
    recorder.kill_at(stage.tool, *words, number=writes[len(writes) // 2])
    assert len(list(stage.cache.parent.glob("*.build-*"))) == 1


def a_flipped_value(stage: Stage) -> None:
    file = _native.CacheFile.open(str(stage.cache), "read")
    ((_, value),) = file.page("episodes", None, 1)
    file.close()
    data = bytearray(stage.cache.read_bytes())
    data[data.index(value[40:120]) + 10] ^= 1
    stage.cache.write_bytes(data)


def a_lost_end(stage: Stage) -> None:
    """What is left of the file cannot be opened any more: it is built anew."""
    os.truncate(stage.cache, 4096)


def returned(stage: Stage) -> None:
    """The orphan lies among the rows set aside."""
    assert stage.tool.json("orphans", "quarantine", ORPHAN, "--yes").exit_code == 0


def synced_anew(stage: Stage) -> None:
    moved(stage)
    stage.tool.sync()


SCENES = {
    "sync": Scene(("sync",), prepare=moved, thorough=True),
    "plan": Scene(("sync", "--plan"), prepare=moved, thorough=True),
    "first sync": Scene(("sync",), fresh=True),
    "rebuild": Scene(("rebuild", "--yes"), ("rebuild", "sync"), prepare=moved),
    "resume": Scene(("rebuild", "--yes"), ("rebuild", "sync"), fresh=True, prepare=half_built, served=True),
    "repair by rows": Scene(("repair", "--yes"), ("repair",), prepare=a_flipped_value),
    "repair by rebuild": Scene(("repair", "--yes"), ("repair",), prepare=a_lost_end),
    "set aside": Scene(("orphans", "quarantine", ORPHAN, "--yes")),
    "restore": Scene(("quarantine", "restore", "1", "--yes"), prepare=returned),
    "undo": Scene(("undo", "--yes"), prepare=synced_anew),
}


@contextmanager
def staged(scene: Scene, folder: Path) -> Iterator[Stage]:
    primary = stores.primary("small", folder / "primary")
    if not scene.served:
        yield set_up(Stage(folder, None, primary), scene)
        return
    with Sqld(primary) as server:
        yield set_up(Stage(folder, server.url, primary), scene)


def set_up(stage: Stage, scene: Scene) -> Stage:
    if not scene.fresh:
        stage.proven()
    scene.prepare(stage)
    stage.keep()
    return stage


def step_of(operation: Operation) -> tuple[Kind, str]:
    """What is done, and to which file: names without process numbers, times and digests."""
    return operation.kind, re.sub(r"[0-9a-f]{8,}|\d{4,}", "#", operation.name)


def is_seen_only(operation: Operation) -> bool:
    return operation.name.startswith(("state/history.db", "state/copies", "cache.redb.lock"))


def chosen(scene: Scene, operations: tuple[Operation, ...], random: Random) -> list[tuple[int, bool]]:
    """(operation to die before, or in the middle of it): the last one of each step, and some others."""
    all_ = [one for one in operations if scene.thorough or not is_seen_only(one)]
    if size.FULL:
        return [(one.number, half) for one in all_ for half in (False, True) if not half or one.kind is Kind.WRITE]
    last = sorted({step_of(one): one.number for one in all_}.values())
    share = max(1, min(SHARE, len(last) // ENOUGH))
    some = random.sample(all_, min(SAMPLE, len(all_)))
    return sorted({*((number, False) for number in last[::share]), *((one.number, True) for one in some)})


@pytest.mark.timeout(size.of(1200, 1200, 7200))
@pytest.mark.parametrize("name", SCENES)
async def test_killed_at_every_step(name: str, tmp_path: Path) -> None:
    scene = SCENES[name]
    random = Random(name)
    with staged(scene, tmp_path) as stage, forks(stage.tool, own_children=True) as forked:
        damaged = stage.cache.read_bytes() if stage.cache.exists() else b""
        old = stage.seen()
        recording = forked.record(stage.tool, *scene.words, "--json")
        assert recording.result.exit_code == 0, recording.result.stdout + recording.result.stderr
        new = stage.seen()
        assert new is not None
        precious = precious_rows(stage, old, new)
        assert set(stage.places(precious).values()) <= {1}
        problems: list[str] = []
        kills = 0
        for number, half in chosen(scene, recording.operations, random):
            stage.put_back()
            killed = forked.record(stage.tool, *scene.words, "--json", fault=Fault(number, half=half))
            kills += killed.result.exit_code == -signal.SIGKILL
            where = f"{number}{' half' if half else ''} {[*map(step_of, recording.operations)][number - 1]}"
            problems += [f"{where}: {said}" for said in after_a_kill(stage, old, new, damaged)]
            following = random.choice(scene.following)
            said = await after_the_next_run(stage, scene, following, precious)
            problems += [f"{where}, {following}: {one}" for one in said]
    print(f"{name}: {kills} kills")
    assert not problems, "\n".join(problems)
    assert kills > 10


def precious_rows(stage: Stage, old: Seen | None, new: Seen) -> Precious:
    """What the primary cannot give back: rows of the cache alone, rows that went, rows set aside."""
    rows = new.rows | (old.rows if old is not None else frozenset())
    return dict.fromkeys([*(one for one in rows if one[1] in (CACHE_ONLY, ORPHAN)), *stage.set_aside()], 1)


def after_a_kill(stage: Stage, old: Seen | None, new: Seen, damaged: bytes) -> Iterator[str]:
    found = stage.seen()
    if found is None:
        if old is not None or (stage.cache.read_bytes() if stage.cache.exists() else b"") != damaged:
            yield "the cache cannot be read"
        return
    if found not in (old, new):
        yield "neither the old state nor the new one"
    if stage.acknowledged() > found.generation:
        yield "an acknowledged generation is lost"


async def after_the_next_run(stage: Stage, scene: Scene, following: str, precious: Precious) -> list[str]:
    outcome = await once(NEXT[following], stage.request)
    if outcome.error is not None or (outcome.exit_code, outcome.verdict) != (0, Word.IN_SYNC):
        return [f"{outcome.verdict} {outcome.error} {outcome.states}"]
    said = []
    if not stage.is_the_projection():
        said.append("not what the primary says")
    if not scene.fresh and (lost := [one[:2] for one, places in stage.places(precious).items() if places != 1]):
        said.append(f"not in one place: {lost}")
    beside = [path.name for path in stage.cache.parent.glob("cache.redb*")]
    unfinished = (".old-", ".corrupt-", ".build-") if following == "sync" else (".old-", ".corrupt-")
    left = [one for one in beside if not any(part in one for part in unfinished)]
    if sorted(left) != ["cache.redb", "cache.redb.lock"]:
        said.append(f"leaves {left}")
    if copies := sorted(path.name for path in (stage.state / "copies").glob("*")):
        said.append(f"leaves copies {copies}")
    return said
