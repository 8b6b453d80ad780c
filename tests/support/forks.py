"""Commands of the tool under the recorder without the start of an interpreter for each: one process forks them.

What is run is the command line with its own exit code, document and files, so that a command can be failed at every
call that it makes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import recorder
from tests.support.command import TIMEOUT, Result, Tool
from tests.support.forker import Forker
from tests.support.recorder import Fault, Recording


class Forks:
    """Runs commands one after the other."""

    def __init__(self, forker: Forker) -> None:
        self._forker = forker

    def record(self, tool: Tool, *words: str, fault: Fault | None = None, descriptors: int | None = None) -> Recording:
        """As `recorder.record`. `descriptors`: the command may open none with a number from here on."""
        with tempfile.TemporaryDirectory(prefix="recorder-") as name:
            log = Path(name) / "log"
            variables = {**tool.variables, **recorder.variables(tool.folder, log, fault)}
            arguments = [*words, *tool.arguments]
            ended = self._forker.run(arguments, variables, TIMEOUT, descriptors=descriptors)
            return Recording(Result(*ended), tuple(recorder.operations(log, tool.folder)))


@contextmanager
def forks(tool: Tool, *, own_children: bool = False) -> Iterator[Forks]:
    """For the body, commands of tools like this one are forked from a process that has them imported.

    `own_children`: what a command starts itself starts as an operator's does, so that the recorder sees it too.
    """
    variables = {**tool.variables, "LD_PRELOAD": str(recorder.library())}
    with Forker(variables, own_children=own_children) as forker:
        yield Forks(forker)
