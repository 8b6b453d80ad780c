"""The command line as a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from tests.support import forker, size

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT = 120.0


class Result(Struct, frozen=True):
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document of stdout."""
        value = json.loads(self.stdout)
        assert isinstance(value, dict)
        return value


class Tool(Struct, frozen=True):
    """`storage-sync` with one primary, one cache and a state directory of its own."""

    folder: Path
    primary: str
    cache: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def at(folder: Path, primary: str, cache: Path | None = None, **environment: str) -> Tool:
        folder.mkdir(parents=True, exist_ok=True)
        return Tool(folder, primary, cache or folder / "cache.redb", environment)

    @property
    def arguments(self) -> list[str]:
        state = str(self.folder / "state")
        return ["--primary", self.primary, "--cache", str(self.cache), "--state-dir", state]

    @property
    def variables(self) -> dict[str, str]:
        """A clean environment: nothing of the caller's configuration reaches the tool."""
        prefixes = ("STORAGE_SYNC_", "TURSO_", "REDB_", "XDG_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
        return {**kept, "HOME": str(self.folder), "NO_COLOR": "1", "PYTHONPATH": str(REPOSITORY), **self.environment}

    def line(self, *words: str) -> list[str]:
        """The whole command line, for a terminal."""
        return [sys.executable, "-m", "console", *words, *self.arguments]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """The running process; the caller waits for it."""
        return self.start_bare(*words, *self.arguments, **options)

    def start_bare(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """The same without naming primary, cache and state directory."""
        command = [sys.executable, "-m", "console", *words]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=self.variables, **{**pipes, **options})

    def run(self, *words: str, timeout: float = TIMEOUT, **options: Any) -> Result:
        """To its end. At full size, or with `options`, it is started as a script or an operator does it."""
        if not options and not size.FULL:
            ended = forker.run([*words, *self.arguments], self.variables, timeout)
            if ended is not None:
                return Result(*ended)
        with self.start(*words, **options) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Result(process.returncode, out or "", err or "")

    def json(self, *words: str, **options: Any) -> Result:
        """The same with `--json`; the document must say the exit code that the process had."""
        result = self.run(*words, "--json", **options)
        assert result.stdout, f"exit {result.exit_code}, no document\n{result.stderr}"
        assert result.document["exit_code"] == result.exit_code
        return result

    def sync(self, *words: str) -> dict[str, Any]:
        """A sync that must end in a proof."""
        result = self.json("sync", *words)
        assert result.document["verdict"] == "IN_SYNC", result.stdout + result.stderr
        assert result.exit_code in (0, 7)
        return result.document


def fingerprint(path: Path) -> str | None:
    """Digest of a file's bytes, of a folder's names, or None when nothing is there."""
    if path.is_dir():
        return "folder " + ",".join(sorted(child.name for child in path.iterdir()))
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def applied(document: Mapping[str, Any], field: str = "applied") -> dict[str, dict[str, int]]:
    """What a run changed, or with `plan` what it would change, without the zeros."""
    changes = {
        table: {kind: count for kind, count in change.items() if count} for table, change in document[field].items()
    }
    return {table: change for table, change in changes.items() if change}
