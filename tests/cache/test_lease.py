"""One run at a time, between processes and threads, and never a stale lock."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage_sync.cache import lease as lease_module
from storage_sync.cache.identity import FileSystem
from storage_sync.cache.lease import Lease, lease_holder, lease_path, read_note
from storage_sync.values.errors import LeaseHeld, LocalIO
from tests.support.processes import HOLD_LEASE, as_nobody, environment, running


def test_a_lease_names_its_run_while_it_is_held(cache: Path) -> None:
    path = str(cache)
    with Lease.acquire(path, "run-1") as lease:
        assert lease.exclusive
        assert lease.path == f"{cache}.lock"
        note, holder = read_note(path), lease_holder(path)
        assert note == lease.note
        assert holder is not None
        assert holder.pid == note.pid == os.getpid()
    assert lease_holder(path) is None
    assert read_note(path) is None
    assert cache.with_name("cache.redb.lock").read_bytes() == b""


def test_a_second_run_is_told_who_holds_it(cache: Path) -> None:
    with running(HOLD_LEASE, cache) as child:
        with pytest.raises(LeaseHeld, match=rf"pid {child.pid}.*other-run") as caught, Lease.acquire(str(cache), "me"):
            pass
        assert (caught.value.code, caught.value.exit_code) == ("lease_held", 11)


def test_a_killed_holder_leaves_nothing_behind(cache: Path) -> None:
    with running(HOLD_LEASE, cache) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert read_note(str(cache)) is not None, "the note is still there, but it is only a note"
    assert lease_holder(str(cache)) is None
    with Lease.acquire(str(cache), "me"):
        pass


def test_two_names_of_a_cache_share_a_lease(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(cache)
    with Lease.acquire(str(cache), "one"), pytest.raises(LeaseHeld), Lease.acquire(str(tmp_path / "link"), "two"):
        pass


RACE = """
import sys
from storage_sync.cache.lease import Lease
from storage_sync.values.errors import LeaseHeld
ledger = sys.argv[2]
print("ready", flush=True)
turn = 0
while turn < 30:
    try:
        with Lease.acquire(sys.argv[1], str(turn)):
            count = int(open(ledger).read())
            with open(ledger, "w") as file:
                file.write(str(count + 1))
        turn += 1
    except LeaseHeld:
        pass
"""


def test_processes_never_hold_it_together(cache: Path, tmp_path: Path) -> None:
    """Each adds 30 to a number that only the lease protects."""
    ledger = tmp_path / "number"
    ledger.write_text("0")
    children = [
        subprocess.Popen([sys.executable, "-c", RACE, cache, ledger], env=environment(), stdout=subprocess.DEVNULL)
        for _ in range(4)
    ]
    assert [child.wait(60) for child in children] == [0] * 4
    assert ledger.read_text() == "120"


def test_a_lock_file_that_was_taken_away_is_not_trusted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our open and our lock somebody removes the file and another run makes and locks a new one."""
    opened: list[int] = []
    real = lease_module._open

    def open_and_lose(path: str) -> int:
        descriptor = real(path)
        if not opened:
            Path(path).unlink()
        opened.append(descriptor)
        return descriptor

    monkeypatch.setattr(lease_module, "_open", open_and_lose)
    with Lease.acquire(str(cache), "me") as lease:
        assert len(opened) == 2
        assert Path(lease.path).exists()
        assert lease_holder(str(cache)) is not None


def test_a_child_does_not_inherit_it(cache: Path) -> None:
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with Lease.acquire(str(cache), "me"):
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
        assert child.stdout is not None
        child.stdout.readline()
    with child:
        assert lease_holder(str(cache)) is None
        assert child.stdin is not None
        child.stdin.close()


def test_a_link_in_place_of_the_lock_file_is_refused(cache: Path, tmp_path: Path) -> None:
    Path(lease_path(str(cache))).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocalIO), Lease.acquire(str(cache), "me"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_in_place_of_the_lock_file_is_told(cache: Path) -> None:
    Path(lease_path(str(cache))).mkdir()
    told = r"^the lease .*\.lock cannot be made: Is a directory$"
    with pytest.raises(LocalIO, match=told), Lease.acquire(str(cache), "me"):
        pass


def test_no_rights_in_the_folder(open_folder: Path) -> None:
    code = """
import json, sys
from storage_sync.cache.lease import Lease
from storage_sync.values.errors import StorageSyncError
drop()
try:
    with Lease.acquire(sys.argv[1], "me"):
        print(json.dumps("held"))
except StorageSyncError as error:
    print(json.dumps([error.code, error.exit_code]))
"""
    open_folder.chmod(0o555)
    assert as_nobody(code, open_folder / "cache.redb") == ["local_io", 8]
    open_folder.chmod(0o755)


def test_another_users_lock_file_still_locks(open_folder: Path) -> None:
    code = """
import json, sys
from storage_sync.cache.lease import Lease
drop()
with Lease.acquire(sys.argv[1], "me") as lease:
    print(json.dumps(lease.exclusive))
"""
    (open_folder / "cache.redb.lock").touch(mode=0o644)
    assert as_nobody(code, open_folder / "cache.redb") is True


def test_a_network_file_system_needs_consent(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "file_system_of", lambda path: FileSystem("nfs4", "/", network=True))
    with pytest.raises(LocalIO, match="network file system") as caught, Lease.acquire(str(cache), "me"):
        pass
    assert "--lock-ok" in caught.value.hint
    with Lease.acquire(str(cache), "me", lock_ok=True) as lease:
        assert lease.exclusive


def test_a_file_system_without_locks_needs_consent(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(LocalIO, match="has no locks") as caught, Lease.acquire(str(cache), "me"):
        pass
    assert "--lock-ok" in caught.value.hint
    with Lease.acquire(str(cache), "me", lock_ok=True) as lease:
        assert not lease.exclusive
