"""What a process inherits from whoever started it, and how it becomes another program with all of that."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from msgspec import Struct, field

NOT_FOUND, NOT_EXECUTABLE = 127, 126
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask COMMAND, which has not started yet, to end."""
_BY_PYTHON = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))
"""Python ignores them from its start on, and does not keep what they were."""
_COERCED = b"LC_CTYPE"
"""Python sets it where the locale is C (PEP 538)."""


class Stopped(BaseException):
    """A signal asked for the end; `number` names it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        return 128 + self.number


class Stopping(Struct):
    """Receives the signals that are meant for COMMAND until it has started. An ignored signal stays ignored."""

    ask: Callable[[int], None] | None = None
    """While a loop runs: told of each; without one the main thread gets `Stopped`."""
    number: int | None = None
    """The first that came."""
    woken: int = -1
    """A descriptor that can be read once one came."""
    _taken: list[int] = field(default_factory=list)

    def begin(self) -> None:
        """In the main thread."""
        self.woken, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in STOPPING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._take)
                self._taken.append(number)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
        if self.ask is None:
            raise Stopped(number)
        self.ask(number)

    def end(self) -> None:
        """From here on signals go to COMMAND. Raises `Stopped` for one that came before, so none is lost in between."""
        self.ask = _nothing
        for number in self._taken:
            signal.signal(number, signal.SIG_DFL)
        with suppress(BlockingIOError):
            came = [number for number in os.read(self.woken, 64) if number in self._taken]
            self.number = self.number or next(iter(came), None)
        if self.number is not None:
            raise Stopped(self.number)


def _nothing(number: int) -> None:
    """It is noted; there is nobody to tell."""


def become(command: Sequence[str]) -> tuple[str, int]:
    """Replace this process by `command`, found along PATH as execvp(3) does; gives why that cannot be, with 127 or 126.

    From any thread. Dispositions that Python changed are the usual ones again, the environment is the one of our start.
    """
    for number in _BY_PYTHON:
        _usual(number)
    variables = inherited()
    try:
        try:
            os.execvpe(command[0], list(command), variables)  # noqa: S606  (COMMAND is what was asked for)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # a script that names no interpreter is one for the shell
            os.execve("/bin/sh", ["sh", _found(command[0]), *command[1:]], variables)  # noqa: S606
    except OSError as error:
        absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        # what is there and was not found lacks its interpreter
        code = NOT_FOUND if absent and not Path(command[0]).is_file() else NOT_EXECUTABLE
        return f"{command[0]}: {error.strerror}", code
    except ValueError:
        # neither '' nor what holds a NUL can be a file's name
        return f"{command[0]!r}: no such command", NOT_FOUND


def _found(name: str) -> str:
    import shutil

    return shutil.which(name) or name


def inherited() -> Mapping[bytes, bytes]:
    """The environment of our start."""
    variables = dict(os.environb)
    with suppress(OSError):
        at_start = Path("/proc/self/environ").read_bytes().split(b"\0")
        if not any(one.startswith(_COERCED + b"=") for one in at_start):
            variables.pop(_COERCED, None)
    return variables


def _usual(number: int) -> None:
    try:
        signal.signal(number, signal.SIG_DFL)
    except ValueError:
        # only the main thread may use the signal module; the system's call works in each
        import ctypes

        libc = ctypes.CDLL(None)
        libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
        libc.signal(number, None)


def write_line(text: str) -> None:
    """One line on standard error, if it can be written at once: a reader that does not read must not delay a start."""
    data = " ".join(text.split()).encode("utf-8", "backslashreplace")[: select.PIPE_BUF - 1] + b"\n"
    with suppress(OSError):
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        if any(event & select.POLLOUT for _, event in poll.poll(0)):
            os.write(2, data)
