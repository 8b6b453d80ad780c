"""Repair and rebuild a really damaged file in the console: plan, consent, live progress, result, undo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.end_to_end.test_console import HELD_S, Live, moved_on
from tests.independent.projection_check import check
from tests.support import stores
from tests.support.command import fingerprint
from tests.support.terminal import Terminal

PAGE = 4096


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Live]:
    """A proven cache that lost its second half, and a primary that has moved since."""
    with moved_on(tmp_path) as live:
        cache = live.tool.cache
        os.truncate(cache, cache.stat().st_size // 2 // PAGE * PAGE)
        yield replace(live, proven=fingerprint(cache))


def console(live: Live, columns: int = 100, lines: int = 30) -> Terminal:
    return Terminal(live.tool.line("tui", "--timeout", "200"), live.tool.variables, columns=columns, lines=lines)


def kept(live: Live, why: str) -> list[Path]:
    return sorted(live.tool.cache.parent.glob(f"cache.redb.{why}-*"))


def proved(live: Live, folder: Path) -> None:
    report = check(stores.quiet_copy(live.server.database, folder), live.tool.cache)
    assert report.holds(exact=True), report.text()


def see(terminal: Terminal, *texts: str) -> str:
    """The screen once all of them are on it: a picture arrives in pieces."""
    return terminal.wait(lambda screen: all(text in screen for text in texts))


def leave(terminal: Terminal, text: str) -> None:
    terminal.press("\r")
    terminal.wait(lambda screen: text not in screen)


def type_name_and_run(terminal: Terminal) -> None:
    """Into the field before the buttons, then on to the run button and press it."""
    see(terminal, "type  default")
    for keys in ("\x1b[D", "\x1b[D", "default"):
        terminal.press(keys)
    # in the header, in the title, beside the field and in it
    typed = terminal.wait(lambda screen: screen.count("default") >= 4)
    terminal.press("\r")
    # the clock goes on: the enter was heard, and the run button has the focus
    terminal.wait(lambda screen: screen.splitlines()[0] != typed.splitlines()[0])
    terminal.press("\r")


def test_a_damaged_file_is_repaired_and_rebuilt_and_taken_back(damaged: Live, tmp_path: Path) -> None:
    tool, relay = damaged.tool, damaged.relay
    with console(damaged) as terminal:
        see(terminal, "DAMAGED", "r plans a repair")

        terminal.press("r")
        see(terminal, "step 1 of 3", "keep the old file as", "never written", "Cancel")
        leave(terminal, "step 1 of 3")
        assert fingerprint(tool.cache) == damaged.proven, "the safe button has the focus: nothing was done"

        terminal.press("r")
        see(terminal, "step 1 of 3", "never written")
        relay.hold()
        terminal.press("\t")
        terminal.press("\r")
        assert relay.wait_until_held(HELD_S)
        see(terminal, "step 2 of 3: running", "● fetch", "core")
        terminal.press("\x1b")
        terminal.wait(lambda screen: "step 2 of 3" not in screen and "● repair" in screen)
        assert fingerprint(tool.cache) == damaged.proven, "the live file stays as it is until the swap"
        terminal.press("r")
        see(terminal, "step 2 of 3: running")
        relay.release()
        see(terminal, "step 3 of 3: result", "✓ IN SYNC", ".corrupt-")
        assert fingerprint(kept(damaged, "corrupt")[0]) == damaged.proven
        leave(terminal, "step 3 of 3")
        proved(damaged, tmp_path / "repaired")
        repaired = fingerprint(tool.cache)

        terminal.press("R")
        type_name_and_run(terminal)
        see(terminal, "step 3 of 3: result", "✓ IN SYNC", ".old-", "Undo")
        assert fingerprint(kept(damaged, "old")[0]) == repaired
        assert fingerprint(tool.cache) != repaired

        terminal.press("U")
        see(terminal, "Undo s-", "step 1 of 3: plan")
        type_name_and_run(terminal)
        see(terminal, "step 3 of 3: result", "restored")
        leave(terminal, "step 3 of 3")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.left_clean()
    assert len(kept(damaged, "corrupt")) == 1
    proved(damaged, tmp_path / "after")
    assert damaged.tool.json("verify", "--deep").exit_code == 0


def test_a_repair_is_cancelled_in_its_dialog_and_the_file_stays(damaged: Live) -> None:
    with console(damaged, 80, 24) as terminal:
        terminal.wait_for("DAMAGED")
        terminal.press("r")
        see(terminal, "step 1 of 3", "never written")
        damaged.relay.hold()
        terminal.press("\t")
        terminal.press("\r")
        assert damaged.relay.wait_until_held(HELD_S)
        see(terminal, "step 2 of 3: running", "● fetch")
        terminal.press("x")
        see(terminal, "not done", "cancelled by the operator")
        assert fingerprint(damaged.tool.cache) == damaged.proven
        damaged.relay.release()
        leave(terminal, "not done")
        terminal.press("q")
        assert terminal.end() == 0
