"""What the terminal holds is what the console drew, however fast its screens are changed; and how a bug ends it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.command import Tool
from tests.support.terminal import Terminal

FASTER_THAN_DRAWN = "2345135241" * 6
WORDS = {"1": "─ Activity", "2": "─ Checks", "3": "─ Embeddings", "4": "─ Runs", "5": "─ Configuration"}
A_BUG = """
import sys
from console.views import top

def broken(frame):
    secret = "what nobody may see"
    raise LookupError("no such fact")

top.header = broken
from console.cli import main
sys.exit(main({arguments!r}))
"""


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    tool = Tool.at(tmp_path / "tool", f"file:{stores.primary('small', tmp_path)}")
    tool.sync()
    return tool


def drawn(terminal: Terminal) -> list[str]:
    """The screen without its numbers: ages go on."""
    return [re.sub(r"[\d ]+[ms]?", " ", line) for line in terminal.screen.splitlines()]


@pytest.mark.parametrize("last", sorted(WORDS))
def test_a_screen_is_drawn_whole_after_quick_changes(tool: Tool, last: str) -> None:
    with Terminal(tool.line("tui"), tool.variables, columns=100, lines=30) as terminal:
        terminal.wait_for("IN SYNC")
        for key in FASTER_THAN_DRAWN:
            terminal.press(key)
            terminal.read_for(0.004)
        terminal.read_for(0.5)
        terminal.press(last)
        terminal.wait_for(WORDS[last])
        seen: list[str] = []
        while seen != drawn(terminal):
            # until what the screen asked for is there
            seen = drawn(terminal)
            terminal.read_for(1.5)
        terminal.suspend()
        terminal.resume()
        terminal.wait_for(WORDS[last])
        terminal.read_for(0.5)
        assert drawn(terminal) == seen
        terminal.press("q")
        assert terminal.end() == 0


def test_a_bug_of_the_screen_ends_as_any_bug(tool: Tool) -> None:
    """One handler for all: exit code and a report, and no local variable on the terminal."""
    command = [sys.executable, "-c", A_BUG.format(arguments=tool.line("tui")[3:])]
    with Terminal(command, tool.variables, columns=140, lines=30, folder=tool.folder) as terminal:
        assert terminal.end() == 70
        assert terminal.left_clean()
        assert "internal error (LookupError)" in terminal.screen
        assert b"what nobody may see" not in terminal.raw
        report = re.search(r"the report is (\S+\.txt)", terminal.screen)
        assert report is not None
        told = Path(report[1]).read_text(encoding="utf-8")
    assert "no such fact" in told
    assert "what nobody may see" not in told.replace('secret = "what nobody may see"', "")
