"""Plain `status` repeats a proof only while it is young and nothing was found against it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.reports.status import status_quick
from storage_sync.service.operations import Sync, Verify
from storage_sync.service.performing import once
from storage_sync.state.witness import read_witness, write_witness
from storage_sync.values.outcome import Word
from tests.support import stores


@pytest.fixture
async def proven(tmp_path: Path) -> Settings:
    primary = stores.primary("cli", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
    return settings


def verdict(settings: Settings) -> Word:
    return status_quick(Request(settings, None)).verdict


def aged(settings: Settings, seconds: float) -> None:
    """As if the last proof had been made so many seconds ago."""
    assert settings.state_dir is not None
    witness, _ = read_witness(settings.state_dir, str(settings.cache))
    assert witness is not None
    assert witness.proof is not None
    at = time.time() - seconds
    write_witness(settings.state_dir, replace(witness, at=at, proof=replace(witness.proof, at=at)))


@pytest.mark.parametrize(("age", "word"), [(2_340.0, Word.IN_SYNC), (2_401.0, Word.UNKNOWN), (86_400.0, Word.UNKNOWN)])
async def test_a_proof_is_repeated_until_it_is_too_old(proven: Settings, age: float, word: Word) -> None:
    assert proven.staleness_s == 2_400.0
    assert verdict(proven) is Word.IN_SYNC
    aged(proven, age)
    assert verdict(proven) is word


async def test_a_proof_is_not_repeated_after_a_run_found_something_against_it(proven: Settings) -> None:
    assert proven.primary is not None
    stores.execute(Path(proven.primary.removeprefix("file:")), ["UPDATE episodes SET task_description = 'other'"])
    assert (await once(Verify(), Request(proven, None))).verdict is Word.STALE
    assert verdict(proven) is Word.UNKNOWN
