"""Which file it is and what it lies on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage_sync.cache.identity import (
    await_tick,
    file_system_of,
    is_network,
    match_mount,
    read_identity,
    real_path,
)
from storage_sync.cache.space import free_space, require_space
from storage_sync.values.errors import LocalIO
from storage_sync.values.outcome import FileIdentity

MOUNTS = """/dev/vda / ext4 rw 0 0
server:/x /srv/nfs\\040share nfs4 rw 0 0
user@host: /home/me/remote fuse.sshfs rw 0 0
tmpfs /srv/nfs\\040share/local tmpfs rw 0 0
short
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/var/lib/cache.redb", "ext4", False),
        ("/srv/nfs share/cache.redb", "nfs4", True),
        ("/srv/nfs shared/cache.redb", "ext4", False),
        ("/srv/nfs share/local/cache.redb", "tmpfs", False),
        ("/home/me/remote/cache.redb", "fuse.sshfs", True),
    ],
)
def test_the_longest_mount_above_decides(path: str, kind: str, network: bool) -> None:
    system = match_mount(MOUNTS, path)
    assert (system.kind, system.network) == (kind, network)


KINDS = {
    "of libmount": "nfs nfs4 cifs smb3 smbfs 9p afs ncpfs glusterfs fuse.sshfs fuse.curlftpfs",
    "of clusters": "ceph fuse.cephfs fuse.glusterfs lustre beegfs fuse.juicefs",
    "of a host": "virtiofs",
    "of a store or a share": "fuse.s3fs fuse.gcsfuse fuse.rclone fuse.davfs fuse.davfs2 fuse.smbnetfs",
}
"""What mount(8) takes for a network file system, and what the programs that mount others call theirs."""


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_kinds_of_other_machines(kinds: str) -> None:
    assert [kind for kind in kinds.split() if not is_network(kind)] == []


def test_kinds_of_this_machine() -> None:
    kinds = ("ext4", "tmpfs", "btrfs", "fuse.ntfs-3g", "fuse", "overlay", "sshfs", "fuse.nfs")
    assert [kind for kind in kinds if is_network(kind)] == []


def test_the_real_mounts(tmp_path: Path) -> None:
    assert file_system_of(str(tmp_path / "not" / "yet")).mount
    assert file_system_of(str(tmp_path), mounts=str(tmp_path / "none")).kind == ""


def test_an_identity_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = read_identity(str(path))
    assert first == read_identity(str(path))
    os.utime(path, ns=(1, 1))
    assert read_identity(str(path)) != first
    path.unlink()
    assert read_identity(str(path)) is None


def test_two_names_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert real_path(str(tmp_path / "link")) == str(tmp_path / "file")


def test_room_is_asked_where_the_file_will_be(tmp_path: Path) -> None:
    absent = str(tmp_path / "a" / "b")
    assert free_space(absent) == pytest.approx(free_space(str(tmp_path)), rel=0.2)
    require_space(absent, 1)
    with pytest.raises(LocalIO, match="bytes are needed"):
        require_space(absent, 1 << 62)


@pytest.mark.parametrize(
    ("ahead_ns", "looks"),
    [(-1, 1), (0, 2), (3_999_999, 2), (10**12, 20)],
    ids=["older", "this tick", "finer than the clock", "from the future"],
)
def test_a_later_write_gets_a_later_stamp(ahead_ns: int, looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock ticks every 4 ms; what was stamped within this tick is looked at in the next one."""
    ticks = [10**18 + number * 4_000_000 for number in range(100)]
    told: list[int] = []

    def clock(_: int) -> int:
        told.append(ticks[len(told)])
        return told[-1]

    monkeypatch.setattr("storage_sync.cache.identity.time.clock_gettime_ns", clock)
    await_tick(FileIdentity(1, 2, 3, mtime_ns=ticks[0] + ahead_ns, ctime_ns=0))
    assert len(told) == looks


def test_the_clock_is_the_one_that_stamps_files(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1")
    first = read_identity(str(file))
    assert first is not None
    await_tick(first)
    file.write_bytes(b"2")
    assert read_identity(str(file)) != first
