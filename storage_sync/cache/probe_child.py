"""What the probe's child does: open a private copy of a suspect file, walk all its tables, and say each step.

It imports little, since it starts for each file that is probed.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading

from storage_sync import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, NoReturn

CHECKING = "redb's own check"
"""The last step."""
_EXTRA_MEMORY = 2 << 30


def main(arguments: list[str], out: IO[str]) -> NoReturn:
    """Child's side: a line a step, then one with the result."""
    path, mode = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; it is asked by the same key press
    threading.Thread(target=watch_parent, daemon=True).start()
    limit_memory(path)

    def say(**fields: object) -> None:
        print(json.dumps(fields), file=out, flush=True)

    _examine(path, mode == "integrity", say)
    say(done=True)
    os._exit(0)  # closing a damaged copy may panic, and nobody needs it


def watch_parent() -> None:
    """The pipe on standard input never carries anything: its end is our parent's end."""
    while os.read(0, 1):
        pass
    os._exit(1)


def limit_memory(path: str) -> None:
    """No core files, and an end to memory: a damaged length must not drag the machine down."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _EXTRA_MEMORY + 4 * os.stat(path).st_size  # noqa: PTH116 (pathlib would be an import more)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _examine(path: str, check_integrity: bool, say: Callable[..., None]) -> None:
    try:
        say(step="opening it")
        file = _native.CacheFile.open(path, "untouched")
        say(repaired=file.repaired)
        say(step="listing its tables")
        tables = file.tables()
        say(tables=[(table.name, table.key_type, table.value_type, table.rows) for table in tables])
        for table in tables:
            say(step=f"reading table {table.name}")
            if table.error is not None:
                say(damage=f"table {table.name} cannot be read: {table.error}" if table.name else table.error)
                return
            file.walk(table.name)
        if check_integrity:
            say(step=CHECKING)
            say(**_check(file))
    except _native.StorageIo as error:
        # The system's own numbers speak of this machine; redb's words without one speak of the file.
        say(**{"damage" if error.errno is None else "local": str(error)})
    except _native.NativeError as error:
        say(damage=f"redb cannot read it: {error}")
    except MemoryError:
        say(damage="a length in it asks for more memory than the file could ever fill")


def _check(file: _native.CacheFile) -> dict[str, object]:
    try:
        if file.check_integrity():
            return {"integrity": True}
        return {"integrity": False, "integrity_detail": "it was not clean; redb repaired it"}
    except _native.NativeError as error:
        return {"integrity": False, "integrity_detail": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout)
