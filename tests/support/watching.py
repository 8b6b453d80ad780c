"""`watch` as a process, with its log lines as they come."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from tests.support.command import Tool

LIMIT_S = 120.0

Line = dict[str, Any]


class Watch:
    """A running `watch`; its log lines as they come."""

    def __init__(self, process: subprocess.Popen[str], log: Path | None = None) -> None:
        """`log`: the file that it writes to instead of standard error; it may be renamed meanwhile."""
        self.process = process
        assert process.stderr is not None
        self._source: Iterable[str] = process.stderr if log is None else followed(log, process)
        self.lines: list[Line] = []
        self.raw: list[str] = []
        self._news: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._source:
            self._news.put(line)
        self._news.put(None)

    def until(self, wanted: Callable[[Line], bool], *, after: int = 0, limit_s: float = LIMIT_S) -> Line:
        """The first line from number `after` on that fits."""
        deadline = time.monotonic() + limit_s
        number = after
        while True:
            for line in self.lines[number:]:
                number += 1
                if wanted(line):
                    return line
            self._take(deadline - time.monotonic())

    def _take(self, seconds: float) -> None:
        try:
            text = self._news.get(timeout=max(seconds, 0.001))
        except queue.Empty:
            raise AssertionError("it was not said:\n" + "".join(self.raw)) from None
        assert text is not None, "watch ended:\n" + "".join(self.raw)
        self.raw.append(text)
        self.lines.append(json.loads(text))

    def rest(self) -> None:
        while (text := self._news.get(timeout=LIMIT_S)) is not None:
            self.raw.append(text)
            self.lines.append(json.loads(text))

    def runs(self) -> list[Line]:
        return [line for line in self.lines if line["area"] == "sync" and "exit 0" in line["message"]]

    def stop(self, number: signal.Signals) -> tuple[int, float]:
        """Exit code, and seconds until it was there."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(LIMIT_S)
        took = time.monotonic() - started
        self.rest()
        return code, took


def followed(log: Path, process: subprocess.Popen[str]) -> Iterator[str]:
    """The lines of a log file and of those that follow it under its name, until the process has ended."""
    while not log.exists() and process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    file, partial = log.open(), ""
    while True:
        # the order matters: nothing is written to a file after the process has ended, or another has its name
        last = process.poll() is not None
        follower = log.open() if log.exists() and os.fstat(file.fileno()).st_ino != log.stat().st_ino else None
        for text in file:
            partial += text
            if partial.endswith("\n"):
                yield partial
                partial = ""
        if follower is not None:
            file.close()
            file = follower
        elif last:
            file.close()
            return
        else:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)


@contextmanager
def watching(tool: Tool, *words: str, log: Path | None = None, namespace: bool = False) -> Iterator[Watch]:
    """`namespace`: in a user namespace of its own, so that the kernel's limits can be lowered for it alone."""
    to = ("--log-file", str(log)) if log is not None else ()
    line = tool.line("watch", "--log-format", "json", *to, *words)
    apart = ["unshare", "--user", "--map-root-user"] if namespace else []
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen([*apart, *line], env=tool.variables, text=True, **pipes) as process:  # type: ignore[call-overload]
        watch = Watch(process, log)
        try:
            yield watch
        finally:
            if process.poll() is None:
                process.kill()


def well(line: Line) -> bool:
    return line["area"] == "watch" and (line["message"] == "in sync" or "recovered" in line["message"])


def wrote(word: Literal["added", "changed", "removed"]) -> Callable[[Line], bool]:
    """The line of a run that added, changed or removed rows."""
    counted = re.compile(rf"\d (rows? )?{word}\b")
    return lambda line: line["area"] == "sync" and counted.search(line["message"]) is not None


def said(text: str) -> Callable[[Line], bool]:
    return lambda line: text in line["message"]


def resident_and_descriptors(pid: int) -> tuple[int, int]:
    """Bytes in memory, and open files, of a process."""
    proc = Path("/proc") / str(pid)
    pages = int((proc / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE"), len(list((proc / "fd").iterdir()))
