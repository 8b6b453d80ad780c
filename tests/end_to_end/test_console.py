"""The console in a real terminal: live while a sync runs, cancel works, leaving never costs the proven cache."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from tests.independent.projection_check import check
from tests.support import hrana, stores
from tests.support.command import Tool, fingerprint
from tests.support.relay import Relay
from tests.support.sqld import Auth, Sqld, free_port
from tests.support.terminal import Terminal

HELD_S = 60.0
FROZEN_S = 15.0


class Live(Struct, frozen=True):
    """A proven cache, a primary that has moved since, and a relay that holds the rows halfway."""

    server: Sqld
    relay: Relay
    tool: Tool
    proven: str | None

    def console(self, columns: int = 110, lines: int = 34) -> Terminal:
        return Terminal(self.tool.line("tui"), self.tool.variables, columns=columns, lines=lines)


@contextmanager
def moved_on(folder: Path) -> Iterator[Live]:
    """The same with nothing held."""
    with Sqld(stores.primary("small", folder)) as server, Relay(server.port) as relay:
        tool = Tool.at(folder / "tool", relay.url)
        tool.sync()
        hrana.execute(server.url, ["UPDATE episodes SET task_description = 'moved ' || task_description"])
        yield Live(server, relay, tool, fingerprint(tool.cache))


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with moved_on(tmp_path) as live:
        live.relay.hold()
        yield live


def test_panels_live_cancel_plan_and_proof(live: Live, tmp_path: Path) -> None:
    with live.console() as terminal:
        assert live.relay.wait_until_held(HELD_S)
        running = terminal.wait(lambda screen: "running" in screen and "● fetch" in screen)
        assert "connected" in running
        later = terminal.wait(lambda screen: screen != running and "running" in screen)
        assert later != running, "the screen moves while the run waits"

        terminal.press("x")
        terminal.wait_for("cancelled by the operator")
        terminal.wait(lambda screen: "● fetch" not in screen)
        assert fingerprint(live.tool.cache) == live.proven

        live.relay.release()
        terminal.press("s")
        plan = terminal.wait_for("Sync 40")
        assert "~40" in plan
        assert fingerprint(live.tool.cache) == live.proven, "a plan changes nothing"
        terminal.press("\t")
        terminal.press("\r")
        terminal.wait(lambda screen: "step 3 of 3: result" in screen and "IN SYNC" in screen and "g-2" in screen)
        terminal.press("q")
        terminal.wait_for("esc closes this; then q quits")
        terminal.press("\x1b")
        terminal.wait(lambda screen: "step 3 of 3" not in screen)
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.left_clean()
    report = check(stores.quiet_copy(live.server.database, tmp_path / "after"), live.tool.cache)
    assert report.holds(exact=True), report.text()


@pytest.mark.parametrize("keys", ["q", "\x11"], ids=["q", "ctrl+q"])
def test_leaving_during_a_timers_sync_keeps_the_proven_cache(live: Live, keys: str) -> None:
    with live.console() as terminal:
        assert live.relay.wait_until_held(HELD_S)
        terminal.wait_for("● fetch")
        terminal.press(keys)
        assert terminal.end() == 0
        assert terminal.left_clean()
    assert fingerprint(live.tool.cache) == live.proven
    live.relay.release()
    live.tool.sync()


def test_a_frozen_primary_is_not_called_connected(tmp_path: Path) -> None:
    """Its kernel still takes connections, and nothing comes back: the age of its last answer is shown at once."""
    with Sqld(stores.primary("small", tmp_path)) as server:
        tool = Tool.at(tmp_path / "tool", server.url, STORAGE_SYNC_POLL_S="0.5", STORAGE_SYNC_TIMEOUT_S="60")
        with Terminal(tool.line("tui"), tool.variables, columns=110, lines=34) as terminal:
            terminal.wait(lambda screen: "IN SYNC" in screen and "✓ connected" in screen)
            os.kill(server.pid, signal.SIGSTOP)
            try:
                frozen = terminal.wait(lambda screen: "no answer for" in screen, FROZEN_S)
                age = re.search(r"\? no answer for (\d+) s", frozen)
                assert age is not None, frozen
                assert 1 <= int(age[1]) <= FROZEN_S
                assert "connected" not in frozen
                # ages go on in steps
                later = terminal.wait(
                    lambda screen: "no answer for" in screen and f"no answer for {age[1]} s" not in screen, FROZEN_S
                )
                assert "connected" not in later
            finally:
                os.kill(server.pid, signal.SIGCONT)
            terminal.wait(lambda screen: "✓ connected" in screen and "no answer" not in screen)
            terminal.press("q")
            assert terminal.end() == 0


def told_as_past(screen: str) -> bool:
    """The log goes on telling what it told."""
    now, _, _ = screen.partition("─ Activity")
    well = all(text in now for text in ("IN SYNC", "✓ connected")) and re.search(r"error +none now", now) is not None
    return well and "refuses" not in now and "unreachable" not in now


@pytest.mark.parametrize("columns", [80, 120])
def test_an_error_of_a_primary_that_is_back_is_told_as_past(tmp_path: Path, columns: int) -> None:
    with Sqld(stores.primary("small", tmp_path), port=free_port()) as server:
        tool = Tool.at(tmp_path / "tool", server.url, STORAGE_SYNC_POLL_S="0.5", STORAGE_SYNC_INTERVAL_S="1")
        with Terminal(tool.line("tui"), tool.variables, columns=columns, lines=40) as terminal:
            terminal.wait(lambda screen: "IN SYNC" in screen and "✓ connected" in screen)
            server.stop()
            terminal.wait(lambda screen: "unreachable" in screen and "connected" not in screen)
            server.start()
            terminal.wait(told_as_past)
            terminal.press("q")
            assert terminal.end() == 0


def test_a_renewed_token_is_used_when_a_person_asks_for_it(tmp_path: Path) -> None:
    """Nothing is due for minutes: `t` reads the file again."""
    auth, rotated, file = Auth.generate(), Auth.generate(), tmp_path / "token"
    file.write_text(auth.token())
    file.chmod(0o600)
    with Sqld(stores.primary("small", tmp_path), auth=auth) as server:
        tool = Tool.at(tmp_path / "tool", server.url, STORAGE_SYNC_POLL_S="600", STORAGE_SYNC_INTERVAL_S="600")
        with Terminal(tool.line("tui", "--token-file", str(file)), tool.variables, columns=110, lines=34) as terminal:
            terminal.wait(lambda screen: "IN SYNC" in screen and "✓ connected" in screen)
            server.stop()
            server.trust(rotated)
            server.start()
            terminal.press("t")
            terminal.wait(lambda screen: "AUTH" in screen)
            file.write_text(rotated.token())
            terminal.press("t")
            terminal.wait(lambda screen: "IN SYNC" in screen and "✓ connected" in screen)
            terminal.press("q")
            assert terminal.end() == 0


def test_smallest_terminal_shows_the_verdict_and_every_panel(live: Live) -> None:
    live.relay.release()
    with live.console(columns=80, lines=24) as terminal:
        screen = terminal.wait_for("IN SYNC")
        for panel in ("primary", "cache", "Freshness", "Validation", "Sync"):
            assert panel in screen
        terminal.press("q")
        assert terminal.end() == 0


def test_demo_is_in_sync_before_anything_arrives(tmp_path: Path) -> None:
    tool = Tool.at(tmp_path, "unused")
    with Terminal([sys.executable, "-m", "console", "demo"], tool.variables) as terminal:
        terminal.wait_for("IN SYNC")
        terminal.wait(lambda screen: "STALE" in screen or ("behind" in screen and "+1" in screen))
        terminal.wait_for("IN SYNC")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.left_clean()


def test_demo_without_a_terminal_prints_the_document(tmp_path: Path) -> None:
    tool = Tool.at(tmp_path, "unused")
    with tool.start_bare("demo") as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert '"verdict":"IN_SYNC"' in out.replace(" ", "")


def test_all_of_the_screen_is_there_again_after_the_shell(tmp_path: Path) -> None:
    with moved_on(tmp_path) as live, live.console() as terminal:
        terminal.wait_for("IN SYNC")
        terminal.suspend()
        assert "Overview" not in terminal.screen
        terminal.resume()
        terminal.wait(lambda screen: all(text in screen for text in ("1 Overview", "IN SYNC", "Freshness", "? Help")))
