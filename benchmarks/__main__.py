"""`make bench`: measure every case, print the table, keep it as JSON in `benchmarks/results`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks import cases, floors, held, instead, ratios, waiting
from benchmarks.cases import Bench, Figure

RESULTS = Path(__file__).resolve().parent / "results"


def line(figure: Figure) -> str:
    """One row of the table."""
    ratio = f"{figure.ratio:6.2f} x {figure.floor:.4g}" if figure.ratio is not None else ""
    verdict = {True: "reached", False: "MISSED", None: ""}[figure.reached]
    limit = f"<= {figure.limit:.4g}" if figure.limit is not None else ""
    value = f"{figure.value:,.4g}" if figure.value < 1000 else f"{figure.value:,.0f}"
    return (
        f"{figure.case:32} {figure.what:32} {value:>10} {figure.unit:4} {ratio:18} {limit:9} {verdict:8} {figure.note}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=100_000, help="no case with more episodes than this")
    parser.add_argument(
        "--only",
        choices=[
            "held",
            "first",
            "quiet",
            "few",
            "lock",
            "waiting",
            "instead",
            "crates",
            "verify",
            "size",
            "memory",
            "start",
            "exec",
            "screen",
            "keys",
            "rest",
            "orphans",
            "cost",
        ],
    )
    parser.add_argument("--folder", type=Path, help="keep the generated primaries here for the next time")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="storage-sync-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(folder, floors.build(), report=lambda figure: print(line(figure), flush=True))
    size = options.largest
    try:
        if options.only is None:
            cases.run_all(bench, largest=size)
            held.run_all(bench, largest=size)
            waiting.delivery(bench)
            instead.script(bench, min(size, 10_000))
            instead.crates(bench, min(size, 1_000))
            ratios.looks(bench, min(size, 10_000))
            ratios.sizes(bench, min(size, 1_000))
        else:
            {
                "held": lambda: held.run_all(bench, largest=size),
                "first": lambda: cases.first_sync(bench, size, 1.25 if size < 5000 else 1.35 if size < 20000 else 1.3),
                "quiet": lambda: cases.nothing_changed(bench, size),
                "few": lambda: cases.few_changed(bench, size, 10),
                "lock": lambda: cases.lock_hold(bench, size, 1_000, 20),
                "instead": lambda: instead.script(bench, size),
                "verify": lambda: ratios.looks(bench, size),
                "size": lambda: ratios.sizes(bench, size),
                "crates": lambda: instead.crates(bench, size),
                "waiting": lambda: waiting.delivery(bench),
                "memory": lambda: cases.memory(bench, [n for n in (1_000, 20_000, 100_000) if n <= size]),
                "start": lambda: cases.start_up(bench, min(size, 1_000)),
                "exec": lambda: cases.program_starts(bench, 1_000, 100),
                "keys": lambda: cases.keys(bench, size),
                "rest": lambda: cases.console_at_rest(bench),
                "screen": lambda: cases.stall(bench, size),
                "orphans": lambda: cases.orphans(bench, size),
                "cost": lambda: cases.cost(bench, [n for n in (1_500, 20_000, 100_000) if n <= size]),
            }[options.only]()
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    figures = [{**dataclasses.asdict(f), "ratio": f.ratio, "reached": f.reached} for f in bench.figures]
    target.write_text(json.dumps({"machine": cases.machine(), "figures": figures}, indent=1) + "\n", encoding="utf-8")
    missed = [figure for figure in bench.figures if figure.reached is False]
    print(f"{len(bench.figures)} figures, {len(missed)} missed; {target}")


if __name__ == "__main__":
    main()
