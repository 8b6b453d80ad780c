"""Each file that can lie at a cache path, made for real, and what is said about it."""

from __future__ import annotations

import errno
import gzip
import os
import signal
import socket
import sqlite3
from pathlib import Path

import pytest

from storage_sync.cache.states import Finding, error_for, error_of, judge_file
from storage_sync.values.errors import LocalIO, exit_code_of
from storage_sync.values.next_step import NextStep
from storage_sync.values.outcome import CacheState as S
from tests.support.processes import HOLD_LOCK, HOLD_REDB, as_nobody, running

PAGE = 4096


def judged(path: Path, *, witnessed: bool = False) -> tuple[S, ...]:
    before = path.read_bytes() if path.is_file() else None
    judgement = judge_file(str(path), witnessed=witnessed)
    assert before is None or path.read_bytes() == before
    assert all(finding.evidence for finding in judgement.findings), "a state is told with what shows it"
    return judgement.states


def patch(path: Path, at: int, data: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    return path


def flip(path: Path, at: int, bits: int) -> Path:
    return patch(path, at, bytes([path.read_bytes()[at] ^ bits]))


def code_of(path: Path, *, writing: bool = True, witnessed: bool = False) -> tuple[str, int] | None:
    error = error_for(judge_file(str(path), witnessed=witnessed), writing=writing)
    return None if error is None else (error.code, exit_code_of(error))


# Access


def test_a_missing_file_is_absent_and_no_error(tmp_path: Path) -> None:
    judgement = judge_file(str(tmp_path / "none" / "cache.redb"))
    assert judgement.states == (S.ABSENT,)
    assert judgement.buildable
    assert judgement.identity is None
    assert error_for(judgement) is None


def test_a_dangling_link_is_absent_and_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    judgement = judge_file(str(tmp_path / "link"))
    assert judgement.states == (S.ABSENT,)
    assert str(tmp_path / "gone") in judgement.findings[0].evidence
    assert judgement.real_path == str(tmp_path / "gone")


def test_what_is_no_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "plain").write_text("x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, word in (("", "directory"), ("pipe", "pipe"), ("loop", "link"), ("socket", "socket")):
            judgement = judge_file(str(tmp_path / name))
            assert judgement.states == (S.NOT_A_FILE,), name
            assert word in judgement.findings[0].evidence
    assert judged(tmp_path / "plain" / "cache.redb") == (S.NOT_A_FILE,)
    assert code_of(tmp_path) == ("local_io", 8)


def test_a_name_that_no_system_knows(tmp_path: Path) -> None:
    assert judge_file(f"{tmp_path}/a\0b").states == (S.NOT_A_FILE,)


JUDGE = """
import json, sys
from storage_sync.cache.states import judge_file, error_for
drop()
judgement = judge_file(sys.argv[1])
errors = [error_for(judgement, writing=writing) for writing in (True, False)]
print(json.dumps([judgement.states, [error and (error.code, error.exit_code) for error in errors]]))
"""


def test_a_file_that_we_may_not_read(open_folder: Path, cache: Path) -> None:
    target = cache.rename(open_folder / "cache.redb")
    target.chmod(0)
    assert as_nobody(JUDGE, target) == [["UNREADABLE"], [["local_io", 8], ["local_io", 8]]]


def test_a_folder_that_we_may_not_enter(open_folder: Path) -> None:
    (open_folder / "closed").mkdir(mode=0)
    assert as_nobody(JUDGE, open_folder / "closed" / "cache.redb") == [
        ["UNREADABLE"],
        [["local_io", 8], ["local_io", 8]],
    ]


def test_a_file_that_we_may_only_read_stops_writers_only(open_folder: Path, cache: Path) -> None:
    target = cache.rename(open_folder / "cache.redb")
    target.chmod(0o444)
    assert as_nobody(JUDGE, target) == [["READ_ONLY", "CLEAN"], [["local_io", 8], None]]


def test_a_disk_that_fails_is_said_with_what_to_look_at(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "stat", fails)
    (found,) = judge_file(str(cache)).findings
    assert found == Finding(S.IO_ERROR, f"{cache}: input/output error", "check the disk (dmesg, smartctl)")


def test_a_full_disk_is_said_before_it_hurts(cache: Path) -> None:
    judgement = judge_file(str(cache), window_bytes=1 << 60)
    assert judgement.states == (S.DISK_LOW, S.CLEAN)
    assert judgement.openable
    error, found = error_for(judgement), judgement.findings[0]
    assert isinstance(error, LocalIO)
    assert (error.message, error.hint) == (found.evidence, found.next_step)
    assert error_for(judgement, writing=False) is None


# Identity


def test_a_clean_cache(cache: Path) -> None:
    judgement = judge_file(str(cache))
    assert judgement.states == (S.CLEAN,)
    assert judgement.openable
    assert judgement.size == cache.stat().st_size
    assert error_for(judgement) is None


def test_a_link_to_a_cache_is_that_cache(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(cache)
    judgement = judge_file(str(tmp_path / "link"))
    assert judgement.states == (S.CLEAN,)
    assert judgement.real_path == str(cache)


def test_an_empty_file_is_safe_to_fill(tmp_path: Path) -> None:
    (tmp_path / "cache.redb").touch()
    judgement = judge_file(str(tmp_path / "cache.redb"))
    assert judgement.findings == (Finding(S.EMPTY_FILE, f"{tmp_path / 'cache.redb'} has 0 bytes", NextStep.SYNC),)
    assert judgement.buildable
    assert error_for(judgement) is None


@pytest.mark.parametrize("size", [1, 9, 320, PAGE, PAGE + 1, 1 << 20])
@pytest.mark.parametrize("name", ["cache.redb", "x.build-7", "cache.redb.build-0123456789ab"])
def test_zeros_may_be_anybodys(tmp_path: Path, size: int, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(size))
    assert judged(path) == (S.FOREIGN,)
    assert code_of(path) == ("cache_foreign", 5)


@pytest.mark.parametrize("data", [b"x", b"notes\n", bytes(range(256)) * 4, b"\x80" * 5000])
def test_a_name_like_one_of_ours_makes_no_file_ours(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "cache.redb.build-0123456789ab"
    path.write_bytes(data)
    assert judged(path) == (S.FOREIGN,)


def test_a_creation_that_died_before_the_magic_number(cache: Path) -> None:
    """redb writes the header first and its magic number last."""
    header = bytes(9) + cache.read_bytes()[9:320]
    cache.write_bytes(header.ljust(50 * PAGE, b"\0"))
    assert judged(cache) == (S.INTERRUPTED_CREATE,)


def test_zeros_over_the_beginning_of_data_are_not_an_interrupted_creation(cache: Path) -> None:
    patch(cache, 0, bytes(PAGE))
    assert judged(cache) == (S.FOREIGN,)
    assert judged(cache, witnessed=True) == (S.CORRUPT,)


def test_zeros_where_a_proven_cache_was_are_damage(tmp_path: Path) -> None:
    (tmp_path / "cache.redb").write_bytes(bytes(PAGE))
    assert judged(tmp_path / "cache.redb", witnessed=True) == (S.CORRUPT,)


def foreign_files(folder: Path) -> dict[str, Path]:
    folder.mkdir()
    database = sqlite3.connect(folder / "sqlite")
    database.execute("CREATE TABLE t (x)")
    database.close()
    (folder / "gzip").write_bytes(gzip.compress(os.urandom(1000)))
    (folder / "text").write_text("episode,1\n" * 100)
    (folder / "short").write_text("hello")
    (folder / "noise").write_bytes(b"\xee" * 5000)
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "word"),
    [("sqlite", "SQLite"), ("gzip", "gzip"), ("text", "text"), ("short", "not a redb"), ("noise", "not a redb")],
)
def test_a_stranger_is_named_and_left_alone(tmp_path: Path, name: str, word: str) -> None:
    path = foreign_files(tmp_path / "foreign")[name]
    assert judged(path) == (S.FOREIGN,)
    assert word in judge_file(str(path)).findings[0].evidence
    assert code_of(path) == ("cache_foreign", 5)
    assert code_of(path, writing=False) == ("cache_foreign", 5)
    assert judged(path, witnessed=True) == (S.CORRUPT,)
    assert code_of(path, witnessed=True) == ("cache_damaged", 5)


@pytest.mark.parametrize("mask", [0x01, 0x81])
def test_a_magic_number_within_two_bits_is_damage(cache: Path, mask: int) -> None:
    flip(cache, 4, mask)
    assert judged(cache) == (S.CORRUPT,)
    assert code_of(cache) == ("cache_damaged", 5)


def test_a_magic_number_within_two_bits_without_a_commit_slot_is_a_stranger(cache: Path) -> None:
    flip(cache, 4, 1)
    patch(cache, 64, b"\xee" * 256)
    assert judged(cache) == (S.FOREIGN,)


def test_three_bits_off_is_a_stranger(cache: Path) -> None:
    assert judged(flip(cache, 4, 0x07)) == (S.FOREIGN,)


@pytest.mark.parametrize("size", [1, 8, 9, 100, 319])
def test_the_first_bytes_of_a_cache_are_a_truncated_one(cache: Path, size: int) -> None:
    os.truncate(cache, size)
    assert judged(cache) == (S.TRUNCATED,)
    assert code_of(cache) == ("cache_damaged", 5)


def test_truncated_at_every_page_and_one_byte_beside(cache: Path) -> None:
    whole = cache.read_bytes()
    for boundary in range(PAGE, len(whole) + 1, PAGE):
        for size in (boundary - 1, boundary, boundary + 1):
            if size < len(whole):
                cache.write_bytes(whole[:size])
                assert judge_file(str(cache)).states == (S.TRUNCATED,), size


def test_a_killed_and_truncated_cache(killed: Path) -> None:
    os.truncate(killed, killed.stat().st_size - PAGE)
    assert judged(killed) == (S.TRUNCATED,)


def test_extended_by_a_byte_and_by_whole_pages(cache: Path) -> None:
    size = cache.stat().st_size
    os.truncate(cache, size + 1)
    assert judged(cache) == (S.CORRUPT,)
    os.truncate(cache, size + PAGE)
    assert judged(cache) == (S.CLEAN,)


def test_the_format_of_another_redb(cache: Path) -> None:
    for version, state in ((1, S.FORMAT_OLD), (2, S.FORMAT_OLD), (4, S.FORMAT_NEW)):
        for slot in (64, 192):
            patch(cache, slot, bytes([version]))
        assert judged(cache) == (state,)
        assert code_of(cache) == ("version_mismatch", 12)


@pytest.mark.parametrize(
    "data", [b"\xff" * 256, b"overwritten" * 20, bytes(range(9, 250)), b"\x05" * 300], ids=["ff", "text", "up", "05"]
)
@pytest.mark.parametrize("start", [9, 12, 60, 64])
def test_an_overwritten_header_is_damage_and_no_version(cache: Path, data: bytes, start: int) -> None:
    patch(cache, start, data)
    assert judged(cache) == (S.CORRUPT,)
    assert code_of(cache) == ("cache_damaged", 5)


@pytest.mark.parametrize("slot", [64, 192])
@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_in_a_version_byte_is_damage_and_no_version(cache: Path, slot: int, bit: int) -> None:
    assert judged(flip(cache, slot, 1 << bit)) == (S.CORRUPT,)


def test_a_version_of_zero_is_damage(cache: Path) -> None:
    patch(patch(cache, 64, b"\0"), 192, b"\0")
    assert judged(cache) == (S.CORRUPT,)


def test_page_size_and_commit_slots_are_looked_at(cache: Path) -> None:
    flip(cache, 12, 4)
    assert judged(cache) == (S.CORRUPT,)
    flip(cache, 12, 4)
    flip(cache, 70, 1)
    assert judged(cache) == (S.CLEAN,), "one sound slot may be enough: redb decides, on a copy"
    flip(cache, 200, 1)
    assert judged(cache) == (S.CORRUPT,)


def test_every_bit_of_the_header_gives_a_judgement(cache: Path) -> None:
    whole = bytearray(cache.read_bytes())
    known = set(S)
    for at in range(320):
        whole[at] ^= 0x10
        cache.write_bytes(whole)
        states = judge_file(str(cache)).states
        assert states
        assert set(states) <= known
        assert S.INTERRUPTED_CREATE not in states
        assert S.EMPTY_FILE not in states
        whole[at] ^= 0x10


# Ownership and the last close


def test_a_killed_writer_leaves_it_unclean_which_stops_nothing(killed: Path) -> None:
    assert judged(killed) == (S.UNCLEAN,)
    assert judge_file(str(killed)).openable
    assert code_of(killed) is None


def test_locked_by_a_writer_that_is_named(cache: Path) -> None:
    with running(HOLD_REDB, cache, "write") as child:
        judgement = judge_file(str(cache))
        assert judgement.states == (S.LOCKED_EXCLUSIVE,)
        assert [holder.pid for holder in judgement.holders] == [child.pid]
        assert f"pid {child.pid}" in judgement.findings[0].evidence
        assert judgement.openable
        assert code_of(cache) == ("cache_locked", 6)
        assert code_of(cache, writing=False) is None
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert judged(cache) == (S.UNCLEAN,)


def test_locked_by_readers(cache: Path) -> None:
    with running(HOLD_REDB, cache, "read") as one, running(HOLD_REDB, cache, "read") as two:
        judgement = judge_file(str(cache))
        assert judgement.states == (S.LOCKED_SHARED, S.CLEAN)
        assert {holder.pid for holder in judgement.holders} == {one.pid, two.pid}
        assert code_of(cache) == ("cache_locked", 6)
        assert code_of(cache, writing=False) is None


def test_looking_does_not_disturb_a_program_that_opens_it(cache: Path) -> None:
    """do-memory fails at once when anyone holds a lock, even for an instant."""
    looping = """
import sys
from storage_sync import _native
print("ready", flush=True)
for _ in range(60):
    _native.CacheFile.open(sys.argv[1], "write").close()
"""
    with running(looping, cache) as child:
        while child.poll() is None:
            judge_file(str(cache))
        assert child.returncode == 0


def test_states_that_stop_nothing_have_no_error() -> None:
    for state in (S.ABSENT, S.EMPTY_FILE, S.INTERRUPTED_CREATE, S.CLEAN, S.UNCLEAN, S.REPAIRED):
        assert error_of(Finding(state, "evidence")) is None


def test_a_held_file_that_is_only_being_made_has_nothing_to_copy(tmp_path: Path) -> None:
    made = tmp_path / "made.redb"
    made.touch()
    with running(HOLD_LOCK, made):
        judgement = judge_file(str(made))
    assert set(judgement.states) == {S.EMPTY_FILE, S.LOCKED_EXCLUSIVE}
    assert (judgement.openable, judgement.buildable) == (False, True)


def test_what_is_no_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    (finding,) = judge_file(str(tmp_path)).findings
    assert (finding.state, finding.evidence) == (S.NOT_A_FILE, f"{tmp_path} is a directory, not a file")
    assert finding.next_step == "give another path with --cache"
