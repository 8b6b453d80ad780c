"""What waits beside a cache, as files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from storage_sync.cache.waiting_rows import (
    Found,
    WaitingNote,
    clear_spool,
    discard,
    read_waiting,
    spool_path,
    waiting_path,
    waiting_text,
)
from storage_sync.values.errors import LocalIO


@pytest.mark.parametrize("which", [waiting_path, spool_path], ids=["waiting", "spool"])
def test_a_file_that_cannot_be_removed_is_named(which: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(which)
    cache = tmp_path / "cache.redb"
    cache.touch()
    stays = Path(which(str(cache)))
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == stays:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(LocalIO, match="Read-only file system") as raised:
        (discard if which is waiting_path else clear_spool)(str(cache))
    assert raised.value.message == f"{stays} cannot be removed: Read-only file system"


def test_a_file_that_cannot_be_looked_at_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = str(tmp_path / "cache.redb")
    looked_at = Path.lstat

    def refuse(path: Path) -> os.stat_result:
        if str(path) == waiting_path(cache):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return looked_at(path)

    monkeypatch.setattr(Path, "lstat", refuse)
    place = waiting_path(cache)
    assert read_waiting(cache) == Found(problem=f"{place} cannot be looked at: Permission denied", ours=False)


def test_a_file_that_more_users_may_write_than_the_cache_is_not_read(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    cache.touch(mode=0o600)
    place = Path(waiting_path(str(cache)))
    place.touch()
    place.chmod(0o660)
    problem = f"{place} may be written by more users than the cache; it is left alone and no rows can wait there"
    assert read_waiting(str(cache)) == Found(problem=problem, ours=False)


@pytest.mark.parametrize(("rows", "said"), [(1, "1 row has waited"), (1200, "1,200 rows have waited")])
def test_how_many_rows_wait_is_said_with_since_when(rows: int, said: str) -> None:
    note = WaitingNote("aa", 0, "bb", "sha3-256", 1, 7, "cc", at=1_700_000_100.0, since=1_700_000_000.0, rows=rows)
    assert waiting_text(note) == f"{said} since 2023-11-14T22:13:20Z"
