"""Headers, copies, open modes, damage: what a file can be, and how each is told."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage_sync import _native
from tests.native.journey import build, synced
from tests.native.synthetic import Primary, heuristic
from tests.support import stores


@pytest.mark.parametrize(
    ("content", "magic"),
    [
        (b"", "short"),
        (b"redb", "short"),
        (b"SQLite format 3\0" + bytes(400), "sqlite"),
        (b"\x1f\x8b" + bytes(400), "gzip"),
        (bytes(400), "zeros"),
        (b"hello, this is text\n" * 40, "text"),
        (bytes(range(256)) * 2, "other"),
    ],
)
def test_foreign_files_are_named(tmp_path: Path, content: bytes, magic: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    header = _native.read_header(str(path))
    assert (header.magic, header.length) == (magic, len(content))
    with pytest.raises(_native.StorageIo) as caught:
        _native.CacheFile.open(str(path), "private")
    assert caught.value.kind in ("InvalidData", "UnexpectedEof")
    assert caught.value.errno is None
    assert path.read_bytes() == content


def test_header_of_a_clean_file(tmp_path: Path) -> None:
    path = stores.cache("v47-small", tmp_path)
    header = _native.read_header(str(path))
    assert (header.magic, header.page_size, header.format_versions) == ("redb", 4096, (3, 3))
    assert header.two_phase
    assert not header.recovery_required
    assert header.slot_checksums_ok == (True, True)
    assert header.layout_length == header.length == path.stat().st_size
    assert header.raw == path.read_bytes()[:320]
    damaged = bytearray(path.read_bytes())
    damaged[1] ^= 1
    path.write_bytes(damaged)
    assert _native.read_header(str(path)).magic == "near"
    with pytest.raises(FileNotFoundError):
        _native.read_header(str(tmp_path / "absent"))


def test_modes_and_locks(tmp_path: Path) -> None:
    path = stores.cache("small", tmp_path)
    before = path.read_bytes()
    reader = _native.CacheFile.open(str(path), "read")
    assert reader.schema_version() == 4
    assert reader.meta() == {}
    with pytest.raises(_native.DatabaseAlreadyOpen):
        _native.CacheFile.open(str(path), "write")
    with pytest.raises(ValueError, match="private or write"):
        reader.check_integrity()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.tables()
    assert path.read_bytes() == before
    writer = _native.CacheFile.open(str(path), "write")
    with pytest.raises(_native.DatabaseAlreadyOpen):
        _native.CacheFile.open(str(path), "read")
    assert writer.check_integrity()
    scan = writer.scan()
    with pytest.raises(_native.TransactionInProgress):
        writer.check_integrity()
    del scan
    writer.close()
    with pytest.raises(ValueError, match="mode"):
        _native.CacheFile.open(str(path), "append")  # type: ignore[arg-type]


def test_tables_pages_and_values(tmp_path: Path) -> None:
    file = _native.CacheFile.open(str(stores.cache("v47-small", tmp_path)), "private")
    types = {table.name: (table.key_type, table.value_type, table.rows) for table in file.tables()}
    assert types["episodes"] == ("&str", "&[u8]", 60)
    assert types["schema_version"] == ("&str", "u64", 1)
    assert types["episode_revisions"][1] == "i64"
    assert len(file.page("episode_revisions", None, 1)[0][1]) == 8
    keys: list[str] = []
    while page := file.page("embeddings", keys[-1] if keys else None, 7):
        keys += [key for key, _ in page]
    assert len(keys) == 52
    assert keys == sorted(keys)
    assert file.page("absent", None, 5) == []
    assert file.get("episodes", ["absent"]) == [None]


def test_a_copy_is_private_and_whole(tmp_path: Path) -> None:
    path = stores.cache("small", tmp_path)
    copy = tmp_path / "copy"
    info = _native.copy_file(str(path), str(copy))
    assert (info.bytes, info.attempts) == (path.stat().st_size, 1)
    assert info.method in ("reflink", "copy")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert copy.read_bytes() == path.read_bytes()


def test_copies_while_a_writer_commits_are_consistent(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    build(Primary({"heuristics": [heuristic(number) for number in range(50)]}), cache)
    ended = threading.Event()

    def write() -> None:
        for generation in range(2, 22):
            rows = [heuristic(number, f"version {generation}") for number in range(50)]
            synced(Primary({"heuristics": rows}), cache, generation)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    copies = 0
    while not ended.is_set() or copies == 0:
        copy = tmp_path / f"peek-{copies}"
        try:
            _native.copy_file(str(cache), str(copy), 50)
        except BlockingIOError:
            continue
        file = _native.CacheFile.open(str(copy), "private")
        rows = file.page("heuristics", None, 100)
        texts = {_native.decode_value("heuristics", data).split('"condition":"')[1].split('"')[0] for _, data in rows}
        assert (len(rows), len(texts)) == (50, 1)
        file.close()
        copy.unlink()
        copies += 1
    writer.join()


def look_at(path: Path) -> str:
    """`told` for a typed error, `seen` when a listed row differs, `well` for neither."""
    try:
        file = _native.CacheFile.open(str(path), "private")
        file.tables()
        if not file.scan().clean:
            return "seen"
        file.check_integrity()
        file.close()
    except _native.NativeError:
        return "told"
    return "well"


def test_bit_flips_end_in_typed_errors_or_are_seen(tmp_path: Path) -> None:
    cache = tmp_path / "cache.redb"
    build(Primary({"heuristics": [heuristic(number, "text " * 50) for number in range(200)]}), cache)
    clean = cache.read_bytes()
    chance = random.Random(11)
    told = seen = 0
    for _ in range(300):
        damaged = bytearray(clean)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path = tmp_path / "flipped"
        path.write_bytes(damaged)
        outcome = look_at(path)
        told += outcome == "told"
        seen += outcome == "seen"
    assert told > 0
    assert seen > 0


def test_no_panic_reaches_stderr(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    damaged = bytearray(stores.cache("small", tmp_path / "whole").read_bytes())
    for at in range(4096, len(damaged), 4096):
        damaged[at] ^= 0x55
    path.write_bytes(damaged)
    program = (
        "from storage_sync import _native as n\n"
        "import sys\n"
        "try:\n"
        "    n.CacheFile.open(sys.argv[1], 'private').scan()\n"
        "except n.NativeError as error:\n"
        "    print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, os.fspath(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.strip()
