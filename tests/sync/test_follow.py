"""What do-memory wrote since the last proof is taken in without one, and a proof then finds nothing to do."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.primary import source
from storage_sync.reports.document import rfc3339, to_json
from storage_sync.reports.sentences import sentence
from storage_sync.reports.status import status_quick
from storage_sync.service.operations import Operation, Ping, Sync, Verify
from storage_sync.service.performing import perform, quiet
from storage_sync.state.imprint import read_imprint, write_imprint
from storage_sync.state.witness import read_witness, write_witness
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Session
from storage_sync.values.followed import Ending
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Outcome, Purpose, TableChange, Word
from storage_sync.values.witness import Witness
from tests.independent.projection_check import check
from tests.support import hrana, stores
from tests.support.sqld import Sqld
from tests.support.values import altered

EPISODE_COLUMNS = (
    "episode_id,task_type,task_description,context,start_time,end_time,steps,outcome,reward,reflection,patterns,"
    "heuristics,checkpoints,metadata,domain,language"
)
NEWEST = "(SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT 1)"


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def copied(number: int, *, start: str = "(SELECT max(start_time)+1 FROM episodes)") -> str:
    """A new episode, made of one that is there."""
    columns = EPISODE_COLUMNS.replace("episode_id", f"'{uuid(number)}'").replace("start_time", start)
    return f"INSERT OR REPLACE INTO episodes ({EPISODE_COLUMNS}) SELECT {columns} FROM episodes LIMIT 1"


def rewritten(which: str = NEWEST) -> list[str]:
    """An episode rewritten as do-memory does it: with its row, then its tags, which the rewriting took away."""
    columns = EPISODE_COLUMNS.replace("task_description", "task_description||'.'")
    return [
        f"INSERT OR REPLACE INTO episodes ({EPISODE_COLUMNS}) SELECT {columns} FROM episodes WHERE episode_id={which}",
        f"DELETE FROM episode_tags WHERE episode_id={which}",
        *(f"INSERT INTO episode_tags (episode_id, tag) VALUES ({which}, '{tag}')" for tag in ("alpha", "beta")),
    ]


class Lane(Struct):
    """A cache that is synced with a server in one process, as the service does it."""

    server: Sqld
    settings: Settings
    session: Session

    def write(self, *statements: str) -> None:
        hrana.execute(self.server.url, statements)

    async def run(self, options: Options = USUAL) -> Outcome:
        return await perform(self.session, Sync(), Request(self.settings, None, options), quiet, Cancel())

    async def follow(self, options: Options = USUAL) -> Outcome:
        """A follow run that followed."""
        outcome = await self.run(replace(options, follows=True))
        assert outcome.error is None, outcome.error
        assert "follow" not in outcome.extra, outcome.extra
        assert outcome.verdict is Word.IN_SYNC
        assert outcome.followed is not None
        assert outcome.transfer.read(Purpose.PROOF) in (0, None)
        return outcome

    async def ended(self, why: Ending, options: Options = USUAL) -> Outcome:
        """A follow run that ended, and proved instead."""
        outcome = await self.run(replace(options, follows=True))
        assert outcome.error is None, outcome.error
        told = outcome.extra["follow"]
        assert isinstance(told, dict)
        assert told["ended"] == why.value
        assert outcome.followed is None
        return outcome

    async def proof_finds_nothing(self) -> None:
        outcome = await self.run()
        assert outcome.verdict is Word.IN_SYNC
        assert outcome.applied == {}, outcome.applied
        assert outcome.followed is None

    async def restart(self) -> None:
        """Another process goes on."""
        await self.session.close()
        self.session = Session(self.settings, None)

    def witness(self) -> Witness:
        witness, _ = read_witness(self.session.state.folder, self.session.cache_path)
        assert witness is not None
        return witness


class FileLane(Lane):
    """The same, with the file itself, which do-memory writes with foreign keys on."""

    def write(self, *statements: str) -> None:
        with closing(sqlite3.connect(str(self.settings.primary).removeprefix("file:"))) as db:
            db.execute("PRAGMA foreign_keys=ON")
            for statement in statements:
                db.execute(statement)
            db.commit()


@asynccontextmanager
async def proven(folder: Path, *, episodes: int = 60, window: int = 40, file: bool = False) -> AsyncIterator[Lane]:
    generate(folder / "primary.db", 7, episodes)
    with ExitStack() as stack:
        server = Sqld(folder / "primary.db")
        url = f"file:{folder / 'primary.db'}" if file else stack.enter_context(server).url
        settings = Settings(
            primary=url, cache=folder / "cache.redb", state_dir=folder / "state", max_episodes_cache=window
        )
        session = Session(settings, None)
        lane = (FileLane if file else Lane)(server, settings, session)
        try:
            assert (await lane.run()).verdict is Word.IN_SYNC
            yield lane
        finally:
            await lane.session.close()


async def test_nothing_above_the_marks(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        before = lane.witness()
        outcome = await lane.follow()
        assert outcome.proof is not None
        assert before.proof is not None
        assert outcome.proof.at == before.proof.at, "the last real proof stays"
        assert outcome.cache_writes.commits == 0
        assert outcome.followed is not None
        assert outcome.followed.changes == 0


@pytest.mark.parametrize(
    ("operation", "options"), [(Verify(), USUAL), (Sync(), Options(plan_only=True))], ids=["verify", "plan"]
)
async def test_a_proof_that_wrote_nothing_is_gone_on_from(
    operation: Operation, options: Options, tmp_path: Path
) -> None:
    async with proven(tmp_path) as lane:
        lane.write(*rewritten())
        first = await lane.follow()
        newer = await perform(lane.session, operation, Request(lane.settings, None, options), quiet, Cancel())
        assert first.proof is not None
        assert newer.proof is not None
        assert newer.proof.at > first.proof.at
        lane.write(copied(1))
        after = await lane.follow()
        assert after.proof is not None
        assert after.proof.at == newer.proof.at, "the last proof does not go back"
        assert after.followed is not None
        assert after.followed.changes == sum(one.rows for one in after.applied.values()), "only what came after it"
        assert lane.witness().proof == after.proof
        await lane.restart()
        assert (await lane.run(replace(USUAL, follows=True))).proof == after.proof
        await lane.proof_finds_nothing()


async def test_marks_are_asked_for_where_somebody_wrote(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        before = lane.witness().marks
        assert before is not None
        assert before.index is not None
        await lane.restart()
        outcome = await lane.run()
        assert (outcome.transfer.requests, lane.witness().marks) == (2, before)
        await lane.restart()
        lane.write("UPDATE heuristics SET action_text = action_text || '.' WHERE rowid = 1")
        outcome = await lane.run()
        assert outcome.applied["heuristics"].update == 1
        after = lane.witness().marks
        assert after is not None
        assert after.index is not None
        assert after.index > before.index
        await lane.follow()


@pytest.mark.parametrize(
    "written",
    [
        [copied(1)],
        [copied(1, start="(SELECT min(start_time) FROM episodes)")],
        rewritten(),
        rewritten("(SELECT episode_id FROM episodes ORDER BY start_time, episode_id LIMIT 1)"),
        [*rewritten(), *rewritten(), copied(2), *rewritten()],
        [copied(number) for number in range(1, 45)],
        [sql for place in range(20) for sql in rewritten(NEWEST.replace("LIMIT 1", f"LIMIT 1 OFFSET {place}"))],
        [
            f"INSERT INTO episode_tags (episode_id, tag) VALUES ({NEWEST}, hex(zeroblob({600_000 + n})))"
            for n in range(4)
        ],
    ],
    ids=[
        *("new", "new and old", "rewritten", "rewritten outside", "several", "more than the window"),
        *("many rewritten", "long tags"),
    ],
)
async def test_what_was_written_is_followed(written: Sequence[str], tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        before = lane.witness()
        lane.write(*written)
        outcome = await lane.follow()
        assert outcome.proof is not None
        assert before.proof is not None
        assert outcome.proof.at == before.proof.at
        await lane.proof_finds_nothing()


TEN = [sql for place in range(10) for sql in rewritten(NEWEST.replace("LIMIT 1", f"LIMIT 1 OFFSET {place}"))]


async def test_what_a_follow_run_reads(tmp_path: Path) -> None:
    """Each row about once: in a process that runs, and in a new one, which knows the schema by its digest."""
    async with proven(tmp_path) as lane:
        await lane.proof_finds_nothing()
        for most in (400, 600):
            lane.write(*TEN)
            outcome = await lane.run(Options(follows=True))
            assert outcome.followed is not None
            assert outcome.followed.changes > 0
            read = [outcome.transfer.read(purpose) for purpose in Purpose]
            assert sum(rows or 0 for rows in read) <= most, read
            await lane.restart()


@pytest.mark.parametrize("kept", ["as it was", "damaged"])
async def test_another_process_sees_that_the_schema_changed(kept: str, tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        await lane.proof_finds_nothing()
        await lane.restart()
        if kept == "damaged":
            known = read_imprint(lane.session.state.folder, lane.session.cache_path)
            assert known is not None
            assert known.schema is not None
            write_imprint(lane.session.state.folder, replace(known, schema=replace(known.schema, answer="{}")))
            await lane.proof_finds_nothing()
            await lane.restart()
        lane.write("DROP INDEX idx_embeddings_item")
        outcome = await lane.ended(Ending.SHAPE)
        assert outcome.verdict is Word.IN_SYNC
        assert "index" in str(outcome.extra["follow"])


NO_DIGESTS = {
    "new": [copied(1)],
    "rewritten": rewritten(),
    "several": [*rewritten(), *rewritten(), copied(2), *rewritten()],
    "heuristics": [
        "INSERT INTO heuristics SELECT '00000000-0000-4000-8000-0000000000ff', condition_text, action_text, 1.0/3,"
        " evidence, created_at, updated_at FROM heuristics LIMIT 1"
    ],
}


@pytest.mark.parametrize("file", [False, True], ids=["server", "file"])
@pytest.mark.parametrize("written", NO_DIGESTS.values(), ids=NO_DIGESTS)
async def test_a_primary_without_a_digest_function_is_followed(
    written: Sequence[str], file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are digested here, those that were written and no others."""
    monkeypatch.setattr(source, "digest_of", lambda _: None)
    async with proven(tmp_path, file=file) as lane:
        assert (await lane.session.source.probe()).digest is None
        ping = await perform(lane.session, Ping(), Request(lane.settings, None), quiet, Cancel())
        assert "a proof" in str(ping.extra["ping"]), "what it costs here is said"
        assert "a follow run" in str(ping.extra["ping"])
        before = lane.session.counters()
        await lane.proof_finds_nothing()
        proof = lane.session.counters().since(before)
        lane.write(*written)
        outcome = await lane.follow()
        assert outcome.followed is not None
        assert outcome.followed.changes > 0
        assert outcome.transfer.bytes_received * 4 <= proof.bytes_received
        await lane.proof_finds_nothing()


async def test_what_is_said(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        lane.write(copied(1))
        outcome = await lane.follow()
        assert outcome.proof is not None
        assert outcome.followed is not None
        touched = sum(one.insert + one.update + one.remove for one in outcome.applied.values())
        assert outcome.followed.changes == touched
        assert outcome.applied["episodes"] == TableChange(insert=1, remove=1), "one came, and one left the window"
        document = to_json(outcome)
        assert document["followed"] == {
            "changes": touched,
            "at": rfc3339(outcome.followed.at),
            "since": rfc3339(outcome.proof.at),
        }
        assert outcome.counts["episodes"].primary is None, "the source tables were not counted"
        told = sentence(
            replace(outcome, extra={**outcome.extra, "proof_age_seconds": 260.0, "followed_age_seconds": 2})
        )
        assert told.startswith(f"Proved 4 min ago; {touched} changes followed since, the last 2 s ago.")
        status = status_quick(Request(lane.settings, None))
        assert status.verdict is Word.IN_SYNC
        assert status.followed == outcome.followed
        assert "changes followed since" in sentence(status)
        await lane.proof_finds_nothing()
        assert status_quick(Request(lane.settings, None)).followed is None


async def test_a_proof_that_is_too_old_is_made_again(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        witness = lane.witness()
        assert witness.proof is not None
        old = replace(witness.proof, at=witness.proof.at - lane.settings.staleness_s - 1)
        write_witness(lane.session.state.folder, replace(witness, proof=old))
        outcome = await lane.ended(Ending.TOO_OLD)
        assert outcome.verdict is Word.IN_SYNC
        assert outcome.proof is not None
        assert outcome.proof.at > witness.proof.at


UNSEEN = {
    "a deletion": ["DELETE FROM heuristics WHERE rowid=1"],
    "an update in place": ["UPDATE heuristics SET action_text = action_text || '.' WHERE rowid = 1"],
    "a highest rowid given again": [
        "DELETE FROM heuristics WHERE rowid=(SELECT max(rowid) FROM heuristics)",
        "INSERT INTO heuristics SELECT '00000000-0000-4000-8000-0000000000ff', condition_text, action_text, confidence,"
        " evidence, created_at, updated_at FROM heuristics LIMIT 1",
    ],
}


@pytest.mark.parametrize("written", UNSEEN.values(), ids=UNSEEN)
async def test_what_a_follow_run_cannot_see_is_proven(written: Sequence[str], tmp_path: Path) -> None:
    """Where the index moved and nothing above the marks explains it, a follow run says so."""
    async with proven(tmp_path) as lane:
        lane.write(*written)
        outcome = await lane.run(Options(follows=True))
        told = outcome.extra["follow"]
        assert isinstance(told, dict)
        assert told["ended"] in (Ending.UNEXPLAINED.value, Ending.MARK_CHANGED.value)
        assert outcome.applied["heuristics"].update + outcome.applied["heuristics"].remove == 1
        await lane.follow()


async def test_without_a_proof_now_the_last_one_is_not_said_again(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        lane.write(*UNSEEN["an update in place"])
        outcome = await lane.run(Options(follows=True, moved=True, proves=False))
        assert (outcome.verdict, outcome.next_action) == (Word.STALE, "storage-sync sync")
        assert outcome.proof is None
        assert outcome.applied == {}


ENDINGS = {
    Ending.SCHEMA: ["CREATE TABLE another (x)"],
    Ending.MARK_FELL: ["DELETE FROM patterns WHERE rowid=(SELECT max(rowid) FROM patterns)"],
    Ending.LAST_ROWID: [f"UPDATE heuristics SET rowid={(1 << 63) - 1} WHERE rowid=1"],
    Ending.TOO_MANY: [
        "INSERT INTO heuristics WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2001)"
        " SELECT printf('00000000-0000-4000-9000-%012x', n.i), h.condition_text, h.action_text, h.confidence,"
        " h.evidence, h.created_at, h.updated_at FROM n, (SELECT * FROM heuristics LIMIT 1) h"
    ],
    Ending.MARK_CHANGED: [
        "UPDATE patterns SET rowid=rowid+1000000 WHERE rowid=(SELECT min(rowid) FROM patterns)",
        "UPDATE heuristics SET rowid=-rowid",
        "UPDATE heuristics SET rowid=1-rowid WHERE rowid<0",
    ],
    Ending.SHAPE: ["ALTER TABLE heuristics RENAME TO base", "CREATE VIEW heuristics AS SELECT * FROM base"],
}


@pytest.mark.parametrize(("why", "written"), ENDINGS.items(), ids=ENDINGS)
async def test_why_a_follow_run_ends(why: Ending, written: Sequence[str], tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        lane.write(*written)
        outcome = await lane.ended(why)
        assert outcome.verdict is Word.IN_SYNC, "a proof does the work"
        await lane.proof_finds_nothing()


OTHER_SETTINGS = {
    "a window with as much room": {"max_episodes_cache": 90},
    "without embeddings": {"sync_embeddings": False},
    "without patterns": {"sync_patterns": False},
}
"""Settings under which the same file holds all that it should: a proof has nothing to write."""


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("changed", OTHER_SETTINGS.values(), ids=OTHER_SETTINGS)
async def test_a_proof_under_other_settings_that_wrote_nothing_is_followed(
    changed: dict[str, object], restarts: bool, tmp_path: Path
) -> None:
    async with proven(tmp_path, window=100) as lane:
        lane.settings = replace(lane.settings, **changed)
        lane.session.settings = lane.settings
        outcome = await lane.ended(Ending.CONFIGURATION)
        assert (outcome.verdict, outcome.cache_writes.commits) == (Word.IN_SYNC, 0)
        for number in (1, 2):
            if restarts:
                await lane.restart()
            lane.write(copied(number))
            # a process that has just started also reads what the tables are like
            followed = await lane.run(replace(USUAL, follows=True)) if restarts else await lane.follow()
            assert (followed.verdict, followed.followed is None) == (Word.IN_SYNC, False), followed.extra
            assert followed.applied["episodes"] == TableChange(insert=1)
        await lane.proof_finds_nothing()
        primary = stores.quiet_copy(lane.server.database, tmp_path / "copy")
        settings = lane.settings
        assert settings.cache is not None
        report = check(
            primary,
            settings.cache,
            window=settings.max_episodes_cache,
            patterns=settings.sync_patterns,
            embeddings=settings.sync_embeddings,
        )
        assert report.holds(), report.text()


async def test_settings_that_nothing_was_proven_under_are_not_followed(tmp_path: Path) -> None:
    async with proven(tmp_path, window=100) as lane:
        first = lane.settings
        for settings in (replace(first, max_episodes_cache=90), first):
            lane.settings = lane.session.settings = settings
            await lane.ended(Ending.CONFIGURATION)


async def test_rows_that_are_not_as_proven_are_not_followed_under_settings_that_the_file_does_not_name(
    tmp_path: Path,
) -> None:
    """Only hashes of all its rows say that the root of the proof is that of the file."""
    async with proven(tmp_path, window=100) as lane:
        lane.settings = lane.session.settings = replace(lane.settings, sync_embeddings=False)
        await lane.ended(Ending.CONFIGURATION)
        alter_a_row(tmp_path / "cache.redb")
        lane.write(copied(1))
        await lane.ended(Ending.CONFIGURATION)
        await lane.proof_finds_nothing()


def alter_a_row(cache: Path) -> None:
    """As do-memory does it, after the proof."""
    file = _native.CacheFile.open(str(cache), "read")
    key, value = file.page("heuristics", None, 1)[0]
    file.close()
    told = altered("heuristics", value, action="another one")
    _native.edit(str(cache), [("heuristics", key, _native.digest("blake3", value), told)], {}, None, 0)


HEURISTIC = "heuristic_id,condition_text,action_text,confidence,evidence,created_at,updated_at"
NOT_FOLLOWED = {
    "no rowids": [
        "ALTER TABLE heuristics RENAME TO base",
        "CREATE TABLE heuristics (heuristic_id TEXT PRIMARY KEY NOT NULL, condition_text TEXT NOT NULL,"
        " action_text TEXT NOT NULL, confidence REAL NOT NULL, evidence TEXT NOT NULL, created_at INTEGER NOT NULL,"
        " updated_at INTEGER NOT NULL) WITHOUT ROWID",
        f"INSERT INTO heuristics SELECT {HEURISTIC} FROM base",
    ],
    "no index": ["DROP INDEX idx_relationships_to", "DROP INDEX idx_relationships_bidirectional"],
}


@pytest.mark.parametrize("written", NOT_FOLLOWED.values(), ids=NOT_FOLLOWED)
async def test_tables_of_another_kind_are_proven(written: Sequence[str], tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        lane.write(*written)
        first = await lane.ended(Ending.SHAPE)
        assert first.verdict is Word.IN_SYNC
        lane.write(copied(1))
        again = await lane.run(Options(follows=True))
        assert "follow" in again.extra
        assert again.verdict is Word.IN_SYNC
        assert again.followed is None
        assert again.applied["episodes"].insert == 1


@pytest.mark.parametrize("returns", [False, True], ids=["steps back", "returns"])
async def test_an_index_of_another_log(returns: bool, tmp_path: Path) -> None:
    """A backup is restored: its index lies below that of the marks, or writers bring it back to where it was."""
    async with proven(tmp_path) as lane:
        lane.server.stop()
        backup = stores.quiet_copy(lane.server.database, tmp_path / "backup")
        lane.server.start()
        lane.write(copied(1))
        lane.write(*(f"UPDATE tag_metadata SET usage_count={number}" for number in range(10)))
        assert (await lane.run()).verdict is Word.IN_SYNC
        marks = lane.witness().marks
        assert marks is not None
        assert marks.index is not None
        lane.server.stop()
        with Sqld(backup, port=lane.server.port) as other:
            while returns and hrana_index(other.url) < marks.index:
                hrana.execute(other.url, ["UPDATE tag_metadata SET usage_count=usage_count+1"])
            outcome = await lane.run(Options(follows=True))
            told = outcome.extra["follow"]
            assert isinstance(told, dict)
            assert outcome.followed is None
            if returns:
                assert told["ended"] in (Ending.MARK_FELL.value, Ending.MARK_CHANGED.value)
                assert outcome.verdict is Word.IN_SYNC, "a proof did the work"
                assert outcome.applied["episodes"].remove == 1
            else:
                assert told["ended"] == Ending.EPOCH.value
                assert outcome.exit_code == 9, "whether it is another primary is for a person to say"


def hrana_index(url: str) -> int:
    return int(hrana.execute(url, ["SELECT 1"])[0]["response"]["result"]["replication_index"])
