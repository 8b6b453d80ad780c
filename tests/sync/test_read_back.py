"""What is read back after a commit decides: a file that holds anything else is not called proven."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache.checkpoint import META_KEY, decode_checkpoint, encode_checkpoint
from storage_sync.cache.copy import PrivateCopy
from storage_sync.cache.identity import read_identity
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.state.witness import read_witness
from storage_sync.sync import apply as apply_module
from storage_sync.sync import inspection, run
from storage_sync.sync.look import Look
from storage_sync.sync.stage import Stager
from storage_sync.values.outcome import CheckStatus, Outcome, Word
from storage_sync.values.witness import Witness
from tests.independent.projection_check import check
from tests.support import hrana, stores
from tests.support.proven import add_cache_only
from tests.support.sqld import Sqld
from tests.support.values import altered


@pytest.fixture
async def proven(tmp_path: Path) -> Settings:
    """A proven store whose primary has moved since."""
    primary = stores.primary("v47-small", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    stores.execute(primary, ["UPDATE episodes SET task_description = 'other'"])
    return settings


def primary_of(settings: Settings) -> Path:
    return Path(str(settings.primary).removeprefix("file:"))


def rewrite(path: str) -> None:
    """What a do-memory does that writes to a row between the commit and the look at it."""
    file = _native.CacheFile.open(path, "read")
    try:
        key, value = file.page("heuristics", None, 1)[0]
    finally:
        file.close()
    change = (
        "heuristics",
        key,
        _native.digest("blake3", value),
        altered("heuristics", value, action="now another one"),
    )
    _native.edit(path, [change], {}, None, 0)


def outdate(path: str) -> None:
    """Another generation in the stamp, and every row as it was written."""
    file = _native.CacheFile.open(path, "read")
    try:
        checkpoint, _ = decode_checkpoint(file.meta()[META_KEY])
    finally:
        file.close()
    assert checkpoint is not None
    later = replace(checkpoint, generation=checkpoint.generation + 1)
    _native.edit(path, [], {META_KEY: encode_checkpoint(later)}, later.generation, 0)


def witness_of(settings: Settings) -> Witness:
    assert settings.state_dir is not None
    witness, _ = read_witness(settings.state_dir, str(settings.cache))
    assert witness is not None
    return witness


def witnessed(settings: Settings) -> int:
    return witness_of(settings).generation


def is_not_proven(outcome: Outcome, settings: Settings, generation: int) -> None:
    assert (outcome.verdict, outcome.proof) == (Word.DRIFT, None)
    assert outcome.exit_code == 1
    assert outcome.warnings == ("the cache changed right after the commit, so it is not proven",)
    assert outcome.next_action == "storage-sync sync"
    assert witnessed(settings) == generation, "only a proof is acknowledged"


async def ends_proven(settings: Settings) -> None:
    outcome = await once(Sync(), Request(settings, None))
    assert outcome.verdict is Word.IN_SYNC, outcome.error
    assert settings.primary is not None
    assert settings.cache is not None
    assert check(settings.primary.removeprefix("file:"), settings.cache).holds()


@pytest.mark.parametrize("change", [rewrite, outdate, os.unlink])
async def test_another_content_or_generation_after_the_commit_is_not_proven(
    proven: Settings, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    before, real = witnessed(proven), apply_module.apply

    async def applied(*arguments: Any) -> Any:
        done = await real(*arguments)
        change(str(proven.cache))
        return done

    with monkeypatch.context() as patch:
        patch.setattr(run, "apply", applied)
        is_not_proven(await once(Sync(), Request(proven, None)), proven, before)
    await ends_proven(proven)


async def test_what_is_not_proven_is_counted_and_nothing_is_said_of_rows_that_nobody_asked_for(
    proven: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = apply_module.apply
    ((rows,),) = stores.select(primary_of(proven), "SELECT count(*) FROM heuristics")
    assert isinstance(rows, int)

    async def applied(*arguments: Any) -> Any:
        done = await real(*arguments)
        add_cache_only(Path(str(proven.cache)))
        rewrite(str(proven.cache))
        return done

    monkeypatch.setattr(run, "apply", applied)
    outcome = await once(Sync(), Request(proven, None))
    assert outcome.verdict is Word.DRIFT
    heuristics, episodes = outcome.counts["heuristics"], outcome.counts["episodes"]
    assert (heuristics.primary, heuristics.expected) == (rows, rows)
    assert (heuristics.cache, heuristics.cache_only) == (rows + 1, None)
    assert (episodes.cache, episodes.cache_only) == (episodes.expected, 0)


async def test_a_file_that_moves_while_it_is_read_back_is_not_proven(
    proven: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = witnessed(proven), inspection.looked

    @asynccontextmanager
    async def looked(*arguments: Any, **options: Any) -> AsyncIterator[Look]:
        async with real(*arguments, **options) as look:
            if options.get("follows") and look.copy is not None:
                look = replace(look, copy=replace(look.copy, identity=None))
            yield look

    with monkeypatch.context() as patch:
        patch.setattr(run, "looked", looked)
        is_not_proven(await once(Sync(), Request(proven, None)), proven, before)
    await ends_proven(proven)


async def test_rows_that_move_between_manifest_and_fetch_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrives is held against the manifest: it is of one instant, or it is no part of a proof."""
    said = "UPDATE episodes SET task_description = '{}'"
    rounds, real = [0], Stager.compare
    with Sqld(stores.primary("v47-small", tmp_path / "primary")) as server:
        settings = Settings(primary=server.url, cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
        assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
        hrana.execute(server.url, [said.format("first")])

        async def compare(stager: Stager) -> _native.Comparison:
            found = await real(stager)
            rounds[0] += 1
            if rounds[0] == 1:
                await asyncio.to_thread(hrana.execute, server.url, [said.format("second")])
            return found

        monkeypatch.setattr(Stager, "compare", compare)
        outcome = await once(Sync(), Request(settings, None))
    assert outcome.verdict is Word.IN_SYNC, outcome.error
    assert rounds == [2]
    file = _native.CacheFile.open(str(settings.cache), "read")
    try:
        values = [_native.decode_value("episodes", value) for _, value in file.page("episodes", None, 1000)]
    finally:
        file.close()
    assert values
    assert all('"task_description":"second"' in value for value in values)


async def test_proof_witness_and_stamp_say_the_same(proven: Settings) -> None:
    before = witness_of(proven)
    outcome = await once(Sync(), Request(proven, None))
    proof, witness = outcome.proof, witness_of(proven)
    assert proof is not None
    file = _native.CacheFile.open(str(proven.cache), "read")
    try:
        stamp, _ = decode_checkpoint(file.meta()[META_KEY])
    finally:
        file.close()
    assert stamp is not None
    assert (proof.root, proof.generation) == (stamp.root, stamp.generation) == (witness.root, witness.generation)
    assert (proof.source_id, proof.epoch, proof.digest) == (stamp.source_id, stamp.epoch, stamp.digest)
    assert witness.proof == proof
    assert proof.identity == read_identity(str(proven.cache))
    assert before.root != proof.root
    assert before.generation + 1 == proof.generation


async def test_the_same_content_at_another_address_is_stamped_with_it(proven: Settings, tmp_path: Path) -> None:
    assert (await once(Sync(), Request(proven, None))).verdict is Word.IN_SYNC
    assert proven.primary is not None
    other = stores.quiet_copy(Path(proven.primary.removeprefix("file:")), tmp_path / "other")
    elsewhere = msgspec.structs.replace(proven, primary=f"file:{other}")
    outcome = await once(Sync(), Request(elsewhere, None))
    assert (outcome.verdict, outcome.cache_writes.commits) == (Word.IN_SYNC, 1)
    assert any("address" in warning for warning in outcome.warnings)
    again = await once(Sync(), Request(elsewhere, None))
    assert (again.verdict, again.cache_writes.commits) == (Word.IN_SYNC, 0)
    assert not any("address" in warning for warning in again.warnings)


async def test_a_row_that_is_rejected_for_the_first_time_is_written_down(proven: Settings) -> None:
    """It changes no row of the cache, and shows in nothing but the root of the ledger."""
    assert (await once(Sync(), Request(proven, None))).verdict is Word.IN_SYNC
    assert proven.primary is not None
    columns = "condition_text,action_text,confidence,evidence,created_at,updated_at"
    values = f"'9f0e7c52-0d3b-4c1e-8b1a-6a1b2c3d4e5f',{columns}".replace("evidence", "'{broken'")
    added = f"INSERT INTO heuristics(heuristic_id,{columns}) SELECT {values} FROM heuristics LIMIT 1"
    stores.execute(Path(proven.primary.removeprefix("file:")), [added])
    outcome = await once(Sync(), Request(proven, None))
    assert (outcome.verdict, outcome.exit_code, outcome.cache_writes.commits) == (Word.IN_SYNC, 7, 1)
    assert outcome.counts["heuristics"].refused == 1
    assert outcome.warnings == ("1 row of the primary was rejected",)
    second = added.replace("9f0e7c52", "8f0e7c52")
    stores.execute(Path(proven.primary.removeprefix("file:")), [second])
    both = await once(Sync(), Request(proven, None))
    assert both.warnings == ("2 rows of the primary were rejected",)
    stores.execute(
        Path(proven.primary.removeprefix("file:")), ["DELETE FROM heuristics WHERE heuristic_id LIKE '8f0e7c52%'"]
    )
    assert (await once(Sync(), Request(proven, None))).counts["heuristics"].refused == 1
    again = await once(Sync(), Request(proven, None))
    assert (again.verdict, again.exit_code, again.cache_writes.commits) == (Word.IN_SYNC, 7, 0)
    gone = "DELETE FROM heuristics WHERE heuristic_id = '9f0e7c52-0d3b-4c1e-8b1a-6a1b2c3d4e5f'"
    stores.execute(Path(proven.primary.removeprefix("file:")), [gone])
    without = await once(Sync(), Request(proven, None))
    assert (without.verdict, without.exit_code, without.cache_writes.commits) == (Word.IN_SYNC, 0, 1)


async def test_the_root_of_a_new_file_decides_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose rows are as its own ledger says, and which is not what was compared."""
    primary = stores.primary("v47-small", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    real, other = _native.finish_sibling, tmp_path / "other.redb"
    smaller = Settings(primary=f"file:{primary}", cache=other, state_dir=tmp_path / "other", max_episodes_cache=5)
    assert (await once(Sync(), Request(smaller, None))).verdict is Word.IN_SYNC

    def finished(staging: _native.Staging, *arguments: Any) -> _native.Applied:
        done = real(staging, *arguments)
        (built,) = tmp_path.glob("cache.redb.build-*")
        built.write_bytes(other.read_bytes())
        return done

    with monkeypatch.context() as patch:
        patch.setattr(_native, "finish_sibling", finished)
        outcome = await once(Sync(), Request(settings, None))
    assert (outcome.exit_code, outcome.verdict, outcome.proof) == (5, Word.DAMAGED, None)
    assert settings.cache is not None
    assert not settings.cache.exists()


async def test_a_new_file_of_other_content_is_not_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    primary = stores.primary("v47-small", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    real = apply_module._scan_of_copy

    def scanned(context: Any, built: str) -> tuple[_native.Scan, bool]:
        rewrite(built)
        return real(context, built)

    with monkeypatch.context() as patch:
        patch.setattr(apply_module, "_scan_of_copy", scanned)
        outcome = await once(Sync(), Request(settings, None))
    assert (outcome.exit_code, outcome.verdict, outcome.proof) == (5, Word.DAMAGED, None)
    assert settings.cache is not None
    assert not settings.cache.exists()
    await ends_proven(settings)


async def test_a_new_file_is_checked_by_redb_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beside the rows counts too: do-memory's redb would stumble over it."""
    primary = stores.primary("v47-small", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    monkeypatch.setattr(PrivateCopy, "is_sound", lambda _: False)
    outcome = await once(Sync(), Request(settings, None))
    assert outcome.error is not None
    assert outcome.error.code == "cache_damaged"
    assert not (tmp_path / "cache.redb").exists()


async def test_a_new_file_says_that_redb_checked_it(tmp_path: Path) -> None:
    primary = stores.primary("v47-small", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    outcome = await once(Sync(), Request(settings, None))
    (check_made,) = (one for one in outcome.checks if one.name == "cache_integrity")
    assert check_made.status is CheckStatus.PASS
