"""F8: a writer moves the primary all the time while it is synced: each committed cache is one state that it had.

Transaction k of the writer is a function of k, and leaves the number k in a row that is cached. So a cache says which
state it claims to be, and that state can be made again, elsewhere, to compare every row.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from msgspec import Struct

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import Demo
from storage_sync.primary import hrana as protocol
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Word
from tests.independent.projection_check import check
from tests.independent.redb_reader import RedbFile
from tests.support import hrana, size, stores
from tests.support.sqld import Sqld

SYNCS = size.of(20, 40, 1_000)
PERIOD_S = size.of(0.03, 0.03, 0.01)
"""Between two transactions of seven writes each: 230 writes a second, for 100 are wanted."""
WINDOW = 24
LIVES = 20
"""Transactions after which an episode that one of them inserted is deleted."""
NOW = 1_795_392_000
TORN_TRIES = 60
_VERSION = re.compile(rb"version (\d+)\.")


class Rows(Struct, frozen=True):
    """Rows that are there from the beginning: each transaction leaves its number in all of them."""

    episode: str
    summary: str
    heuristic: str
    procedure: str

    @staticmethod
    def of(primary: Path) -> Rows:
        def first(column: str, table: str) -> str:
            return str(stores.select(primary, f"SELECT min({column}) FROM {table}")[0][0])

        summary = first("episode_id", "episode_summaries")
        episode = str(
            stores.select(primary, f"SELECT max(episode_id) FROM episodes WHERE episode_id <> '{summary}'")[0][0]
        )
        return Rows(episode, summary, first("heuristic_id", "heuristics"), first("procedural_id", "procedural_memory"))


def episode_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def prepared(rows: Rows) -> list[str]:
    """Transaction 0: the rows that carry the number never leave the window."""
    late = f"start_time = {NOW * 2}"
    return [f"UPDATE episodes SET {late} WHERE episode_id IN ('{rows.episode}', '{rows.summary}')", *marks(rows, 0)]


def marks(rows: Rows, number: int) -> list[str]:
    text = f"version {number}."
    return [
        f"UPDATE heuristics SET action_text = '{text}' WHERE heuristic_id = '{rows.heuristic}'",
        f"UPDATE episodes SET task_description = '{text}' WHERE episode_id = '{rows.episode}'",
        f"UPDATE episode_summaries SET summary_text = '{text}' WHERE episode_id = '{rows.summary}'",
        f"UPDATE procedural_memory SET description = '{text}' WHERE procedural_id = '{rows.procedure}'",
    ]


def transaction(rows: Rows, number: int) -> list[str]:
    """Updates in four tables, an episode that comes and pushes another out of the window, one that goes, and a tag."""
    copied = (
        "task_type, task_description, context, end_time, steps, outcome, reward, reflection, patterns, heuristics, "
        "checkpoints, metadata, domain, language, created_at"
    )
    half = marks(rows, number)
    return [
        *half[:2],
        f"INSERT INTO episodes (episode_id, start_time, {copied}) SELECT '{episode_id(number)}', {NOW + number},"
        f" {copied} FROM episodes WHERE episode_id = '{rows.episode}'",
        f"INSERT INTO episode_tags (episode_id, tag) VALUES ('{episode_id(number)}', 'tag {number % 7}')",
        f"DELETE FROM episodes WHERE episode_id = '{episode_id(number - LIVES)}'",
        *half[2:],
    ]


class Model:
    """A file of its own in which the writer's transactions are done again, in order."""

    def __init__(self, primary: Path, rows: Rows) -> None:
        self.path = primary
        self._rows = rows
        self.at = 0

    def to(self, number: int) -> Path:
        """The primary as transaction `number` left it; it never goes back."""
        assert number >= self.at, "an older state came after a newer one"
        pending = [sql for later in range(self.at + 1, number + 1) for sql in transaction(self._rows, later)]
        if pending:
            stores.execute(self.path, pending)
        self.at = number
        return self.path


class Writer:
    """Commits one transaction each `PERIOD_S` on a thread of its own, as far as the machine lets it."""

    def __init__(self, url: str, rows: Rows) -> None:
        self._url = url
        self._rows = rows
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._work: Future[None] | None = None
        self.committed = 0
        """Transactions of which the server has said so."""
        self.begun = 0

    def _run(self) -> None:
        started = time.monotonic()
        while not self._stop.wait(max(0.0, started + self.begun * PERIOD_S - time.monotonic())):
            self.begun += 1
            hrana.execute(self._url, ["BEGIN", *transaction(self._rows, self.begun), "COMMIT"])
            self.committed = self.begun

    def __enter__(self) -> Self:
        self._work = self._thread.submit(self._run)
        return self

    def __exit__(self, *details: object) -> None:
        self._stop.set()
        self._thread.shutdown()
        if self._work is not None:
            self._work.result()


class Scene(Struct, frozen=True):
    """A server, a cache of it, and the model that follows."""

    server: Sqld
    rows: Rows
    model: Model
    settings: Settings

    @property
    def cache(self) -> Path:
        assert self.settings.cache is not None
        return self.settings.cache

    def sync(self, *, full: bool = False) -> Outcome:
        return asyncio.run(once(Sync(), Request(self.settings, None, Options(full=full))))

    def version(self) -> int:
        """Which state the cache claims to be."""
        (value,) = [bytes(value) for _, value in RedbFile(self.cache).rows("heuristics") if _VERSION.search(value)]
        found = _VERSION.search(value)
        assert found is not None
        return int(found[1])

    def is_a_state(self) -> bool:
        """Whether the cache is the projection of the state that it claims to be, row by row."""
        return check(self.model.to(self.version()), self.cache, window=WINDOW).holds(exact=True)


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    demo = Demo.create(folder, episodes=30, now=NOW)
    rows = Rows.of(demo.primary)
    stores.execute(demo.primary, prepared(rows))
    model = Model(stores.quiet_copy(demo.primary, folder / "model"), rows)
    with Sqld(demo.primary) as server:
        settings = Settings(
            primary=server.url,
            cache=folder / "cache.redb",
            state_dir=folder / "state",
            max_episodes_cache=WINDOW,
            # how much the writer deletes between two syncs depends on the machine, and is not what is tested
            max_removal_ratio=1.0,
        )
        yield Scene(server, rows, model, settings)


@pytest.mark.timeout(size.of(600, 600, 7200))
def test_each_committed_cache_is_a_state_that_the_primary_had(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        assert at.sync().verdict is Word.IN_SYNC
        assert at.is_a_state()
        versions = []
        with Writer(at.server.url, at.rows) as writer:
            started = time.monotonic()
            for number in range(SYNCS):
                had = writer.committed
                outcome = at.sync()
                assert (outcome.verdict, outcome.exit_code) == (Word.IN_SYNC, 0), f"sync {number}: {outcome.error}"
                versions.append(at.version())
                assert had <= versions[-1] <= writer.begun, f"sync {number}: a state of another time"
                assert at.is_a_state(), f"sync {number}: no state of the primary"
            rate = writer.committed / (time.monotonic() - started)
        assert versions == sorted(versions)
        assert len(set(versions)) > SYNCS * 0.9, "the primary did not move between the syncs"
        assert at.sync().verdict is Word.IN_SYNC
        assert at.version() == writer.committed
        assert at.is_a_state()
    logging.getLogger(__name__).info("%.0f transactions a second, %d states", rate, len(set(versions)))
    # seven writes are one transaction: on a machine that is busy elsewhere it is fewer of them, never fewer writes
    assert rate * len(transaction(at.rows, 1)) >= 100


def test_a_reader_of_two_moments_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its transaction the read of everything is torn by the writer, and the judge of above says so."""
    whole = protocol.snapshot_batch

    def torn(statements: list[dict[str, Any]]) -> dict[str, Any]:
        steps = whole(statements)["steps"]
        nothing = {"stmt": protocol.statement("SELECT 1 WHERE 0", want_rows=False)}
        return {"steps": [nothing, *steps[1:-1], nothing]}

    monkeypatch.setattr(protocol, "snapshot_batch", torn)
    with scene(tmp_path) as at, Writer(at.server.url, at.rows):
        found: list[bool] = []
        while len(found) < TORN_TRIES and (not found or found[-1]):
            assert at.sync(full=True).verdict is Word.IN_SYNC
            found.append(at.is_a_state())
    assert not found[-1], f"{len(found)} reads in several transactions, and none was seen to be torn"
