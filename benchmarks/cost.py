"""What watching costs the primary, in rows that its server reads and bills, counted by that server."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.days import without_index
from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.primary import statements
from storage_sync.primary.manifest import imprint
from storage_sync.primary.schema import Projection
from storage_sync.primary.source import Source, connect
from storage_sync.service.operations import Sync, Verify
from storage_sync.service.performing import perform, quiet
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Session
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Outcome, Word
from tests.support import hrana
from tests.support.sqld import Sqld, free_port
from tests.sync.test_follow import rewritten

WINDOW = 1_000
PATTERNS = 100
CHANGED = 10
FOLLOWS = 5
"""Follow runs in a process that runs: the system tells what a server spent in hundredths of a second."""
POLLS = 20
WATCHED_POLLS = 1_000
REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Costs:
    """Of one size of primary. Rows as the server counts them; times in seconds."""

    episodes: int
    poll: int
    poll_quiet: float
    poll_server_s: float
    poll_cpu_s: float
    poll_cpu_quiet_s: float
    bare_cpu_s: float
    """Of `SELECT 1` in a pipeline of its own, which opens a connection to the database as each poll does."""
    expected: int
    proof: int
    proof_wall_s: float
    proof_server_s: float
    audit: int
    renewal: int
    renewal_requests: int
    renewal_bytes: int
    changed: int
    followed: Followed


@dataclass(frozen=True)
class Followed:
    """`CHANGED` episodes were rewritten with their tags, and taken in, `FOLLOWS` times in one process."""

    rows: int
    """With the poll that saw it; the most of one run, as of octets and lock."""
    bytes: int
    wall_s: float
    """The mean, as of the other times."""
    first_s: float
    """The first run alone, which reads out of the cache what the later ones know."""
    local_s: float
    """Of the mean, without what the primary was waited for."""
    cpu_s: float
    server_cpu_s: float
    lock_s: float
    new_process_rows: int
    syncs: int | None
    """fdatasync of the cache; None without strace."""


@dataclass(frozen=True)
class First:
    """A first sync, and what a follow run of the same cache took; seconds."""

    wall_s: float
    cpu_s: float
    server_cpu_s: float
    followed: Followed


class Counted:
    """A server and its own count of the rows that it read."""

    def __init__(self, path: Path) -> None:
        self._admin = free_port()
        self.server = Sqld(path, arguments=("--admin-listen-addr", f"127.0.0.1:{self._admin}"))

    def rows(self) -> int:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self._admin}/v1/namespaces/default/stats", timeout=10) as answer:
            return int(json.load(answer)["rows_read_count"])

    def cpu_s(self) -> float:
        """User and system time of the server so far."""
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


EMBEDDING = "embedding_id,item_id,item_type,embedding_data,embedding_vector,dimension,model"


def rewrite(url: str, number: int) -> None:
    """The newest episodes as do-memory writes them, with their tags and embeddings."""
    one = "SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT 1 OFFSET {}"
    newest = [one.format(number + at) for at in range(CHANGED)]
    ids = [hrana.execute(url, [sql])[0]["response"]["result"]["rows"][0][0]["value"] for sql in newest]
    hrana.execute(url, [statement for one in ids for statement in rewritten(f"'{one}'")])
    hrana.execute(url, [_embedded_again(one) for one in ids])


def _embedded_again(episode: str) -> str:
    fresh = "replace(embedding_data,'1,','2,')"
    columns = EMBEDDING.replace("embedding_vector", f"vector32({fresh})").replace("embedding_data,", f"{fresh},", 1)
    return (
        f"INSERT OR REPLACE INTO embeddings ({EMBEDDING},created_at) SELECT {columns},created_at+1 FROM embeddings"
        f" WHERE item_id='{episode}' OR item_id LIKE '%:episode:{episode}'"
    )


async def measured(counted: Counted, folder: Path, episodes: int) -> Costs:
    """One primary of so many episodes, and a cache of its window."""
    server = counted.server
    settings = Settings(
        primary=server.url, cache=folder / "cache.redb", state_dir=folder / "state", max_episodes_cache=WINDOW
    )
    session = Session(settings, None)

    async def sync(options: Options = USUAL) -> Outcome:
        outcome = await perform(session, Sync(), Request(settings, None, options), quiet, Cancel())
        assert outcome.verdict is Word.IN_SYNC, outcome.error
        return outcome

    try:
        await sync()
        await sync()
        before = counted.rows()
        times = []
        for _ in range(3):
            started = time.perf_counter()
            proof = await sync()
            times.append(time.perf_counter() - started)
        proof_rows = (counted.rows() - before) // 3
        before = counted.rows()
        deep = await perform(session, Verify(deep=True), Request(settings, None), quiet, Cancel())
        assert deep.verdict is Word.IN_SYNC, deep.error
        audit_rows = counted.rows() - before
        before = counted.rows()
        renewal = await sync(Options(renews=True))
        assert "renewed" in renewal.extra
        renewal_rows = counted.rows() - before
        await session.source.fingerprint()
        before = counted.rows()
        for _ in range(POLLS):
            await session.source.fingerprint()
        quiet_rows = (counted.rows() - before) / POLLS
        quiet_cpu = await _cpu_of_a_poll(counted, session.source)
        bare_cpu = _cpu_of_a_bare_statement(counted)
        followed = await _followed(counted, session, settings)
        newest = f"SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT {CHANGED}"
        fresh = "task_description = 'x' || substr(task_description, 2)"
        hrana.execute(server.url, [f"UPDATE episodes SET {fresh} WHERE episode_id IN ({newest})"])
        before = counted.rows()
        changed = await sync()
        assert changed.applied["episodes"].update == CHANGED
        changed_rows = counted.rows() - before
        capabilities = await session.source.probe()
        schema = capabilities.schema
    finally:
        await session.close()
    with without_index():
        other = connect(server.url)
        await other.probe()
        before = counted.rows()
        for _ in range(POLLS):
            await other.fingerprint()
        poll_rows = (counted.rows() - before) // POLLS
        cpu = await _cpu_of_a_poll(counted, other)
        await other.close()
    sql = statements.fingerprint(schema)
    spent = [server_seconds(server.url, sql) for _ in range(POLLS)]
    sql = imprint(Projection(WINDOW), schema, capabilities.digest or "", whole=False).replace(":beside", "'[]'")
    proof_s = statistics.median(server_seconds(server.url, sql) for _ in range(POLLS))
    return Costs(
        episodes=episodes,
        poll=poll_rows,
        poll_quiet=quiet_rows,
        poll_server_s=statistics.median(spent),
        poll_cpu_s=cpu,
        poll_cpu_quiet_s=quiet_cpu,
        bare_cpu_s=bare_cpu,
        expected=sum(count.expected or 0 for count in proof.counts.values()),
        proof=proof_rows,
        proof_wall_s=min(times),
        proof_server_s=proof_s,
        audit=audit_rows,
        renewal=renewal_rows,
        renewal_requests=renewal.transfer.requests,
        renewal_bytes=renewal.transfer.bytes_received,
        changed=changed_rows,
        followed=followed,
    )


async def first_and_followed(counted: Counted, folder: Path, window: int) -> First:
    settings = Settings(
        primary=counted.server.url, cache=folder / "cache.redb", state_dir=folder / "state", max_episodes_cache=window
    )
    session = Session(settings, None)
    try:
        cpu, started, ours = counted.cpu_s(), time.perf_counter(), time.process_time()
        outcome = await perform(session, Sync(), Request(settings, None), quiet, Cancel())
        assert outcome.verdict is Word.IN_SYNC, outcome.error
        wall, ours, spent = time.perf_counter() - started, time.process_time() - ours, counted.cpu_s() - cpu
        return First(wall, ours, spent, await _followed(counted, session, settings))
    finally:
        await session.close()


async def _cpu_of_a_poll(counted: Counted, source: Source) -> float:
    began = counted.cpu_s()
    for _ in range(WATCHED_POLLS):
        await source.fingerprint()
    return (counted.cpu_s() - began) / WATCHED_POLLS


def _cpu_of_a_bare_statement(counted: Counted) -> float:
    address = urlsplit(counted.server.url)
    bare = [{"type": "execute", "stmt": {"sql": "SELECT 1"}}, {"type": "close"}]
    body = json.dumps({"requests": bare})
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    began = counted.cpu_s()
    for _ in range(WATCHED_POLLS):
        connection.request("POST", "/v2/pipeline", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
    spent = counted.cpu_s() - began
    connection.close()
    return spent / WATCHED_POLLS


async def _followed(counted: Counted, session: Session, settings: Settings) -> Followed:
    url = counted.server.url
    walls, server, ours, rows, received, locks = [], 0.0, 0.0, 0, 0, 0.0
    options = Options(follows=True, moved=True, proves=False)
    for number in range(FOLLOWS):
        rewrite(url, number * CHANGED)
        before, cpu, bytes_ = counted.rows(), counted.cpu_s(), session.counters().bytes_received
        started, spent = time.perf_counter(), time.process_time()
        await session.source.fingerprint()
        outcome = await perform(session, Sync(), Request(settings, None, options), quiet, Cancel())
        walls.append(time.perf_counter() - started)
        ours += time.process_time() - spent
        assert outcome.followed is not None, outcome
        assert outcome.applied["episodes"].update == CHANGED, outcome.applied
        rows, received = max(rows, counted.rows() - before), max(received, session.counters().bytes_received - bytes_)
        server, locks = server + counted.cpu_s() - cpu, max(locks, outcome.seconds.lock)
    rewrite(url, FOLLOWS * CHANGED)
    before = counted.rows()
    syncs = _new_process(settings)
    return Followed(
        rows=rows,
        bytes=received,
        wall_s=statistics.mean(walls),
        first_s=walls[0],
        local_s=statistics.mean(walls) - server / FOLLOWS,
        cpu_s=ours / FOLLOWS,
        server_cpu_s=server / FOLLOWS,
        lock_s=locks,
        new_process_rows=counted.rows() - before,
        syncs=syncs,
    )


def _new_process(settings: Settings) -> int | None:
    """`sync --follow`; how often it waited for the disk to take the cache."""
    cache = str(settings.cache)
    trace = Path(f"{cache}.trace")
    traced = ["strace", "-f", "-qq", "-y", "-e", "trace=fdatasync,fsync", "-o", str(trace)]
    found = shutil.which("strace") is not None
    options = ["--primary", str(settings.primary), "--cache", cache, "--state-dir", str(settings.state_dir)]
    options += ["--window", str(settings.max_episodes_cache)]
    command = [sys.executable, "-m", "console", "sync", "--follow", "--json", *options]
    answer = subprocess.run(
        [*(traced if found else []), *command], check=True, capture_output=True, text=True, cwd=REPOSITORY
    )
    document = json.loads(answer.stdout)
    assert document["followed"] is not None, document
    if not found:
        return None
    return len(re.findall(rf"(?:fdatasync|fsync)\(\d+<{re.escape(cache)}>", trace.read_text()))


def server_seconds(url: str, sql: str) -> float:
    """How long the server says it worked on a statement."""
    return float(hrana.execute(url, [sql])[0]["response"]["result"]["query_duration_ms"]) / 1000
