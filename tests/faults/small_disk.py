"""A command on a disk that is too small by a little less each time: one line of JSON for each size.

    python -m tests.faults.small_disk tmpfs|rlimit FOLDER SAVED PRIMARY COMMAND

`tmpfs` mounts a small file system on FOLDER, so it needs a mount namespace of its own (`unshare -rm`); `rlimit` limits
the size of each file. SAVED is what FOLDER holds before each try. Ends with the first size at which the command does.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Rebuild, Sync
from storage_sync.service.performing import once
from storage_sync.values.outcome import Outcome
from tests.support import size as sizes
from tests.support.children import quick_children

STEP = sizes.of(128 << 10, 128 << 10, 64 << 10)
MOST = 16 << 20
AMPLE = 64 << 20


@contextmanager
def on_tmpfs(folder: Path, saved: Path, size: int) -> Iterator[Callable[[], None]]:
    """What is called makes the room ample."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={AMPLE}", "tmpfs", folder], check=True)
    try:
        shutil.copytree(saved, folder, dirs_exist_ok=True)
        # less than there is already: the kernel rounds nothing down, it refuses
        subprocess.run(["mount", "-o", f"remount,size={max(size, used(saved))}", folder], check=True)
        yield lambda: void(subprocess.run(["mount", "-o", f"remount,size={AMPLE}", folder], check=True))
    finally:
        # a writer that failed may still be closing its file
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def under_limit(folder: Path, saved: Path, size: int) -> Iterator[Callable[[], None]]:
    shutil.rmtree(folder)
    shutil.copytree(saved, folder)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


LIMITS = {"tmpfs": on_tmpfs, "rlimit": under_limit}


def void(_: object) -> None:
    """Take a result that nobody needs."""


def used(folder: Path) -> int:
    """Bytes of whole pages, and a page for each name."""
    sizes = [path.stat().st_size if path.is_file() else 0 for path in folder.rglob("*")]
    return sum((size + 4095) // 4096 * 4096 + 4096 for size in sizes) + 4096


def run(command: str, primary: str, folder: Path) -> Outcome:
    settings = Settings(primary=f"file:{primary}", cache=folder / "cache.redb", state_dir=folder / "state")
    return asyncio.run(once(Rebuild() if command == "rebuild" else Sync(), Request(settings, None)))


def told(outcome: Outcome, folder: Path) -> dict[str, object]:
    return {
        "exit": outcome.exit_code,
        "verdict": str(outcome.verdict),
        "error": outcome.error.code if outcome.error is not None else None,
        "message": outcome.error.message if outcome.error is not None else "",
        "files": sorted(path.name for path in folder.rglob("*") if path.is_file()),
    }


def main(limit: str, place: str, kept: str, primary: str, command: str) -> None:
    folder, saved = Path(place), Path(kept)
    with quick_children():
        for size in range(0 if limit == "rlimit" else used(saved), MOST, STEP):
            with LIMITS[limit](folder, saved, size) as enlarge:
                first = told(run(command, primary, folder), folder)
                enlarge()
                keep(folder, saved, f"first-{size}")
                again = told(run(command, primary, folder), folder)
                keep(folder, saved, f"again-{size}")
            print(json.dumps({"size": size, "first": first, "again": again}), flush=True)
            if first["exit"] == 0:
                return


def keep(folder: Path, saved: Path, name: str) -> None:
    """The cache as it is now, for those outside; beside what was saved."""
    if (folder / "cache.redb").exists():
        shutil.copyfile(folder / "cache.redb", saved.with_name(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
