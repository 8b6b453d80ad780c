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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tests.support.command import Tool

LIMIT_S = 30.0

Line = dict[str, Any]


class Watch:
    """A running `watch`; its log lines as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[Line] = []
        self.raw: list[str] = []
        self._news: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._news.put(line)
        self._news.put(None)

    def until(self, wanted: Callable[[Line], bool], *, after: int = 0) -> Line:
        """The first line from number `after` on that fits."""
        deadline = time.monotonic() + LIMIT_S
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


@contextmanager
def watching(tool: Tool, *words: str) -> Iterator[Watch]:
    with tool.start("watch", "--log-format", "json", *words, stdout=subprocess.DEVNULL) as process:
        watch = Watch(process)
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
