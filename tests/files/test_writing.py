"""What replaces a file keeps whose it is; what is no regular file of ours is refused; a crash leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from storage_sync.files import writing
from storage_sync.files.kinds import NotUsable, read_small, reading

ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, 0xFFFFFFFF), (2, 6, 65534), (4, 4, 0xFFFFFFFF), (0x10, 6, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
)
"""POSIX access list, version 2: its owner and user 65534 read and write, its group reads."""
OTHER = 1234


def dressed(path: Path) -> tuple[object, ...]:
    """A file of another user and group, with an access list and an attribute; what of it must stay."""
    path.write_bytes(b"old")
    path.chmod(0o660)
    os.setxattr(path, "user.label", b"app")
    os.setxattr(path, "system.posix_acl_access", ACL)
    if os.geteuid() == 0:
        os.chown(path, OTHER, OTHER + 1)
    return worn(path)


def worn(path: Path) -> tuple[object, ...]:
    found = path.stat()
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, attributes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replacing_keeps_mode_owner_group_acl_and_attributes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = dressed(path)
    writing.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert worn(path) == before
    assert names(tmp_path) == ["file"]


def test_a_swap_keeps_them_too_and_takes_away_what_the_folder_gave(tmp_path: Path) -> None:
    path, built = tmp_path / "file", tmp_path / "built"
    before = dressed(path)
    os.setxattr(tmp_path, "system.posix_acl_default", ACL)
    built.write_bytes(b"new")
    os.setxattr(built, "user.of_the_build", b"x")
    writing.put_in_place(built, path)
    assert path.read_bytes() == b"new"
    assert worn(path) == before
    assert names(tmp_path) == ["file"]


def test_a_copy_keeps_them(tmp_path: Path) -> None:
    before = dressed(tmp_path / "file")
    writing.copy_file(tmp_path / "file", tmp_path / "copy")
    assert worn(tmp_path / "copy") == before


def test_a_new_file_has_the_mode_that_was_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        writing.replace_file(tmp_path / "file", b"x", mode=0o644)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


def make_folder(path: Path) -> None:
    path.mkdir()


KINDS = [make_fifo, make_folder, *([make_device] if os.geteuid() == 0 else [])]
USES: list[Callable[[Path], object]] = [
    lambda path: writing.replace_file(path, b"x"),
    lambda path: os.close(writing.own_file(path)),
    lambda path: writing.patch(path, 0, b"x"),
    read_small,
]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("use", USES, ids=["replace", "own", "patch", "read"])
def test_what_is_no_regular_file_is_refused_at_once(
    make: Callable[[Path], None], use: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    make(path)
    kind = path.stat().st_mode
    with pytest.raises(OSError, match=r"regular file|Is a directory"):
        use(path)
    assert path.stat().st_mode == kind
    assert names(tmp_path) == ["file"]


def test_a_device_without_an_end_is_not_read() -> None:
    with pytest.raises(NotUsable, match="a device"):
        read_small("/dev/zero")


def test_what_is_larger_than_it_can_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    with pytest.raises(NotUsable, match="larger than 99 bytes"):
        read_small(path, 99)
    assert read_small(path, 100) == bytes(100)
    with reading(path) as file:
        assert file.read(1) == b"\0"


def test_a_link_of_ours_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    writing.replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_a_link_that_somebody_else_planted_is_refused(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(b"precious")
    link.symlink_to(victim)
    os.lchown(link, OTHER, OTHER)
    with pytest.raises(NotUsable, match="somebody else"):
        writing.replace_file(link, b"x")
    assert victim.read_bytes() == b"precious"


def test_an_own_file_is_never_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(NotUsable, match="a link"):
        writing.own_file(tmp_path / "link")
    assert not (tmp_path / "file").exists()


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def late() -> None:
        with writing.new_file(path) as out:
            out.write(b"new")
            path.write_bytes(b"meanwhile")

    with pytest.raises(FileExistsError):
        late()
    assert path.read_bytes() == b"meanwhile"
    assert names(tmp_path) == ["file"]


def test_a_new_file_that_fails_is_not_there(tmp_path: Path) -> None:

    def fails() -> None:
        with writing.new_file(tmp_path / "file") as out:
            out.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert names(tmp_path) == []


def test_a_name_that_is_moved_aside_takes_no_others_place(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"2")
    with pytest.raises(FileExistsError):
        writing.move_aside(tmp_path / "one", tmp_path / "two")
    writing.move_aside(tmp_path / "one", tmp_path / "three")
    assert names(tmp_path) == ["three", "two"]


def test_what_a_killed_run_left_is_swept_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    dead, living = tmp_path / f".storage-sync-{'0' * 16}.tmp", tmp_path / f".storage-sync-{'1' * 16}.tmp"
    like = tmp_path / ".storage-sync-notes.tmp"
    for path in (dead, living, like):
        path.write_bytes(b"x")
    with living.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        writing.replace_file(tmp_path / "file", b"x")
    assert names(tmp_path) == sorted([living.name, like.name, "file"])


def test_a_long_name_needs_no_longer_one(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    writing.replace_file(path, b"x")
    writing.replace_file(path, b"y")
    assert path.read_bytes() == b"y"
