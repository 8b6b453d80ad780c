"""F10: the power goes at any moment of a sync, a rebuild, a swap or a repair; what the disk may hold is judged."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Rebuild, Repair, Sync
from storage_sync.service.performing import once
from storage_sync.values.outcome import TABLES, Word
from tests.support import recorder, size, stores
from tests.support.command import Tool
from tests.support.disk import Disk, Image, Moment, moments, whole
from tests.support.proven import add_cache_only
from tests.support.recorder import Operation

IMAGES = size.of(150, 400, 12_500)
"""Different ones of each recording."""
EACH = 12
"""One image of so many is also given to a next run."""
CACHE, WITNESS = "cache.redb", "state/acked.json"
SET_ASIDE = "state/set-aside/rows.db"
STORES = (SET_ASIDE, "state/undo.db", "state/history.db")
PAGES_LOST = slice(200_704, 208_896)
MOVE = [
    "DELETE FROM heuristics WHERE heuristic_id = (SELECT min(heuristic_id) FROM heuristics)",
    "UPDATE episodes SET task_description = 'x' || task_description WHERE rowid % 2 = 0",
]

Rows = dict[tuple[str, str], bytes]


@dataclass(frozen=True)
class State:
    """All that a cache says: every row of every table, ours and derived ones too."""

    generation: int
    rows: Rows

    def of_do_memory(self) -> Rows:
        return {place: value for place, value in self.rows.items() if place[0] in TABLES}


def state_of(copy: Path) -> State | None:
    """Of a file that redb may repair; None when it cannot be read, or its rows are not what its ledger says."""
    try:
        file = _native.CacheFile.open(str(copy), "private")
        try:
            rows = {
                (one.name, key): value for one in file.tables() for key, value in file.page(one.name, None, 100_000)
            }
            return State(int(file.meta()["generation"]), rows) if file.scan().clean else None
        finally:
            file.close()
    except _native.NativeError:
        return None


class Recorded:
    """A command that was recorded, with the state of the cache before it and after it."""

    def __init__(self, folder: Path, prepare: Callable[[Tool, Path], object], *words: str, fresh: bool = False) -> None:
        primary = stores.primary("small", folder / "primary")
        self.tool = Tool.at(folder / "tool", f"file:{primary}")
        self._scratch = folder / "scratch"
        self._scratch.mkdir()
        if not fresh:
            self.tool.sync()
            add_cache_only(self.tool.cache)
            self.tool.sync("--full")
        prepare(self.tool, primary)
        self._before = None if fresh else self.tool.cache.read_bytes()
        self._old = None if fresh else self._copied()
        self._acked = 0 if fresh else _acknowledged(whole(self.tool.folder))
        self._command = words[0]
        self._disk = Disk(self.tool.folder)
        recording = recorder.record(self.tool, *words, "--json")
        assert recording.result.exit_code == 0, recording.result.stdout + recording.result.stderr
        self._operations = recording.operations
        new = self._copied()
        assert new is not None
        self._new = new
        left = new.of_do_memory()
        was = {} if self._old is None else self._old.of_do_memory()
        self._gone = sorted((key, value) for (table, key), value in was.items() if (table, key) not in left)
        self._states: dict[bytes, State | None] = {}

    def _copied(self) -> State | None:
        copy = self._scratch / "copy.redb"
        shutil.copyfile(self.tool.cache, copy)
        return state_of(copy)

    def moments(self, random: Random, wanted: int) -> Iterator[Moment]:
        return moments(self._disk, self._operations, random, wanted, _dull)

    def where(self, moment: Moment) -> str:
        last = self._operations[moment.after - 1] if moment.after else None
        return (
            f"after {moment.after} ({last.kind.name if last else ''} {last.name if last else ''}), {moment.loss.value}"
        )

    def problem(self, moment: Moment) -> str:
        """'' unless an acknowledged state or a row is lost, states are mixed, or a file cannot be opened."""
        files = moment.image.files
        acknowledged = max(_acknowledged(moment.sure), self._acked)
        broken = [name for name in STORES if name in files and self._kept_in(files, name) is None]
        if broken:
            return f"cannot be opened: {broken}"
        if CACHE not in files:
            return "the cache is gone" if acknowledged else ""
        if files[CACHE] == self._before and acknowledged == _acknowledged(moment.image) == self._acked:
            return ""
        found = self._state(files[CACHE])
        if found is None or found not in (self._old, self._new):
            return "cannot be opened" if found is None else "neither the old state nor the new one"
        if found.generation < max(acknowledged, _acknowledged(moment.image)):
            return "acknowledged, but not there"
        aside = self._kept_in(files, SET_ASIDE) or []
        lost = found == self._new and any(row not in aside for row in self._gone)
        return "a row is nowhere" if lost else ""

    def _state(self, data: bytes) -> State | None:
        digest = hashlib.blake2b(data).digest()
        if digest not in self._states:
            path = self._scratch / CACHE
            path.write_bytes(data)
            self._states[digest] = state_of(path)
        return self._states[digest]

    def _kept_in(self, files: Mapping[str, bytes], name: str) -> list[tuple[str, bytes]] | None:
        """Rows set aside in a store as its next reader finds it, with its journals; None when it is damaged."""
        parts = {part: data for part, data in files.items() if part.startswith(name)}
        for part, data in parts.items():
            (self._scratch / Path(part).name).write_bytes(data)
        path = self._scratch / Path(name).name
        connection = sqlite3.connect(path)
        try:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return None
            told = connection.execute("SELECT name FROM sqlite_master WHERE name = 'rows'").fetchall()
            return connection.execute("SELECT key, value FROM rows").fetchall() if told else []
        except sqlite3.DatabaseError:
            return None
        finally:
            connection.close()
            for left in self._scratch.glob(f"{path.name}*"):
                left.unlink()

    async def problem_of_next_run(self, moment: Moment, *, again: bool) -> str:
        """'' when the tool, finding this image, ends in sync without being asked for anything, with every row once.

        `again`: a rebuild, else a sync, which leaves a build that nobody finished for the next rebuild. After a
        repair that was cut short the tool asks for a repair.
        """
        shutil.rmtree(self.tool.folder)
        self.tool.folder.mkdir()
        moment.image.write(self.tool.folder)
        settings = Settings(primary=self.tool.primary, cache=self.tool.cache, state_dir=self.tool.folder / "state")
        operation = Repair() if self._command == "repair" else Rebuild() if again else Sync()
        outcome = await once(operation, Request(settings, None))
        if outcome.error is not None or (outcome.exit_code, outcome.verdict) != (0, Word.IN_SYNC):
            return f"the next run: {outcome.verdict} {outcome.error} {outcome.states}"
        found = self._copied()
        if found is None or found.of_do_memory() != self._new.of_do_memory():
            return "the next run: other rows than without the cut"
        kept = whole(self.tool.folder).files
        if sorted(self._kept_in(kept, SET_ASIDE) or []) != self._gone:
            return "the next run: not each row that is gone is set aside once"
        usual = [".old-", ".corrupt-", *([] if again or self._command == "sync" else [".build-"])]
        left = [name for name in kept if name.startswith(CACHE) and not any(part in name for part in usual)]
        return "" if sorted(left) == [CACHE, f"{CACHE}.lock"] else f"the next run: leaves {left}"


def _acknowledged(image: Image) -> int:
    return int(json.loads(image.files[WITNESS])["generation"]) if WITNESS in image.files else 0


def _dull(operation: Operation) -> bool:
    return operation.name.startswith(("state/history.db", "state/copies", f"{CACHE}.lock"))


def unchanged(tool: Tool, primary: Path) -> None:
    """The primary is as it was."""


def moved(tool: Tool, primary: Path) -> None:
    stores.execute(primary, MOVE)


def staged(tool: Tool, primary: Path) -> None:
    assert tool.json("rebuild", "--staged", "--yes").exit_code == 0


def damaged(tool: Tool, primary: Path) -> None:
    data = bytearray(tool.cache.read_bytes())
    data[PAGES_LOST] = bytes(PAGES_LOST.stop - PAGES_LOST.start)
    tool.cache.write_bytes(data)
    assert tool.json("status").document["verdict"] != Word.IN_SYNC


RECORDINGS: dict[str, Callable[[Path], Recorded]] = {
    "in place": lambda folder: Recorded(folder, moved, "sync"),
    "first": lambda folder: Recorded(folder, unchanged, "sync", fresh=True),
    "rebuild": lambda folder: Recorded(folder, moved, "rebuild", "--yes"),
    "repair": lambda folder: Recorded(folder, damaged, "repair", "--yes"),
    "swap": lambda folder: Recorded(folder, staged, "rebuild", "--swap", "--yes"),
}


@pytest.mark.timeout(size.of(1200, 1200, 7200))
@pytest.mark.parametrize("command", RECORDINGS)
async def test_no_power_cut_loses_what_was_acknowledged(command: str, tmp_path: Path) -> None:
    recorded = RECORDINGS[command](tmp_path)
    random = Random(command)
    problems: dict[str, list[str]] = {}
    images = 0
    for moment in recorded.moments(random, IMAGES):
        images += 1
        problem = recorded.problem(moment)
        if not problem and random.randrange(EACH) == 0:
            problem = await recorded.problem_of_next_run(moment, again=random.randrange(2) == 0)
        if problem:
            problems.setdefault(problem, []).append(recorded.where(moment))
    assert not problems, {problem: (len(places), places[:8]) for problem, places in problems.items()}
    assert images == IMAGES
