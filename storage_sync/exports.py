"""What a person sees, as a file: JSON lines in a new file of their own."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from storage_sync.answers import Exported
from storage_sync.errors import LocalIO, UsageError

if TYPE_CHECKING:
    from storage_sync.questions import Asked


async def export_rows(asked: Asked) -> Exported:
    """`name`: what they are; `rows`: plain JSON values, one a line; `folder`: where, by default the working directory.

    The file is new and its owner's alone. LocalIO when it cannot be written; nothing is left of it then.
    """
    rows = asked.arguments.get("rows")
    if not isinstance(rows, list | tuple) or not rows:
        raise UsageError("there is nothing to export", hint="esc clears the filter")
    name = re.sub(r"[^a-z0-9-]+", "-", str(asked.arguments.get("name", "rows")).lower()).strip("-")
    folder = Path(str(asked.arguments.get("folder") or Path.cwd()))
    return await asked.aside(_write, folder, name, cast("Sequence[Mapping[str, object]]", rows))


def _write(folder: Path, name: str, rows: Sequence[Mapping[str, object]]) -> Exported:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    data = b"".join(json.dumps(row, ensure_ascii=True).encode("ascii") + b"\n" for row in rows)
    for number in range(1, 100):
        path = folder / f"storage-sync-{name}-{stamp}{'' if number == 1 else f'-{number}'}.jsonl"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise _failed(path, error) from None
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise _failed(path, error) from None
        return Exported(str(path), len(rows), len(data))
    raise LocalIO(f"{folder} is full of exports of this second", hint="try again")


def _failed(path: Path, error: OSError) -> LocalIO:
    return LocalIO(f"{path} cannot be written: {error.strerror}", hint="start the console in a folder of your own")
