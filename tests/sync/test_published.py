"""After the commit do-memory may have the file at once: the proof speaks of the file as it was then."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from storage_sync import _native, operations
from storage_sync.cache.identity import read_identity
from storage_sync.cache.witness import read_witness
from storage_sync.config import Settings
from storage_sync.errors import CacheLocked
from storage_sync.model import Outcome, Word
from storage_sync.request import Request
from storage_sync.status import status_quick
from storage_sync.sync import apply, run
from storage_sync.sync.prove import proven
from tests.independent.projection_check import check
from tests.support import stores

KEY = "ffffffff-0000-4000-8000-00000000000f"


@pytest.fixture
def request_of(tmp_path: Path) -> Request:
    primary = stores.primary("v47-small", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    return Request(settings, None, wait_s=0.0)


def add_row(cache: str) -> None:
    """As do-memory does it: it must get the file for itself."""
    file = _native.CacheFile.open(cache, "write")
    ((old, value),) = file.page("heuristics", None, 1)
    file.close()
    text = _native.decode_value("heuristics", value).replace(old, KEY)
    _native.edit(cache, [("heuristics", KEY, None, _native.encode_value("heuristics", text))], {}, None, 0)


@pytest.mark.parametrize("command", ["sync", "rebuild"])
async def test_do_memory_may_write_as_soon_as_the_file_has_its_name(
    command: str, request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the rename and the proof; what it wrote then is not claimed to be proven."""
    cache = os.fspath(request_of.settings.cache or "")

    async def written_to(*arguments: Any) -> Outcome:
        add_row(cache)
        return await proven(*arguments)

    if command == "rebuild":
        await operations.sync(request_of)
    monkeypatch.setattr(run, "proven", written_to)
    outcome = await (operations.rebuild if command == "rebuild" else operations.sync)(request_of)
    assert outcome.error is None, outcome.error
    assert outcome.proof is not None
    witness, _ = read_witness(request_of.settings.state_dir or Path(), cache)
    assert witness is not None
    assert outcome.proof.identity == witness.identity != read_identity(cache)
    assert status_quick(request_of).verdict is not Word.IN_SYNC
    monkeypatch.undo()
    assert (await operations.sync(request_of)).counts["heuristics"].cache_only == 1


async def test_a_swap_that_was_refused_is_done_again_in_the_same_process(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console tries again while the error of its first try is still on the screen."""
    await operations.sync(request_of)
    kept: list[BaseException] = []

    def refused(*_: object) -> None:
        error = CacheLocked("do-memory came first")
        kept.append(error)
        raise error

    staged = Request(request_of.settings, None, wait_s=0.0, flags=frozenset({"staged"}))
    assert (await operations.rebuild(staged)).error is None
    swap = Request(request_of.settings, None, wait_s=0.0, flags=frozenset({"swap"}))
    with monkeypatch.context() as patch:
        patch.setattr(apply, "_swap", refused)
        assert (await operations.rebuild(swap)).exit_code == 6
    outcome = await operations.rebuild(swap)
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    primary = Path((request_of.settings.primary or "").removeprefix("file:"))
    assert request_of.settings.cache is not None
    assert check(primary, request_of.settings.cache).holds(exact=True)
    assert len(kept) == 1


async def test_a_do_memory_that_opens_the_file_right_after_the_commit_does_not_hide_the_proof(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading back needs no lock; the commit is durable, so the run must not end as if nothing had happened."""
    await operations.sync(request_of)
    primary = Path((request_of.settings.primary or "").removeprefix("file:"))
    stores.execute(primary, ["UPDATE episodes SET task_description = 'other'"])
    cache = os.fspath(request_of.settings.cache or "")
    opened: list[_native.CacheFile] = []

    def then_opened(*arguments: Any) -> _native.Applied:
        applied = real(*arguments)
        opened.append(_native.CacheFile.open(cache, "write"))
        return applied

    real = _native.apply
    monkeypatch.setattr(_native, "apply", then_opened)
    outcome = await operations.sync(request_of)
    for file in opened:
        file.close()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert outcome.cache_writes.commits == 1
    assert request_of.settings.cache is not None
    assert check(primary, request_of.settings.cache).holds(exact=True)
