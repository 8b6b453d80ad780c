"""The file of a new recording, for `record` and `tui --record`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.invocation import Invocation
from storage_sync.values.errors import UsageError

if TYPE_CHECKING:
    from storage_sync.reports.recording import Recorder


def recorder(invocation: Invocation, file: str) -> Recorder:
    """A new recording that never holds the token of this line."""
    from storage_sync.reports.recording import Recorder

    loaded = invocation.loaded()
    if loaded.settings.primary is None or loaded.settings.cache is None:
        raise UsageError("there is nothing to record yet", hint="set a primary and a cache: storage-sync config init")
    invocation.token()
    return Recorder(Path(file), secrets=invocation.secrets, warn=_warn)


def _warn(text: str) -> None:
    import logging

    logging.getLogger("storage_sync.reports.recording").warning(text)
