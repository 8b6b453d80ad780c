"""What the parts cost by themselves: redb's insert and scan of the same rows (a small Rust program)."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

from storage_sync._native import CacheFile

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "target" / "floor"
PAGE = 500


def build() -> Path:
    """The program, built when it is missing or old."""
    target = Path(os.environ.get("FLOOR_TARGET_DIR") or TARGET)
    command = ["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", str(HERE / "floor/Cargo.toml")]
    subprocess.run(command, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(target)})
    return target / "release" / "redb-floor"


def dump(cache: Path, rows: Path) -> int:
    """Every row of every byte table of a cache, as the program reads them; the number of rows."""
    file = CacheFile.open(str(cache), "read")
    count = 0
    try:
        with rows.open("wb") as out:
            for table in file.tables():
                if table.value_type != "&[u8]":
                    continue
                after: str | None = None
                while page := file.page(table.name, after, PAGE):
                    for key, value in page:
                        name, text = table.name.encode(), key.encode()
                        out.write(struct.pack("<3I", len(name), len(text), len(value)) + name + text + value)
                    count += len(page)
                    after = page[-1][0]
    finally:
        file.close()
    return count


def seconds(program: Path, *arguments: str | Path) -> float:
    answer = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
    return float(answer.stdout)


def insert(program: Path, rows: Path, folder: Path) -> float:
    """One durable transaction into a new file."""
    target = folder / "floor.redb"
    target.unlink(missing_ok=True)
    try:
        return seconds(program, "insert", rows, target)
    finally:
        target.unlink(missing_ok=True)


def check(program: Path, cache: Path) -> float:
    """redb's own check of a file, which is changed by it."""
    return seconds(program, "check", cache)


def scan(program: Path, cache: Path) -> float:
    return seconds(program, "scan", cache)
