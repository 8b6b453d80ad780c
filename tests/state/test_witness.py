"""The witness survives a crash at each of its steps, whole, old or new."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from storage_sync.state.witness import (
    FILE_NAME,
    forget_witness,
    next_generation,
    proof_still_speaks,
    read_witness,
    write_witness,
)
from storage_sync.values.errors import LocalIO
from storage_sync.values.outcome import FileIdentity, Proof
from storage_sync.values.witness import Witness
from tests.support.processes import environment

IDENTITY = FileIdentity(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5)
PROOF = Proof("ab", "sha3-256", 7, "source", 0, 1000.5, "config", IDENTITY)
WITNESS = Witness("/data/cache.redb", 7, "ab", "source", 1000.5, IDENTITY, PROOF)


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_witness(tmp_path, WITNESS)
    assert read_witness(tmp_path, WITNESS.path) == (WITNESS, "")
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_there_was_never_one(tmp_path: Path) -> None:
    assert read_witness(tmp_path / "none", "/data/cache.redb") == (None, "")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b'{"path": 1}', b'{"path": "/data/cache.redb"}'])
def test_a_damaged_one_is_none_with_a_reason(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(data)
    witness, reason = read_witness(tmp_path, "/data/cache.redb")
    assert witness is None
    assert FILE_NAME in reason


def test_one_of_another_cache_is_not_ours(tmp_path: Path) -> None:
    write_witness(tmp_path, WITNESS)
    witness, reason = read_witness(tmp_path, "/data/other.redb")
    assert witness is None
    assert "/data/cache.redb" in reason


def test_fields_of_a_newer_version_are_left_out(tmp_path: Path) -> None:
    write_witness(tmp_path, WITNESS)
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes().replace(b"{", b'{"mood":"good",', 1))
    assert read_witness(tmp_path, WITNESS.path) == (WITNESS, "")


CRASH = """
import os, sys
from msgspec.structs import replace
from pathlib import Path
from storage_sync.state.witness import read_witness, write_witness

folder, path, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = 0

def counted(real):
    def call(*arguments, **named):
        global count
        if count == step:
            os.kill(os.getpid(), 9)
        count += 1
        return real(*arguments, **named)
    return call

os.open, os.fsync, os.close = counted(os.open), counted(os.fsync), counted(os.close)
Path.replace = counted(Path.replace)
old, _ = read_witness(folder, path)
write_witness(folder, replace(old, generation=8))
print(count)
"""


def test_a_kill_at_any_step_leaves_the_old_or_the_new_one(tmp_path: Path) -> None:
    seen = []
    for step in range(20):
        folder = tmp_path / str(step)
        folder.mkdir()
        write_witness(folder, WITNESS)
        done = subprocess.run([sys.executable, "-c", CRASH, folder, WITNESS.path, str(step)], env=environment())
        witness, reason = read_witness(folder, WITNESS.path)
        assert reason == ""
        assert witness is not None
        seen.append(witness.generation)
        if done.returncode == 0:
            break
        # What a kill leaves does not stop the next run.
        write_witness(folder, replace(WITNESS, generation=9))
        after, _ = read_witness(folder, WITNESS.path)
        assert after is not None
        assert after.generation == 9
    assert seen == sorted(seen)
    assert seen[0] == 7
    assert seen[-1] == 8
    assert len(seen) >= 5


def test_no_room_is_said_and_the_old_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_witness(tmp_path, WITNESS)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LocalIO, match="No space left"):
        write_witness(tmp_path, replace(WITNESS, generation=8))
    assert read_witness(tmp_path, WITNESS.path) == (WITNESS, "")
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_forgetting(tmp_path: Path) -> None:
    write_witness(tmp_path, WITNESS)
    forget_witness(tmp_path)
    forget_witness(tmp_path)
    assert read_witness(tmp_path, WITNESS.path) == (None, "")


@pytest.mark.parametrize(
    ("live", "acked", "following"), [(None, None, 1), (7, 7, 8), (8, 7, 9), (3, 7, 8), (None, 7, 8)]
)
def test_generations_only_rise(live: int | None, acked: int | None, following: int) -> None:
    assert next_generation(live, acked) == following


def test_a_proof_speaks_of_one_file_only() -> None:
    assert proof_still_speaks(WITNESS, IDENTITY) == PROOF
    assert proof_still_speaks(WITNESS, replace(IDENTITY, ctime_ns=6)) is None
    assert proof_still_speaks(WITNESS, None) is None
    assert proof_still_speaks(None, IDENTITY) is None
    assert proof_still_speaks(replace(WITNESS, proof=None), IDENTITY) is None
