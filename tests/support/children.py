"""Children of the tool without the start of an interpreter for each: one that has all imported forks them.

A child is a process of its own all the same, with the same pipes, limits and end. Only what it costs to start is saved,
so that thousands of damaged files can go through the real probe and the real rescue. Run as
`python -m tests.support.children`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

import pytest

from storage_sync.cache.children import child_command

MODULES = ("storage_sync.cache.probe_child", "storage_sync.recovery.rescue")
"""Run by the tool as children with arguments; each has `main(arguments, out)`."""
BINARY = frozenset({"storage_sync.recovery.rescue"})
_PREFIX = child_command("")[:-1]
_Popen = subprocess.Popen


class Forked:
    """What the tool uses of `subprocess.Popen`, of a child that was forked."""

    def __init__(self, pid: int, out: int, end: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout: IO[bytes] = os.fdopen(out, "rb")
        self._end = end
        self._output = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stdout.close()
        self.wait()
        self._end.close()

    def communicate(self, timeout: float) -> tuple[bytes, None]:
        """All output; what came is kept when `subprocess.TimeoutExpired` is raised."""
        import select

        while True:
            if not select.select([self.stdout], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(list(MODULES), timeout, bytes(self._output))
            piece = os.read(self.stdout.fileno(), 1 << 16)
            if not piece:
                self.wait()
                return bytes(self._output), None
            self._output += piece

    def kill(self) -> None:
        """Until it is waited for the number is its own: the one that forked it reaps it then."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self.returncode is None:
            self._end.sendall(b"w")
            self.returncode = os.waitstatus_to_exitcode(int(self._end.recv(64)))
        return self.returncode


class Starter:
    """Starts children on behalf of the tool."""

    def __init__(self, path: socket.socket) -> None:
        self._path = path

    def __call__(self, command: Sequence[str], **options: Any) -> Any:
        start, called = command[: len(_PREFIX)], command[len(_PREFIX) :]
        if list(start) != _PREFIX or called[0] not in MODULES:
            return _Popen(command, **options)
        stdin: int = options["stdin"]
        out, theirs = os.pipe()
        end, far = socket.socketpair()
        try:
            request = json.dumps([*called]).encode()
            socket.send_fds(self._path, [request], [stdin, theirs, far.fileno()])
        finally:
            os.close(theirs)
            far.close()
        return Forked(int(end.recv(64)), out, end)


@contextmanager
def quick_children() -> Iterator[None]:
    """For the body, the tool's children are forked from one process that has them imported."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    root = str(Path(__file__).resolve().parents[2])
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-m", "tests.support.children", str(theirs.fileno())]
    with (
        pytest.MonkeyPatch.context() as patch,
        ours,
        _Popen(command, pass_fds=[theirs.fileno()], env=environment) as forker,
    ):
        theirs.close()
        patch.setattr(subprocess, "Popen", Starter(ours))
        try:
            yield
        finally:
            ours.close()
            forker.wait()


@contextmanager
def own_children() -> Iterator[None]:
    """For the body, children start as an operator's tool starts them, also inside `quick_children`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", _Popen)
        yield


# In the process that forks


def serve(path: socket.socket) -> None:
    """Fork a child for each request, one after the other, until the other end is closed."""
    modules = {name: import_module(name) for name in MODULES}
    while True:
        request, descriptors, _, _ = socket.recv_fds(path, 1 << 16, 3)
        if not request:
            return
        name, *arguments = json.loads(request)
        stdin, out, end = descriptors
        pid = os.fork()
        if pid == 0:
            path.close()
            os.close(end)
            _become(modules[name].main, name, arguments, stdin, out)
        os.close(stdin)
        os.close(out)
        with socket.socket(fileno=end) as asked:
            asked.sendall(str(pid).encode())
            # Until it is asked for, the child is not reaped: its number stays its own while somebody may kill it.
            asked.recv(1)
            asked.sendall(str(os.waitpid(pid, 0)[1]).encode())


def _become(main: Any, name: str, arguments: list[str], stdin: int, out: int) -> NoReturn:
    os.dup2(stdin, 0)
    os.dup2(out, 1)
    os.close(stdin)
    os.close(out)
    main(arguments, sys.stdout.buffer if name in BINARY else sys.stdout)
    os._exit(0)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
