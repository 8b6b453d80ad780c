"""The command line of `cli.md`. Importing this costs nothing; `main` imports what the command needs."""

from __future__ import annotations

import gc
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    # What is imported now stays for good: looking for garbage among it would cost a sixth of a start.
    gc.disable()
    from console.cli.entry import run

    code = run(arguments)
    # The interpreter collects several times while it ends; there is nothing that could be worth it.
    gc.freeze()
    return code
