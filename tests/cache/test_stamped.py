"""Caches that this tool wrote, judged as they are, as they age and as they are damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.checkpoint import META_KEY, Checkpoint, encode_checkpoint
from storage_sync.cache.content import ContentJudgement, judge_content
from storage_sync.cache.copy import private_copy
from storage_sync.cache.identity import read_identity, real_path
from storage_sync.cache.states import judge_file
from storage_sync.primary.source import LocalSource, connect
from storage_sync.state.witness import next_generation
from storage_sync.values.outcome import CacheState as S
from storage_sync.values.witness import Witness
from tests.support import stores

SCOPE = _native.Scope(digest="sha3-256", window=1000, patterns=True, embeddings=True)
NOW_MS = 1_700_000_000_000


def checkpoint(generation: int, root: str) -> Checkpoint:
    return Checkpoint(
        source_id="source",
        epoch=0,
        generation=generation,
        root=root,
        digest="sha3-256",
        enc=_native.ENCODING,
        window=1000,
        patterns=True,
        embeddings=True,
        config_hash=SCOPE.config_hash,
        proved_at=NOW_MS / 1000,
    )


def meta(generation: int, root: str) -> dict[str, bytes]:
    return {META_KEY: encode_checkpoint(checkpoint(generation, root))}


async def staged(primary: Path | None, path: Path, scan: _native.Scan | None, *, sibling: bool) -> _native.Staging:
    """Every row of a primary, sealed; None: a primary without rows."""
    staging = _native.Staging(SCOPE, scan, None, path=str(path), sibling=sibling, identity=b"test")
    if primary is not None:
        source = connect(f"file:{primary}")
        assert isinstance(source, LocalSource)
        async for table, rows in source.local_rows(SCOPE):
            staging.feed_rows(table, rows)
        await source.close()
    staging.seal()
    return staging


@pytest.fixture
async def stamped(tmp_path: Path) -> Path:
    """A cache of generation 1, built from a real primary."""
    build = tmp_path / "cache.redb.build-1"
    staging = await staged(stores.primary("small", tmp_path / "primary"), build, None, sibling=True)
    _native.finish_sibling(staging, meta(1, staging.root), 1, NOW_MS)
    return build.rename(tmp_path / "cache.redb")


def judged(cache: Path, witness: Witness | None = None) -> ContentJudgement:
    with private_copy(str(cache), cache.parent / "copies") as copy:
        assert copy.probe is not None
        return judge_content(
            copy.file,
            witness,
            copy.scan(),
            identity=copy.identity,
            sound=copy.probe.integrity is True,
        )


def witness_of(cache: Path, generation: int) -> Witness:
    return Witness(real_path(str(cache)), generation, "root", "source", NOW_MS / 1000, read_identity(str(cache)))


async def commit(cache: Path, primary: Path | None) -> int:
    """Bring the cache to a state of its primary in place; gives its new generation."""
    with private_copy(str(cache), cache.parent / "copies") as copy:
        staging = await staged(primary, cache.parent / "cache.redb.build-2", copy.scan(), sibling=False)
        content = judge_content(copy.file, None, None)
        generation = next_generation(content.generation, None)
        _native.apply(str(cache), staging, meta(generation, staging.root), generation, NOW_MS)
        staging.discard()
    return generation


def changed(primary: Path) -> Path:
    stores.execute(primary, ["UPDATE episodes SET task_description = task_description || '!'"])
    return primary


def test_as_it_was_written(stamped: Path) -> None:
    judgement = judged(stamped, witness_of(stamped, 1))
    assert judgement.findings == ()
    assert judgement.generation == 1
    assert judgement.schema_version == 4
    assert judge_file(str(stamped)).states == (S.CLEAN,)


def test_an_old_copy_that_was_put_back(stamped: Path) -> None:
    assert judged(stamped, witness_of(stamped, 2)).states == (S.ROLLED_BACK,)


async def test_a_commit_that_the_witness_did_not_see(stamped: Path, tmp_path: Path) -> None:
    before = witness_of(stamped, 1)
    assert await commit(stamped, changed(tmp_path / "primary" / "primary.db")) == 2
    judgement = judged(stamped, before)
    assert judgement.findings == ()
    assert judgement.generation == 2
    assert judged(stamped, replace(before, generation=3)).states == (S.ROLLED_BACK,)


async def test_a_cache_of_an_empty_primary_is_stamped_and_not_empty(tmp_path: Path) -> None:
    build = tmp_path / "cache.redb"
    staging = await staged(None, build, None, sibling=True)
    _native.finish_sibling(staging, meta(1, staging.root), 1, NOW_MS)
    judgement = judged(build)
    assert judgement.findings == ()
    assert not any(judgement.rows.values())


async def test_a_build_that_did_not_end_is_partial(tmp_path: Path) -> None:
    build = tmp_path / "cache.redb.build-1"
    staging = await staged(stores.primary("small", tmp_path / "primary"), build, None, sibling=True)
    staging.close()
    judgement = judged(build)
    assert S.PARTIAL in judgement.states
    assert not judgement.stamped


def places(whole: bytes, text: bytes) -> Iterator[int]:
    at = whole.find(text)
    while at >= 0:
        yield at
        at = whole.find(text, at + 1)


def text_of_an_episode(cache: Path) -> bytes:
    """A text inside a value, long enough to be found again in the file."""
    with private_copy(str(cache), cache.parent / "copies") as copy:
        (_, value), *_ = copy.file.page("episodes", None, 1)
    letters = max(value.split(b"\0"), key=lambda part: len(part) if part.isascii() else 0)
    return letters[:40]


def change_a_letter(cache: Path) -> None:
    whole = bytearray(cache.read_bytes())
    found = list(places(bytes(whole), text_of_an_episode(cache)))
    assert found
    for at in found:
        whole[at + 5] ^= 0x01
    cache.write_bytes(whole)


def test_a_letter_that_changed_in_a_value_is_rot_with_its_key(stamped: Path) -> None:
    """It opens, it decodes, the counts match: only the digests and redb's own check can tell."""
    change_a_letter(stamped)
    assert judge_file(str(stamped)).states == (S.CLEAN,)
    judgement = judged(stamped)
    rot = judgement.finding(S.BIT_ROT)
    assert rot is not None
    assert "1 episodes" in rot.evidence
    assert S.LOCAL_DRIFT not in judgement.states
    with private_copy(str(stamped), None, deep=True) as copy:
        assert copy.probe is not None
        assert copy.probe.integrity is False


def test_whole_bytes_that_differ_in_a_sound_file_are_drift(stamped: Path, tmp_path: Path) -> None:
    """The same bytes would be do-memory's own work if redb's check had passed."""
    change_a_letter(stamped)
    with private_copy(str(stamped), tmp_path / "copies") as copy:
        judgement = judge_content(copy.file, None, copy.scan(), sound=True)
    assert judgement.states == (S.LOCAL_DRIFT,)
    assert "rewritten: 1 episodes" in judgement.findings[0].evidence


def test_a_killed_commit_leaves_a_file_that_says_so(stamped: Path, tmp_path: Path) -> None:
    """Only the flags are changed, as a kill leaves them: redb repairs the copy, the rows are as they were."""
    with stamped.open("r+b") as file:
        file.seek(9)
        flags = file.read(1)[0]
        file.seek(9)
        file.write(bytes([(flags & ~4) | 2]))
    assert judge_file(str(stamped)).states == (S.UNCLEAN,)
    with private_copy(str(stamped), tmp_path / "copies") as copy:
        assert copy.finding.state == S.REPAIRED
        assert judge_content(copy.file, None, copy.scan()).findings == ()


def test_every_truncation_of_a_stamped_cache(stamped: Path) -> None:
    size = stamped.stat().st_size
    whole = shutil.copy(stamped, stamped.with_name("whole"))
    for boundary in range(4096, size, 16 * 4096):
        shutil.copy(whole, stamped)
        os.truncate(stamped, boundary)
        assert judge_file(str(stamped), witnessed=True).states == (S.TRUNCATED,)
