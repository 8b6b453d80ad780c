"""Processes that race for one cache: our tool, and what opens and writes it as do-memory does.

`python -m tests.faults.racers tool PRIMARY CACHE STATE`: a line `sync` or `rebuild` on standard input is one run; its
end is told as one JSON line. `python -m tests.faults.racers opener CACHE`: from a line `go` to a line `stop` it opens
the file exclusively, reads it, sometimes writes, and closes it, again and again; then it tells what happened. All times
are nanoseconds of the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage_sync import _native
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.service.operations import Rebuild, Sync
from storage_sync.service.performing import once
from storage_sync.sync import apply
from storage_sync.values.options import Options
from tests.support.processes import environment
from tests.support.values import altered

EPISODES = 4
"""Episodes whose start the opener moves by a fraction of a second, which only the cache can hold."""
LONGEST_GAP_S = 0.1
MOST_OPENS = 1
"""In one round, with a write at most. Either can spoil two tries of a run of ours, as the file is opened and closed,
and a run tries five times: it always gets through."""
WAIT_S = 30.0


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


# ------------------------------------------------------------------------------------------------- our tool


def timed(function: Callable[..., Any], windows: list[tuple[int, int]]) -> Callable[..., Any]:
    """The same function; `windows` gets when it ran, with the lock of the live file."""

    def measured(*arguments: Any) -> Any:
        started = time.monotonic_ns()
        try:
            return function(*arguments)
        finally:
            windows.append((started, time.monotonic_ns()))

    return measured


def tool(primary: str, cache: str, state: str) -> None:
    windows: list[tuple[int, int]] = []
    _native.apply = timed(_native.apply, windows)
    apply._swap = timed(apply._swap, windows)
    settings = Settings(primary=primary, cache=Path(cache), state_dir=Path(state))
    request = Request(settings, None, Options(wait_s=WAIT_S))
    say("ready")
    for line in sys.stdin:
        windows.clear()
        operation = Rebuild() if line.strip() == "rebuild" else Sync()
        outcome = asyncio.run(once(operation, request))
        proof = outcome.proof
        say(
            {
                "exit_code": outcome.exit_code,
                "error": None if outcome.error is None else outcome.error.message,
                "verdict": str(outcome.verdict),
                "generation": proof.generation if proof is not None else None,
                "commits": outcome.cache_writes.commits,
                "windows": windows,
            }
        )


# ------------------------------------------------------------------------------------------------ do-memory


class Opener:
    """Opens the cache exclusively as often as it can; remembers what it wrote and that was acknowledged."""

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._random = random.Random(9)
        self._number = 0
        self._clear()

    def _clear(self) -> None:
        self.opened = 0
        self.failed: list[tuple[int, int]] = []
        self.moved = 0
        self.rows: dict[str, str] = {}
        self.fractions: dict[str, int] = {}

    def report(self) -> dict[str, object]:
        told: dict[str, object] = {
            "opened": self.opened,
            "failed": self.failed,
            "moved": self.moved,
            "rows": self.rows,
            "fractions": self.fractions,
        }
        self._clear()
        return told

    def run(self) -> None:
        """One round, or less when a line arrives on standard input."""
        for _ in range(MOST_OPENS):
            if select.select([sys.stdin], [], [], self._random.uniform(0, LONGEST_GAP_S))[0]:
                return
            read = self._once(self._read)
            if read is not None and self._random.random() < 0.7:
                self._write(*read)

    def _once(self, work: Callable[[], Any]) -> Any:
        started = time.monotonic_ns()
        try:
            return work()
        except _native.DatabaseAlreadyOpen:
            self.failed.append((started, time.monotonic_ns()))
            return None

    def _read(self) -> tuple[tuple[str, bytes], list[tuple[str, bytes]]]:
        file = _native.CacheFile.open(self._cache, "write")
        inode = Path(self._cache).stat().st_ino
        try:
            self.opened += 1
            ((key, value),) = file.page("heuristics", None, 1)
            episodes = file.page("episodes", None, EPISODES)
            assert file.scan() is not None
            self.moved += Path(self._cache).stat().st_ino != inode
            return (key, value), episodes
        finally:
            file.close()

    def _write(self, heuristic: tuple[str, bytes], episodes: Sequence[tuple[str, bytes]]) -> None:
        """A row more, or a fraction of a second; what was read may have changed since, then nothing is written."""
        self._number += 1
        if self._random.random() < 0.3:
            key = f"ffffffff-0000-4000-8000-{self._number:012d}"
            value = altered("heuristics", heuristic[1], heuristic_id=key)
            if self._edit(("heuristics", key, None, value)):
                self.rows[key] = _native.decode_value("heuristics", value)
            return
        key, before = self._random.choice(episodes)
        fields = json.loads(_native.decode_value("episodes", before))
        after = altered("episodes", before, start_time=f"{fields['start_time'][:19]}.{self._number:06d}Z")
        if self._edit(("episodes", key, _native.digest("blake3", before), after)):
            self.fractions[key] = self._number

    def _edit(self, change: tuple[str, str, bytes | None, bytes | None]) -> bool:
        try:
            return self._once(lambda: _native.edit(self._cache, [change], {}, None, 0)) is not None
        except _native.Conflict:
            return False


def opener(cache: str) -> None:
    racer = Opener(cache)
    say("ready")
    while sys.stdin.readline() == "go\n":
        racer.run()
        sys.stdin.readline()
        say(racer.report())


# -------------------------------------------------------------------------------------------------- the test's side


class Racer:
    """One of these processes, as the test speaks to it."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        assert self.answer() == "ready"

    def tell(self, line: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def answer(self) -> Any:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        assert line, "the process ended"
        return json.loads(line)


@contextmanager
def racing(*command: str) -> Iterator[Racer]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment(), text=True, bufsize=1) as child:
        try:
            yield Racer(child)
        finally:
            child.kill()


def our_tool(primary: Path, cache: Path, state: Path) -> list[str]:
    return [sys.executable, "-m", "tests.faults.racers", "tool", f"file:{primary}", str(cache), str(state)]


def an_opener(cache: Path) -> list[str]:
    return [sys.executable, "-m", "tests.faults.racers", "opener", str(cache)]


if __name__ == "__main__":
    if sys.argv[1] == "tool":
        tool(*sys.argv[2:])
    else:
        opener(*sys.argv[2:])
