"""A proof made again without reading: only where nothing was written to either side, and never for long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.service.operations import Sync
from storage_sync.service.performing import perform, quiet
from storage_sync.state.witness import read_witness
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Reading, Session
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Outcome, Purpose, Word
from tests.support import hrana
from tests.support.command import fingerprint
from tests.support.sqld import Sqld
from tests.support.stores import execute
from tests.sync.test_follow import copied

IN_PLACE = "UPDATE heuristics SET action_text = action_text || '.' WHERE rowid = 1"
BESIDE = "UPDATE tag_metadata SET usage_count = usage_count + 1"


@dataclass
class Lane:
    """A cache that is synced with a server in one process, as the service does it."""

    server: Sqld
    settings: Settings
    session: Session

    async def sync(self, options: Options = USUAL) -> Outcome:
        request = Request(self.settings, None, replace(options, renews=True))
        outcome = await perform(self.session, Sync(), request, quiet, Cancel())
        assert outcome.error is None, outcome.error
        assert outcome.verdict is Word.IN_SYNC
        return outcome

    def reading(self) -> Reading:
        assert self.session.reading is not None
        return self.session.reading


@asynccontextmanager
async def proven(folder: Path) -> AsyncIterator[Lane]:
    generate(folder / "primary.db", 7, 60)
    with Sqld(folder / "primary.db") as server:
        settings = Settings(primary=server.url, cache=folder / "cache.redb", state_dir=folder / "state")
        session = Session(settings, None)
        try:
            lane = Lane(server, settings, session)
            assert "renewed" not in (await lane.sync()).extra
            # the first one opens connections while it reads
            assert "renewed" not in (await lane.sync(Options(full=True))).extra
            yield lane
        finally:
            await session.close()


async def test_nothing_is_read_where_nobody_wrote(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        before, read = fingerprint(Path(lane.session.cache_path)), await lane.sync(Options(full=True))
        outcome = await lane.sync()
        assert outcome.extra["renewed"]
        assert outcome.transfer.requests == 1
        assert outcome.transfer.bytes_received <= 1024
        assert sum(outcome.transfer.rows_read.values()) == 0
        assert outcome.transfer.unmetered == {}
        assert outcome.proof is not None
        assert read.proof is not None
        assert outcome.proof == replace(read.proof, at=outcome.proof.at)
        assert outcome.proof.at > read.proof.at
        assert outcome.counts == read.counts, "what was counted then is so still"
        assert [(one.name, one.status) for one in outcome.checks] == [(one.name, one.status) for one in read.checks]
        assert fingerprint(Path(lane.session.cache_path)) == before
        witness, _ = read_witness(lane.session.state.folder, lane.session.cache_path)
        assert witness is not None
        assert witness.proof == outcome.proof
        assert (await lane.sync()).extra["renewed"] == outcome.extra["renewed"], "it names the reading, not the renewal"


async def test_narrower_settings_that_write_nothing_are_renewed_too(tmp_path: Path) -> None:
    """The file keeps the checkpoint, and the root, of the wider settings."""
    async with proven(tmp_path) as lane:
        lane.settings = msgspec.structs.replace(lane.settings, sync_patterns=False)
        lane.session.settings = lane.settings
        before = fingerprint(Path(lane.session.cache_path))
        assert "renewed" not in (await lane.sync()).extra
        assert fingerprint(Path(lane.session.cache_path)) == before
        assert (await lane.sync()).extra["renewed"]


async def test_a_new_process_reads(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        lane.session = Session(lane.settings, None)
        assert "renewed" not in (await lane.sync()).extra
        await lane.session.close()


@pytest.mark.parametrize("sql", [IN_PLACE, BESIDE], ids=["a row of ours", "a row beside ours"])
async def test_any_write_to_the_primary_is_read(sql: str, tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        assert (await lane.sync()).extra["renewed"]
        hrana.execute(lane.server.url, [sql])
        outcome = await lane.sync()
        assert "renewed" not in outcome.extra
        assert (outcome.transfer.read(Purpose.PROOF) or 0) > 100
        assert [table for table, change in outcome.applied.items() if change.update] == (
            ["heuristics"] if sql == IN_PLACE else []
        )
        # that reading began before its own index was known to stand, and so the next but one at the latest renews
        await lane.sync()
        assert (await lane.sync()).extra["renewed"]


async def test_a_write_that_lies_between_two_polls_and_the_reading(tmp_path: Path) -> None:
    """The index is the one from before the reading, so what came between it and the reading is read again."""
    async with proven(tmp_path) as lane:
        await lane.session.source.standing()
        hrana.execute(lane.server.url, [IN_PLACE])
        outcome = await lane.sync(Options(full=True))
        assert outcome.applied["heuristics"].update == 1
        assert "renewed" not in (await lane.sync()).extra


async def later(lane: Lane) -> None:
    """The last reading is as old as an audit lets it become."""
    reading = lane.reading()
    lane.session.reading = replace(reading, at=reading.at - lane.settings.audit_s)


async def by_hand(lane: Lane) -> None:
    outcome = await perform(lane.session, Sync(), Request(lane.settings, None), quiet, Cancel())
    assert "renewed" not in outcome.extra


async def another_window(lane: Lane) -> None:
    lane.settings = msgspec.structs.replace(lane.settings, max_episodes_cache=50)
    lane.session.settings = lane.settings


async def another_index(lane: Lane) -> None:
    """It stands elsewhere, further on or further back."""
    reading = lane.reading()
    lane.session.reading = replace(reading, log=replace(reading.log, index=(reading.log.index or 0) + 1))


async def another_generation(lane: Lane) -> None:
    reading = lane.reading()
    lane.session.reading = replace(reading, proof=replace(reading.proof, generation=reading.proof.generation + 1))


async def the_server_was_started_again(lane: Lane) -> None:
    """It has the same log, but what happened to its file meanwhile no index tells."""
    lane.server.restart()


@pytest.mark.parametrize(
    "cause", [later, by_hand, another_window, another_index, another_generation, the_server_was_started_again]
)
async def test_else_the_rows_are_read(cause: Callable[[Lane], object], tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        assert (await lane.sync()).extra["renewed"]
        await cause(lane)  # type: ignore[misc]
        if cause is not by_hand:
            assert "renewed" not in (await lane.sync()).extra


async def test_a_primary_that_was_changed_while_it_was_down(tmp_path: Path) -> None:
    """The log of the server knows nothing of it."""
    async with proven(tmp_path) as lane:
        assert (await lane.sync()).extra["renewed"]
        lane.server.stop()
        execute(lane.server.database, [IN_PLACE])
        lane.server.start()
        outcome = await lane.sync()
        assert "renewed" not in outcome.extra
        assert outcome.applied["heuristics"].update == 1


async def test_what_is_written_after_a_renewal_is_followed(tmp_path: Path) -> None:
    """An idle primary is renewed many times before somebody writes to it again."""
    async with proven(tmp_path) as lane:
        for _ in range(2):
            assert "renewed" in (await lane.sync()).extra
        hrana.execute(lane.server.url, [copied(1)])
        outcome = await lane.sync(Options(follows=True, moved=True))
        assert outcome.followed is not None, outcome.extra
        assert outcome.applied["episodes"].insert == 1


async def test_a_log_that_another_process_saw_further_did_not_go_back(tmp_path: Path) -> None:
    """It proved what was written since this one asked last."""
    async with proven(tmp_path) as lane:
        hrana.execute(lane.server.url, [copied(1)])
        other = Session(lane.settings, None)
        try:
            outcome = await perform(other, Sync(), Request(lane.settings, None), quiet, Cancel())
            assert outcome.verdict is Word.IN_SYNC
        finally:
            await other.close()
        outcome = await lane.sync()
        assert outcome.proof is not None
        assert outcome.proof.epoch == 0
