"""What a person sees, as a file: JSON lines in a new file of their own."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storage_sync.cache.cancelled import Cancelled
from storage_sync.files.writing import new_file
from storage_sync.reports.row_lines import Tell, put_lines
from storage_sync.values.answers import Exported
from storage_sync.values.errors import LocalIO, UsageError

if TYPE_CHECKING:
    from storage_sync.service.commands import ExportRows
    from storage_sync.service.question import Asked


async def export_rows(question: ExportRows, asked: Asked) -> Exported:
    """The file is new and its owner's alone. LocalIO when it cannot be written.

    Nothing is left of it then, nor when the question is given up. Other questions do not wait for it.
    """
    rows = question.rows
    if not rows:
        raise UsageError("there is nothing to export", hint="esc clears the filter")
    name = re.sub(r"[^a-z0-9-]+", "-", question.name.lower()).strip("-")
    folder = Path(question.folder or Path.cwd())
    cancelled = threading.Event()
    try:
        return await asyncio.to_thread(_write, folder, name, rows, asked.tell, cancelled)
    finally:
        cancelled.set()


def _write(folder: Path, name: str, rows: Sequence[Mapping[str, object]], tell: Tell, cancelled: Cancelled) -> Exported:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    lines = (json.dumps(row, ensure_ascii=True).encode("ascii") + b"\n" for row in rows)
    for number in range(1, 100):
        path = folder / f"storage-sync-{name}-{stamp}{'' if number == 1 else f'-{number}'}.jsonl"
        try:
            with new_file(path) as out:
                size = put_lines(out, lines, len(rows), tell, cancelled)
        except FileExistsError:
            continue
        except OSError as error:
            raise _failed(path, error) from None
        return Exported(str(path), len(rows), size)
    raise LocalIO(f"{folder} already has 99 exports of this second", hint="try again")


def _failed(path: Path, error: OSError) -> LocalIO:
    return LocalIO(f"{path} cannot be written: {error.strerror}", hint="start the console in a folder of your own")
