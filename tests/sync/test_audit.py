"""What a proof reads, what it finds, and what it leaves to the audit (docs/protocol.md#what-a-proof-reads)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec
import pytest
from msgspec.structs import replace

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from storage_sync.service.operations import Operation, Sync, Verify
from storage_sync.service.performing import perform, quiet
from storage_sync.state.imprint import FILE_NAME, read_imprint, write_imprint
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Session
from storage_sync.values.imprint import KnownImprint
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import CheckStatus, Outcome, Purpose, Word
from tests.support import hrana
from tests.support.sqld import Sqld

WINDOW, EPISODES = 20, 60
SCOPE = "emb_v1:local:sentence-transformers/all-MiniLM-L6-v2:384#r13055530951525453766"
OTHER_SCOPE = "emb_v1:openai:text-embedding-3-small:384#r1"
LONE = "99999999-9999-4999-8999-999999999999"
OUTSIDE = ("cache:warm-up", "deadbeef:notes", LONE, "model-9:episode:{episode}")
"""Ids that nothing leads to: they begin as a UUID does, or name an owner in another way than do-memory."""


@dataclass
class Lane:
    """One primary on a server and a cache of its window; each command is a process of its own, but for the program."""

    server: Sqld
    settings: Settings

    async def run(self, operation: Operation, options: Options = USUAL) -> Outcome:
        session = Session(self.settings, None)
        try:
            return await perform(session, operation, Request(self.settings, None, options), quiet, Cancel())
        finally:
            await session.close()

    async def sync(self) -> Outcome:
        outcome = await self.run(Sync())
        assert outcome.error is None, outcome.error
        assert outcome.verdict is Word.IN_SYNC
        return outcome

    def sql(self, *statements: str) -> None:
        hrana.execute(self.server.url, statements)

    def embedding(self, item: str, kind: str = "embedding") -> None:
        self.sql(
            "INSERT INTO embeddings SELECT lower(hex(randomblob(8))), "
            f"'{item}', '{kind}', embedding_data, embedding_vector, dimension, model, created_at"
            " FROM embeddings WHERE item_id='query:authentication' LIMIT 1"
        )

    def episode(self, place: int) -> str:
        """The id of an episode by its place in the window, 0 the newest."""
        sql = f"SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT 1 OFFSET {place}"
        (row,) = hrana.execute(self.server.url, [sql])[0]["response"]["result"]["rows"]
        return str(row[0]["value"])

    @property
    def known(self) -> KnownImprint:
        known = read_imprint(Path(str(self.settings.state_dir)), str(self.settings.cache))
        assert known is not None
        return known

    def long_ago(self) -> None:
        """The last audit was more than `audit_s` ago."""
        assert self.settings.state_dir is not None
        then = self.known.audited_at - self.settings.audit_s - 1
        write_imprint(self.settings.state_dir, replace(self.known, audited_at=then))


@asynccontextmanager
async def proven(folder: Path) -> AsyncIterator[Lane]:
    generate(folder / "primary.db", 7, EPISODES)
    with Sqld(folder / "primary.db") as server:
        lane = Lane(
            server,
            Settings(
                primary=server.url,
                cache=folder / "cache.redb",
                state_dir=folder / "state",
                max_episodes_cache=WINDOW,
            ),
        )
        first = await lane.sync()
        assert first.proof is not None
        assert first.proof.audited_at is not None, "a first sync looks at everything"
        yield lane


def detail(outcome: Outcome) -> str:
    (check,) = (one for one in outcome.checks if one.name == "content_digests")
    assert check.status is CheckStatus.PASS
    return check.detail


async def test_a_proof_is_sent_one_digest_where_nothing_changed(tmp_path: Path) -> None:
    """Also the very first one after a first sync, which asked for the digest in its own read transaction."""
    async with proven(tmp_path) as lane:
        for _ in range(2):
            outcome = await lane.sync()
            assert outcome.transfer.bytes_received < 5_000, "the probe, the marks and one digest"
            assert not outcome.applied or not any(one.update or one.insert for one in outcome.applied.values())
            assert outcome.counts["episodes"].primary is None, "source tables are not counted"
            assert outcome.counts["episodes"].as_of == outcome.proof.audited_at if outcome.proof else False
            assert "audit" in detail(outcome)
            assert all(0 <= check.seconds <= outcome.seconds.total for check in outcome.checks)


async def test_an_audit_counts_the_primary_and_says_nothing_of_an_audit(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        deep = await lane.run(Verify(deep=True))
        assert deep.verdict is Word.IN_SYNC
        assert deep.counts["episodes"].primary == EPISODES
        assert deep.counts["episodes"].as_of is None
        assert "audit" not in detail(deep)


@pytest.mark.parametrize("item", OUTSIDE)
async def test_what_nothing_leads_to_is_found_by_the_audit(item: str, tmp_path: Path) -> None:
    """A proof does not see it and says so; the audit does, and what it found is mended by the next sync."""
    async with proven(tmp_path) as lane:
        lane.embedding(item.format(episode=lane.episode(3)))
        unseen = await lane.sync()
        assert not any(one.insert for one in unseen.applied.values())
        assert "as of the audit" in detail(unseen)
        deep = await lane.run(Verify(deep=True))
        assert (deep.exit_code, deep.verdict) == (1, Word.STALE)
        mended = await lane.sync()
        assert mended.applied["embeddings"].insert == 1
        assert (await lane.run(Verify(deep=True))).verdict is Word.IN_SYNC
        again = await lane.sync()
        assert not any(one.insert or one.update or one.remove for one in again.applied.values())


async def test_an_audit_is_due_in_time(tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        lane.embedding(OUTSIDE[0])
        assert not any(one.insert for one in (await lane.sync()).applied.values())
        lane.long_ago()
        due = await lane.sync()
        assert due.applied["embeddings"].insert == 1
        assert due.counts["embeddings"].primary is not None
        assert lane.known.audited_at > 0
        assert (await lane.sync()).counts["embeddings"].primary is None


@pytest.mark.parametrize("item", OUTSIDE)
@pytest.mark.parametrize("change", ["changed", "gone"])
async def test_what_is_known_is_looked_at_by_every_proof(item: str, change: str, tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        named = item.format(episode=lane.episode(3))
        lane.embedding(named)
        lane.long_ago()
        await lane.sync()
        if change == "changed":
            lane.sql(
                "UPDATE embeddings SET (embedding_data, embedding_vector)=(SELECT embedding_data, embedding_vector"
                f" FROM embeddings WHERE item_id='{SCOPE}:pattern:' || (SELECT pattern_id FROM patterns LIMIT 1))"
                f" WHERE item_id='{named}'"
            )
        else:
            lane.sql(f"DELETE FROM embeddings WHERE item_id='{named}'")
        found = (await lane.sync()).applied["embeddings"]
        assert (found.update, found.remove) == ((1, 0) if change == "changed" else (0, 1))


@pytest.mark.parametrize(
    "item", ["query:new", "Zoë", "episode_of-old", "pattern_x", "", "emb_v1:local:m:384#r1:episode:{episode}"]
)
async def test_what_a_proof_comes_upon_by_itself(item: str, tmp_path: Path) -> None:
    """Ids that are no UUIDs are all read, and so is a scope that is new."""
    async with proven(tmp_path) as lane:
        lane.embedding(item.format(episode=lane.episode(3)))
        found = await lane.sync()
        assert found.counts["embeddings"].primary is None
        assert found.applied["embeddings"].insert == 1 if item else found.proof is not None
        assert (await lane.run(Verify(deep=True))).verdict is Word.IN_SYNC


async def test_a_bare_id_whose_episode_is_gone_stays(tmp_path: Path) -> None:
    """It belonged to the episode and now has no owner, which is expected: no proof may remove it."""
    async with proven(tmp_path) as lane:
        episode = lane.episode(3)
        lane.embedding(episode)
        assert (await lane.sync()).applied["embeddings"].insert == 1
        lane.sql(f"DELETE FROM episodes WHERE episode_id='{episode}'")
        outcome = await lane.sync()
        assert outcome.counts["embeddings"].primary is None
        assert outcome.applied["episodes"].remove == 1
        deep = await lane.run(Verify(deep=True))
        assert deep.verdict is Word.IN_SYNC, detail(deep)


@pytest.mark.parametrize("spoiled", ["gone", "damaged", "of another cache", "of other settings", "in the future"])
async def test_without_what_was_kept_everything_is_looked_at(spoiled: str, tmp_path: Path) -> None:
    async with proven(tmp_path) as lane:
        file = tmp_path / "state" / FILE_NAME
        known = msgspec.json.decode(file.read_bytes())
        if spoiled == "gone":
            file.unlink()
        elif spoiled == "damaged":
            file.write_bytes(file.read_bytes()[:40])
        else:
            changes = {
                "of another cache": {"path": "/nowhere"},
                "of other settings": {"config_hash": "0"},
                "in the future": {"audited_at": known["audited_at"] + 1e6},
            }
            file.write_bytes(msgspec.json.encode(known | changes[spoiled]))
        lane.embedding(OUTSIDE[0])
        assert (await lane.sync()).applied["embeddings"].insert == 1
        assert lane.known.audited_at > 0


async def test_a_short_list_comes_in_the_answer_that_says_whether_it_is_known(tmp_path: Path) -> None:
    """A cursor for it would be one more request."""
    async with proven(tmp_path) as lane:
        known = (await lane.sync()).transfer
        (tmp_path / "state" / FILE_NAME).unlink()
        listed = (await lane.sync()).transfer
        assert listed.bytes_received > 2 * known.bytes_received, "one digest, and a digest for each row"
        assert listed.requests == known.requests


async def test_a_schema_that_an_earlier_process_saw_of_this_primary_is_not_asked_for(tmp_path: Path) -> None:
    """To describe it reads rows."""
    async with proven(tmp_path) as lane:
        seen = (await lane.sync()).transfer.rows_read[Purpose.PROOF]
        schema = lane.known.schema
        assert schema is not None
        read = []
        for other in (None, replace(schema, source_id="of another")):
            write_imprint(tmp_path / "state", replace(lane.known, schema=other))
            read.append((await lane.sync()).transfer.rows_read[Purpose.PROOF])
        assert min(read) > seen + 100, (seen, read)


async def test_an_imprint_of_another_root_is_not_offered(tmp_path: Path) -> None:
    """One that an earlier state of the cache had: the primary went back to it, and the cache did not."""
    async with proven(tmp_path) as lane:
        before = lane.known
        (text,) = (row[0]["value"] for row in hrana.execute(
            lane.server.url, ["SELECT action_text FROM heuristics WHERE rowid=1"]
        )[0]["response"]["result"]["rows"])  # fmt: skip
        lane.sql("UPDATE heuristics SET action_text='other' WHERE rowid=1")
        assert (await lane.sync()).applied["heuristics"].update == 1
        assert lane.known.imprint != before.imprint
        write_imprint(tmp_path / "state", replace(before, audited_at=lane.known.audited_at))
        quoted = text.replace("'", "''")
        lane.sql(f"UPDATE heuristics SET action_text='{quoted}' WHERE rowid=1")
        assert (await lane.sync()).applied["heuristics"].update == 1
        assert lane.known.imprint == before.imprint


async def test_any_order_of_changes_ends_as_an_audit_would(tmp_path: Path) -> None:
    """Random writes of every kind; after each a proof, and an audit that finds no more than what nothing leads to."""
    random = Random(12)
    async with proven(tmp_path) as lane:
        hidden = 0
        for number in range(24):
            episode, beyond = lane.episode(random.randrange(WINDOW)), lane.episode(WINDOW + random.randrange(9))
            match case := random.randrange(9):
                case 0:
                    owner = random.choice((episode, f"{episode}x"))
                    lane.embedding(f"{OTHER_SCOPE}:episode:{owner}")
                    hidden += owner != episode
                case 1:
                    lane.embedding(f"{SCOPE}{number}:episode:{beyond}")
                case 2:
                    lane.embedding(f"ab:{number}")
                    hidden += 1
                case 3:
                    lane.embedding(random.choice((episode, beyond)), random.choice(("pattern", f"wish:{number}")))
                    hidden += 1
                case 4:
                    lane.sql(f"DELETE FROM episodes WHERE episode_id='{random.choice((episode, beyond))}'")
                case 5:
                    lane.sql(f"UPDATE episodes SET start_time=start_time-100000 WHERE episode_id='{episode}'")
                case 6:
                    lane.sql(
                        "UPDATE embeddings SET item_type=CASE item_type WHEN 'episode' THEN 'embedding' ELSE 'episode'"
                        f" END WHERE item_id='{episode}'"
                    )
                case 7:
                    lane.sql("DELETE FROM patterns WHERE rowid=(SELECT min(rowid) FROM patterns)")
                case 8:
                    lane.sql(f"DELETE FROM embeddings WHERE item_id LIKE '%{episode}' OR item_id LIKE 'ab:%'")
            outcome = await lane.run(Sync(), Options(allow_shrink=True))
            assert outcome.verdict is Word.IN_SYNC, outcome.error
            found = (await lane.run(Verify(deep=True))).plan.get("embeddings")
            missed = found.insert + found.update + found.remove if found is not None else 0
            assert missed <= hidden, (number, case, found)
            lane.long_ago()
            assert (await lane.run(Sync(), Options(allow_shrink=True))).verdict is Word.IN_SYNC
            assert (await lane.run(Verify(deep=True))).verdict is Word.IN_SYNC
            hidden = 0


@pytest.mark.parametrize("patterns", [64, 8])
async def test_the_rows_that_a_proof_reads(patterns: int, tmp_path: Path) -> None:
    """At most 4.5 for each expected row, whatever the size of the primary."""
    read: list[int] = []
    for episodes in (300, 3_000):
        folder = tmp_path / f"{episodes}"
        folder.mkdir()
        generate(folder / "primary.db", 7, episodes, patterns=patterns)
        with closing(sqlite3.connect(folder / "primary.db")) as db:
            (all_of_them,) = db.execute("SELECT count(item_id) FROM embeddings").fetchone()
        with Sqld(folder / "primary.db") as server:
            lane = Lane(
                server,
                Settings(
                    primary=server.url,
                    cache=folder / "cache.redb",
                    state_dir=folder / "state",
                    max_episodes_cache=200,
                ),
            )
            await lane.sync()
            session = Session(lane.settings, None)
            request = Request(lane.settings, None)
            await perform(session, Sync(), request, quiet, Cancel())
            outcome = await perform(session, Sync(), request, quiet, Cancel())
            await session.close()
        expected = sum(count.expected or 0 for count in outcome.counts.values())
        rows = outcome.transfer.read(Purpose.PROOF)
        assert rows is not None
        assert rows <= 4.5 * expected, (rows, expected, all_of_them)
        read.append(rows)
    assert max(read) <= 1.05 * min(read), read
