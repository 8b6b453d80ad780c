"""Old files stay beside the new one, a bounded number of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage_sync.cache.kept import keep_file, kept_files, prune_kept
from storage_sync.values.errors import LocalIO

NOON = 1_700_000_000.0


def test_a_kept_file_has_a_second_name_and_then_the_only_one(cache: Path) -> None:
    before = cache.read_bytes()
    name = keep_file(str(cache), "corrupt", NOON)
    assert name == f"{cache}.corrupt-20231114T221320Z"
    assert Path(name).samefile(cache)
    (cache.parent / "new").write_bytes(b"new")
    (cache.parent / "new").rename(cache)
    assert Path(name).read_bytes() == before
    assert [(file.path, file.why, file.bytes) for file in kept_files(str(cache))] == [(name, "corrupt", len(before))]


def test_two_in_one_second(cache: Path) -> None:
    names = [keep_file(str(cache), "old", NOON) for _ in range(3)]
    assert names == [names[0], f"{names[0]}-1", f"{names[0]}-2"]
    assert [file.path for file in kept_files(str(cache))] == names[::-1]


def test_the_newest_of_each_kind_stay(cache: Path) -> None:
    for hour in range(5):
        keep_file(str(cache), "old", NOON + hour * 3600)
    keep_file(str(cache), "corrupt", NOON)
    (cache.parent / "cache.redb.old-notes").touch()
    assert len(prune_kept(str(cache), "old")) == 2
    assert [file.why for file in kept_files(str(cache))].count("old") == 3
    assert min(file.at for file in kept_files(str(cache)) if file.why == "old") == "20231115T001320Z"
    assert [file.why for file in kept_files(str(cache))].count("corrupt") == 1
    assert (cache.parent / "cache.redb.old-notes").exists()
    assert cache.exists()


def test_without_links_it_is_copied(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    name = Path(keep_file(str(cache), "old", NOON))
    assert not name.samefile(cache)
    assert name.read_bytes() == cache.read_bytes()


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalIO, match="cannot be kept"):
        keep_file(str(tmp_path / "none"), "old", NOON)
    assert kept_files(str(tmp_path / "nowhere" / "cache.redb")) == []


def test_one_that_cannot_be_removed_stays_and_the_others_go(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [keep_file(str(cache), "old", NOON + hour * 3600) for hour in range(5)]
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if str(path) == names[1]:
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert prune_kept(str(cache), "old") == [names[0]]
    assert [file.path for file in kept_files(str(cache))] == names[:0:-1]
