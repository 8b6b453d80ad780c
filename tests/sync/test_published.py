"""After the commit do-memory may have the file at once: the proof speaks of the file as it was then."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage_sync import _native
from storage_sync.cache.identity import read_identity
from storage_sync.cache.kept import kept_files
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.edits import undo
from storage_sync.recovery import diagnosis
from storage_sync.reports.status import status_quick
from storage_sync.service.operations import Rebuild, Sync, Undo
from storage_sync.service.performing import once
from storage_sync.state.witness import read_witness
from storage_sync.sync import apply, inspection, run
from storage_sync.sync.outcome_builder import Draft
from storage_sync.sync.prove import proven
from storage_sync.values.errors import CacheLocked
from storage_sync.values.options import Options
from storage_sync.values.outcome import Outcome, Word
from tests.independent.projection_check import check
from tests.support import stores
from tests.support.faulty import void
from tests.support.processes import running
from tests.support.values import altered

KEY = "ffffffff-0000-4000-8000-00000000000f"
OTHER = "ffffffff-0000-4000-8000-00000000000e"


@pytest.fixture
def request_of(tmp_path: Path) -> Request:
    primary = stores.primary("v47-small", tmp_path / "primary")
    settings = Settings(primary=f"file:{primary}", cache=tmp_path / "cache.redb", state_dir=tmp_path / "state")
    return Request(settings, None, Options(wait_s=0.0))


def add_row(cache: str, key: str = KEY) -> None:
    """As do-memory does it: it must get the file for itself."""
    file = _native.CacheFile.open(cache, "write")
    ((_, value),) = file.page("heuristics", None, 1)
    file.close()
    _native.edit(cache, [("heuristics", key, None, altered("heuristics", value, heuristic_id=key))], {}, None, 0)


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
        await once(Sync(), request_of)
    monkeypatch.setattr(run, "proven", written_to)
    outcome = await once(Rebuild() if command == "rebuild" else Sync(), request_of)
    assert outcome.error is None, outcome.error
    assert outcome.proof is not None
    witness, _ = read_witness(request_of.settings.state_dir or Path(), cache)
    assert witness is not None
    assert outcome.proof.identity == witness.identity != read_identity(cache)
    quick = status_quick(request_of)
    assert quick.look is not None, "the proof is not of this file: its rows were read again"
    monkeypatch.undo()
    assert (await once(Sync(), request_of)).counts["heuristics"].cache_only == 1


async def test_a_swap_that_was_refused_is_done_again_in_the_same_process(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console tries again while the error of its first try is still on the screen."""
    await once(Sync(), request_of)
    kept: list[BaseException] = []

    def refused(*_: object) -> None:
        error = CacheLocked("do-memory came first")
        kept.append(error)
        raise error

    staged = Request(request_of.settings, None, Options(wait_s=0.0, stage_only=True))
    assert (await once(Rebuild(), staged)).error is None
    swap = Request(request_of.settings, None, Options(wait_s=0.0))
    with monkeypatch.context() as patch:
        patch.setattr(apply, "_swap", refused)
        assert (await once(Rebuild(swap=True), swap)).exit_code == 6
    outcome = await once(Rebuild(swap=True), swap)
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    primary = Path((request_of.settings.primary or "").removeprefix("file:"))
    assert request_of.settings.cache is not None
    assert check(primary, request_of.settings.cache).holds(exact=True)
    assert len(kept) == 1


async def test_a_do_memory_that_opens_the_file_right_after_the_commit_does_not_hide_the_proof(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading back needs no lock; the commit is durable, so the run must not end as if nothing had happened."""
    await once(Sync(), request_of)
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
    outcome = await once(Sync(), request_of)
    for file in opened:
        file.close()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert outcome.cache_writes.commits == 1
    assert request_of.settings.cache is not None
    assert check(primary, request_of.settings.cache).holds(exact=True)


def first_doing(work: Callable[[], None], real: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with `work` done before its first call."""
    left = [work]

    def called(*arguments: Any) -> Any:
        if left:
            left.pop()()
        return real(*arguments)

    return called


async def test_what_do_memory_writes_while_the_new_file_is_built_is_in_it(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lost update, for a file that is replaced as a whole: it must still be the one that the new one was made of."""
    await once(Sync(), request_of)
    cache = os.fspath(request_of.settings.cache or "")
    add_row(cache)
    monkeypatch.setattr(_native, "finish_sibling", first_doing(lambda: add_row(cache, OTHER), _native.finish_sibling))
    outcome = await once(Rebuild(), request_of)
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert any("written to" in warning for warning in outcome.warnings)
    file = _native.CacheFile.open(cache, "read")
    assert None not in file.get("heuristics", [KEY, OTHER])
    file.close()
    assert outcome.counts["heuristics"].cache_only == 2
    assert len(list(Path(cache).parent.glob("cache.redb.old-*"))) == 1


async def test_a_cache_that_do_memory_makes_during_a_first_sync_is_taken_over(
    request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = request_of.settings.cache
    assert cache is not None
    made = stores.cache("v47-small", tmp_path / "made")
    add_row(str(made))
    monkeypatch.setattr(
        _native, "finish_sibling", first_doing(lambda: void(made.rename(cache)), _native.finish_sibling)
    )
    outcome = await once(Sync(), request_of)
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    file = _native.CacheFile.open(str(cache), "read")
    assert None not in file.get("heuristics", [KEY])
    file.close()
    assert kept_files(str(cache)) == []


async def test_an_undo_puts_no_file_over_what_do_memory_has_just_written(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of now is kept with it."""
    await once(Sync(), request_of)
    cache = os.fspath(request_of.settings.cache or "")
    await once(Rebuild(), request_of)
    monkeypatch.setattr(undo, "_stamp", first_doing(lambda: add_row(cache), undo._stamp))
    outcome = await once(Undo(), request_of)
    assert (outcome.exit_code, outcome.error) == (0, None)
    newest = next(file for file in kept_files(cache) if file.why == "old")
    file = _native.CacheFile.open(newest.path, "read")
    assert None not in file.get("heuristics", [KEY])
    file.close()
    assert any("written to" in warning for warning in outcome.warnings)
    assert not list(Path(cache).parent.glob("*.build-*"))


def leave_half_a_copy(request_of: Request) -> str:
    left = Path(f"{request_of.settings.cache}.build-undo-{'0a' * 8}")
    left.write_bytes(b"half a copy")
    return left.name


def names_beside(request_of: Request) -> set[str]:
    return {path.name for path in Path(str(request_of.settings.cache)).parent.iterdir()}


async def test_what_a_killed_undo_left_goes_with_the_next_run(request_of: Request) -> None:
    await once(Sync(), request_of)
    left = leave_half_a_copy(request_of)
    assert left in names_beside(request_of)
    await once(Sync(), request_of)
    assert left not in names_beside(request_of)


async def test_a_file_of_others_with_such_a_name_stays(request_of: Request) -> None:
    await once(Sync(), request_of)
    cache = Path(str(request_of.settings.cache))
    for ending in (".build-undo", ".build-undo-notes", ".build-undo-0123456789abcdef.bak"):
        cache.with_name(cache.name + ending).write_bytes(b"not ours")
    await once(Sync(), request_of)
    assert len([name for name in names_beside(request_of) if ".build-undo" in name]) == 3


async def test_an_undo_without_room_leaves_nothing(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:4096])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    await once(Sync(), request_of)
    await once(Rebuild(), request_of)
    monkeypatch.setattr("storage_sync.edits.undo.copy_file", full)
    outcome = await once(Undo(), request_of)
    assert outcome.exit_code == 8
    assert not [name for name in names_beside(request_of) if ".build-" in name]


BETWEEN_OPEN_AND_LOCK = """
import fcntl, os, sys, threading
descriptor = os.open(sys.argv[1], os.O_RDWR)
print("ready", flush=True)
while os.stat(sys.argv[1]).st_ino == os.fstat(descriptor).st_ino:
    threading.Event().wait(0.002)
threading.Event().wait(0.3)
try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("locked", flush=True)
except BlockingIOError:
    print("refused", flush=True)
os.close(descriptor)
sys.stdin.read()
"""


async def test_who_was_about_to_lock_the_old_file_is_refused(request_of: Request) -> None:
    """A do-memory that was put to sleep between its open and its lock must not live on in a file without a name."""
    await once(Sync(), request_of)
    with running(BETWEEN_OPEN_AND_LOCK, request_of.settings.cache) as child:
        assert (await once(Rebuild(), request_of)).exit_code == 0
        assert child.stdout is not None
        assert child.stdout.readline() == "refused\n"


def rows_of(cache: str, table: str) -> dict[str, bytes]:
    file = _native.CacheFile.open(cache, "read")
    try:
        return dict(file.page(table, None, 10_000))
    finally:
        file.close()


def put(cache: str, table: str, key: str, value: bytes | None) -> None:
    """As do-memory does it: our tables stay as they are."""
    before = rows_of(cache, table).get(key)
    digest = None if before is None else _native.digest("blake3", before)
    _native.edit(cache, [(table, key, digest, value)], {}, None, 0)


async def test_what_do_memory_did_after_the_new_file_was_prepared_is_in_it(request_of: Request) -> None:
    """Rows of its own that came, changed and went, and what only the cache holds of a row of the primary."""
    cache = os.fspath(request_of.settings.cache or "")
    changed, gone = KEY, OTHER
    fresh = "ffffffff-0000-4000-8000-00000000000d"
    await once(Sync(), request_of)
    for key in (changed, gone):
        add_row(cache, key)
    staged = Request(request_of.settings, None, Options(wait_s=0.0, stage_only=True))
    assert (await once(Rebuild(), staged)).error is None

    add_row(cache, fresh)
    other = altered("heuristics", rows_of(cache, "heuristics")[changed], condition="other")
    put(cache, "heuristics", changed, other)
    put(cache, "heuristics", gone, None)
    episode, value = next(iter(rows_of(cache, "episodes").items()))
    fields = json.loads(_native.decode_value("episodes", value))
    start = f"{fields['start_time'][:19]}.000321Z"
    moved = altered("episodes", value, start_time=start)
    put(cache, "episodes", episode, moved)

    swap = Request(request_of.settings, None, Options(wait_s=0.0))
    outcome = await once(Rebuild(swap=True), swap)
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    heuristics = rows_of(cache, "heuristics")
    assert heuristics[changed] == other
    assert fresh in heuristics
    assert gone not in heuristics
    assert rows_of(cache, "episodes")[episode] == moved
    assert outcome.counts["heuristics"].cache_only == 2
    assert (await once(Sync(), request_of)).cache_writes.commits == 0


@pytest.mark.parametrize("swap", [False, True])
async def test_a_rebuild_waits_for_a_do_memory_that_comes_while_it_looks(
    swap: bool, request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits whenever it meets the lock, not only at its start."""
    await once(Sync(), request_of)
    staged = Request(request_of.settings, None, Options(wait_s=0.0, stage_only=True))
    assert (await once(Rebuild(), staged)).error is None
    opened: list[_native.CacheFile] = []
    judge, wait = inspection.unlocked, Draft.wait_for_lock

    async def then_opened(*arguments: Any) -> Any:
        judgement = await judge(*arguments)
        opened.append(_native.CacheFile.open(str(request_of.settings.cache), "write"))
        return judgement

    async def then_closed(draft: Draft) -> None:
        while opened:
            opened.pop().close()
        await wait(draft)

    monkeypatch.setattr(diagnosis, "unlocked", then_opened)
    monkeypatch.setattr(Draft, "wait_for_lock", then_closed)
    outcome = await once(Rebuild(swap=swap), Request(request_of.settings, None, Options(wait_s=60.0, full=not swap)))
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
