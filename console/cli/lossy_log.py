"""The log on a stream that nobody may read."""

from __future__ import annotations

import logging
from typing import TextIO

from console.cli.unread import SHORTLY_MS, offer


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
        text = f"{lines} not written: nobody read the log; check that its reader is running"
        return logging.LogRecord("storage_sync.log", logging.WARNING, record.pathname, record.lineno, text, None, None)
