"""Beside a cache that another process holds: rows wait, survive us, and are committed when it lets go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from storage_sync import _native
from storage_sync.cache import servers
from storage_sync.cache.checkpoint import META_KEY, decode_checkpoint, encode_checkpoint
from storage_sync.cache.copy import private_copy
from storage_sync.cache.waiting_rows import read_waiting, spool_path, waiting_path
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Deliver, Stage, Sync
from storage_sync.service.performing import once
from storage_sync.values.options import Options
from storage_sync.values.outcome import DERIVED_TABLES, CheckStatus, Outcome, Word
from storage_sync.values.snapshot import Phase, Run, StepState
from tests.independent.projection_check import check
from tests.recovery.test_crafted import LEDGER, META
from tests.support import hrana, stores
from tests.support.crafted import craft
from tests.support.processes import DO_MEMORY, HOLD_LOCK, HOLD_REDB, WITHOUT_CACHE, environment, running
from tests.support.sqld import Sqld
from tests.support.values import altered

CHANGES = (
    "UPDATE episodes SET task_description = 'changed while it was held' WHERE episode_id IN "
    "(SELECT episode_id FROM episodes ORDER BY episode_id LIMIT 3)",
    "DELETE FROM heuristics WHERE heuristic_id = (SELECT min(heuristic_id) FROM heuristics)",
)
CHANGED = 4


@dataclass
class Place:
    """A cache in sync with its primary."""

    request: Request
    change: Callable[[tuple[str, ...]], None]
    away: Callable[[], None]
    """The primary does not answer from now on."""
    copy: Callable[[], Path]
    """The primary as a file at rest."""

    @property
    def cache(self) -> str:
        return os.fspath(self.request.settings.cache or "")

    async def sync(self, **given: object) -> Outcome:
        options = replace(self.request.options, **given)
        return await once(Sync(), replace(self.request, options=options))

    async def deliver(self, **given: object) -> Outcome:
        """As `watch` does it: what waits is committed, whatever became of the primary."""
        options = replace(self.request.options, **given)
        return await once(Deliver(), replace(self.request, options=options))

    async def staged(self) -> Outcome:
        """Three rows changed and one gone while the cache is held."""
        self.change(CHANGES)
        with running(HOLD_REDB, self.cache, "write"):
            return await self.sync()

    def equal(self) -> bool:
        return check(self.copy(), Path(self.cache)).holds(exact=True)


@contextmanager
def of_file(folder: Path) -> Iterator[Place]:
    primary = stores.primary("v47-small", folder / "primary")
    settings = Settings(primary=f"file:{primary}", cache=folder / "cache.redb", state_dir=folder / "state")

    def away() -> None:
        primary.rename(folder / "elsewhere.db")

    def copy() -> Path:
        return primary if primary.exists() else folder / "elsewhere.db"

    request = Request(settings, None, Options(wait_s=0.0), max_attempts=1)
    yield Place(request, lambda changes: stores.execute(primary, changes), away, copy)


@contextmanager
def of_server(folder: Path) -> Iterator[Place]:
    primary = stores.primary("v47-small", folder / "primary")
    with Sqld(primary) as server:
        settings = Settings(primary=server.url, cache=folder / "cache.redb", state_dir=folder / "state", timeout_s=5.0)
        request = Request(settings, None, Options(wait_s=0.0), max_attempts=1)

        def change(changes: tuple[str, ...]) -> None:
            hrana.execute(server.url, changes)

        yield Place(
            request,
            change,
            server.stop,
            lambda: stores.quiet_copy(server.database, folder / "quiet"),
        )


@pytest.fixture(params=[of_file, of_server], ids=["file", "sqld"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    with request.param(tmp_path) as one:
        assert (await one.sync()).verdict is Word.IN_SYNC
        yield one


def bytes_of(path: str) -> bytes:
    return Path(path).read_bytes()


def write(path: str, data: bytes | bytearray) -> None:
    Path(path).write_bytes(data)


def there(path: str) -> bool:
    return os.path.lexists(path)


def rights(path: str) -> tuple[int, int, int]:
    status = Path(path).lstat()
    return status.st_uid, status.st_gid, status.st_mode


def contents(path: Path) -> tuple[int, int, bytes]:
    status = path.lstat()
    return status.st_ino, status.st_mtime_ns, path.read_bytes() if path.is_file() else b""


async def test_a_sync_of_a_held_cache_lets_the_rows_wait_and_the_next_one_commits_them(place: Place) -> None:
    place.change(CHANGES)
    with running(HOLD_REDB, place.cache, "write"):
        before = bytes_of(place.cache)
        outcome = await place.sync()
        assert bytes_of(place.cache) == before
    assert outcome.exit_code == 6
    assert outcome.error is not None
    assert f"{CHANGED} rows have waited since" in outcome.error.message
    assert outcome.verdict is Word.STALE
    assert isinstance(outcome.extra["waiting"], dict)
    assert outcome.extra["waiting"]["rows"] == CHANGED
    kept = read_waiting(place.cache).kept
    assert kept is not None
    assert kept.note.rows == CHANGED
    assert rights(waiting_path(place.cache)) == rights(place.cache)
    assert not there(spool_path(place.cache))

    outcome = await place.sync()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert sum(one.insert + one.update + one.remove for one in outcome.applied.values()) == CHANGED
    assert place.equal()
    assert not there(waiting_path(place.cache))


async def test_what_waits_is_committed_while_the_primary_is_away_and_proven_of_its_moment(place: Place) -> None:
    started = time.time()
    await place.staged()
    kept = read_waiting(place.cache).kept
    assert kept is not None
    waited = kept.note.replication_index
    assert (waited is None) == str(place.request.settings.primary).startswith("file:")
    asked = time.time()
    place.away()
    outcome = await place.deliver()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert outcome.transfer.requests == 0
    assert outcome.proof is not None
    assert started <= outcome.proof.at <= asked
    with private_copy(place.cache, None) as copy:
        checkpoint, _ = decode_checkpoint(copy.file.meta()[META_KEY])
    assert checkpoint is not None
    assert checkpoint.replication_index == waited, "of when they came, not of now"
    assert place.equal()
    assert not there(waiting_path(place.cache))


async def test_a_primary_that_is_away_fails_the_step_that_asked_it(place: Place) -> None:
    """The cache is looked at once more for what waits: not that has failed."""
    place.away()
    told: list[Run] = []
    outcome = await once(Sync(), place.request, told.append)
    assert outcome.exit_code in (3, 4), outcome.error
    assert [name for name, state in told[-1].steps if state is StepState.FAILED] == [Phase.MANIFEST]


async def test_a_plain_sync_commits_what_waits_although_the_primary_is_away_and_says_that_it_is(place: Place) -> None:
    await place.staged()
    asked = time.time()
    place.away()
    outcome = await place.sync()
    assert outcome.exit_code in (3, 4), outcome.error
    assert outcome.verdict is Word.UNKNOWN
    assert outcome.cache_writes.commits == 1
    assert outcome.proof is not None
    assert outcome.proof.at <= asked
    assert any("it equals the primary as it was when they were fetched" in warning for warning in outcome.warnings)
    assert place.equal()


async def test_do_memory_wrote_a_row_meanwhile_that_only_it_has(place: Place) -> None:
    """What waits is merged with the cache as it is then; what only the cache has stays."""
    await place.staged()
    file = _native.CacheFile.open(place.cache, "write")
    ((_, value),) = file.page("heuristics", None, 1)
    file.close()
    new = "ffffffff-0000-4000-8000-00000000000f"
    row = ("heuristics", new, None, altered("heuristics", value, heuristic_id=new))
    _native.edit(place.cache, [row], {}, None, 0)
    place.away()
    outcome = await place.deliver()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    file = _native.CacheFile.open(place.cache, "write")
    keys = [key for key, _ in file.page("heuristics", None, 1000)]
    file.close()
    assert new in keys
    assert check(place.copy(), Path(place.cache)).holds()


async def test_a_row_that_did_not_wait_is_asked_for(place: Place) -> None:
    """The holder removed a row of ours: what waits alone would not make the cache equal."""
    await place.staged()
    with _native_file(place.cache) as file:
        key, value = file.page("episodes", None, 20)[-1]
    before = _native.digest("blake3", value)
    _native.edit(place.cache, [("episodes", key, before, None)], {}, None, 0)
    outcome = await place.deliver()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert place.equal()


async def test_and_while_the_primary_is_away_it_goes_on_waiting(place: Place) -> None:
    await place.staged()
    with _native_file(place.cache) as file:
        key, value = file.page("episodes", None, 20)[-1]
    _native.edit(place.cache, [("episodes", key, _native.digest("blake3", value), None)], {}, None, 0)
    place.away()
    outcome = await place.deliver()
    assert outcome.exit_code in (3, 4)
    assert outcome.cache_writes.commits == 0
    assert read_waiting(place.cache).kept is not None


@contextmanager
def _native_file(cache: str) -> Iterator[_native.CacheFile]:
    file = _native.CacheFile.open(cache, "write")
    try:
        yield file
    finally:
        file.close()


async def test_more_rows_join_those_that_wait(place: Place) -> None:
    first = await place.staged()
    place.change(
        ("UPDATE episodes SET task_description = 'later' WHERE episode_id = (SELECT max(episode_id) FROM episodes)",)
    )
    with running(HOLD_REDB, place.cache, "write"):
        second = await place.sync()
    assert isinstance(first.extra["waiting"], dict)
    assert isinstance(second.extra["waiting"], dict)
    assert second.extra["waiting"]["rows"] == CHANGED + 1
    assert second.extra["waiting"]["since"] == first.extra["waiting"]["since"]
    place.away()
    assert (await place.deliver()).verdict is Word.IN_SYNC
    assert place.equal()


async def test_nothing_waits_where_the_primary_took_its_changes_back(place: Place) -> None:
    undo = stores.select(place.copy(), "SELECT episode_id, task_description FROM episodes ORDER BY episode_id LIMIT 1")
    ((key, text),) = undo
    place.change((f"UPDATE episodes SET task_description = 'x' WHERE episode_id = '{key}'",))
    with running(HOLD_REDB, place.cache, "write"):
        assert (await place.sync()).exit_code == 6
        place.change((f"UPDATE episodes SET task_description = '{text}' WHERE episode_id = '{key}'",))
        outcome = await place.sync()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert not there(waiting_path(place.cache))


async def test_a_held_cache_with_nothing_to_do_is_in_sync(place: Place) -> None:
    before = (await place.sync()).proof
    with running(HOLD_REDB, place.cache, "write"):
        outcome = await place.sync()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert outcome.cache_writes.commits == 0
    assert before is not None
    assert outcome.proof is not None
    assert (outcome.proof.generation, outcome.proof.root) == (before.generation, before.root)


async def test_a_held_file_with_nothing_to_compare_is_told_as_held(place: Place, tmp_path: Path) -> None:
    (tmp_path / "new.redb").touch()
    settings = _changed(place.request.settings, cache=tmp_path / "new.redb", state_dir=tmp_path / "other")
    place.request = replace(place.request, settings=settings)
    with running(HOLD_LOCK, place.cache) as holder:
        outcome = await place.sync()
    assert (outcome.exit_code, outcome.verdict) == (6, Word.UNKNOWN), outcome.error
    assert outcome.error is not None
    assert str(holder.pid) in outcome.error.message
    assert not there(waiting_path(place.cache))


async def test_a_guard_that_stops_leaves_nothing_waiting(place: Place) -> None:
    await place.staged()
    place.change(("DELETE FROM episodes", "DELETE FROM patterns", "DELETE FROM heuristics"))
    with running(HOLD_REDB, place.cache, "write"):
        outcome = await place.sync()
        assert outcome.exit_code == 9, outcome.error
        assert not there(waiting_path(place.cache))
        # a consent is given for one moment, so it does not wait
        outcome = await place.sync(allow_shrink=True)
        assert outcome.exit_code == 6
        assert not there(waiting_path(place.cache))


@pytest.mark.parametrize("what", ["source", "generation", "configuration"])
async def test_what_was_fetched_for_another_cache_is_forgotten(what: str, place: Place, tmp_path: Path) -> None:
    if what == "source":
        other = shutil.copyfile(place.copy(), tmp_path / "other.db")
        await place.staged()
        place.request = replace(place.request, settings=_changed(place.request.settings, primary=f"file:{other}"))
    elif what == "configuration":
        await place.staged()
        place.request = replace(place.request, settings=_changed(place.request.settings, max_episodes_cache=7))
    else:
        await place.staged()
        kept = bytes_of(waiting_path(place.cache))
        assert (await place.sync()).verdict is Word.IN_SYNC
        write(waiting_path(place.cache), kept)
        place.change(("UPDATE episodes SET task_description = 'newer'",))
    outcome = await place.deliver(allow_shrink=True)
    if what == "source":
        assert outcome.cache_writes.commits in (0, 1)
        assert "waited" not in outcome.extra
    else:
        assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
        assert "waited" not in outcome.extra
        assert check(place.copy(), Path(place.cache), window=7 if what == "configuration" else 1000).holds()
    assert not there(waiting_path(place.cache))


def _changed(settings: Settings, **given: object) -> Settings:
    import msgspec

    return msgspec.structs.replace(settings, **given)


@pytest.mark.parametrize("damage", ["cut", "flip a row", "flip the manifest", "empty"])
async def test_damaged_rows_are_fetched_again(damage: str, place: Place) -> None:
    await place.staged()
    path = waiting_path(place.cache)
    data = bytearray(bytes_of(path))
    if damage == "cut":
        data = data[:-9]
    elif damage == "empty":
        data = bytearray()
    else:
        data[80 if damage == "flip a row" else -60] ^= 0x10
    write(path, data)
    outcome = await place.deliver()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert any("damaged" in warning for warning in outcome.warnings)
    assert place.equal()
    assert not there(path)


def put(what: str, path: Path, notes: Path) -> None:
    """Something that is not ours, under the name of what waits."""
    if what == "foreign":
        shutil.copyfile(notes, path)
    elif what == "a link":
        path.symlink_to(notes)
    elif what == "a folder":
        path.mkdir()
    elif what == "writable by all":
        path.chmod(0o666)
    else:
        assert os.geteuid() == 0, "only root can give a file away; run this test as root"
        os.chown(path, 65534, 65534)


@pytest.mark.parametrize("what", ["foreign", "a link", "a folder", "writable by all", "another owner"])
async def test_what_is_not_ours_is_left_alone(what: str, place: Place, tmp_path: Path) -> None:
    path = Path(waiting_path(place.cache))
    notes = tmp_path / "notes.txt"
    notes.write_text("of somebody else, and long enough to be looked at as if it were one of our files: " * 3)
    if what in ("writable by all", "another owner"):
        await place.staged()
    put(what, path, notes)
    before = contents(path)
    outcome = await place.staged()
    assert outcome.exit_code == 6
    assert any(str(path) in warning for warning in outcome.warnings)
    assert "waiting" not in outcome.extra
    with running(HOLD_REDB, place.cache, "write"):
        compared = await once(Stage(), place.request)
    assert compared.error is not None
    said = "the cache is held by another process, and its rows cannot wait beside it"
    assert (compared.exit_code, compared.error.message) == (6, said)
    outcome = await place.deliver()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert contents(path) == before
    assert place.equal()


KILLED = """
import asyncio, os, signal, sys
import msgspec
from pathlib import Path
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Deliver, Sync
from storage_sync.service.performing import once
from storage_sync.values.options import Options
from storage_sync.sync import apply, waiting
from storage_sync import _native

primary, cache, state, where = sys.argv[1:]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
request = Request(Settings(primary=primary, cache=Path(cache), state_dir=Path(state)), None, Options(wait_s=0.0))
if where == "before the rows have their name":
    waiting.publish = die
elif where == "before the commit":
    _native.apply = die
else:
    real = _native.apply
    def applied(*arguments):
        real(*arguments)
        die()
    _native.apply = applied
asyncio.run(once(Sync() if "name" in where else Deliver(), request))
"""


@pytest.mark.parametrize("where", ["before the rows have their name", "before the commit", "after the commit"])
async def test_a_kill_loses_nothing_and_repeats_nothing(where: str, place: Place) -> None:
    settings = place.request.settings
    arguments = [settings.primary or "", place.cache, os.fspath(settings.state_dir or ""), where]
    if "name" in where:
        place.change(CHANGES)
        with running(HOLD_REDB, place.cache, "write"):
            assert _killed(arguments)
            assert read_waiting(place.cache).kept is None
            assert (await place.sync()).exit_code == 6
    else:
        await place.staged()
        assert _killed(arguments)
    place.away()
    outcome = await place.deliver()
    if where == "after the commit":
        # the rows were for the generation before; without the primary nothing more can be said
        assert outcome.cache_writes.commits == 0
    else:
        assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert not there(waiting_path(place.cache))
    assert place.equal()


def _killed(arguments: list[str]) -> bool:
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=environment(), check=False)
    return done.returncode == -9


async def test_a_cache_that_was_touched_a_moment_ago_is_left_alone_for_a_moment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A do-memory that restarts is back at once, and tries the lock only once."""
    await place.staged()
    freed = time.time()
    committed: list[float] = []
    real = _native.apply

    def noted(*arguments: object) -> _native.Applied:
        committed.append(time.time())
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_native, "apply", noted)
    assert (await place.deliver(free_since=freed)).verdict is Word.IN_SYNC
    assert committed[0] - freed >= 0.3


STARTS = """
import sys
from storage_sync.cache.starting import announce
announce(sys.argv[1], 5.0)
print("ready", flush=True)
sys.stdin.read()
"""


async def test_nobody_commits_while_somebody_is_about_to_open_the_cache(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.staged()
    committed: list[float] = []
    real = _native.apply

    def noted(*arguments: object) -> _native.Applied:
        committed.append(time.time())
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_native, "apply", noted)
    with running(STARTS, place.cache):
        until = json.loads(bytes_of(f"{place.cache}.starting"))["until"]
        assert (await place.deliver()).verdict is Word.IN_SYNC
    assert committed[0] >= until


@pytest.mark.parametrize("when", ["before all is prepared", "at the last moment"])
async def test_nobody_commits_while_a_server_that_has_just_started_opens_the_cache(
    when: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has said nothing before: a bare start."""
    await place.staged()
    monkeypatch.setattr(servers, "OPENS_S", 3600.0)
    monkeypatch.setenv("REDB_CACHE_PATH", place.cache)
    looks = 0
    real = servers.opening

    def opening(cache: str) -> int | None:
        """The server opens the cache, and ends, once it was seen."""
        nonlocal looks
        looks += 1
        if looks <= (0 if "all" in when else 2):
            return None
        found = real(cache)
        if found is not None:
            server.kill()
            server.wait()
        return found

    monkeypatch.setattr("storage_sync.sync.apply.opening", opening)
    with running(WITHOUT_CACHE, name=DO_MEMORY) as server:
        assert (await place.deliver()).verdict is Word.IN_SYNC
        assert server.poll() is not None, "it was seen before the lock was taken"
    assert looks >= 4
    assert place.equal()


@pytest.mark.parametrize("place", [of_file], ids=["file"], indirect=True)
async def test_what_waits_of_a_primary_whose_log_went_back_before_is_committed_while_it_is_away(place: Place) -> None:
    """How often that was seen is a part of what the rows were fetched for."""
    with private_copy(place.cache, None) as copy:
        stamp, _ = decode_checkpoint(copy.file.meta()[META_KEY])
    assert stamp is not None
    later = replace(stamp, epoch=stamp.epoch + 1)
    _native.edit(place.cache, [], {META_KEY: encode_checkpoint(later)}, later.generation, 0)
    assert (await place.sync()).verdict is Word.IN_SYNC
    await place.staged()
    kept = read_waiting(place.cache).kept
    assert kept is not None
    assert kept.note.epoch == later.epoch
    place.away()
    outcome = await place.deliver()
    assert (outcome.exit_code, outcome.verdict) == (0, Word.IN_SYNC), outcome.error
    assert place.equal()


def without_stamp(cache: Path) -> None:
    craft(cache, {(META, META_KEY): None})


def without_a_line_of_the_ledger(cache: Path) -> None:
    file = _native.CacheFile.open(str(cache), "read")
    ((key, _),) = file.page(LEDGER, None, 1)
    file.close()
    craft(cache, {(LEDGER, key): None})


@pytest.mark.parametrize("place", [of_server], ids=["sqld"], indirect=True)
@pytest.mark.parametrize("lost", [without_stamp, without_a_line_of_the_ledger])
async def test_a_held_cache_that_is_equal_says_of_when_the_audit_was(
    lost: Callable[[Path], None], place: Place
) -> None:
    """Only what we keep beside the rows is not as it was, and nobody can write that now."""
    lost(Path(place.cache))
    with running(HOLD_REDB, place.cache, "write"):
        outcome = await place.sync()
    (digests,) = (one for one in outcome.checks if one.name == "content_digests")
    assert digests.status is CheckStatus.PASS
    assert digests.detail.partition("; ")[2].startswith("embeddings that cannot be found through an owner: as of the ")
    counted = [count.as_of for table, count in outcome.counts.items() if table not in DERIVED_TABLES]
    assert None not in counted, "source tables are counted by an audit"
