"""A commit that returned an error may be durable anyway: the file tells, whoever has it by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Sync
from storage_sync.service.performing import once
from storage_sync.values.options import Options
from storage_sync.values.outcome import Word
from tests.support import stores


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "lost"])
@pytest.mark.parametrize("held", [True, False], ids=["held", "free"])
async def test_the_file_tells(durable: bool, held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    primary = stores.primary("v47-small", tmp_path / "primary")
    cache = tmp_path / "cache.redb"
    settings = Settings(primary=f"file:{primary}", cache=cache, state_dir=tmp_path / "state")
    request = Request(settings, None, Options(wait_s=0.0))
    await once(Sync(), request)
    stores.execute(primary, ["UPDATE episodes SET task_description = 'other'"])
    opened: list[_native.CacheFile] = []
    real = _native.apply

    def fails(*arguments: Any) -> None:
        if durable:
            real(*arguments)
        if held:
            opened.append(_native.CacheFile.open(str(cache), "write"))
        raise _native.CommitUnknown("the disk said no")

    with monkeypatch.context() as patch:
        patch.setattr(_native, "apply", fails)
        outcome = await once(Sync(), request)
    for file in opened:
        file.close()
    assert outcome.exit_code == 8
    assert outcome.error is not None
    assert "the disk said no" in outcome.error.message
    assert ("durable anyway" if durable else "keeps its old state") in outcome.error.message
    again = await once(Sync(), request)
    assert (again.exit_code, again.verdict) == (0, Word.IN_SYNC), again.error
    assert again.cache_writes.commits == (0 if durable else 1)


@pytest.mark.parametrize("readable", [True, False], ids=["other", "unreadable"])
async def test_a_file_that_does_not_tell_is_no_answer(
    readable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary = stores.primary("v47-small", tmp_path / "primary")
    cache = tmp_path / "cache.redb"
    request = Request(Settings(primary=f"file:{primary}", cache=cache, state_dir=tmp_path / "state"), None)
    await once(Sync(), request)
    stores.execute(primary, ["UPDATE episodes SET task_description = 'other'"])

    def fails(*_: Any) -> None:
        if not readable:
            cache.write_bytes(b"no database")
        raise _native.CommitUnknown("the disk said no")

    monkeypatch.setattr(_native, "apply", fails)
    outcome = await once(Sync(), request)
    assert (outcome.exit_code, outcome.verdict) == (8, Word.UNKNOWN)
    assert outcome.error is not None
    if readable:
        assert outcome.error.message == (
            "the commit returned an error (the disk said no); the cache keeps its old state"
        )
        assert outcome.next_action == "check the disk, then sync again"
    else:
        assert outcome.error.message.startswith(
            "the commit returned an error (the disk said no), and the file cannot be read to see if it is durable: "
        )
        assert outcome.next_action == "check the disk, then run storage-sync status --check"
