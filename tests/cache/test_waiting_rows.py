"""What waits beside a cache, as files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from storage_sync.cache.waiting_rows import clear_spool, discard, spool_path, waiting_path
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
