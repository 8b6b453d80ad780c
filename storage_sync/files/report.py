"""The report of an unforeseen error: what a maintainer needs, without row bodies and secrets."""

from __future__ import annotations

import os
import platform
import tempfile
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path

from storage_sync import __version__
from storage_sync.files.writing import growing_file
from storage_sync.values.secrets import redacted

_LARGEST = 1 << 20
"""Characters; an error may quote what was too large for everything else."""


def write_report(
    error: BaseException, said: Sequence[str] = (), secrets: Collection[str] = (), folder: Path | None = None
) -> Path | None:
    """A new file in `folder`, by default the one for temporary files, for this user alone; None where it fails.

    `said`: lines about what went on. It raises nothing: it is the last thing that is done about an error.
    """
    try:
        text = redacted("\n".join([*_head(), *said, "", _traceback(error)]), secrets)[:_LARGEST]
        place = folder if folder is not None else Path(tempfile.gettempdir())
        path = place / f"storage-sync-report-{os.urandom(8).hex()}.txt"
        with growing_file(path) as out:
            # names of files and words of others may hold what is no text
            out.write(text.encode("utf-8", "backslashreplace") + b"\n")
    except Exception:  # noqa: BLE001 - whatever it is, the error that is reported is the one to tell
        return None
    return path


def _head() -> list[str]:
    return [f"storage-sync {__version__}, Python {platform.python_version()}, {platform.platform()}"]


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as unspeakable:  # noqa: BLE001 - an error whose own words fail
        frames = "".join(traceback.format_tb(error.__traceback__))
        return f"{frames}{type(error).__name__}, whose message cannot be read ({type(unspeakable).__name__})"
