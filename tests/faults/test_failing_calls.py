"""F5 at every call: no room, an I/O error or a file system that became read-only, at any write of a command."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.values.outcome import TABLES
from tests.support import size, stores
from tests.support.command import Result, Tool
from tests.support.forks import Forks, forks
from tests.support.proven import add_cache_only
from tests.support.recorder import Fault, Kind, Operation, Recording

DULL = size.of(48, 32, 1)
"""Of private copies, the history and what undo needs, on which no state depends, one call in so many is tried."""
PAGE = 4096
PAGES = size.of(10, 6, 1)
"""Of the pages of the cache and of a build, one in so many."""
MOVE = [
    "DELETE FROM heuristics WHERE heuristic_id = (SELECT min(heuristic_id) FROM heuristics)",
    "UPDATE episodes SET task_description = 'x' || task_description WHERE rowid % 2 = 0",
]
NEED_ROOM = frozenset({Kind.WRITE, Kind.CREATE, Kind.MAKE_FOLDER, Kind.LINK})

UNDO = "state/undo.db"
"""Not there when the run that failed had committed: the next one has nothing to write."""

Rows = dict[tuple[str, str], bytes]


class Trials:
    """One command on one store, failed at any of its calls."""

    def __init__(self, folder: Path, forked: Forks, tool: Tool, words: tuple[str, ...]) -> None:
        self._forked, self.tool, self._words = forked, tool, words
        self._saved, self._scratch = folder / "saved", folder / "copy.redb"
        shutil.copytree(tool.folder, self._saved)
        self._old = self._rows()
        recording = self._run(None)
        assert recording.result.exit_code == 0, recording.result.stdout
        self.operations = recording.operations
        self._new = self._rows()
        self._usual = _names(tool)
        self.outcomes: dict[int, int] = {}

    def _run(self, fault: Fault | None) -> Recording:
        return self._forked.record(self.tool, *self._words, "--json", fault=fault)

    def _rows(self) -> Rows | None:
        """What do-memory reads in the cache; None when there is none."""
        if not self.tool.cache.exists():
            return None
        shutil.copyfile(self.tool.cache, self._scratch)
        file = _native.CacheFile.open(str(self._scratch), "private")
        try:
            assert file.check_integrity()
            return {(table, key): value for table in TABLES for key, value in file.page(table, None, 100_000)}
        finally:
            file.close()

    def fail(self, fault: Fault) -> int:
        """Number of the first operation that failed, 0 when none did; what is left must be as it should."""
        shutil.rmtree(self.tool.folder)
        shutil.copytree(self._saved, self.tool.folder)
        recording = self._run(fault)
        failed = [one.number for one in recording.operations if one.error == fault.error]
        if not failed:
            return 0
        what = f"{fault} {_told(recording)}: {recording.result.stdout}"
        self._judge(recording.result, what)
        # where nothing can be removed, nothing is
        if fault.span != "onwards":
            self._judge_leftovers(what, self._not_removed(recording, failed))
        again = self._run(None).result
        assert (again.exit_code, again.document["verdict"]) == (0, "IN_SYNC"), f"{what}\nthen {again.stdout}"
        assert self._rows() == self._new, what
        assert _names(self.tool) | {UNDO} == self._usual | {UNDO}, what
        return failed[0]

    def _judge(self, result: Result, what: str) -> None:
        self.outcomes[result.exit_code] = self.outcomes.get(result.exit_code, 0) + 1
        assert result.exit_code in (0, 8), what
        rows = self._rows()
        if result.exit_code == 0:
            assert result.document["verdict"] == "IN_SYNC", what
            assert rows == self._new, what
        else:
            assert result.document["error"]["code"] == "local_io", what
            assert result.document["next_action"], what
            assert rows in (self._old, self._new), what

    def _not_removed(self, recording: Recording, failed: Sequence[int]) -> frozenset[str]:
        """Private copies whose own removal failed, with their lock: the next run sweeps them."""
        unlinked = (one for one in recording.operations if one.number in failed and one.kind is Kind.UNLINK)
        stems = [one.name.partition(".")[0] for one in unlinked]
        kept = [stem for stem in stems if stem.startswith("state/copies/")]
        return frozenset(name for name in _names(self.tool) if name.partition(".")[0] in kept)

    def _judge_leftovers(self, what: str, not_removed: frozenset[str]) -> None:
        left = _names(self.tool) - self._usual - not_removed
        builds = {name for name in left if name.startswith("cache.redb.build-")}
        assert len(builds) <= 1, what
        assert left == builds, f"{what}: left {sorted(left)}"

    def numbers(self, kinds: frozenset[Kind]) -> list[int]:
        """Operations to fail: all of these kinds, but of the dull ones and of the pages only some."""
        chosen = [one for one in self.operations if one.kind in kinds and not one.error]
        dull = [one.number for one in chosen if _dull(one)]
        pages = [one.number for one in chosen if one.length >= PAGE and not _dull(one)]
        rest = {one.number for one in chosen}.difference(dull, pages)
        return sorted([*rest, *dull[::DULL], *pages[::PAGES]])


def _dull(operation: Operation) -> bool:
    return operation.name.startswith(("state/copies/", "state/history.db", UNDO, "cache.redb.lock"))


def _told(recording: Recording) -> str:
    first = next(one for one in recording.operations if one.error not in (0, errno.ENOENT, errno.EEXIST))
    return f"{first.kind.name} {first.name} {first.offset}"


def _names(tool: Tool) -> frozenset[str]:
    """Every file of the tool but SQLite's journals; kept files without their time."""
    found = (str(path.relative_to(tool.folder)) for path in tool.folder.rglob("*") if path.is_file())
    return frozenset(name.partition(".old-")[0] for name in found if not name.endswith(("-journal", "-wal", "-shm")))


COMMANDS = {"in place": ("sync",), "first": ("sync",), "rebuild": ("rebuild", "--yes")}


@pytest.fixture(scope="module", params=COMMANDS)
def trials(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    folder = tmp_path_factory.mktemp("trials")
    primary = stores.primary("small", folder / "primary")
    tool = Tool.at(folder / "tool", f"file:{primary}")
    if request.param != "first":
        tool.sync()
        add_cache_only(tool.cache)
        tool.sync("--full")
        stores.execute(primary, MOVE)
    with forks(tool) as forked:
        yield Trials(folder, forked, tool, COMMANDS[request.param])


@pytest.mark.timeout(3600)
def test_the_disk_is_full_from_any_write_on(trials: Trials) -> None:
    last = 0
    for number in trials.numbers(NEED_ROOM):
        if number > last:
            last = trials.fail(Fault(number, errno.ENOSPC, "growing")) or last
    assert trials.outcomes.get(8, 0) > 20, trials.outcomes


@pytest.mark.timeout(3600)
def test_any_call_may_fail(trials: Trials) -> None:
    for number in trials.numbers(frozenset(Kind))[:: size.of(12, 6, 1)]:
        trials.fail(Fault(number, errno.EIO))
    assert trials.outcomes.get(8, 0) > 5, trials.outcomes


@pytest.mark.timeout(3600)
def test_the_file_system_becomes_read_only(trials: Trials) -> None:
    numbers = trials.numbers(frozenset(Kind))
    for number in numbers[:: size.of(len(numbers) // 8, len(numbers) // 12, 1)]:
        trials.fail(Fault(number, errno.EROFS, "onwards"))
    assert trials.outcomes.get(8, 0) > 5, trials.outcomes
