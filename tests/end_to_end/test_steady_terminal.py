"""The console and what a terminal may do to it: bytes that are no text, old reports, sudden ends."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.command import Tool
from tests.support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A console at rest on a cache that is in sync."""
    tool = Tool.at(tmp_path / "tool", f"file:{stores.primary('small', tmp_path)}")
    tool.sync()
    with Terminal(tool.line("tui"), tool.variables) as opened:
        opened.wait_for("IN SYNC")
        yield opened


@pytest.mark.parametrize(
    "typed",
    [
        b"\xff",
        b"\xc3\x28",
        b"\x1b[M\x20\xa0\x30",
        b"\x1b[M\x20\xc3\xa0",
        b"\x1b[1114112u",
        b"\x1b[99999999999999999999u",
        b"\x1b[1;99999999999u",
        b"\x1b[97;1;1114112u",
        b"\x1b[<0;99999999999;99999999999M",
        b"\x1b[48;0;0;0;0t",
        b"\x1b[48;1;2;x;yt",
    ],
)
def test_what_cannot_be_read_is_left_out(typed: bytes, terminal: Terminal) -> None:
    terminal.press(typed)
    terminal.press("5")
    terminal.wait_for("primary.url")
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.left_clean()


DEADLY = [signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGUSR1, signal.SIGALRM, signal.SIGXCPU]


@pytest.mark.parametrize("number", DEADLY, ids=lambda number: number.name)
def test_a_deadly_signal_leaves_the_terminal_as_it_was(number: signal.Signals, terminal: Terminal) -> None:
    assert not terminal.echoes()
    os.kill(terminal.pid, number)
    assert terminal.ended_by() == number
    assert terminal.echoes()
    assert terminal.left_clean()


def test_the_console_leaves_no_core_file(terminal: Terminal) -> None:
    assert resource.prlimit(terminal.pid, resource.RLIMIT_CORE)[0] == 0
