"""What nobody foresaw in one piece of work: it ends that work, leaves a report, and the service lives on."""

from __future__ import annotations

import os
import traceback
from collections.abc import Collection
from pathlib import Path

from storage_sync.config.token import TOKEN_VARIABLES
from storage_sync.files.report import write_report
from storage_sync.values.errors import InternalError

REPORTS = 20
"""Different faults of one process that leave a report; one that comes again has left its own."""


class Unforeseen:
    """Belongs to the core's loop."""

    def __init__(self) -> None:
        self._told: dict[str, Path | None] = {}

    def explained(self, work: str, error: Exception, secrets: Collection[str] = ()) -> InternalError:
        """The error to tell. `work`: what was going on, such as `sync`; the report holds none of the `secrets`."""
        place = traceback.extract_tb(error.__traceback__)[-1:]
        kind = f"{type(error).__name__} at {[(frame.filename, frame.lineno) for frame in place]}"
        if kind not in self._told and len(self._told) < REPORTS:
            in_environment = (os.environ.get(name, "") for name in TOKEN_VARIABLES)
            hidden = {*secrets, *(value for value in in_environment if value)}
            self._told[kind] = write_report(error, (f"during: {work}",), hidden)
        report = self._told.get(kind)
        where = f"; the report is {report}" if report is not None else ""
        return InternalError(
            f"{work} ended with an internal error ({type(error).__name__}){where}",
            hint="this is a bug; please report it; the service goes on and tries again",
        )
