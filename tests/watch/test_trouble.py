"""`watch` through all that befalls it in a day: a round in CI, an hour of rounds with `STORAGE_SYNC_FAULTS=full`."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.independent.projection_check import check
from tests.support import hrana, network, processes, stores
from tests.support.command import Tool
from tests.support.relay import Exchange, Fault, Relay
from tests.support.size import FULL
from tests.support.sqld import Auth, Sqld
from tests.support.watching import Line, Watch, resident_and_descriptors, said, watching, well, wrote

LASTS_S = 3600.0 if FULL else 0.0
GROWTH_BYTES = 8 << 20
WARM_UP = 2
MALFORMED = json.dumps({"baton": None, "results": [{"type": "ok", "response": {"type": "execute", "result": 7}}] * 4})


@dataclass
class Day:
    """What the troubles are done to."""

    server: Sqld
    relay: Relay
    auth: Auth
    tool: Tool
    watch: Watch
    config: Path
    number: int = 0

    def until(self, wanted: Callable[[Line], bool], position: int) -> None:
        self.watch.until(wanted, after=position)

    def good_run(self) -> None:
        self.until(lambda line: line["area"] == "sync" and "exit 0" in line["message"], len(self.watch.lines))

    def sql(self, *statements: str) -> None:
        hrana.execute(self.server.url, statements, token=self.auth.token())

    def renew(self) -> str:
        self.number += 1
        token = self.auth.token(number=self.number)
        (self.tool.folder / "token").write_text(token)
        return token


def down(day: Day) -> None:
    position = len(day.watch.lines)
    day.server.stop()
    day.until(said("primary_unavailable: "), position)
    day.server.start()
    day.until(said("recovered after"), position)


def expired(day: Day) -> None:
    """The old token is not taken any more; the new one is there a little later."""
    position = len(day.watch.lines)
    fresh: list[str] = []

    def fault(exchange: Exchange) -> None:
        taken = fresh and exchange.header("Authorization") == f"Bearer {fresh[0]}"
        exchange.send(exchange.ask()) if taken else network.answer(401, '{"error":"The JWT has expired"}')(exchange)

    day.relay.play(lambda number, path: fault)
    day.until(said("primary_refused: "), position)
    fresh.append(day.renew())
    day.until(said("recovered after"), position)
    day.relay.play()


def busy(day: Day) -> None:
    position = len(day.watch.lines)
    answer = network.answer(429, '{"error":"Too many concurrent requests"}', Retry_After="2")
    day.relay.play(lambda number, path: answer if number == 1 else None)
    day.until(said("primary_unavailable: the primary answers 429"), position)
    day.until(said("recovered after"), position)


def malformed(day: Day) -> None:
    """Every tenth answer; what comes of it is a failed run at most."""
    tenth: Fault = network.answer(200, MALFORMED)
    day.relay.play(lambda number, path: tenth if number % 10 == 0 else None)
    for _ in range(3):
        day.good_run()
    day.relay.play()
    day.good_run()


def growth(day: Day) -> None:
    position = len(day.watch.lines)
    day.sql("ALTER TABLE recommendation_feedback RENAME TO later")
    day.good_run()
    day.sql("ALTER TABLE later RENAME TO recommendation_feedback")
    day.sql("UPDATE episodes SET task_description = hex(randomblob(8)) WHERE rowid % 5 = 0")
    day.until(wrote("changed"), position)


def deleted(day: Day) -> None:
    position = len(day.watch.lines)
    day.tool.cache.unlink()
    day.until(wrote("added"), position)


def replaced(day: Day) -> None:
    kept = day.tool.folder / "kept.redb"
    shutil.copyfile(day.tool.cache, kept)
    day.sql("UPDATE episodes SET task_description = hex(randomblob(8)) WHERE rowid % 7 = 0")
    day.good_run()
    day.good_run()
    kept.replace(day.tool.cache)
    day.good_run()


def damaged(day: Day) -> None:
    position = len(day.watch.lines)
    with day.tool.cache.open("r+b") as file:
        file.truncate(day.tool.cache.stat().st_size // 2)
    day.until(said("; repaired: rebuild;"), position)


def locked(day: Day) -> None:
    with processes.running(processes.HOLD_REDB, day.tool.cache, "write"):
        day.sql("UPDATE episodes SET task_description = hex(randomblob(8)) WHERE rowid % 3 = 0")
        position = len(day.watch.lines)
        day.until(said("rows wait until"), position)
    day.until(wrote("changed"), position)


def reloaded(day: Day) -> None:
    position = len(day.watch.lines)
    day.config.write_text(f"staleness_s = {900 + day.number}\n")
    day.watch.process.send_signal(signal.SIGHUP)
    day.until(said("now in effect: staleness_s"), position)


TROUBLES = (down, expired, busy, malformed, growth, deleted, replaced, damaged, locked, reloaded)


@pytest.mark.timeout(5400)
def test_it_lives_through_a_day_of_trouble(tmp_path: Path) -> None:
    auth = Auth.generate()
    with Sqld(stores.primary("small", tmp_path / "p"), auth=auth) as server, Relay(server.port) as relay:
        tool = Tool.at(tmp_path / "t", relay.url, STORAGE_SYNC_POLL_S="0.2")
        config = tmp_path / "config.toml"
        config.write_text("staleness_s = 900\n")
        (tool.folder / "token").write_text(auth.token())
        (tool.folder / "token").chmod(0o600)
        words = ("--interval", "0.5", "--config", str(config), "--token-file", str(tool.folder / "token"))
        with watching(tool, *words) as watch:
            watch.until(well)
            day = Day(server, relay, auth, tool, watch, config)
            sizes: list[tuple[int, int]] = []
            ends = time.monotonic() + LASTS_S
            while not sizes or time.monotonic() < ends:
                day.number += 1
                for trouble in TROUBLES:
                    trouble(day)
                sizes.append(resident_and_descriptors(watch.process.pid))
            day.good_run()
            copy = stores.quiet_copy(server.database, tmp_path / "copy")
            assert check(copy, tool.cache).holds(exact=True)
            assert watch.stop(signal.SIGTERM)[0] == 143
        assert not any("Traceback" in raw or "internal error" in raw for raw in watch.raw)
        edges = [line["message"] for line in watch.lines if line["area"] == "watch" and is_edge(line)]
        for before, after in pairwise(edges):
            assert before.partition(":")[0] != after.partition(":")[0], f"said twice: {before} | {after}"
        if len(sizes) > WARM_UP:
            assert sizes[-1][0] - sizes[WARM_UP - 1][0] < GROWTH_BYTES, sizes
            assert sizes[-1][1] <= sizes[WARM_UP - 1][1] + 2, sizes


def is_edge(line: Line) -> bool:
    message: str = line["message"]
    return line["level"] == "warning" or message.startswith("recovered after")
