"""What the inside of a cache says: on real files, and with stand-ins for what cannot be made on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.checkpoint import META_KEY, Checkpoint, encode_checkpoint
from storage_sync.cache.content import ContentJudgement, content_error, judge_content
from storage_sync.cache.copy import private_copy
from storage_sync.cache.states import Finding
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import TABLES, FileIdentity
from storage_sync.values.outcome import CacheState as S
from storage_sync.values.witness import Witness
from tests.support import stores

CHECKPOINT = Checkpoint(
    source_id="source",
    epoch=2,
    generation=7,
    root="ab",
    digest="sha3-256",
    enc=1,
    window=1000,
    patterns=True,
    embeddings=True,
    config_hash="cc",
    proved_at=1700000000.0,
    primary_url="https://db.example",
)
IDENTITY = FileIdentity(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5)
WITNESS = Witness("/data/cache.redb", 7, "ab", "source", 1700000000.0, IDENTITY)


class Table(Struct, frozen=True):
    name: str
    key_type: str = "&str"
    value_type: str = "&[u8]"
    rows: int | None = 0
    error: str | None = None


class File(Struct, frozen=True):
    """Answers like an open file."""

    stats: Sequence[Table] = (
        Table("episodes", rows=3),
        Table("patterns", rows=1),
        Table("somebody_elses", "u64", "u64"),
    )
    stored: Mapping[str, bytes] = field(default_factory=lambda: {META_KEY: encode_checkpoint(CHECKPOINT)})
    version: int | None = 4

    def tables(self) -> Sequence[Table]:
        return self.stats

    def meta(self) -> Mapping[str, bytes]:
        return self.stored

    def schema_version(self) -> int | None:
        return self.version


class Row(Struct, frozen=True):
    drifted: int = 0
    rotten: int = 0
    absent: int = 0
    altered: int = 0
    undecodable: int = 0
    differing_keys: tuple[str, ...] = ()


class Scan(Struct, frozen=True):
    tables: Mapping[str, Row]


def judged(file: File, *, scan: Scan | None = None, **named: Any) -> ContentJudgement:
    arguments = {"witness": None} | named
    return judge_content(cast("_native.CacheFile", file), scan=cast("_native.Scan | None", scan), **arguments)


def code_of(judgement: ContentJudgement) -> tuple[str, int] | None:
    error = content_error(judgement)
    return None if error is None else (error.code, error.exit_code)


NO_TABLES = File(stats=(), stored={}, version=None)
UNSTAMPED = File(stored={})


@pytest.mark.parametrize("name", sorted(stores.CACHES))
def test_a_cache_of_do_memorys_own_is_unstamped(name: str, tmp_path: Path) -> None:
    with private_copy(str(stores.cache(name, tmp_path)), tmp_path / "copies") as copy:
        judgement = judge_content(copy.file, None, copy.file.scan(), identity=copy.identity)
    assert judgement.states == (S.UNSTAMPED,)
    assert judgement.schema_version == 4
    assert judgement.rows["episodes"] > 0
    assert set(judgement.rows) <= set(TABLES)
    assert judgement.undecodable == 0
    assert content_error(judgement) is None
    assert not judgement.stamped


def test_a_stamped_cache_as_it_was_written() -> None:
    judgement = judged(File(), scan=Scan({"episodes": Row()}), witness=WITNESS)
    assert judgement.findings == ()
    assert judgement.checkpoint == CHECKPOINT
    assert judgement.generation == 7
    assert code_of(judgement) is None


def test_nothing_in_it_yet() -> None:
    empty = tuple(Table(name) for name in TABLES)
    for file in (NO_TABLES, File(stats=empty, stored={}), File(stats=empty, stored={}, version=3)):
        judgement = judged(file)
        assert judgement.findings == (Finding(S.EMPTY_CACHE, "there are no rows in it yet", NextStep.SYNC),)
        assert code_of(judgement) is None


def test_a_proven_cache_of_an_empty_primary_is_no_empty_cache() -> None:
    assert judged(File(stats=(Table("episodes"),))).findings == ()


def test_an_unfinished_build() -> None:
    judgement = judged(File(stored={"staging": b"{}"}))
    assert judgement.findings == (
        Finding(S.PARTIAL, "an unfinished build with 4 rows", "run the command again: it resumes"),
    )


@pytest.mark.parametrize(
    ("version", "word"), [(3, "schema version 3"), (0, "schema version 0"), (None, "no schema version")]
)
def test_an_older_schema_with_rows(version: int | None, word: str) -> None:
    judgement = judged(replace(UNSTAMPED, version=version))
    assert judgement.states == (S.WRONG_SCHEMA, S.UNSTAMPED)
    assert word in judgement.findings[0].evidence
    assert judgement.findings[0].next_step is NextStep.REBUILD
    assert code_of(judgement) == ("version_mismatch", 12)


@pytest.mark.parametrize("file", [File(version=5), File(stats=(), stored={}, version=5)])
def test_a_newer_schema_is_never_built_over(file: File) -> None:
    judgement = judged(file)
    assert judgement.states[0] == S.WRONG_SCHEMA
    assert "older than your do-memory" in judgement.findings[0].evidence
    assert judgement.findings[0].next_step == "use a newer storage-sync"
    assert code_of(judgement) == ("version_mismatch", 12)


@pytest.mark.parametrize(
    "table",
    [
        Table("episodes", "u64", "&[u8]"),
        Table("schema_version", "&str", "&[u8]"),
        Table("storage_sync_digest", "&str", "&str"),
        Table("episode_revisions", "&str", "u64"),
    ],
)
def test_a_table_of_other_types(table: Table) -> None:
    judgement = judged(File(stats=(table,)))
    assert judgement.states == (S.WRONG_TYPES,)
    assert table.name in judgement.findings[0].evidence
    assert code_of(judgement) == ("cache_damaged", 5)


def test_a_table_that_cannot_be_read_is_damage_and_no_type() -> None:
    judgement = judged(File(stats=(Table("episodes", "", "", None, "page 7 is torn"),)))
    assert judgement.states == (S.CORRUPT,)
    assert code_of(judgement) == ("cache_damaged", 5)


def test_a_checkpoint_that_cannot_be_read_is_rot() -> None:
    judgement = judged(File(stored={META_KEY: b"{"}))
    assert judgement.states == (S.BIT_ROT,)
    assert "checkpoint" in judgement.findings[0].evidence


def test_a_generation_below_the_acknowledged_one() -> None:
    judgement = judged(File(), witness=replace(WITNESS, generation=8))
    assert judgement.states == (S.ROLLED_BACK,)
    assert "generation 7" in judgement.findings[0].evidence
    assert "generation 8" in judgement.findings[0].evidence
    assert code_of(judgement) == ("cache_damaged", 5)


def test_a_generation_above_it_is_a_kill_before_the_witness() -> None:
    assert judged(File(), witness=replace(WITNESS, generation=6)).findings == ()


def test_a_proven_file_without_its_stamp_went_back_to_the_beginning() -> None:
    grown = replace(IDENTITY, size=9, mtime_ns=9)
    assert judged(NO_TABLES, witness=WITNESS, identity=grown).states == (S.ROLLED_BACK, S.EMPTY_CACHE)
    assert judged(UNSTAMPED, witness=WITNESS, identity=grown).states == (S.ROLLED_BACK, S.UNSTAMPED)


def test_another_file_in_its_place_is_a_first_contact() -> None:
    other = replace(IDENTITY, inode=99)
    assert judged(UNSTAMPED, witness=WITNESS, identity=other).states == (S.UNSTAMPED,)
    assert judged(UNSTAMPED, witness=WITNESS).states == (S.UNSTAMPED,)


DRIFTED = Scan({"episodes": Row(drifted=2, differing_keys=("k1", "k2")), "patterns": Row(absent=1)})
ROTTEN = Scan({"episodes": Row(rotten=1, drifted=1, differing_keys=("k1", "k2"))})


def test_what_do_memory_changed_is_drift() -> None:
    judgement = judged(File(), scan=DRIFTED)
    assert judgement.states == (S.LOCAL_DRIFT,)
    # an undo and a quarantine write such rows too
    assert "do-memory" not in judgement.findings[0].evidence
    assert "rewritten: 2 episodes" in judgement.findings[0].evidence
    assert "removed: 1 patterns" in judgement.findings[0].evidence
    assert code_of(judgement) is None


def test_what_does_not_decode_is_rot_with_its_keys() -> None:
    judgement = judged(File(), scan=ROTTEN)
    assert judgement.states == (S.BIT_ROT, S.LOCAL_DRIFT)
    assert "k1" in judgement.findings[0].evidence
    assert code_of(judgement) == ("cache_damaged", 5)


def test_in_a_damaged_file_every_difference_is_rot() -> None:
    judgement = judged(File(), scan=DRIFTED, sound=False)
    assert judgement.states == (S.BIT_ROT,)
    assert "2 episodes" in judgement.findings[0].evidence
    assert "1 patterns" in judgement.findings[0].evidence


def test_a_row_of_the_cache_alone_is_rot_only_in_a_damaged_file() -> None:
    """do-memory may do with its own rows what it likes."""
    scan = Scan({"episodes": Row(altered=1, differing_keys=("own",))})
    assert judged(File(), scan=scan).findings == ()
    (finding,) = judged(File(), scan=scan, sound=False).findings
    assert finding.state == S.BIT_ROT
    assert "1 episodes" in finding.evidence
    assert "own" in finding.evidence


def test_damage_that_no_listed_row_shows_is_damage_all_the_same() -> None:
    assert judged(File(), scan=Scan({"episodes": Row()}), sound=False).states == (S.CORRUPT,)
    judgement = judged(UNSTAMPED, sound=False)
    assert judgement.states == (S.CORRUPT, S.UNSTAMPED)
    assert code_of(judgement) == ("cache_damaged", 5)


def test_in_a_damaged_file_the_source_is_not_asked() -> None:
    judgement = judged(File(version=3), sound=False)
    assert judgement.states[0] == S.CORRUPT
    assert code_of(judgement) == ("cache_damaged", 5)


def test_a_file_that_fails_while_it_is_read() -> None:
    class Torn(File, frozen=True):
        def schema_version(self) -> int | None:
            raise _native.NativePanic("btree.rs:7 out of range")

    judgement = judged(Torn())
    assert judgement.states == (S.CORRUPT,)
    assert "btree.rs:7" in judgement.findings[0].evidence


def test_rows_that_nobody_listed_and_nobody_can_read_are_a_warning() -> None:
    judgement = judged(File(), scan=Scan({"episodes": Row(undecodable=3)}))
    assert judgement.findings == ()
    assert judgement.undecodable == 3
    assert len(judgement.warnings) == 1
