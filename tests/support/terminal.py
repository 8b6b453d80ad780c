"""A program in a real pseudo-terminal, and what a person would see of it."""

from __future__ import annotations

import os
import signal
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect
import pyte


class Terminal:
    """`command` on a terminal of this size, in this folder. `screen` is the text that is visible now."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        columns: int = 110,
        lines: int = 34,
        folder: Path | None = None,
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.read_at = 0.0
        """When the newest piece of the output came, by `time.perf_counter`, before it is drawn here."""
        # these two would outrank the size of the terminal; the runner of parallel tests sets them
        sized = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        environment = {**sized, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._process = pexpect.spawn(
            command[0],
            list(command[1:]),
            env=environment,
            dimensions=(lines, columns),
            timeout=10,
            cwd=str(folder) if folder is not None else None,
        )
        # pexpect would wait 50 ms before each key, for programs that switch their echo off
        self._process.delaybeforesend = None

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    @property
    def screen(self) -> str:
        return "\n".join(self._screen.display)

    def _read(self, seconds: float) -> bool:
        """Take what the program prints within this time; False when it has ended."""
        try:
            piece = self._process.read_nonblocking(1 << 16, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.read_at = time.perf_counter()
        self.raw += piece
        self._stream.feed(piece)
        return True

    def wait(self, seen: Callable[[str], bool], seconds: float = 60.0) -> str:
        """The screen as soon as `seen` holds for it; AssertionError with the last screen when it never does."""
        deadline = time.monotonic() + seconds
        while not seen(self.screen):
            assert time.monotonic() < deadline, f"not seen within {seconds} s:\n{self.screen}"
            assert self._read(0.1) or seen(self.screen), f"the program ended:\n{self.screen}"
        return self.screen

    def wait_for(self, text: str, seconds: float = 60.0) -> str:
        return self.wait(lambda screen: text in screen, seconds)

    def read_for(self, seconds: float) -> bool:
        """Take what is printed for so long; False as soon as the program has ended."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self._read(left):
                return False
        return True

    def press(self, keys: str | bytes) -> None:
        self._process.send(keys)

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._process.setwinsize(lines, columns)

    def suspend(self) -> None:
        """As ctrl+z and then other work in the same terminal, which leaves nothing of the screen."""
        os.kill(self.pid, signal.SIGTSTP)
        state = Path(f"/proc/{self.pid}/stat")
        deadline = time.monotonic() + 30.0
        while state.read_text().rpartition(") ")[2][0] != "T":
            assert time.monotonic() < deadline, "it does not stop"
            self._read(0.05)
        while self._read(0.05) and self.raw.rfind(b"\x1b[?1049l") < self.raw.rfind(b"\x1b[?1049h"):
            assert time.monotonic() < deadline, "it does not leave the screen"
        self._screen.reset()

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self, seconds: float = 30.0) -> int:
        """Wait for the program's end; its exit code."""
        deadline = time.monotonic() + seconds
        while self._read(0.2):
            assert time.monotonic() < deadline, f"it did not end within {seconds} s:\n{self.screen}"
        self._process.close()
        code = self._process.exitstatus
        assert code is not None, f"ended by signal {self._process.signalstatus}"
        return int(code)

    def ended_by(self, seconds: float = 30.0) -> int:
        """Wait for the end by a signal; its number. `echoes` still tells of the terminal afterwards."""
        deadline = time.monotonic() + seconds
        while self._read(0.2):
            assert time.monotonic() < deadline, f"it did not end within {seconds} s:\n{self.screen}"
        self._process.wait()
        assert self._process.signalstatus is not None, f"ended with exit {self._process.exitstatus}"
        return int(self._process.signalstatus)

    def echoes(self) -> bool:
        """Whether what is typed is shown and comes in whole lines, as a shell leaves a terminal."""
        modes = termios.tcgetattr(self._process.child_fd)[3]
        return bool(modes & termios.ECHO and modes & termios.ICANON)

    def left_clean(self) -> bool:
        """The alternate screen is left, the cursor is visible, the mouse is no longer reported."""
        return all(
            self.raw.rfind(last) > self.raw.rfind(first)
            for first, last in (
                (b"\x1b[?1049h", b"\x1b[?1049l"),
                (b"\x1b[?25l", b"\x1b[?25h"),
                (b"[?1000h", b"[?1000l"),
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.isalive():
            self._process.kill(signal.SIGKILL)
            self._process.wait()
        self._process.close()
