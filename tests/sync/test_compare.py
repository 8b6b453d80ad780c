"""What a cache is compared with, before anything is done about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from storage_sync.cache.builds import builds_beside
from storage_sync.cache.checkpoint import META_KEY
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.state.witness import forget_witness
from storage_sync.sync import apply as apply_module
from storage_sync.sync import run
from storage_sync.values.errors import LocalIO
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Outcome, Word
from tests.recovery.test_crafted import META
from tests.support import stores
from tests.support.command import fingerprint
from tests.support.crafted import craft


def settings_of(folder: Path, primary: str = "v47-small", cache: str | None = None, **given: object) -> Settings:
    """Of a copy of do-memory's own stores; without `cache` there is none."""
    database = stores.primary(primary, folder / "primary")
    if cache is not None:
        stores.cache(cache, folder)
    return replace(
        Settings(primary=f"file:{database}", cache=folder / "cache.redb", state_dir=folder / "state"), **given
    )


async def sync(settings: Settings, options: Options = USUAL) -> Outcome:
    return await once(Sync(), Request(settings, None, options))


def cache_of(settings: Settings) -> Path:
    assert settings.cache is not None
    return settings.cache


async def test_a_cache_of_this_primary_is_taken_over(tmp_path: Path) -> None:
    outcome = await sync(settings_of(tmp_path, "small", "small"))
    assert outcome.verdict is Word.IN_SYNC, outcome.error


async def test_a_cache_of_another_primary_is_taken_over_by_consent_only(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "small", "cli")
    before = fingerprint(cache_of(settings))
    outcome = await sync(settings)
    assert outcome.error is not None
    assert (outcome.exit_code, outcome.error.code) == (9, "guard")
    assert "does not look like one of this primary: this primary has only 0 of its " in outcome.error.message
    assert fingerprint(cache_of(settings)) == before
    assert (await sync(settings, Options(adopt=True))).verdict is Word.IN_SYNC


async def test_a_stamp_says_by_itself_whose_the_cache_is(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert (await sync(settings)).verdict is Word.IN_SYNC
    assert settings.state_dir is not None
    forget_witness(settings.state_dir)
    assert (await sync(settings)).verdict is Word.IN_SYNC


@pytest.mark.parametrize("other", [False, True], ids=["the same primary", "another one"])
@pytest.mark.parametrize("witnessed", [False, True])
async def test_a_cache_whose_stamp_is_gone_is_of_the_primary_that_the_witness_names(
    witnessed: bool, other: bool, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path)
    assert (await sync(settings)).verdict is Word.IN_SYNC
    craft(cache_of(settings), {(META, META_KEY): None})
    if not witnessed:
        assert settings.state_dir is not None
        forget_witness(settings.state_dir)
    if other:
        settings = replace(settings, primary=f"file:{stores.primary('v47-small', tmp_path / 'other')}")
    before = fingerprint(cache_of(settings))
    outcome = await sync(settings)
    if witnessed and not other:
        assert (outcome.verdict, outcome.error) == (Word.IN_SYNC, None)
        return
    assert outcome.error is not None
    assert (outcome.exit_code, outcome.error.code) == (9, "guard")
    assert "no longer says from which primary" in outcome.error.message
    assert fingerprint(cache_of(settings)) == before
    assert (await sync(settings, Options(adopt=True))).verdict is Word.IN_SYNC


@pytest.mark.parametrize(("batch_size", "builds"), [(2, 1), (3, 0)])
async def test_rows_that_are_more_than_a_batch_wait_beside_the_cache(
    batch_size: int, builds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, batch_size=batch_size)
    assert (await sync(settings)).verdict is Word.IN_SYNC
    some = "(SELECT episode_id FROM episodes ORDER BY episode_id LIMIT 3)"
    stores.execute(
        tmp_path / "primary" / "primary.db",
        [f"UPDATE episodes SET task_description = 'other' WHERE episode_id IN {some}"],
    )
    seen, real = list[int](), apply_module.apply

    async def applied(*arguments: Any) -> Any:
        seen.append(len(builds_beside(str(cache_of(settings)))))
        return await real(*arguments)

    monkeypatch.setattr(run, "apply", applied)
    outcome = await sync(settings)
    assert (outcome.verdict, outcome.applied["episodes"].update) == (Word.IN_SYNC, 3)
    assert seen == [builds]


def rename(one: str, other: str) -> None:
    Path(one).replace(other)


async def test_what_a_run_staged_is_found_by_one_of_the_same_settings_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were staged for other settings, or to become another kind of file, would be taken for its own."""
    settings = settings_of(tmp_path, batch_size=2)
    others = [replace(settings, max_episodes_cache=7), replace(settings, sync_patterns=False)]
    seen = list[set[str]]()

    async def stops(*_: object) -> NoReturn:
        seen.append(set(builds_beside(str(cache_of(settings)))))
        raise LocalIO("enough")

    with monkeypatch.context() as patch:
        patch.setattr(run, "apply", stops)
        for one in (settings, settings, *others):
            assert (await sync(one)).exit_code == 8
    assert [len(builds) for builds in seen] == [1, 1, 2, 3]
    assert seen[0] == seen[1]
    (mine,), (its,) = seen[1], seen[2] - seen[1]
    rename(its, mine)
    ended = await sync(settings)
    assert ended.error is not None
    assert (ended.error.code, ended.exit_code) == (LocalIO.code, 8)
    assert "this build is of another source or configuration; remove it" in ended.error.message
    assert not cache_of(settings).exists()
