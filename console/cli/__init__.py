"""The command line of `cli.md`. Importing this costs nothing; `main` imports what the command needs."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    from console.cli.entry import run

    return run(arguments)
