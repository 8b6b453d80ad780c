"""The command line of docs/cli.md. Importing this costs nothing; `main` imports what the command needs."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    # What is imported now stays for good: looking for garbage among it would cost a sixth of a start.
    gc.disable()
    _stand_in_for_closed_streams()
    from console.cli.entry import run

    code = run(arguments)
    _drop_what_nobody_reads()
    # The interpreter collects several times while it ends; there is nothing that could be worth it.
    gc.freeze()
    return code


def _stand_in_for_closed_streams() -> None:
    """Give nothing to read and nowhere to write where a caller closed 0, 1 or 2: the next file that is opened would
    get the number, and a message of a library would be written into the cache."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (for good)


def _drop_what_nobody_reads() -> None:
    """A reader that went away is no error. What a library left for it would make Python end with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1 if stream is sys.stdout else 2)
            os.close(nothing)
