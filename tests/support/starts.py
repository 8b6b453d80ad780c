"""COMMAND through `storage-sync exec`, the way an MCP client, systemd or a shell starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tests.support.command import TIMEOUT, Result, Tool


class Starts(Struct, frozen=True):
    """Starts of one tool's cache. `variables`: instead of options, what the environment of the starter says."""

    tool: Tool
    variables: Mapping[str, str] | None = None

    def line(self, *command: str, options: Sequence[str] = ()) -> list[str]:
        arguments = self.tool.arguments if self.variables is None else ()
        return [sys.executable, "-m", "console", "exec", *options, *arguments, "--", *command]

    def begin(self, *command: str, options: Sequence[str] = (), **named: Any) -> subprocess.Popen[str]:
        """The running process; its input is a pipe."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {**self.tool.variables, **(self.variables or {})}
        return subprocess.Popen(self.line(*command, options=options), **{"env": environment, **pipes, **named})

    def run(self, *command: str, options: Sequence[str] = (), given: str = "", **named: Any) -> Result:
        with self.begin(*command, options=options, **named) as child:
            out, err = child.communicate(given, timeout=TIMEOUT)
        return Result(child.returncode, out or "", err or "")

    def remembered(self) -> list[dict[str, Any]]:
        """The starts in the history, newest first."""
        if self.variables is None:
            runs = self.tool.json("history").document["runs"]
        else:
            there = replace(self.tool, environment={**self.tool.environment, **self.variables})
            with there.start_bare("history", "--json") as process:
                runs = json.loads(process.communicate(timeout=TIMEOUT)[0])["runs"]
        return [run for run in runs if run["kind"] == "exec"]
