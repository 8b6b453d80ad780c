"""Naming who holds a file, from the kernel's list and without it."""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from storage_sync.cache import holders
from storage_sync.cache.holders import (
    LockLine,
    advice_for,
    describe,
    is_listed,
    lock_holders,
    parse_locks,
    process,
    started_at,
    unlisted,
)
from storage_sync.values.outcome import LockHolder
from tests.support.processes import HOLD_REDB, environment, running


def test_the_kernels_list_is_read() -> None:
    text = """1: FLOCK  ADVISORY  WRITE 4711 fe:01:42 0 EOF
1: -> FLOCK  ADVISORY  WRITE 4712 fe:01:42 0 EOF
2: OFDLCK ADVISORY  READ -1 103:00:77 0 EOF
3: LEASE  ACTIVE    READ 5 fe:00:1 0 EOF
4: POSIX  ADVISORY  READ 12 fe:00:9 128 128
a line of a future kernel
5: FLOCK  ADVISORY  WRITE x y:z 0 EOF
"""
    assert parse_locks(text) == [
        LockLine(4711, True, (0xFE, 1), 42),
        LockLine(-1, False, (0x103, 0), 77),
        LockLine(12, False, (0xFE, 0), 9),
    ]


def test_nobody_holds_a_free_or_missing_file(cache: Path, tmp_path: Path) -> None:
    assert lock_holders(str(cache)) == ()
    assert lock_holders(str(tmp_path / "none")) == ()


def test_a_holder_has_pid_command_user_and_start(cache: Path) -> None:
    with running(HOLD_REDB, cache, "write") as child:
        (holder,) = lock_holders(str(cache))
        assert holder.pid == child.pid
        assert holder.exclusive
        assert "python" in holder.command
        assert holder.user
        assert holder.since is not None
        assert f"(pid {child.pid}, {holder.user}, since 20" in describe(holder)


def test_a_long_name_is_whole(cache: Path, tmp_path: Path) -> None:
    """`do-memory-mcp-server` has more octets than the kernel keeps of a name."""
    program = tmp_path / "do-memory-mcp-server"
    program.symlink_to(sys.executable)
    code = f"import sys; sys.path[:] = {sys.path!r}\n{HOLD_REDB}"
    with subprocess.Popen(
        [program, "-c", code, cache, "write"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            (holder,) = lock_holders(str(cache))
            assert holder.command == "do-memory-mcp-server"
        finally:
            child.kill()


def test_our_own_lock_is_ours_and_goes_with_it(cache: Path) -> None:
    with cache.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        (holder,) = lock_holders(str(cache))
        assert (holder.pid, holder.exclusive) == (os.getpid(), False)
    assert lock_holders(str(cache)) == ()


def test_a_lock_ends_with_its_process(cache: Path) -> None:
    with running(HOLD_REDB, cache, "write") as child:
        assert is_listed(str(cache))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert lock_holders(str(cache)) == ()
        assert not is_listed(str(cache))


def test_without_a_list_a_file_counts_as_listed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is to be disturbed by looking often."""
    assert not is_listed(str(cache))
    monkeypatch.setattr(holders, "_LOCKS", Path("/nowhere"))
    assert is_listed(str(cache))


def test_a_lock_of_an_open_file_finds_the_process(cache: Path) -> None:
    code = """
import fcntl, struct, sys
file = open(sys.argv[1], "r+b")
fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
print("ready", flush=True)
sys.stdin.read()
"""
    with running(code, cache) as child:
        (holder,) = lock_holders(str(cache))
        assert (holder.pid, holder.exclusive) == (child.pid, True)


@pytest.mark.parametrize(("mode", "held"), [("write", True), ("read", False)])
def test_without_the_kernels_list_a_lock_is_tried(
    cache: Path, monkeypatch: pytest.MonkeyPatch, mode: str, held: bool
) -> None:
    """A shared holder is not seen that way; then the commit finds out."""
    monkeypatch.setattr(holders, "_LOCKS", Path("/nowhere"))
    assert lock_holders(str(cache)) == ()
    with running(HOLD_REDB, cache, mode) as child:
        assert [holder.pid for holder in lock_holders(str(cache))] == ([child.pid] if held else [])


def test_a_holder_that_cannot_be_named() -> None:
    for number in (-1, 0):
        assert "cannot be named" in describe(LockHolder(number, "", "", None, exclusive=True))
    assert describe(LockHolder(7, "", "", None, exclusive=True)) == "a process (pid 7)"


def test_a_lock_that_no_listed_process_explains_is_told_as_that(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without the kernel's list, and a holder of another container."""
    monkeypatch.setattr(holders, "_LOCKS", tmp_path / "missing")
    monkeypatch.setattr(holders, "_openers_by_psutil", lambda _: ())
    with running(HOLD_REDB, cache, "write"):
        assert lock_holders(str(cache)) == (unlisted(),)
    assert lock_holders(str(cache)) == ()


def test_who_keeps_all_others_away_is_named_first() -> None:
    """Each process once, as the strongest of its locks says."""
    one, other = LockHolder(3, "a", "", None, exclusive=False), LockHolder(9, "b", "", None, exclusive=False)
    alone = replace(other, exclusive=True)
    assert holders._merge([one, other, alone, other]) == (alone, one)


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose password file does not know it."""

    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert process(os.getpid(), exclusive=True).user == str(os.getuid())


def test_whoever_is_not_listed_is_named_as_that() -> None:
    assert describe(unlisted()) == "a process that is not visible here, in another container or on another machine"
    assert str(advice_for(unlisted())).startswith("look on the host and in its other containers for ")


def test_when_a_process_started_is_not_told_where_the_machine_does_not_say_since_when_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert started_at(os.getpid()) is not None
    read = holders._read
    monkeypatch.setattr(holders, "_read", lambda path: "" if path == "/proc/stat" else read(path))
    assert started_at(os.getpid()) is None
