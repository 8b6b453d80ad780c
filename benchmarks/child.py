"""One measured process: does what it is told in its own interpreter and prints the figures as JSON.

    python -m benchmarks.child '{"url": …, "cache": …, "state": …, "window": 1000, "times": 1, "follow": false}'

Memory is the peak over what the interpreter had when this file began, before any import of ours.
"""

from __future__ import annotations

import json
import sys

from storage_sync.service.operations import Sync


def _status(field: str) -> int:
    """A field of /proc/self/status in KiB."""
    with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123 (no import before the first reading)
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
    return 0


def main() -> None:
    at_start = _status("VmRSS")
    import asyncio
    import time
    from importlib import import_module
    from pathlib import Path

    from msgspec.structs import replace

    # what a process has imported by its second run: start-up is a figure of its own
    for name in ("service.journal", "primary.hrana", "primary.pages", "sync.run"):
        import_module(f"storage_sync.{name}")

    from storage_sync.config.request import Request
    from storage_sync.config.settings import Settings
    from storage_sync.reports.document import to_json
    from storage_sync.service.performing import perform, quiet
    from storage_sync.sync.cancel import Cancel
    from storage_sync.sync.session import Session
    from storage_sync.values.options import Options
    from storage_sync.values.outcome import Outcome

    told = json.loads(sys.argv[1])
    settings = Settings(
        primary=told["url"],
        cache=Path(told["cache"]),
        state_dir=Path(told["state"]),
        max_episodes_cache=told["window"],
        batch_size=told.get("batch_size", 100),
        max_removal_ratio=1.0,
    )

    async def runs() -> list[dict[str, object]]:
        options = Options(follows=told.get("follow", False))
        session, request, figures = Session(settings, None), Request(settings, None, options), []
        try:
            for _ in range(told.get("times", 1)):
                started, spent = time.perf_counter(), time.process_time()
                outcome: Outcome = await perform(session, Sync(), request, quiet, Cancel())
                wall, cpu = time.perf_counter() - started, time.process_time() - spent
                figures.append({"wall": wall, "cpu": cpu, "document": to_json(replace(outcome))})
        finally:
            await session.close()
        return figures

    before = _status("VmRSS")
    figures = asyncio.run(runs())
    peak = _status("VmHWM")
    print(json.dumps({"runs": figures, "peak_kib": peak - at_start, "imports_kib": before - at_start}))


if __name__ == "__main__":
    main()
