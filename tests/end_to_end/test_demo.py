"""The demo teaches: who only does what its one line says comes through every flow, in the smallest terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import Tool
from tests.support.terminal import Terminal

COLUMNS, LINES = 80, 24
RIGHT = "\x1b[C"


@contextmanager
def demo(folder: Path) -> Iterator[Terminal]:
    tool = Tool.at(folder, "unused")
    line = [sys.executable, "-m", "console", "demo"]
    with Terminal(line, tool.variables, columns=COLUMNS, lines=LINES) as terminal:
        terminal.wait(lambda screen: "guide 1/8" in screen and "IN SYNC" in screen)
        yield terminal


def palette(terminal: Terminal, word: str) -> None:
    terminal.press(":")
    terminal.wait_for("Search for commands")
    terminal.press(word)
    terminal.wait_for("Demo: ")
    terminal.wait(lambda screen: screen.count("Demo: ") == 1)
    terminal.press("\r")
    terminal.wait(lambda screen: "Search for commands" not in screen)


def agree(terminal: Terminal) -> None:
    """Read the plan, agree as the guide says, see the result, close it."""
    terminal.wait_for("step 1 of 3: plan")
    terminal.wait_for("never written")
    said = terminal.wait(lambda screen: "Read it; " in screen)
    if "type default, then press enter twice" in said:
        terminal.press("default\r")
        # the button gets the focus, which no text shows
        terminal.read_for(2.0)
        terminal.press("\r")
    else:
        assert "then right arrow to" in said
        terminal.press(RIGHT)
        terminal.press("\r")
    terminal.wait_for("step 3 of 3: result")
    terminal.press("\x1b")
    terminal.wait(lambda screen: "step 3 of 3" not in screen)


def test_all_flows_are_done_by_what_the_guide_says(tmp_path: Path) -> None:
    with demo(tmp_path) as terminal:
        palette(terminal, "many")
        terminal.wait_for("The sync is done")
        terminal.press(" ")
        terminal.wait_for("guide 2/8")
        palette(terminal, "damage")
        terminal.wait_for("guide 3/8")
        assert "DAMAGED" in terminal.screen
        terminal.press("r")
        agree(terminal)
        terminal.wait_for("guide 4/8")
        terminal.press("3")
        terminal.wait_for("guide 5/8")
        terminal.wait(lambda screen: "owner nowhere" in screen and "nearest " in screen)
        terminal.press("\r")
        terminal.wait(lambda screen: "guide 6/8" in screen and "g G first" in screen)
        terminal.press("\x1b")
        terminal.wait(lambda screen: "g G first" not in screen)
        terminal.press(" d")
        agree(terminal)
        terminal.wait_for("guide 7/8")
        terminal.press("u")
        terminal.wait(lambda screen: "quarantined by" in screen and "rejected" in screen)
        terminal.wait_for("enter plans it: the same")
        terminal.press("\r")
        agree(terminal)
        terminal.wait_for("guide 8/8")
        terminal.press("\x1b")
        terminal.wait_for("? Help")
        terminal.press("4")
        terminal.wait_for("Runs · ")
        terminal.press("G")
        terminal.wait_for("+711")
        terminal.press("k")
        terminal.wait_for("+11  ~3")
        terminal.press("U")
        agree(terminal)
        terminal.wait_for("That is all")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.left_clean()


def test_the_line_is_hidden_and_shown_again_and_takes_its_row_from_nobody(tmp_path: Path) -> None:
    with demo(tmp_path) as terminal:
        terminal.press("\x1bOR")
        hidden = terminal.wait(lambda screen: "guide 1/8" not in screen)
        assert "? Help" in hidden.splitlines()[-1]
        terminal.press("\x1bOR")
        shown = terminal.wait_for("guide 1/8")
        assert "guide 1/8" in shown.splitlines()[-2]
        assert "? Help" in shown.splitlines()[-1]
        terminal.press("q")
        assert terminal.end() == 0
