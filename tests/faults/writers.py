"""Processes that write to a cache as do-memory does, one version of every row at a time.

Run as `python -m tests.faults.writers held|reopened CACHE COUNTER PAUSE FILLER`. The text of each row names the version
that it belongs to, so that a copy shows by itself whether it is one committed state. COUNTER (8 bytes, little-endian)
is the last version whose commit returned.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage_sync import _native
from tests.support.processes import environment
from tests.support.values import altered

TEXT_FIELD = {"episodes": "task_description", "summaries": "summary_text", "heuristics": "condition"}
"""Tables that are written, in this order, and the field of their rows that names the version."""
EVERY = 10_000
FILLER_ROW = 16 << 10
"""Octets of each row that only makes the file larger."""


class Counter:
    """A number in a file that two processes share."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)

    @property
    def value(self) -> int:
        return int.from_bytes(self._memory[:8], "little")

    @value.setter
    def value(self, number: int) -> None:
        self._memory[:8] = number.to_bytes(8, "little")


def values_of(cache: str) -> dict[str, dict[str, bytes]]:
    """Every row of the written tables, by table and key."""
    file = _native.CacheFile.open(cache, "read")
    try:
        return {table: dict(file.page(table, None, EVERY)) for table in TEXT_FIELD}
    finally:
        file.close()


def of_version(table: str, value: bytes, version: int) -> bytes:
    """The row's bytes with its version in them; the length changes with it, so that pages move."""
    text = f"version {version} " + "x" * (version * 37 % 900)
    return altered(table, value, **{TEXT_FIELD[table]: text})


def version_of(table: str, value: bytes) -> int:
    """The version that a row belongs to."""
    return int(str(json.loads(_native.decode_value(table, value))[TEXT_FIELD[table]]).split()[1])


def held(cache: str, counter: Counter, pause_s: float = 0.0, filler: int = 0) -> None:
    """Hold the file for good and commit table after table: each is one transaction. `pause_s`: after each.

    `filler`: octets of rows that are there from the start and never change.
    """
    values = values_of(cache)
    Path(cache).unlink()
    writer = _native.Salvage(cache)
    writer.put("embeddings", [(f"filler-{number}", bytes(FILLER_ROW)) for number in range(filler // FILLER_ROW)])
    # that writer takes no lock of its own; do-memory would have this one
    lock = Path(cache).open("rb")  # noqa: SIM115 - held until the process is killed
    fcntl.flock(lock, fcntl.LOCK_EX)
    version = 1
    while True:
        for table, rows in values.items():
            writer.put(table, [(key, of_version(table, value, version)) for key, value in rows.items()])
            time.sleep(pause_s)
        counter.value = version
        announce(version)
        version += 1


def reopened(cache: str, counter: Counter, pause_s: float = 0.0, filler: int = 0) -> None:
    """Open, commit all tables in one transaction, close, again and again; the file keeps its size."""
    assert not filler
    values = values_of(cache)
    there = {(table, key): value for table, rows in values.items() for key, value in rows.items()}
    version = 1
    while True:
        rows = {row: of_version(row[0], value, version) for row, value in there.items()}
        changes = [(*row, _native.digest("blake3", there[row]), value) for row, value in rows.items()]
        _native.edit(cache, changes, {}, version, 0)
        there = rows
        time.sleep(pause_s)
        counter.value = version
        announce(version)
        version += 1


def announce(version: int) -> None:
    if version == 1:
        print("ready", flush=True)


@contextmanager
def writing(how: str, cache: Path, folder: Path, *, pause_s: float = 0.0, filler: int = 0) -> Iterator[Counter]:
    """A process that commits during the block, at full speed without a pause; what is yielded is its counter."""
    counter = folder / "counter"
    known = Counter(counter)
    told = (str(cache), str(counter), str(pause_s), str(filler))
    command = [sys.executable, "-m", "tests.faults.writers", how, *told]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield known
            assert child.poll() is None, "the writer ended by itself"
        finally:
            child.kill()


if __name__ == "__main__":
    how, cache_, counter_, pause, octets = sys.argv[1:]
    {"held": held, "reopened": reopened}[how](cache_, Counter(Path(counter_)), float(pause), int(octets))
