"""The command line in this process, with a core that a test dictates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from console.cli import main
from storage_sync.config.request import Request
from storage_sync.reports import status
from storage_sync.service import performing
from storage_sync.service.operations import Operation
from storage_sync.values.outcome import Outcome, Word


@dataclass
class Cli:
    """Runs command lines; `request` is what the core was last asked for."""

    capture: pytest.CaptureFixture[str]
    folder: Path
    requests: list[Request] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def run(self, *words: str) -> tuple[int, str, str]:
        code = main(list(words))
        captured = self.capture.readouterr()
        return code, captured.out, captured.err

    def json(self, *words: str) -> tuple[int, dict[str, Any]]:
        code, out, _ = self.run(*words, "--json")
        document = json.loads(out)
        assert document["exit_code"] == code
        assert out.count("\n") == 1
        return code, document

    @property
    def stores(self) -> list[str]:
        """Options that name a primary and a cache."""
        return [
            "--primary",
            "file:p.db",
            "--cache",
            str(self.folder / "c.redb"),
            "--state-dir",
            str(self.folder / "state"),
        ]


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: None
) -> Iterator[Cli]:
    import gc

    yield Cli(capsys, tmp_path)
    gc.enable()
    gc.unfreeze()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("STORAGE_SYNC_", "TURSO_", "REDB_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def core(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[[Outcome | Exception], None]:
    """Let every operation of the core end in this outcome, or raise this."""

    def dictate(ending: Outcome | Exception) -> None:
        async def once(operation: Operation, request: Request, progress: object, cancel: object) -> Outcome:
            cli.requests.append(request)
            cli.operations.append(operation)
            if isinstance(ending, Exception):
                raise ending
            return ending

        monkeypatch.setattr(performing, "once", once)

        def quick(request: Request) -> Outcome:
            cli.requests.append(request)
            if isinstance(ending, Exception):
                raise ending
            return ending

        monkeypatch.setattr(status, "status_quick", quick)

    dictate(Outcome("sync", Word.IN_SYNC, 0))
    return dictate
