"""The cases of `make bench`; each figure stands beside its floor or its limit, measured in the same run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import console, floors, starts
from benchmarks.days import part_of_a_day
from benchmarks.recorder import Recorder, fetch
from storage_sync.config.settings import Settings
from storage_sync.demo.demo import generate
from tests.support import hrana
from tests.support.command import Tool, fingerprint
from tests.support.sqld import Sqld
from tests.support.terminal import Terminal

if TYPE_CHECKING:
    from benchmarks.cost import Costs, Counted

REPOSITORY = Path(__file__).resolve().parents[1]
REPEATS = 3


@dataclass(frozen=True)
class Figure:
    """One line of the table: a value, what it is measured against, and the limit of their ratio or of the value."""

    case: str
    what: str
    value: float
    unit: str
    floor: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    @property
    def reached(self) -> bool | None:
        if self.limit is None:
            return None
        return (self.ratio if self.ratio is not None else self.value) <= self.limit


@dataclass
class Bench:
    """The folder that everything happens in, and what was measured."""

    folder: Path
    program: Path
    figures: list[Figure] = field(default_factory=list)
    report: Callable[[Figure], None] = print

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        self.report(figure)

    def primary(self, episodes: int, patterns: int | None = None) -> Path:
        """A seeded primary of so many episodes with embeddings, and of patterns; made once."""
        path = self.folder / f"primary-{episodes}{'' if patterns is None else f'-{patterns}'}.db"
        if not path.exists():
            generate(path, 7, episodes, patterns=patterns)
        return path

    def fresh(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


@contextmanager
def served(path: Path) -> Iterator[Sqld]:
    with Sqld(path) as server:
        yield server


def child(url: str, folder: Path, window: int, *, wrap: tuple[str, ...] = (), **more: object) -> dict[str, Any]:
    """One measured process."""
    told = {"url": url, "cache": str(folder / "cache.redb"), "state": str(folder / "state"), "window": window, **more}
    command = [*wrap, sys.executable, "-m", "benchmarks.child", json.dumps(told)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    figures: dict[str, Any] = json.loads(answer.stdout)
    for run in figures["runs"]:
        assert run["document"]["verdict"] == "IN_SYNC", run["document"]
    return figures


def first_sync(bench: Bench, episodes: int, limit: float) -> None:
    """A first sync against the raw fetch of the same bytes and the one-transaction insert of the same rows."""
    case = f"first sync, {episodes:,} episodes"
    with served(bench.primary(episodes)) as server:
        with Recorder(server.port) as recorder:
            folder = bench.fresh("recorded")
            child(recorder.address, folder, episodes)
        asked = [one for one in recorder.asked if one.repeatable]
        rows = bench.folder / "rows.bin"
        floors.dump(folder / "cache.redb", rows)
        runs, fetched, inserted = [], [], []
        for _ in range(REPEATS):
            folder = bench.fresh("first")
            runs.append(child(server.url, folder, episodes)["runs"][0])
            fetched.append(fetch(server.port, asked))
            inserted.append(floors.insert(bench.program, rows, bench.folder))
        wall = min(run["wall"] for run in runs)
        floor = min(seconds for seconds, _ in fetched) + min(inserted)
        document = runs[0]["document"]
        note = (
            f"fetch {min(s for s, _ in fetched):.2f} s of {fetched[0][1] / 1e6:.1f} MB, insert {min(inserted):.2f} s; "
            f"{document['transfer']['requests']} requests, {document['transfer']['bytes_received']:,} bytes, "
            f"{document['cache_writes']['commits']} commits"
        )
        bench.add(Figure(case, "wall", wall, "s", floor, limit, note))
        bench.add(Figure(case, "file scan by redb", floors.scan(bench.program, folder / "cache.redb"), "s"))


def nothing_changed(bench: Bench, episodes: int) -> None:
    """The same sync again: what it asks, what it writes."""
    case = f"nothing changed, {episodes:,} episodes"
    with served(bench.primary(episodes)) as server:
        folder = bench.fresh("quiet")
        child(server.url, folder, episodes)
        before = fingerprint(folder / "cache.redb")
        figures = child(server.url, folder, episodes, times=3)
        first, *again = (run["document"] for run in figures["runs"])
        server_time = min(_digest_seconds(server, folder, episodes) for _ in range(REPEATS))
        scan = floors.scan(bench.program, folder / "cache.redb")
        wall = min(run["wall"] for run in figures["runs"])
        bench.add(Figure(case, "wall", wall, "s", server_time + scan, None, "floor: digest statement + raw scan"))
        bench.add(Figure(case, "digest statement on the server", server_time, "s"))
        bench.add(Figure(case, "requests, first in a process", first["transfer"]["requests"], "", limit=2))
        bench.add(Figure(case, "requests", max(d["transfer"]["requests"] for d in again), "", limit=1))
        bench.add(Figure(case, "bytes received", max(d["transfer"]["bytes_received"] for d in again), "B", limit=2048))
        bench.add(Figure(case, "commits", max(d["cache_writes"]["commits"] for d in again), "", limit=0))
        bench.add(Figure(case, "file changed", float(before != fingerprint(folder / "cache.redb")), "", limit=0))


def _digest_seconds(server: Sqld, folder: Path, episodes: int) -> float:
    """The manifest's statement as the tool sends it, answered by the server with nobody decoding it."""
    with Recorder(server.port) as recorder:
        copy = folder.parent / "quiet-recorded"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        told = child(recorder.address, copy, episodes, times=1)
        assert told["runs"]
    manifests = [one for one in recorder.asked if one.repeatable and b"known" in one.body]
    return fetch(server.port, manifests[:1])[0]


def few_changed(bench: Bench, episodes: int, changed: int) -> None:
    """A handful of changes against a first sync of the same primary."""
    case = f"{changed} of {episodes:,} changed"
    with served(bench.primary(episodes)) as server:
        folder = bench.fresh("few")
        first = child(server.url, folder, episodes)["runs"][0]
        touch(server, changed, "a")
        run = child(server.url, folder, episodes)["runs"][0]
        assert run["document"]["applied"]["episodes"]["update"] == changed
        bench.add(Figure(case, "wall, of a first sync", run["wall"], "s", first["wall"], 0.1))
        sizes = [one["document"]["transfer"]["bytes_received"] for one in (run, first)]
        bench.add(Figure(case, "bytes, of a first sync", sizes[0], "B", sizes[1], 0.02))
        touch(server, changed, "b")
        trace = bench.folder / "trace"
        wrap = ("strace", "-f", "-qq", "-y", "-e", "trace=fdatasync,fsync", "-o", str(trace))
        if shutil.which("strace") is None:
            bench.add(Figure(case, "fdatasync on the cache", float("nan"), "", limit=6, note="strace is not installed"))
            return
        child(server.url, folder, episodes, wrap=wrap)
        path = re.escape(str(folder / "cache.redb"))
        count = len(re.findall(rf"(?:fdatasync|fsync)\(\d+<{path}>", trace.read_text()))
        bench.add(Figure(case, "fdatasync on the cache", count, "", limit=6))


def touch(server: Sqld, count: int, mark: str) -> None:
    """Change one letter of the newest episodes."""
    newest = f"SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT {count}"
    sql = (
        f"UPDATE episodes SET task_description = '{mark}' || substr(task_description, 2) WHERE episode_id IN ({newest})"
    )
    hrana.execute(server.url, [sql])


def lock_hold(bench: Bench, episodes: int, changed: int, applies: int) -> None:
    """How long redb's lock is held on the live file, over many applies."""
    with served(bench.primary(episodes)) as server:
        folder = bench.fresh("lock")
        child(server.url, folder, episodes)
        held = []
        for number in range(applies):
            touch(server, changed, chr(ord("a") + number % 26))
            held.append(child(server.url, folder, episodes)["runs"][0]["document"]["seconds"]["lock"] * 1000)
        note = f"median {statistics.median(held):.0f} ms over {applies} applies"
        bench.add(Figure(f"{changed:,} rows changed", "lock held, worst", max(held), "ms", limit=300, note=note))


def memory(bench: Bench, sizes: list[int]) -> None:
    """Peak memory of a first sync and of a sync with changes, over the interpreter's start."""
    peaks = []
    for episodes in sizes:
        with served(bench.primary(episodes)) as server:
            folder = bench.fresh("memory")
            first = child(server.url, folder, episodes)
            again = child(server.url, folder, episodes)
            peak = max(first["peak_kib"], again["peak_kib"]) / 1024
            peaks.append(peak)
            note = f"imports alone {first['imports_kib'] / 1024:.0f} MiB; first {first['peak_kib'] / 1024:.0f}, "
            note += f"again {again['peak_kib'] / 1024:.0f} MiB"
            bench.add(Figure(f"memory, {episodes:,} episodes", "peak over the start", peak, "MiB", limit=64, note=note))
    bench.add(Figure("memory", "spread over the sizes", max(peaks) - min(peaks), "MiB", limit=16))


def start_up(bench: Bench, episodes: int) -> None:
    """`status --json` cold, against an interpreter that does nothing."""
    folder = bench.fresh("status")
    arguments = ["--cache", str(folder / "cache.redb"), "--state-dir", str(folder / "state")]
    with served(bench.primary(episodes)) as server:
        child(server.url, folder, episodes)
        arguments += ["--primary", server.url]

    def timed(*command: str) -> float:
        times = []
        for _ in range(11):
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=REPOSITORY)
            times.append(time.perf_counter() - started)
        return statistics.median(times) * 1000

    nothing = timed(sys.executable, "-c", "pass")
    status = timed(sys.executable, "-m", "console", "status", "--json", *arguments)
    limit = (2.5 * nothing + 60) / nothing
    bench.add(Figure("start-up", "status --json", status, "ms", nothing, limit, "floor: python -c pass"))


def program_starts(bench: Bench, episodes: int, changed: int, rounds: int = 11) -> None:
    """`exec`: what it adds to the start of a program that does nothing, and what it takes when the primary is bad."""
    with served(bench.primary(episodes)) as server:
        measured = starts.measure(
            server, bench.fresh("starts"), lambda number: touch(server, changed, chr(ord("a") + number)), rounds
        )
    case = f"exec, {episodes:,} episodes"
    bench.add(Figure(case, "added, nothing changed", measured.equal - measured.bare, "s", limit=0.4))
    bench.add(Figure(case, f"added, {changed} rows changed", measured.changed - measured.bare, "s", limit=0.8))
    for fault, seconds in measured.spoiled.items():
        note = f"deadline {starts.DEADLINE_S:g} s"
        bench.add(Figure(case, f"a primary that {fault}", seconds, "s", limit=starts.DEADLINE_S + 0.1, note=note))


def stall(bench: Bench, episodes: int) -> None:
    """The longest time that the loop of the screen stood still while the core synced beside it."""
    from benchmarks.screen import longest_gaps

    with served(bench.primary(episodes)) as server:
        folder = bench.fresh("screen")
        worst, p99 = asyncio.run(longest_gaps(server.url, folder, episodes))
    case = f"screen, {episodes:,} episodes"
    bench.add(Figure(case, "longest stall", worst, "ms", limit=50))
    bench.add(Figure(case, "p99 of the gaps", p99, "ms", limit=20))


def orphans(bench: Bench, rows: int) -> None:
    """A list of so many embeddings: its order after each key of a filter, a page of it, what lies near one."""
    from benchmarks import orphans as measured

    case = f"orphans, {rows:,} rows"
    index, seconds = measured.index_of(measured.make(bench.fresh("orphans"), rows))
    bench.add(Figure(case, "read and judge all", seconds, "s"))
    bench.add(Figure(case, "filter keystroke, median", statistics.median(measured.typing(index)), "ms", limit=100))
    bench.add(Figure(case, "page down, median", statistics.median(measured.pages(index)), "ms", limit=16))
    bench.add(Figure(case, "nearest of one", measured.nearest(index), "ms"))


def keys(bench: Bench, episodes: int, count: int = 500) -> None:
    """From a key to what it shows, in a real terminal while a first sync runs."""
    case = f"keys, {episodes:,} episodes"
    with served(bench.primary(episodes)) as server:
        times: list[float] = []
        while len(times) < count:
            tool = Tool.at(bench.fresh("keys"), server.url, STORAGE_SYNC_MAX_EPISODES_CACHE=str(episodes))
            round_ = console.presses_during_a_sync(tool, count - len(times)).times
            if not round_:
                raise RuntimeError(f"{episodes} episodes were synced before the first key")
            times.extend(round_)
        taken = console.Presses(times)
    floor = console.presses_of_nothing(bench.fresh("empty"), count)
    note = f"{len(times)} keys; floor p99 {floor.p99:.1f} ms"
    bench.add(Figure(case, "key to painted change, p50", taken.p50, "ms", floor.p50))
    bench.add(Figure(case, "key to painted change, p99", taken.p99, "ms", limit=50, note=note))


def console_at_rest(bench: Bench, seconds: float = 60.0) -> None:
    """What an idle console costs, and how long it takes to its first picture."""
    folder, empty = bench.fresh("rest"), bench.fresh("empty")
    with served(bench.primary(1_000)) as server:
        child(server.url, folder, 1_000)
        tool = Tool(folder, server.url, folder / "cache.redb")
        with Terminal(console.console(tool), tool.variables, columns=console.COLUMNS, lines=console.LINES) as terminal:
            terminal.wait_for("IN SYNC")
            terminal.read_for(5.0)
            share = console.idle_share(terminal, seconds)
        painted = console.first_paint(console.console(tool), tool.variables, "Overview", 11)
    with Terminal(console.FLOOR, console.environment(empty), columns=console.COLUMNS, lines=console.LINES) as terminal:
        terminal.wait_for("screen 1")
        floor = console.idle_share(terminal, seconds)
    imported = [sys.executable, "-c", "import textual.app; print('imported')"]
    nothing = console.first_paint(imported, tool.variables, "imported", 11)
    drawn = console.first_paint(console.FLOOR, console.environment(empty), "screen 1", 11)
    note = f"empty application {floor:.2f} %"
    bench.add(Figure("console", "idle, percent of a core", share, "%", limit=1.0, note=note))
    note = f"{painted:.0f} ms; import of Textual {nothing:.0f} ms, empty application {drawn:.0f} ms"
    bench.add(Figure("console", "first picture over the import", painted - nothing, "ms", limit=500, note=note))


def cost(bench: Bench, sizes: list[int]) -> None:
    """What watching costs the primary, at several sizes of it and one window."""
    from benchmarks import cost as measured

    found = []
    for size in sizes:
        # a window holds all patterns, so that there are as many at each size
        counted = measured.Counted(bench.primary(size, measured.PATTERNS))
        with counted.server:
            one = asyncio.run(measured.measured(counted, bench.fresh(f"cost-{size}"), size))
            found.append(one)
            _questions(bench, one)
            if size in (min(sizes), max(sizes)):
                _days(bench, counted, one)
    each = [one.proof / one.expected for one in found]
    bench.add(Figure("cost", "proof, largest of smallest", max(each) / min(each), "", limit=1.05))
    walls = [one.proof_wall_s for one in found]
    bench.add(Figure("cost", "proof, slowest of fastest", max(walls) / min(walls), "", limit=1.5))
    _of_a_first_sync(bench, min(10_000, max(sizes)))
    first_sync(bench, 1_000, 1.25)


def _of_a_first_sync(bench: Bench, episodes: int) -> None:
    """What a follow run takes of what a first sync of the same primary takes."""
    from benchmarks import cost as measured

    case = f"cost, first sync of {episodes:,}"
    counted = measured.Counted(bench.primary(episodes))
    with counted.server:
        first = asyncio.run(measured.first_and_followed(counted, bench.fresh("cost-first"), episodes))
    followed = first.followed
    bench.add(Figure(case, "follow, the primary's part", followed.server_cpu_s, "s", first.server_cpu_s, 0.02))
    note = f"mean of {measured.FOLLOWS}, the first {followed.first_s:.2f} s; {followed.local_s:.2f} s not on the server"
    bench.add(Figure(case, "follow, the whole", followed.wall_s, "s", first.wall_s, 0.1, note))
    spent, floor = followed.cpu_s + followed.server_cpu_s, first.cpu_s + first.server_cpu_s
    bench.add(
        Figure(
            case,
            "follow, processor",
            spent,
            "s",
            floor,
            0.1,
            "with the server; on a busy machine it says more than the clock",
        )
    )


def _questions(bench: Bench, one: Costs) -> None:
    case, followed = f"cost, {one.episodes:,} episodes", one.followed
    bench.add(Figure(case, "poll by the index", one.poll_quiet, "rows", limit=1, note="the statement SELECT 1"))
    bench.add(Figure(case, "poll without an index", one.poll, "rows", limit=30))
    bench.add(Figure(case, "poll, server time", one.poll_server_s * 1000, "ms", limit=2))
    note = f"a bare SELECT 1 takes {one.bare_cpu_s * 200:.2f}"
    bench.add(Figure(case, "1,000 watchers, by the index", one.poll_cpu_quiet_s * 200, "core", limit=0.4, note=note))
    bench.add(Figure(case, "1,000 watchers, without", one.poll_cpu_s * 200, "core", limit=0.4, note=note))
    note = f"{followed.wall_s:.2f} s, of it {followed.local_s:.2f} s not on the server"
    bench.add(Figure(case, "follow with its poll", followed.rows, "rows", limit=400, note=note))
    bench.add(Figure(case, "follow, bytes received", followed.bytes, "B", limit=100_000))
    bench.add(Figure(case, "follow, lock held", followed.lock_s * 1000, "ms", limit=50))
    bench.add(Figure(case, "sync --follow, new process", followed.new_process_rows, "rows", limit=600))
    if followed.syncs is not None:
        bench.add(Figure(case, "sync --follow, fdatasync", followed.syncs, "", limit=6))
    note = f"{one.expected:,} expected rows; {one.proof_wall_s:.2f} s"
    bench.add(Figure(case, "proof", one.proof, "rows", one.expected, 4.5, note))
    bench.add(Figure(case, "proof, server time", one.proof_server_s * 1000, "ms"))
    bench.add(Figure(case, "proof that finds differences", one.changed, "rows", one.expected))
    bench.add(Figure(case, "audit", one.audit, "rows", one.expected))
    bench.add(Figure(case, "renewal", one.renewal, "rows", limit=1, note="the statement SELECT 1"))
    bench.add(Figure(case, "renewal, requests", one.renewal_requests, "", limit=1))
    bench.add(Figure(case, "renewal, bytes", one.renewal_bytes, "B", limit=1024))


IDLE_S = 1_800.0
BUSY_S = 900.0


def _days(bench: Bench, counted: Counted, one: Costs) -> None:
    """Parts of days of the real core under a virtual clock, scaled to a day."""
    case = f"cost, {one.episodes:,} episodes"
    part = partial(part_of_a_day, counted.server.url, window=1_000, rows=counted.rows)
    idle = part(folder=bench.fresh("day"), lasts_s=IDLE_S)
    note = f"{IDLE_S:,.0f} s scaled, the audit apart"
    bench.add(Figure(case, "idle day with an index", idle.a_day / 1e6, "M", limit=0.1, note=note))
    idle = part(folder=bench.fresh("day"), lasts_s=IDLE_S, index=False)
    note = f"{note}; {idle.proofs} proofs"
    bench.add(Figure(case, "idle day without", idle.a_day / 1e6, "M", limit=2.1, note=note))
    busy = part(folder=bench.fresh("day"), lasts_s=BUSY_S, busy=True)
    note = f"{BUSY_S:,.0f} s scaled; {busy.follows} follow runs, {busy.proofs} proofs"
    bench.add(Figure(case, "busy day", busy.a_day / 1e6, "M", limit=5, note=note))
    late = max(busy.delays)
    note = f"median {statistics.median(busy.delays):.1f} s over {len(busy.delays)} changes"
    bench.add(Figure(case, "busy day, commit to cache", late, "s", limit=Settings().poll_s + 1, note=note))


def run_all(bench: Bench, *, largest: int) -> None:
    """Every case, the small ones first; `largest` bounds the sizes."""
    for episodes, limit in ((1_000, 1.25), (5_000, 1.35), (20_000, 1.3)):
        if episodes <= largest:
            first_sync(bench, episodes, limit)
    nothing_changed(bench, min(1_000, largest))
    few_changed(bench, min(10_000, largest), 10)
    lock_hold(bench, min(5_000, largest), 1_000, 20)
    memory(bench, [size for size in (1_000, 20_000, 100_000) if size <= largest])
    start_up(bench, 1_000)
    program_starts(bench, 1_000, 100)
    stall(bench, min(20_000, largest))
    keys(bench, min(20_000, largest))
    console_at_rest(bench)
    orphans(bench, largest)
    cost(bench, [size for size in (1_500, 20_000, 100_000) if size <= largest])


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {"cpus": os.cpu_count(), "python": sys.version.split()[0], "load": os.getloadavg()}
