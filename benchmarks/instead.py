"""What a user would do instead, beside a sync, on the same primary and in one run.

* A script that selects everything and writes it in one transaction, each time. It is measured at its best: it reads
  each answer and parses it, and the rows are inserted by redb itself. What it would take to make cached values of the
  parsed rows is left out.
* do-memory's crates, which store each row in a transaction of its own, and do-memory's own sync. Both read the primary
  as a file, since these crates take no address without TLS, and so have no server and no network to wait for.

Processor time is that of all who took part, the server included; on a busy machine it says more than the clock does.
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import floors
from benchmarks.cases import REPEATS, REPOSITORY, Bench, Figure, child, served, touch
from tests.independent.projection_check import check
from tests.support import hrana
from tests.support.recorder import Kind, operations, variables
from tests.support.sqld import Sqld
from tests.sync.test_follow import rewritten

TABLES = (
    "episodes",
    "episode_tags",
    "patterns",
    "heuristics",
    "embeddings",
    "episode_summaries",
    "episode_relationships",
    "recommendation_sessions",
    "recommendation_feedback",
    "procedural_memory",
)
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Spent:
    """Seconds by the clock and of the processor."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def spending(server: Sqld | None = None) -> Iterator[Spent]:
    """What this process, its children that end meanwhile and a server spend."""
    spent, began, before = Spent(), time.perf_counter(), _processor(server)
    yield spent
    spent.wall, spent.cpu = time.perf_counter() - began, _processor(server) - before


def _processor(server: Sqld | None) -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    if server is None:
        return seconds
    fields = Path(f"/proc/{server.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return seconds + (int(fields[11]) + int(fields[12])) / TICKS


PAGE = 500
"""Rows of one answer: sqld refuses one that is too large, and so a table of some thousand rows at once."""


def _select_everything(server: Sqld) -> int:
    """Read and parse all rows; the bytes of the answers.

    Raises:
        RuntimeError: the server did not answer with rows.
    """
    octets = 0
    for table in TABLES:
        rows = PAGE
        read = 0
        while rows == PAGE:
            answer = _answer(server, f"SELECT * FROM {table} LIMIT {PAGE} OFFSET {read}")
            result = json.loads(answer)["results"][0]
            if result["type"] != "ok":
                raise RuntimeError(f"{table}: {result}")
            rows = len(result["response"]["result"]["rows"])
            read, octets = read + rows, octets + len(answer)
    return octets


def _answer(server: Sqld, sql: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    body = json.dumps({"requests": [{"type": "execute", "stmt": {"sql": sql}}]})
    connection.request("POST", "/v2/pipeline", body, {"Content-Type": "application/json"})
    answer = connection.getresponse().read()
    connection.close()
    return answer


@dataclass(frozen=True)
class Run:
    """One sync in a new process, without the start of that process; `start` is what the start took of the processor."""

    wall: float
    cpu: float
    start: float
    received: int
    rows_read: int | None
    """Of the primary, as its server counts them; None where it does not tell, as for rows that it streams."""


def _sync(server: Sqld, folder: Path, episodes: int, *, follow: bool = False) -> Run:
    with spending(server) as around:
        mine = _processor(None)
        run = child(server.url, folder, episodes, follow=follow)["runs"][0]
        mine = _processor(None) - mine
    assert not follow or run["document"]["followed"] is not None, run["document"]
    transfer = run["document"]["transfer"]
    start = mine - run["cpu"]
    rows = transfer["rows_read"].values()
    return Run(run["wall"], around.cpu - start, start, transfer["bytes_received"], None if None in rows else sum(rows))


def script(bench: Bench, episodes: int) -> None:
    """The first load, a later one after a hundredth of the episodes changed, one that finds nothing to do, and one that
    follows the changes without a proof of the rest."""
    changed = max(episodes // 100, 1)
    case = f"beside a SELECT * script, {episodes:,} episodes"
    with served(bench.primary(episodes)) as server:
        rows = bench.folder / "instead.bin"
        first, scripts = [], []
        for _ in range(REPEATS):
            folder = bench.fresh("instead")
            first.append(_sync(server, folder, episodes))
            floors.dump(folder / "cache.redb", rows)
            with spending(server) as spent:
                size = _select_everything(server)
                floors.insert(bench.program, rows, bench.folder)
            scripts.append(spent)
        later = []
        for number in range(REPEATS):
            touch(server, changed, chr(ord("a") + number))
            later.append(_sync(server, folder, episodes))
        quiet = [_sync(server, folder, episodes) for _ in range(REPEATS)]
        followed = []
        for _ in range(REPEATS):
            # as do-memory changes an episode, whose tags then tell of it
            for one in range(changed):
                newest = f"(SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT 1 OFFSET {one})"
                hrana.execute(server.url, rewritten(newest))
            followed.append(_sync(server, folder, episodes, follow=True))
    wall, cpu = min(one.wall for one in scripts), min(one.cpu for one in scripts)
    for what, runs, limit, bytes_limit in (
        ("first load", first, 1 / 0.9, None),
        (f"later, {changed} changed", later, 1 / 5, 1 / 20),
        ("later, nothing changed", quiet, 1 / 5, 1 / 20),
        (f"followed, {changed} changed", followed, 1 / 5, 1 / 20),
    ):
        bench.add(Figure(case, what, min(run.wall for run in runs), "s", wall, limit))
        bench.add(Figure(case, f"{what}, processor", min(run.cpu for run in runs), "s", cpu, limit))
        bench.add(Figure(case, f"{what}, bytes", max(run.received for run in runs), "B", size, bytes_limit))
        if known := [run.rows_read for run in runs if run.rows_read is not None]:
            bench.add(Figure(case, f"{what}, rows read", max(known), ""))
    bench.add(Figure(case, "start of a process, processor", min(run.start for run in later), "s"))


def crates(bench: Bench, episodes: int) -> None:
    """A transaction for each row, and do-memory's own sync: time, fdatasync, and which rows are right afterwards.

    Raises:
        RuntimeError: the program of the real crates is not there.
    """
    program = Path(os.environ.get("INTEROP_BIN", ""))
    if not program.is_file():
        raise RuntimeError("the program of the real crates is missing: set INTEROP_BIN, or use `make bench`")
    case = f"beside do-memory's crates, {episodes:,} episodes"
    primary = bench.primary(episodes)
    folder = bench.fresh("crates")
    with served(primary) as server:
        ours = min((_sync(server, bench.fresh("crates"), episodes) for _ in range(REPEATS)), key=lambda run: run.wall)
        told = {"url": server.url, "cache": str(folder / "cache.redb"), "state": str(folder / "state")}
        shutil.rmtree(folder / "state", ignore_errors=True)
        (folder / "cache.redb").unlink()
        words = json.dumps({**told, "window": episodes})
        syncs = _syncs(folder, [sys.executable, "-m", "benchmarks.child", words])
    bench.add(Figure(case, "ours", ours.wall, "s", note=_right(primary, folder / "cache.redb", episodes)))
    for mode, what in (("each", "a transaction for each row"), ("own-sync", "do-memory's own sync")):
        place = bench.fresh("crates-instead")
        source, cache = place / "primary.db", place / "cache.redb"
        shutil.copyfile(primary, source)
        with spending() as spent:
            ended = subprocess.run([program, mode, source, cache], check=True, capture_output=True, text=True)
        said = json.loads(ended.stdout)
        rows = f"{said['rows']:,} rows, read in {said['read_s']:.2f} s, written in {said['write_s']:.2f} s"
        note = _right(primary, cache, episodes)
        cache.unlink()
        shutil.copyfile(primary, source)
        counted = _syncs(place, [str(program), mode, str(source), str(cache)])
        limits = (1 / 5, 1 / 5, 1 / 80) if mode == "each" else (None, None, None)
        bench.add(Figure(case, f"beside {what}", ours.wall, "s", said["read_s"] + said["write_s"], limits[0], note))
        bench.add(Figure(case, "processor", ours.cpu, "s", spent.cpu, limits[1], rows))
        bench.add(Figure(case, "fdatasync", syncs, "", counted, limits[2]))


def _syncs(folder: Path, command: list[str]) -> int:
    """How often the command has files of this folder written through to the disk."""
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "log"
        environment = {**os.environ, **variables(folder, log)}
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=REPOSITORY)
        return sum(one.kind is Kind.SYNC for one in operations(log, folder))


def _right(primary: Path, cache: Path, episodes: int) -> str:
    """Which rows are those of the primary, by the second opinion of `tests/independent`."""
    report = check(primary, cache, window=episodes)
    tables = [f"{name} {report.equal.get(name, 0)}/{count}" for name, count in report.expected.items() if count]
    return f"right: {', '.join(tables)}" + (f"; {'; '.join(report.notes)}" if report.notes else "")
