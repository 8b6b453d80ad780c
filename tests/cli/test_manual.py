"""The man page and the completions say what `--help` says, and the programs that read them understand it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from console.cli import manual
from console.cli.commands import storage_sync
from console.cli.common_options import COMMON
from tests.support.command import Tool

COMMANDS = dict(manual.commands(storage_sync))


def test_every_command_is_in_it_and_every_option_of_it() -> None:
    page = manual.page(storage_sync).replace("\\-", "-")
    assert len(COMMANDS) > 35
    for path, command in COMMANDS.items():
        assert f".SS {path}" in page
        section = page.partition(f".SS {path} ")[2].partition("\n.S")[0]
        names = [name for part in command.params if part not in COMMON for name in part.opts if name[0] == "-"]
        assert [name for name in names if name not in section] == [], path
    assert ".B --primary URL" in page.partition(".SH OPTIONS OF EVERY COMMAND")[2]


def completed(folder: Path, line: str) -> list[str]:
    """What bash offers at the end of a line, asked through the script itself."""
    script = folder / "completion"
    script.write_text(manual.completion("bash", storage_sync))
    program = folder / "storage-sync"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m console "$@"\n')
    program.chmod(0o755)
    words = line.split(" ")
    ask = (
        f"source {script}; COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; "
        f'_storage_sync_completion {program}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    variables = Tool.at(folder, "file:none.db").variables
    done = subprocess.run(["bash", "-c", ask], env=variables, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("storage-sync sy", ["sync"]),
        ("storage-sync service in", ["install"]),
        ("storage-sync sync --al", ["--allow-shrink"]),
        ("storage-sync completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, offered: list[str]) -> None:
    assert completed(tmp_path, line) == offered


@pytest.mark.parametrize("shell", manual.SHELLS)
def test_each_shell_has_its_script(tmp_path: Path, shell: str) -> None:
    done = Tool.at(tmp_path, "file:none.db").run("completion", shell)
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"_STORAGE_SYNC_COMPLETE={shell}_complete" in done.stdout


def test_every_command_of_the_program_is_walked() -> None:
    leaves = {path.split()[1] for path in COMMANDS}
    assert leaves == set(storage_sync.commands)
    assert all(isinstance(command, click.Command) for command in COMMANDS.values())


def test_the_files_of_a_service_are_written_and_written_again(tmp_path: Path) -> None:
    tool = Tool.at(tmp_path, "file:none.db")
    names = tool.json("service", "files", str(tmp_path / "out")).document["files"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(names)
    assert {"storage-sync.1", "storage-sync.bash", "storage-sync.service", "storage-sync.rules.yml"} <= set(names)
    (tmp_path / "out" / "storage-sync.service").write_text("old")
    assert tool.run("service", "files", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out" / "storage-sync.service").read_text() != "old"
