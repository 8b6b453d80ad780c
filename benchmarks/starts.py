"""What `exec` adds to the start of a program, and how far it goes beyond its deadline."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support import network
from tests.support.command import REPOSITORY, Tool
from tests.support.relay import Relay
from tests.support.sqld import Sqld

DEADLINE_S = 3.0


@dataclass(frozen=True)
class Measured:
    """Seconds. `bare`: the program alone; `equal`, `changed`: through `exec`, medians; `spoiled`: worst, by fault."""

    bare: float
    equal: float
    changed: float
    spoiled: dict[str, float]


def measure(server: Sqld, folder: Path, touch: Callable[[int], None], rounds: int) -> Measured:
    """`touch`: changes rows of the primary; called with the number of the round."""
    with Relay(server.port) as relay:
        tool = Tool.at(folder, relay.url)
        tool.sync()
        line = [sys.executable, "-m", "console", "exec", "--deadline", f"{DEADLINE_S:g}", *tool.arguments, "--", "true"]

        def through() -> float:
            return _timed(line, tool.variables)

        bare = statistics.median(_timed(["true"], tool.variables) for _ in range(rounds))
        equal = statistics.median(through() for _ in range(rounds))
        changed = []
        for number in range(rounds):
            touch(number)
            changed.append(through())
        assert tool.json("verify").document["verdict"] == "IN_SYNC"
        spoiled = {}
        for name, spoil in _FAULTS.items():
            spoil(relay)
            spoiled[name] = max(through() for _ in range(3))
            relay.play(None)
    return Measured(bare, equal, statistics.median(changed), spoiled)


_FAULTS: dict[str, Callable[[Relay], None]] = {
    "hangs": lambda relay: relay.play(lambda number, path: network.hang_before_headers),
    "drips": lambda relay: relay.play(lambda number, path: network.one_byte_a_second),
    "stalls": lambda relay: relay.stall(),
    "refuses": lambda relay: relay.refuse(),
}


def _timed(line: list[str], variables: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(line, check=True, capture_output=True, env=variables, cwd=REPOSITORY)
    return time.perf_counter() - started
