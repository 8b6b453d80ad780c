"""Other processes for the tests: one that holds a file, one without rights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.support.command import Result, Tool

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534

_DROP = f"""
import os
def drop():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid({NOBODY})
        os.setuid({NOBODY})
"""

_TOOL_AS_NOBODY = f"""
import os, sys
import grp, pwd
from console.cli import commands, entry, local, service
from storage_sync.packaging import install
from storage_sync.service import performing, journal
from storage_sync.sync import run
from storage_sync.verify import doctor
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
sys.exit(entry.run(sys.argv[1:]))
"""

HOLD_REDB = """
import sys
from storage_sync import _native
file = _native.CacheFile.open(sys.argv[1], sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
"""

HOLD_AS = """
import ctypes, os, sys
from storage_sync import _native
# the kernel keeps 15 octets of a name; the whole one is the first argument
ctypes.CDLL(None).prctl(15, os.path.basename(sys.argv[3]).encode(), 0, 0, 0)
file = _native.CacheFile.open(sys.argv[1], sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
"""

WITHOUT_CACHE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(15, b"do-memory-mcp-server", 0, 0, 0)
print("ready", flush=True)
sys.stdin.read()
"""

HOLD_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "rb")
fcntl.flock(file, fcntl.LOCK_EX)
print("ready", flush=True)
sys.stdin.read()
"""

HOLD_LEASE = """
import sys
from storage_sync.cache.lease import Lease
with Lease.acquire(sys.argv[1], "other-run"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def tool_as_nobody(tool: Tool, *words: str, first: str = "") -> Result:
    """The command of a user who does not own the files; a test run without rights keeps its own. `first`: statements
    that its process runs before."""
    command = [sys.executable, "-c", f"{first}\n{_TOOL_AS_NOBODY}", *words, "--json", *tool.arguments]
    done = subprocess.run(command, env=tool.variables, capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


DO_MEMORY = "do-memory-mcp-server"


def holding(cache: object, name: str = DO_MEMORY) -> AbstractContextManager[subprocess.Popen[str]]:
    """A process that goes by the name of do-memory's server and has the cache open, as that does."""
    return running(HOLD_AS, cache, "write", name, name=name)


def written_by_holder(cache: Path, change: Callable[[Path], object]) -> None:
    """The file becomes, in place and without a lock, what `change` makes of a copy of it: its holder wrote it."""
    copy = cache.with_name("written.redb")
    shutil.copyfile(cache, copy)
    change(copy)
    with cache.open("r+b") as file:
        file.write(copy.read_bytes())
        file.truncate()
    copy.unlink()


@contextmanager
def running(code: str, *arguments: object, name: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has said `ready`; it ends when its input does, at the latest with the block. `name`: what
    it is told that it is called."""
    with subprocess.Popen(
        [name, "-c", code, *map(str, arguments)],
        executable=sys.executable,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def as_nobody(code: str, *arguments: object) -> Any:
    """JSON value that `code` prints; it calls `drop()` after its imports and goes on as a user without rights.

    Python itself may lie where that user cannot read, so that the rights go after the start. A test run that has no
    rights to begin with keeps its own.
    """
    done = subprocess.run(
        [sys.executable, "-c", _DROP + code, *map(str, arguments)],
        check=True,
        capture_output=True,
        env=environment(),
        text=True,
    )
    return json.loads(done.stdout)
