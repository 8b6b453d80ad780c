"""The man page and the completions, made of what `--help` is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from console.cli.common_options import COMMON
from storage_sync import __version__
from storage_sync.values.errors import InternalError

PROGRAM = "storage-sync"
VARIABLE = "_STORAGE_SYNC_COMPLETE"
"""What a shell sets when it asks for completions."""
_BY_SHELL: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
SHELLS = tuple(_BY_SHELL)


def program() -> click.Group:
    """The command line whose command runs now."""
    root = click.get_current_context().find_root().command
    if not isinstance(root, click.Group):
        raise InternalError("a command stands alone")
    return root


def completion(shell: str, program: click.Group) -> str:
    """The script that a shell reads at its start."""
    made = _BY_SHELL[shell](program, {}, PROGRAM, VARIABLE)
    # without bash's own check of its version, which would start it
    return made.source_template % made.source_vars()


def page(program: click.Group) -> str:
    """The man page, section 1, as troff."""
    return "\n".join(_lines(program)) + "\n"


def _lines(program: click.Group) -> Iterator[str]:
    about = _help_of(program)
    yield f'.TH STORAGE\\-SYNC 1 "" "storage-sync {__version__}" "User Commands"'
    yield ".SH NAME"
    yield f"{_roff(PROGRAM)} \\- {_roff(about.partition(chr(10))[0].rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_roff(PROGRAM)}\n[COMMAND] [OPTIONS]"
    yield ".SH DESCRIPTION"
    yield _roff(about)
    yield ".SH COMMANDS"
    for path, command in commands(program):
        context = click.Context(command, info_name=path)
        yield f".SS {_roff(' '.join([path, *command.collect_usage_pieces(context)]))}"
        yield _roff(_help_of(command))
        yield from _options([part for part in command.params if part not in COMMON], context)
    yield ".SH OPTIONS OF EVERY COMMAND"
    yield from _options(list(COMMON), click.Context(program, info_name=PROGRAM))
    yield ".SH EXIT STATUS"
    yield "0: done, in sync. For every other code, storage\\-sync COMMAND \\-\\-json says what to do."
    yield ".SH FILES"
    yield ".I ~/.config/storage\\-sync/config.toml"
    yield ".br\n.I /etc/storage\\-sync/config.toml"


def commands(program: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Every command that is no group, by its whole name, in the order of the alphabet."""

    def below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield path, command
            return
        if command is not program and command.invoke_without_command:
            yield path, command
        for name in sorted(command.commands):
            yield from below(f"{path} {name}", command.commands[name])

    return below(PROGRAM, program)


def _help_of(command: click.Command) -> str:
    return re.sub(r"(?<!\n)\n(?!\n)", " ", cleandoc(command.help or ""))


def _options(parameters: list[click.Parameter], context: click.Context) -> Iterator[str]:
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is None or isinstance(parameter, click.Argument):
            continue
        names, text = record
        yield f".TP\n.B {_roff(names)}"
        yield _roff(text) or "\\&"


def _roff(text: str) -> str:
    """Text that troff sets as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())
