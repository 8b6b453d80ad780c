"""Links of the chain from the look at the file to its proof, each broken by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Rebuild, Sync
from storage_sync.service.performing import once
from storage_sync.state.quarantine import FILE_NAME, SetAside
from storage_sync.sync import apply as apply_module
from storage_sync.sync import inspection, run
from storage_sync.sync.look import Look
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Word
from tests.independent.projection_check import check
from tests.support import stores
from tests.support.command import fingerprint
from tests.support.crafted import craft
from tests.support.values import altered

INDEX = "recommendation_episode_index"
STRANGE = "episode_00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """Of a proven store."""
    made = Settings(
        primary=f"file:{stores.primary('v47-small', tmp_path / 'primary')}",
        cache=tmp_path / "cache.redb",
        state_dir=tmp_path / "state",
    )
    assert (await once(Sync(), Request(made, None))).verdict is Word.IN_SYNC
    return made


def cache_of(settings: Settings) -> Path:
    assert settings.cache is not None
    return settings.cache


def change_primary(settings: Settings, statement: str) -> None:
    assert settings.primary is not None
    stores.execute(Path(settings.primary.removeprefix("file:")), [statement])


def rows_of(cache: Path, table: str) -> dict[str, bytes]:
    file = _native.CacheFile.open(str(cache), "read")
    try:
        return dict(file.page(table, None, 1000))
    finally:
        file.close()


def spoil_index(cache: Path) -> None:
    """Another session in the first entry of the derived index, and every row as it was."""
    values = list(rows_of(cache, INDEX).values())
    data, there = cache.read_bytes(), b"".join(values)
    assert data.count(there) >= 1
    cache.write_bytes(data.replace(there, values[1] + there[len(values[1]) :]))


def write_a_row(cache: Path) -> None:
    """As an application does at any time: a vector that no primary knows."""
    value = next(iter(rows_of(cache, "embeddings").values()))
    _native.edit(str(cache), [("embeddings", STRANGE, None, value)], {}, None, 0)


def quarantined(settings: Settings) -> int:
    assert settings.state_dir is not None
    (folder,) = [path for path in settings.state_dir.rglob("set-aside") if path.is_dir()]
    with SetAside.open(folder) as store:
        return len(store.rows(0, 1000))


def pending(settings: Settings) -> int:
    """Quarantined rows whose commit was not seen."""
    assert settings.state_dir is not None
    (file,) = settings.state_dir.rglob(FILE_NAME)
    with closing(sqlite3.connect(file)) as database:
        return int(database.execute("SELECT count(*) FROM rows WHERE pending = 1").fetchone()[0])


async def test_a_wrong_index_alone_is_written(settings: Settings) -> None:
    """A sound file in which somebody wrote every row as it was, and no entry of the derived index."""
    cache = cache_of(settings)
    right = rows_of(cache, INDEX)
    craft(cache, {})
    assert rows_of(cache, INDEX) != right
    outcome = await once(Sync(), Request(settings, None))
    assert (outcome.verdict, outcome.cache_writes.commits) == (Word.IN_SYNC, 1), outcome.error
    assert rows_of(cache, INDEX) == right


async def test_a_new_file_with_a_wrong_index_is_not_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are what was staged, to the last one: only the look at the whole file finds it."""
    settings = Settings(
        primary=f"file:{stores.primary('v47-small', tmp_path / 'primary')}",
        cache=tmp_path / "cache.redb",
        state_dir=tmp_path / "state",
    )
    real = apply_module._scan_of_copy

    def scanned(context: Any, built: str) -> tuple[_native.Scan, bool]:
        spoil_index(Path(built))
        return real(context, built)

    monkeypatch.setattr(apply_module, "_scan_of_copy", scanned)
    outcome = await once(Sync(), Request(settings, None))
    assert (outcome.exit_code, outcome.verdict, outcome.proof) == (5, Word.DAMAGED, None)
    assert not cache_of(settings).exists()


async def test_a_file_that_was_removed_while_its_successor_was_built_is_not_replaced_by_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was made of is gone: the run looks again."""
    cache, real = cache_of(settings), _native.finish_sibling
    rounds = [0]

    def finished(*arguments: Any) -> _native.Applied:
        done = real(*arguments)
        rounds[0] += 1
        if rounds[0] == 1:
            cache.unlink()
        return done

    monkeypatch.setattr(_native, "finish_sibling", finished)
    outcome = await once(Rebuild(), Request(settings, None))
    assert outcome.verdict is Word.IN_SYNC, outcome.error
    assert rounds == [2]


async def test_a_file_that_changed_while_its_successor_was_built_is_not_replaced_by_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, real = cache_of(settings), _native.finish_sibling
    rounds = [0]

    def finished(*arguments: Any) -> _native.Applied:
        done = real(*arguments)
        rounds[0] += 1
        if rounds[0] == 1:
            write_a_row(cache)
        return done

    monkeypatch.setattr(_native, "finish_sibling", finished)
    outcome = await once(Rebuild(), Request(settings, None))
    assert outcome.verdict is Word.IN_SYNC, outcome.error
    assert rounds == [2], "it was built again"
    assert STRANGE in rows_of(cache, "embeddings")


async def test_a_copy_that_does_not_pass_the_check_of_redb_is_damage(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its rows say: nothing is written into such a file, and nothing proven of it."""
    change_primary(settings, "UPDATE episodes SET task_description = 'other'")
    before, real = fingerprint(cache_of(settings)), inspection.looked

    @asynccontextmanager
    async def looked(*arguments: Any, **options: Any) -> AsyncIterator[Look]:
        async with real(*arguments, **options) as look:
            yield replace(look, integrity=False)

    monkeypatch.setattr(run, "looked", looked)
    outcome = await once(Sync(), Request(settings, None))
    assert (outcome.exit_code, outcome.verdict, outcome.proof) == (5, Word.DAMAGED, None)
    assert fingerprint(cache_of(settings)) == before


def write_own_bytes(cache: Path) -> None:
    """As a do-memory that rewrote a row of ours: its bytes will be quarantined."""
    key, value = next(iter(rows_of(cache, "heuristics").items()))
    own = altered("heuristics", value, action="now another one")
    _native.edit(str(cache), [("heuristics", key, _native.digest("blake3", value), own)], {}, None, 0)


async def test_quarantined_rows_are_listed_as_soon_as_the_commit_is_there(settings: Settings) -> None:
    write_own_bytes(cache_of(settings))
    outcome = await once(Sync(), Request(settings, None))
    assert outcome.verdict is Word.IN_SYNC, outcome.error
    assert quarantined(settings) == 1


async def test_rows_of_a_commit_that_never_came_are_not_quarantined(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_own_bytes(cache_of(settings))

    def failed(*arguments: Any) -> _native.Applied:
        raise _native.StorageError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_native, "apply", failed)
        stopped = await once(Sync(), Request(settings, None))
    assert (stopped.exit_code, stopped.proof) == (8, None), stopped.error
    assert quarantined(settings) == 0, "the cache still has them"
    for _ in range(2):
        assert (await once(Sync(), Request(settings, None))).verdict is Word.IN_SYNC
        assert (quarantined(settings), pending(settings)) == (1, 0), "once, by the run that took them out"


@pytest.mark.parametrize("strict", [False, True])
async def test_strict_makes_rejected_rows_an_error(settings: Settings, strict: bool) -> None:
    """What could be written is written and proven either way."""
    change_primary(
        settings, "UPDATE heuristics SET evidence = '{broken' WHERE rowid = (SELECT min(rowid) FROM heuristics)"
    )
    outcome: Outcome = await once(Sync(), Request(settings, None, Options(strict=strict)))
    assert outcome.exit_code == 7
    assert (outcome.error is not None) == strict
    if outcome.error is not None:
        assert (outcome.error.code, "--strict" in outcome.error.message) == ("partial", True)
    assert settings.primary is not None
    assert check(settings.primary.removeprefix("file:"), cache_of(settings)).holds()
