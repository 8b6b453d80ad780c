"""Fixtures: a cache that do-memory wrote, and a folder that every user may enter."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.processes import HOLD_REDB, running


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A private, writable copy of a real cache, closed cleanly."""
    return stores.cache("small", tmp_path / "of-cache")


@pytest.fixture
def killed(cache: Path) -> Path:
    """The same after the program that had it open was killed."""
    with running(HOLD_REDB, cache, "write") as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    return cache


@pytest.fixture
def torn(killed: Path) -> Path:
    """As after a kill behind an ordinary commit: without the mark of a commit in two phases."""
    with killed.open("r+b") as file:
        file.seek(9)
        flags = file.read(1)[0]
        file.seek(9)
        file.write(bytes([flags & ~4]))
    return killed


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Below a folder that is not only ours, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
