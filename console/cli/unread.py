"""Streams that nobody may read: what a full pipe or a stopped terminal does not take is lost, and no service waits."""

from __future__ import annotations

import logging
import os
import select
from typing import TextIO

AT_ONCE = select.PIPE_BUF
"""Octets that a pipe which is ready takes without waiting for its reader."""
SHORTLY_MS = 100
"""For so long a reader may be busy before a line is lost; while one was lost, nobody waits."""


def offer(stream: TextIO, data: bytes, wait_ms: int = 0) -> int:
    """Write what is taken within `wait_ms`; gives how many octets were not. OSError."""
    stream.flush()
    try:
        descriptor = stream.fileno()
    except ValueError:
        # nothing of the system's
        stream.write(data.decode("utf-8"))
        return 0
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    while data and ready.poll(wait_ms):
        data = data[os.write(descriptor, data[:AT_ONCE]) :]
    return len(data)


class LossyLog(logging.StreamHandler[TextIO]):
    """Log lines for whoever reads them; that some were lost is said as soon as a line is taken again."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lost = 0
        self._cut = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = "\n" if self._cut else ""
            lines += self._line(self._told(record)) if self._lost else ""
            data = (lines + self._line(record)).encode("utf-8", "backslashreplace")
            left = offer(self.stream, data, 0 if self._lost else SHORTLY_MS)
        except Exception:  # noqa: BLE001 (logging's own contract: no line ends the program)
            self.handleError(record)
            return
        self._lost = self._lost + 1 if left else 0
        self._cut = 0 < left < len(data) or (self._cut and left > 0)

    def _line(self, record: logging.LogRecord) -> str:
        return self.format(record) + self.terminator

    def _told(self, record: logging.LogRecord) -> logging.LogRecord:
        lines = "1 line was" if self._lost == 1 else f"{self._lost:,} lines were"
        text = f"{lines} not written: nobody read the log; see that its reader runs"
        return logging.LogRecord("storage_sync.log", logging.WARNING, record.pathname, record.lineno, text, None, None)
