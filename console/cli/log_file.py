"""The log file: a regular file, opened again when it was renamed, and never the end of the program that writes it."""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path

from storage_sync.files.writing import behind_links, own_file

_MODE = 0o640
"""For its owner, and a group that collects logs."""


class LogFile(WatchedFileHandler):
    """Each line goes to the file that has the name now. NotUsable and OSError when it cannot be opened at first."""

    def __init__(self, path: Path) -> None:
        self._complained = False
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> TextIOWrapper:
        path = behind_links(Path(self.baseFilename))
        descriptor = own_file(path, mode=_MODE, flags=os.O_WRONLY | os.O_APPEND)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError as error:
            self._lost(record, error)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own name)
        self._lost(record, sys.exception() or OSError("it cannot be written"))

    def _lost(self, record: logging.LogRecord, error: BaseException) -> None:
        """Standard error has the line; that the file has none is said once, until it has one again."""
        words = getattr(error, "strerror", None) or str(error)
        told = "" if self._complained else f"the log file {self.baseFilename} cannot be written: {words}\n"
        self._complained = True
        try:
            sys.stderr.write(f"{told}{self.format(record)}\n")
        except (OSError, ValueError):
            return
