"""What `--help` says is whole sentences."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from console.cli.commands import storage_sync


def commands(group: click.Group = storage_sync, name: str = "storage-sync") -> Iterator[tuple[str, click.Command]]:
    yield name, group
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_no_sentence_of_the_help_is_cut(name: str, command: click.Command) -> None:
    with click.Context(command, info_name=name, terminal_width=80) as context:
        said = command.get_help(context)
    assert "..." not in said.replace("[ARGS]...", "")
    assert command.help is not None
    assert command.help.partition("\n")[0].endswith(".")


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_each_option_says_what_it_does(name: str, command: click.Command) -> None:
    options = [option for option in command.params if isinstance(option, click.Option)]
    silent = [option.name for option in options if not (option.help or "").endswith((".", ")", "inverts"))]
    assert silent in ([], ["form"])
