"""A next step names a command that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import storage_sync
from console.cli.commands import storage_sync as command_line

SOURCES = sorted(Path(storage_sync.__file__).parent.rglob("*.py"))
NAMED = re.compile(r"storage-sync ([a-z]+)((?: --[a-z-]+)*)")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: "-".join(path.parts[-2:]))
def test_each_command_and_option_in_a_hint_exists(source: Path) -> None:
    for name, options in NAMED.findall(source.read_text()):
        command = command_line.commands.get(name)
        assert command is not None, name
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(options.split()) <= known | {"--help"}, f"{name}{options}"
