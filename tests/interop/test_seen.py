"""The console through a session of do-memory's server, recorded: what it says at each change, beside what was so.

`make interop-server PYTEST_FLAGS='-s -k seen'` prints the table.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.cache.holders import lock_holders
from storage_sync.reports import recording
from storage_sync.values.outcome import Word
from tests.independent.projection_check import check
from tests.interop.test_day import Day, other_agent
from tests.support import stores
from tests.support.command import Tool
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

PATIENCE_S = 150.0
"""Beside a held cache the primary is compared at most once a minute."""
VERDICT = re.compile(r"^ \S+ +(IN SYNC|STALE|DRIFT|UNKNOWN|DAMAGED|AUTH|HELD|EMPTY|UNCLEAN|REFUSED)\b.*$", re.MULTILINE)
TOLD = re.compile(r"^ (?:behind|waiting|rewritten|holder|lock) .*$", re.MULTILINE)


@dataclass(frozen=True)
class Moment:
    """One change. `at`: when the screen said it, `after_s` later than it was so; `untrue`: words that no picture may
    say from then to the next change."""

    what: str
    so: str
    said: tuple[str, ...]
    after_s: float
    at: float
    until: list[float]
    untrue: frozenset[Word]


@dataclass
class Session:
    """The console on a terminal, and what is so beside it."""

    day: Day
    terminal: Terminal
    folder: Path
    moments: list[Moment] = field(default_factory=list)

    def change(
        self,
        what: str,
        act: Callable[[], object],
        seen: Callable[[str], bool],
        *,
        untrue: frozenset[Word] = frozenset(),
        primary: Path | None = None,
    ) -> None:
        """Do it, and wait until the screen says it. `primary`: where it is now."""
        if self.moments:
            self.moments[-1].until.append(time.time())
        act()
        began = time.time()
        screen = self.terminal.wait(seen, PATIENCE_S)
        now = time.time()
        verdict = VERDICT.search(screen)
        assert verdict is not None, screen
        # the card of the primary stands at the left of what these lines say
        told = [line.strip() for line in TOLD.findall(screen)]
        said = (" ".join(verdict[0].split()), *(re.sub(r" {3,}.*", "", line) for line in told))
        self.moments.append(Moment(what, self.so(primary or self.day.primary), said, now - began, now, [], untrue))

    def so(self, primary: Path) -> str:
        """Who holds the file, and how many rows it lacks, seen without anything of the product's but its copy."""
        holders = lock_holders(str(self.day.tool.cache))
        who = f"held by pid {holders[0].pid}" if holders else "free"
        copy = self.folder / "looked.redb"
        _native.copy_file(str(self.day.tool.cache), str(copy))
        _native.CacheFile.open(str(copy), "private").close()
        report = check(stores.quiet_copy(primary, self.folder / "compared"), copy)
        lacking = sum(map(len, report.missing.values())) + sum(map(len, report.differing.values()))
        return f"{who}; lacks {lacking}" + ("" if primary == self.day.primary else "; primary away")

    def untrue(self, file: Path) -> list[str]:
        """Pictures of the recording that said what was not so."""
        read = recording.read(file)
        found = []
        for moment in self.moments:
            end = moment.until[0] if moment.until else moment.at
            for place in read.pictures:
                picture = read.picture(place + 1)
                assert picture is not None
                if moment.at < read.at + picture[1] < end and picture[0].verdict in moment.untrue:
                    found.append(f"{moment.what}: {picture[0].verdict} at {picture[1]:.1f} s")
        return found


def table(moments: Sequence[Moment]) -> str:
    lines = [f"{'change':<44} {'so':<36} {'after':>6}  said"]
    for moment in moments:
        first, *rest = moment.said
        lines.append(f"{moment.what:<44} {moment.so:<36} {moment.after_s:>5.1f}s  {first}")
        lines += [f"{'':<90}{line}" for line in rest]
    return "\n".join(lines)


def test_what_is_seen_of_a_session(tmp_path: Path) -> None:
    primary = stores.primary("v47-small", tmp_path / "shared")
    tool = Tool.at(tmp_path / "tool", f"file:{primary}", STORAGE_SYNC_POLL_S="1", STORAGE_SYNC_STALENESS_S="3600")
    day, file = Day(tool, primary), tmp_path / "session.jsonl"
    (tmp_path / "other").mkdir()
    behind = frozenset({Word.IN_SYNC})
    equal = frozenset({Word.STALE, Word.DRIFT, Word.DAMAGED, Word.EMPTY})
    with Terminal(tool.line("tui", "--record", str(file)), tool.variables, columns=180, lines=44) as terminal:
        session = Session(day, terminal, tmp_path)
        change = session.change
        change("the console opens", lambda: None, lambda screen: "IN SYNC" in screen and "g-1" in screen, untrue=equal)
        with other_agent(primary, tmp_path / "other") as other, day.session("first") as server:
            held = f"do-memory (pid {server.pid}) has held the file"
            change("a server starts through exec", lambda: None, lambda screen: held in screen, untrue=equal)
            change(
                "the primary gets 3 rows",
                lambda: [other.create(f"By the other agent, {number}") for number in range(3)],
                lambda screen: "STALE" in screen,
                untrue=behind,
            )
            change(
                "the next comparison",
                lambda: None,
                lambda screen: "3 rows behind (exact" in screen and "3 rows since" in screen,
                untrue=behind,
            )
            ((key,),) = stores.select(primary, "SELECT min(episode_id) FROM episodes")
            change(
                "do-memory rewrites a row",
                lambda: server.tool("update_episode", episode_id=key, description="Rewritten while held"),
                lambda screen: "1 row was rewritten by whoever holds the file" in screen,
                untrue=behind | {Word.DRIFT},
            )
            other.leave()
            away = tmp_path / "away"
            change(
                "the primary is away",
                lambda: primary.parent.rename(away),
                lambda screen: "connected" not in screen,
                untrue=behind,
                primary=away / primary.name,
            )
        # leaving the block was a kill -9: nobody closed the cache
        change(
            "kill -9 of the server",
            lambda: None,
            lambda screen: "○ free" in screen and "until the primary answers" in screen,
            untrue=behind,
            primary=away / primary.name,
        )
        change(
            "the primary is back", lambda: away.rename(primary.parent), lambda screen: "IN SYNC" in screen, untrue=equal
        )
        with day.session("second") as server:
            held = f"do-memory (pid {server.pid}) has held the file"
            change("a restart through exec", lambda: None, lambda screen: held in screen and "IN SYNC" in screen)
            change(
                "the server ends",
                server.leave,
                lambda screen: "IN SYNC" in screen and "○ free" in screen and "Of a copy" not in screen,
                untrue=equal,
            )
        terminal.press("q")
        assert terminal.end() == 0
    print(f"\n{table(session.moments)}", file=sys.stderr)
    assert session.untrue(file) == []
    lacking = [int(re.search(r"lacks (\d+)", moment.so)[1]) for moment in session.moments]  # type: ignore[index]
    assert lacking == [0, 0, 3, 3, 3, 3, 3, 0, 0, 0]
    report = check(stores.quiet_copy(primary, tmp_path / "compared"), tool.cache)
    assert report.holds(), report.text()
