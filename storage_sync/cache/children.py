"""Our own modules as child processes: nothing of the current folder or of PYTHONPATH gets into one."""

from __future__ import annotations

import sys
from pathlib import Path

SAFE_FOLDER = "/"
"""Where children run; what they are given is named by its whole path."""

_START = """
import runpy, sys
root, module = sys.argv[1:3]
del sys.argv[1:3]
if root not in sys.path:
    packages = (number for number, path in enumerate(sys.path) if path.endswith("-packages"))
    sys.path.insert(next(packages, len(sys.path)), root)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""The standard library goes before this package, and this package before another copy of it that is installed."""


def child_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `module` of this very package, isolated from environment and current folder."""
    root = str(Path(__file__).resolve().parents[2])
    return [sys.executable, "-I", "-B", "-c", _START, root, module, *arguments]
