"""Commands of the tool without the start of an interpreter for each: a process that has all imported forks them.

A command is a process of its own all the same, with its own variables, folder, output and exit code; only what it costs
to start is saved. Run as `python -m tests.support.forker`.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import pkgutil
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("console.cli", "storage_sync")
"""What a command may import late."""
PROGRAM = ROOT / "console" / "__main__.py"
READ_LATE = ("STORAGE_SYNC_", "TURSO_", "REDB_", "XDG_", "HOME", "NO_COLOR", "PYTEST_")
"""Variables that nothing reads before a command runs; any other one may change how an interpreter starts."""
MOST = 1 << 16
"""Bytes of a request."""


Ended = tuple[int, str, str]
"""Exit code, standard output and standard error of a command."""


class Forker:
    """A process that has been started with `variables`, and forks commands one after the other.

    `own_children`: what a command starts itself starts as an operator's does.
    """

    def __init__(self, variables: Mapping[str, str], *, own_children: bool = False) -> None:
        self._path, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forker", str(theirs.fileno()), "own" * own_children],
            pass_fds=[theirs.fileno()],
            env=variables,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._path.close()
        self._process.wait()

    def run(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        timeout: float,
        *,
        descriptors: int | None = None,
    ) -> Ended:
        """`descriptors`: the command may open none with a number from here on."""
        request = {"arguments": [*arguments], "variables": {**variables}, "folder": os.getcwd()}  # noqa: PTH109
        out, err = os.memfd_create("out"), os.memfd_create("err")
        with os.fdopen(out, "r+b") as output, os.fdopen(err, "r+b") as errors:
            self._path.settimeout(timeout)
            message = json.dumps({**request, "descriptors": descriptors}).encode()
            socket.send_fds(self._path, [message], [out, err])
            pid = int(self._path.recv(64))
            try:
                status = int(self._path.recv(64))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                self._path.recv(64)
                raise subprocess.TimeoutExpired([*arguments], timeout) from None
            output.seek(0)
            errors.seek(0)
            return os.waitstatus_to_exitcode(status), output.read().decode(), errors.read().decode()


def _read_early(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if not name.startswith(READ_LATE)}


_USUAL = {**_read_early(os.environ), "PYTHONPATH": str(ROOT)}
"""The variables that an interpreter of the tests starts with."""
_idle: list[Forker] = []
"""Of this process; commands that run at the same time have one each."""


def run(arguments: Sequence[str], variables: Mapping[str, str], timeout: float) -> Ended | None:
    """The command in a forked process; None when only a start of its own can show how it starts."""
    asked = sum(map(len, (*arguments, *variables, *variables.values())))
    if _read_early(variables) != _USUAL or asked > MOST // 2:
        return None
    try:
        forker = _idle.pop()
    except IndexError:
        forker = Forker(_USUAL)
        atexit.register(forker.close)
    ended = forker.run(arguments, variables, timeout)
    # one that was interrupted is not taken again: it still has an answer that nobody took
    _idle.append(forker)
    return ended


# In the process that forks


def serve(path: socket.socket) -> None:
    """Fork a command for each request, one after the other, until the other end is closed."""
    for package in PACKAGES:
        for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            import_module(found.name)
    gc.freeze()
    while True:
        try:
            request, outputs, _, _ = socket.recv_fds(path, MOST, 2)
        except KeyboardInterrupt:
            return
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            path.close()
            _become(json.loads(request), outputs)
        for output in outputs:
            os.close(output)
        path.sendall(str(pid).encode())
        path.sendall(str(os.waitpid(pid, 0)[1]).encode())


def _become(request: Mapping[str, Any], outputs: Sequence[int]) -> NoReturn:
    from console.cli import main

    for number, output in enumerate(outputs, start=1):
        os.dup2(output, number)
        os.close(output)
    os.environ.clear()
    os.environ.update(request["variables"])
    os.chdir(request["folder"])
    sys.argv[:] = [str(PROGRAM), *request["arguments"]]
    if "RECORDER_LOG" in os.environ:
        ctypes.CDLL(None).recorder_restart()
    if request["descriptors"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (request["descriptors"], request["descriptors"]))
    status = main()
    # the end of an interpreter that has all imported would cost more than most commands
    os._exit(status)


if __name__ == "__main__":
    from tests.support.children import quick_children

    with nullcontext() if sys.argv[2] == "own" else quick_children():
        serve(socket.socket(fileno=int(sys.argv[1])))
