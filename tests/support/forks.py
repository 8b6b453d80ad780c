"""Commands of the tool under the recorder without the start of an interpreter for each: one process forks them.

What is run is the command line with its own exit code, document and files; only what it costs to start is saved, so
that a command can be failed at every call that it makes. Run as `python -m tests.support.forks`.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

from tests.support import recorder
from tests.support.command import TIMEOUT, Result, Tool
from tests.support.recorder import Fault, Recording


class Forks:
    """Runs commands one after the other, in the environment of the first tool that it was made for."""

    def __init__(self, path: socket.socket) -> None:
        self._path = path

    def record(self, tool: Tool, *words: str, fault: Fault | None = None, descriptors: int | None = None) -> Recording:
        """As `recorder.record`. `descriptors`: the command may open none with a number from here on."""
        with tempfile.TemporaryDirectory(prefix="recorder-") as name:
            folder = Path(name)
            log, out, err = folder / "log", folder / "out", folder / "err"
            request = {
                "arguments": [*words, *tool.arguments],
                "environment": recorder.variables(tool.folder, log, fault),
                "out": str(out),
                "err": str(err),
                "descriptors": descriptors,
            }
            self._path.sendall(json.dumps(request).encode())
            status = os.waitstatus_to_exitcode(int(self._path.recv(64)))
            result = Result(status, out.read_text(), err.read_text())
            return Recording(result, tuple(recorder.operations(log, tool.folder)))


@contextmanager
def forks(tool: Tool, *, own_children: bool = False) -> Iterator[Forks]:
    """For the body, commands of tools like this one are forked from a process that has them imported.

    `own_children`: what a command starts itself starts as an operator's does, so that the recorder sees it too.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(TIMEOUT)
    command = [sys.executable, "-m", "tests.support.forks", str(theirs.fileno()), "own" * own_children]
    environment = {**tool.variables, "LD_PRELOAD": str(recorder.library())}
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment) as forker:
        theirs.close()
        try:
            yield Forks(ours)
        finally:
            ours.close()
            forker.wait()


# In the process that forks


def serve(path: socket.socket, *, own_children: bool) -> None:
    """Fork a command for each request, one after the other, until the other end is closed."""
    from console.cli import commands, entry
    from storage_sync import _native
    from storage_sync.recovery import rebuild, repair
    from storage_sync.service import journal, operations
    from storage_sync.sync import run
    from tests.support.children import quick_children

    imported = (commands, _native, journal, operations, rebuild, repair, run)
    assert all(imported)
    with nullcontext() if own_children else quick_children():
        while request := path.recv(1 << 16):
            pid = os.fork()
            if pid == 0:
                path.close()
                _become(entry.run, json.loads(request))
            path.sendall(str(os.waitpid(pid, 0)[1]).encode())


def _become(run: Any, request: Mapping[str, Any]) -> NoReturn:
    for number, name in ((1, "out"), (2, "err")):
        descriptor = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.update(request["environment"])
    ctypes.CDLL(None).recorder_restart()
    if request["descriptors"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (request["descriptors"], request["descriptors"]))
    status = run(request["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), own_children=sys.argv[2] == "own")
