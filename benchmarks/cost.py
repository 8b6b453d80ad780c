"""What watching costs the primary, in rows that its server reads and bills, counted by that server."""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path

from storage_sync.config.request import Request
from storage_sync.config.settings import Settings
from storage_sync.primary import statements
from storage_sync.primary.manifest import imprint
from storage_sync.primary.schema import Projection
from storage_sync.primary.source import connect
from storage_sync.reports.costs import busy_gap_s
from storage_sync.service.operations import Sync, Verify
from storage_sync.service.performing import perform, quiet
from storage_sync.service.schedule import Past, Timing, after_run, next_run
from storage_sync.sync.cancel import Cancel
from storage_sync.sync.session import Session
from storage_sync.values.options import USUAL, Options
from storage_sync.values.outcome import Outcome, Word
from tests.support import hrana
from tests.support.sqld import Sqld, free_port

WINDOW = 1_000
PATTERNS = 100
DAY_S = 86_400.0
CHANGED = 10
POLLS = 20


@dataclass(frozen=True)
class Costs:
    """Of one size of primary. Rows as the server counts them; times in seconds."""

    episodes: int
    poll: int
    poll_quiet: int
    poll_server_s: float
    expected: int
    proof: int
    proof_wall_s: float
    proof_server_s: float
    audit: int
    renewal: int
    renewal_requests: int
    renewal_bytes: int
    changed: int


class Counted:
    """A server and its own count of the rows that it read."""

    def __init__(self, path: Path) -> None:
        self._admin = free_port()
        self.server = Sqld(path, arguments=("--admin-listen-addr", f"127.0.0.1:{self._admin}"))

    def rows(self) -> int:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self._admin}/v1/namespaces/default/stats", timeout=10) as answer:
            return int(json.load(answer)["rows_read_count"])


async def measured(path: Path, folder: Path, episodes: int) -> Costs:
    """One primary of so many episodes, and a cache of its window."""
    counted = Counted(path)
    with counted.server as server:
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
            before = counted.rows()
            for _ in range(POLLS):
                await session.source.fingerprint()
            quiet_rows = counted.rows() - before
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
        other = connect(server.url)
        await other.probe()
        before = counted.rows()
        await other.fingerprint()
        poll_rows = counted.rows() - before
        await other.close()
        sql = statements.fingerprint(schema)
        spent = [server_seconds(server.url, sql) for _ in range(POLLS)]
        sql = imprint(Projection(WINDOW), schema, capabilities.digest or "", whole=False).replace(":beside", "'[]'")
        proof_s = statistics.median(server_seconds(server.url, sql) for _ in range(POLLS))
    return Costs(
        episodes,
        poll_rows,
        quiet_rows,
        statistics.median(spent),
        sum(count.expected or 0 for count in proof.counts.values()),
        proof_rows,
        min(times),
        proof_s,
        audit_rows,
        renewal_rows,
        renewal.transfer.requests,
        renewal.transfer.bytes_received,
        changed_rows,
    )


def server_seconds(url: str, sql: str) -> float:
    """How long the server says it worked on a statement."""
    return float(hrana.execute(url, [sql])[0]["response"]["result"]["query_duration_ms"]) / 1000


def runs_a_day(settings: Settings, *, writes_every_s: float | None = None) -> int:
    """How often the schedule makes a run due in a day that begins with a proof; virtual time, no jitter."""
    timing = Timing(settings.interval_s, settings.staleness_s, settings.on_start, busy_gap_s(settings))
    past, runs = Past(0.0, last_end=0.0, proof_at=0.0), 0
    while True:
        if writes_every_s is not None and past.moved_at is None and past.last_end is not None:
            past = replace(past, moved_at=past.last_end + max(settings.poll_s, writes_every_s))
        due = next_run(timing, past)
        if due is None or due.at > DAY_S:
            return runs
        runs += 1
        past = after_run(past, ended_at=due.at, proof_at=due.at, failed=False, retry_after=None)
