"""`watch` and the console through all that befalls them in a day.

A round in CI, an hour of rounds with `STORAGE_SYNC_FAULTS=full`. Each has a cache and a way to the primary of its own;
what befalls the primary befalls both.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from storage_sync.cache.copy import PrivateCopy, private_copy
from storage_sync.service.schedule import PROOF_GAP_S
from tests.independent.projection_check import check
from tests.support import hrana, network, processes, size, stores
from tests.support.command import Tool
from tests.support.relay import Exchange, Fault, Relay
from tests.support.sqld import Auth, Sqld
from tests.support.terminal import Terminal
from tests.support.watching import LIMIT_S, Line, Watch, resident_and_descriptors, said, watching, well, wrote

LASTS_S = size.of(0.0, 0.0, 3600.0)
GROWTH_BYTES = 8 << 20
WARM_UP = 2
MALFORMED = json.dumps({"baton": None, "results": [{"type": "ok", "response": {"type": "execute", "result": 7}}] * 4})


class Screen:
    """The console in a terminal that somebody looks at all the time: its output is taken as it comes."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._shown = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._terminal.pid

    def _read(self) -> None:
        alive = True
        while alive and not self._over.is_set():
            alive = self._terminal.read_for(0.1)
            # an hour of pictures is not kept
            self._terminal.raw = self._terminal.raw[-1 << 20 :]
            with self._changed:
                self._shown = self._terminal.screen
                self._changed.notify_all()

    def wait(self, *texts: str) -> str:
        """The screen once all of them are on it."""
        return self.until(lambda shown: all(text in shown for text in texts), f"{texts} are")

    def until(self, wanted: Callable[[str], bool], what: str) -> str:
        with self._changed:
            fits = self._changed.wait_for(lambda: wanted(self._shown), LIMIT_S)
            assert fits, f"{what} not shown:\n{self._shown}"
            return self._shown

    def repair(self) -> None:
        """As a person does it who finds the cache damaged."""
        self.wait("DAMAGED")
        self.press("r")
        self.wait("step 1 of 3", "never written")
        self.press("\t")
        self.press("\r")
        self.wait("step 3 of 3: result", "IN SYNC")
        self.press("\r")
        self.until(lambda shown: "step 3 of 3" not in shown, "the end of the dialog is")

    def press(self, keys: str) -> None:
        self._terminal.press(keys)

    def stop(self) -> None:
        """Look at it no more."""
        self._over.set()
        self._reader.join()

    def leave(self) -> int:
        self.stop()
        self._terminal.press("q")
        return self._terminal.end()


@dataclass
class Day:
    """What the troubles are done to: the primary, and a cache of `watch` and one of the console."""

    server: Sqld
    relays: tuple[Relay, Relay]
    auth: Auth
    token: Path
    tools: tuple[Tool, Tool]
    watch: Watch
    screen: Screen
    config: Path
    log: Path
    number: int = 0

    def until(self, wanted: Callable[[Line], bool], position: int) -> None:
        self.watch.until(wanted, after=position)

    def good_run(self) -> None:
        self.until(lambda line: line["area"] == "sync" and "exit 0" in line["message"], len(self.watch.lines))

    def sql(self, *statements: str) -> None:
        hrana.execute(self.server.url, statements, token=self.auth.token())

    def play(self, play: Callable[[int, str], Fault | None] | None = None) -> None:
        for relay in self.relays:
            relay.play(play) if play is not None else relay.play()

    def renew(self) -> str:
        self.number += 1
        token = self.auth.token(number=self.number)
        self.token.write_text(token)
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

    day.play(lambda number, path: fault)
    day.until(said("primary_refused: "), position)
    fresh.append(day.renew())
    day.until(said("recovered after"), position)
    day.play()


def busy(day: Day) -> None:
    position = len(day.watch.lines)
    answer = network.answer(429, '{"error":"Too many concurrent requests"}', Retry_After="2")
    day.play(lambda number, path: answer if number == 1 else None)
    day.until(said("primary_unavailable: the primary answers 429"), position)
    day.until(said("recovered after"), position)


def malformed(day: Day) -> None:
    """Every tenth answer; what comes of it is a failed run at most."""
    tenth: Fault = network.answer(200, MALFORMED)
    day.play(lambda number, path: tenth if number % 10 == 0 else None)
    for _ in range(3):
        day.good_run()
    day.play()
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
    day.screen.wait("IN SYNC")
    with private_copy(str(day.tools[1].cache), None) as copy:
        generation = generation_of(copy)
    for tool in day.tools:
        tool.cache.unlink()
    day.until(wrote("added"), position)
    day.screen.until(proven_after(generation), "a new proof is")


def replaced(day: Day) -> None:
    """By an older copy of itself: `watch` repairs that by itself, in the console a person does."""
    day.screen.wait("IN SYNC")
    kept = [tool.cache.with_name("kept.redb") for tool in day.tools]
    generations = []
    for tool, place in zip(day.tools, kept, strict=True):
        with private_copy(str(tool.cache), None) as copy:
            generations.append(generation_of(copy))
            shutil.copyfile(copy.path, place)
    day.sql("UPDATE episodes SET task_description = hex(randomblob(8)) WHERE rowid % 7 = 0")
    day.good_run()
    day.good_run()
    day.screen.until(proven_after(generations[1]), "a proof after the change is")
    position = len(day.watch.lines)
    for tool, place in zip(day.tools, kept, strict=True):
        place.replace(tool.cache)
    # the end of this repair, which is not to be taken for that of the next trouble
    day.until(said("; repaired: rebuild"), position)
    day.screen.repair()


def generation_of(copy: PrivateCopy) -> int:
    """Of the file; the screen may not show yet what the file has already."""
    return int(copy.file.meta()["generation"])


def proven_after(generation: int) -> Callable[[str], bool]:
    """Whether the console shows a proof of a later generation."""

    def shows(shown: str) -> bool:
        found = re.search(r"proof .*? g-(\d+)", shown)
        return "IN SYNC" in shown and found is not None and int(found[1]) > generation

    return shows


def damaged(day: Day) -> None:
    position = len(day.watch.lines)
    day.screen.wait("IN SYNC")
    for tool in day.tools:
        with tool.cache.open("r+b") as file:
            file.truncate(tool.cache.stat().st_size // 2)
    # made twice where the file changed while the first one was made
    day.until(said("; repaired: rebuild"), position)
    day.screen.repair()


def locked(day: Day) -> None:
    with ExitStack() as held:
        for tool in day.tools:
            held.enter_context(processes.running(processes.HOLD_REDB, tool.cache, "write"))
        day.sql("UPDATE episodes SET task_description = hex(randomblob(8)) WHERE rowid % 3 = 0")
        position = len(day.watch.lines)
        # once it has been proven in a copy, a held cache is compared again after a minute only
        day.watch.until(lambda line: "rows wait" in line["message"], after=position, limit_s=PROOF_GAP_S + LIMIT_S)
        day.screen.wait("held", "waiting for the lock")
    day.until(wrote("changed"), position)


def rotated(day: Day) -> None:
    """Whoever rotates the log may say so by SIGHUP, or not."""
    day.log.replace(day.log.with_suffix(".1"))
    if day.number % 2:
        day.watch.process.send_signal(signal.SIGHUP)
    # a line that was on its way may have gone to the old file
    day.until(lambda line: day.log.exists(), len(day.watch.lines))
    day.good_run()


def blind(day: Day) -> None:
    """The kernel gives no more inotify, and what is done meanwhile is found by time."""
    _inotify(day, 0)
    deleted(day)
    _inotify(day, 128)


def _inotify(day: Day, instances: int) -> None:
    """Set how many inotify instances and watches the user namespace of `watch` may have."""
    names = ("max_inotify_instances", "max_inotify_watches")
    script = "; ".join(f"echo {instances} > /proc/sys/user/{name}" for name in names)
    inside = ["nsenter", "--user", "--preserve-credentials", "--target", str(day.watch.process.pid)]
    subprocess.run([*inside, "sh", "-c", script], check=True, timeout=LIMIT_S)


def reloaded(day: Day) -> None:
    position = len(day.watch.lines)
    day.config.write_text(f"staleness_s = {900 + day.number}\n")
    day.watch.process.send_signal(signal.SIGHUP)
    day.until(said("now in effect: staleness_s"), position)


TROUBLES = (down, expired, busy, malformed, growth, deleted, replaced, damaged, locked, rotated, blind, reloaded)
PARTS = size.of(2, 2, 1)
"""Days that share the troubles, or one that has them all again and again."""


@contextmanager
def days(folder: Path) -> Iterator[Day]:
    """A server that asks for a token, and both beside it."""
    auth, token, config, log = Auth.generate(), folder / "token", folder / "config.toml", folder / "log"
    config.write_text("staleness_s = 900\n")
    token.write_text(auth.token())
    token.chmod(0o600)
    every = ("--token-file", str(token))
    with ExitStack() as held:
        server = held.enter_context(Sqld(stores.primary("small", folder / "p"), auth=auth))
        relays = held.enter_context(Relay(server.port)), held.enter_context(Relay(server.port))
        tools = (
            Tool.at(folder / "w", relays[0].url, STORAGE_SYNC_POLL_S="0.2", STORAGE_SYNC_INTERVAL_S="0.5"),
            Tool.at(folder / "c", relays[1].url, STORAGE_SYNC_POLL_S="0.2", STORAGE_SYNC_INTERVAL_S="0.5"),
        )
        watch = held.enter_context(watching(tools[0], *every, "--config", str(config), log=log, namespace=True))
        line = tools[1].line("tui", *every, "--log-file", str(folder / "screen.log"))
        terminal = held.enter_context(Terminal(line, tools[1].variables, columns=100, lines=30))
        screen = Screen(terminal)
        held.callback(screen.stop)
        yield Day(server, relays, auth, token, tools, watch, screen, config, log)


@pytest.mark.timeout(5400)
@pytest.mark.parametrize("part", range(PARTS))
def test_they_live_through_a_day_of_trouble(tmp_path: Path, part: int) -> None:
    with days(tmp_path) as day:
        day.watch.until(well)
        day.screen.wait("IN SYNC")
        sizes: list[list[tuple[int, int]]] = []
        ends = time.monotonic() + LASTS_S
        while not sizes or time.monotonic() < ends:
            day.number += 1
            for trouble in TROUBLES[part::PARTS]:
                trouble(day)
            day.screen.wait("IN SYNC")
            sizes.append([resident_and_descriptors(pid) for pid in (day.watch.process.pid, day.screen.pid)])
        day.good_run()
        day.screen.wait("IN SYNC")
        copy = stores.quiet_copy(day.server.database, tmp_path / "copy")
        assert day.screen.leave() == 0
        assert day.watch.stop(signal.SIGTERM)[0] == 143
        for tool in day.tools:
            assert check(copy, tool.cache).holds(exact=True)
    assert not any("Traceback" in raw or "internal error" in raw for raw in day.watch.raw)
    edges = [line["message"] for line in day.watch.lines if line["area"] == "watch" and is_edge(line)]
    for before, after in pairwise(edges):
        assert before.partition(":")[0] != after.partition(":")[0], f"said twice: {before} | {after}"
    for of_one in zip(*sizes[WARM_UP - 1 :], strict=True):
        (memory, descriptors), (memory_then, descriptors_then) = of_one[-1], of_one[0]
        assert memory - memory_then < GROWTH_BYTES, of_one
        assert descriptors <= descriptors_then + 2, of_one


def is_edge(line: Line) -> bool:
    """Whether it says that a state began or ended; a cache that was removed twice is two events."""
    message: str = line["message"]
    return "was removed" not in message and (line["level"] == "warning" or message.startswith("recovered after"))
