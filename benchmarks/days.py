"""The real core through a part of a day, under a virtual clock: what its server counts, and how soon a change is in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from benchmarks import clock
from storage_sync.config.settings import Settings
from storage_sync.primary.hrana import HranaHttpClient
from storage_sync.service.effective_settings import Configuration
from storage_sync.service.service import SyncService
from storage_sync.values.events import Event, RunEnded
from storage_sync.values.outcome import Word
from storage_sync.values.snapshot import Snapshot
from tests.support import hrana

DAY_S = 86_400.0
WRITE_EVERY_S = 4.0


@dataclass
class Part:
    """A part of a day. Rows as the server counts them, those of the writer left out; seconds."""

    lasted_s: float = 0.0
    rows: int = 0
    proofs: int = 0
    renewals: int = 0
    follows: int = 0
    delays: list[float] = field(default_factory=list)
    """From the commit of a change to the commit of the run that took it in."""

    @property
    def a_day(self) -> float:
        return self.rows * DAY_S / self.lasted_s


@contextmanager
def without_index() -> Iterator[None]:
    """A server that sends no replication index, as the client hears it."""
    with (
        mock.patch("storage_sync.primary.source.index_of", return_value=None),
        mock.patch.object(HranaHttpClient, "_note_index"),
    ):
        yield


class _Heard:
    def __init__(self) -> None:
        self.part = Part()
        self.written: list[float] = []
        self.proven = asyncio.Event()
        self.began: float | None = None

    def publish(self, snapshot: Snapshot) -> None:
        if snapshot.verdict is Word.IN_SYNC and snapshot.freshness.next_sync_at is not None:
            self.proven.set()

    def emit(self, event: Event) -> None:
        if not isinstance(event, RunEnded) or self.began is None:
            return
        outcome, now = event.outcome, asyncio.get_running_loop().time()
        assert outcome.error is None, outcome.error
        if outcome.followed is not None:
            self.part.follows += 1
        elif "renewed" in outcome.extra:
            self.part.renewals += 1
        elif outcome.proof is not None:
            self.part.proofs += 1
        taken = sum(change.insert for table, change in outcome.applied.items() if table == "episodes")
        self.part.delays += [now - at for at in self.written[:taken]]
        self.written = self.written[taken:]


async def _part(settings: Settings, rows: Callable[[], int], lasts_s: float, *, busy: bool) -> Part:
    heard = _Heard()
    service = SyncService(Configuration(settings), publish=heard.publish, emit=heard.emit)
    core = asyncio.create_task(service.run())
    loop = asyncio.get_running_loop()
    try:
        await heard.proven.wait()
        # the first poll after the proof, and whatever the start left to be done
        await asyncio.sleep(2 * settings.poll_s)
        before, heard.began, own = rows(), loop.time(), 0
        number = 0
        while (left := heard.began + lasts_s - loop.time()) > 0:
            if not busy:
                await asyncio.sleep(left)
                continue
            number += 1
            answers = await asyncio.to_thread(hrana.execute, settings.primary or "", [_insert(number)])
            own += sum(int(one["response"].get("result", {}).get("rows_read") or 0) for one in answers)
            heard.written.append(loop.time())
            await asyncio.sleep(WRITE_EVERY_S)
        heard.part.lasted_s = loop.time() - heard.began
        heard.part.rows = rows() - before - own
    finally:
        service.request_stop()
        await core
    return heard.part


_COLUMNS = (
    "task_type,task_description,context,end_time,steps,outcome,reward,reflection,patterns,heuristics,metadata,domain,"
    "language"
)


def _insert(number: int) -> str:
    """A new episode above all others, as do-memory writes it."""
    key = f"b0000000-0000-4000-8000-{number:012x}"
    newest = "(SELECT start_time FROM episodes ORDER BY start_time DESC LIMIT 1)"
    one = "(SELECT episode_id FROM episodes ORDER BY start_time DESC, episode_id LIMIT 1)"
    return (
        f"INSERT OR REPLACE INTO episodes (episode_id,start_time,{_COLUMNS}) SELECT '{key}',{newest}+1,{_COLUMNS} "
        f"FROM episodes WHERE episode_id={one}"
    )


def part_of_a_day(
    url: str,
    *,
    folder: Path,
    window: int,
    rows: Callable[[], int],
    lasts_s: float,
    busy: bool = False,
    index: bool = True,
) -> Part:
    """`rows`: what the server has read so far."""
    settings = Settings(
        primary=url,
        cache=folder / "cache.redb",
        state_dir=folder / "state",
        max_episodes_cache=window,
        # it is told apart
        audit_s=30 * DAY_S,
    )
    with nullcontext() if index else without_index():
        return clock.run(_part(settings, rows, lasts_s, busy=busy))
