"""The options that every command takes, before or after its name, and how help shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from console.cli.invocation import Invocation

SETTINGS = {
    "primary": "primary",
    "cache": "cache",
    "state_dir": "state_dir",
    "token_file": "token_file",
    "token_env": "token_env",
    "window": "max_episodes_cache",
    "timeout": "timeout_s",
    "batch_size": "batch_size",
    "interval": "interval_s",
    "log_format": "log_format",
    "log_file": "log_file",
    "metrics_file": "metrics_file",
    "theme": "ui.theme",
}
"""Options whose value is that of a setting."""
SWITCHES = {
    "no_patterns": ("sync_patterns", False),
    "no_embeddings": ("sync_embeddings", False),
    "read_only": ("access", "read-only"),
    "lock_ok": ("lock_ok", True),
}
"""Options without a value that set one."""


def _remember(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Keep what was typed; a later place on the line wins over an earlier one."""
    if value is None or option.name is None:
        return value
    invocation = context.find_object(Invocation)
    if invocation is not None:
        name = option.name
        if name in SETTINGS:
            invocation.typed[SETTINGS[name]] = value
        elif name in SWITCHES:
            setting, meaning = SWITCHES[name]
            invocation.typed[setting] = meaning
        else:
            setattr(invocation, name, value)
    return value


def setting_option(*names: str, **kwargs: Any) -> Callable[[Any], Any]:
    """An option of one command that sets a setting."""
    return click.option(*names, expose_value=False, callback=_remember, **kwargs)


def _option(*names: str, **kwargs: Any) -> click.Option:
    return click.Option(list(names), expose_value=False, callback=_remember, default=None, **kwargs)


def _switch(*names: str, **kwargs: Any) -> click.Option:
    return _option(*names, is_flag=True, flag_value=True, type=click.BOOL, **kwargs)


COMMON: tuple[click.Option, ...] = (
    _option("--config", "config_file", metavar="FILE", help="Use this configuration file."),
    _option("--profile", metavar="NAME", help="Use this profile of the configuration file."),
    _option("--primary", metavar="URL", help="URL of the Turso/libSQL database."),
    _option("--cache", metavar="PATH", help="Path of the redb file."),
    _option("--state-dir", metavar="DIR", help="Folder for witness, history and quarantined rows."),
    _option("--token-file", metavar="FILE", help="File that holds the token."),
    _option("--token-env", metavar="NAME", help="Environment variable that holds the token."),
    _option("--window", metavar="N", help="How many of the newest episodes the cache holds."),
    _switch("--no-patterns", help="Do not sync patterns, heuristics and procedural memory."),
    _switch("--no-embeddings", help="Do not sync embeddings."),
    _switch("--read-only", help="Never write the cache."),
    _option("--timeout", metavar="SECONDS", help="Longest wait for one request to the primary."),
    _switch("--json", help="Print one JSON document."),
    _switch("--jsonl", help="Print progress as JSON lines, the document last."),
    _switch("-q", "--quiet", help="Print errors only."),
    _switch("-v", "--verbose", help="Log everything."),
    _switch("--no-color", help="Print without colours."),
    _option("--log-format", type=click.Choice(["json", "text"]), help="Format of the log lines."),
    _option("--log-file", metavar="FILE", help="Write the log to FILE."),
    _option("--metrics-file", metavar="FILE", help="Write metrics for Prometheus to FILE after a run."),
    _switch("--lock-ok", help="Accept a cache on a network file system."),
)


class _Help:
    """Own options first, the common ones under a heading of their own."""

    params: list[click.Parameter]

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        own = [part.get_help_record(context) for part in self.get_params(context) if part not in COMMON]  # type: ignore[attr-defined]
        common = [part.get_help_record(context) for part in COMMON]
        for title, records in (("Options", own), ("Options of every command", common)):
            shown = [record for record in records if record is not None]
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown)


class Command(_Help, click.Command):
    """A command that also takes the common options."""

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        self.params = [*self.params, *COMMON]


_WHOLE = 10_000
"""Letters of a sentence that click leaves whole."""


class Group(_Help, click.Group):
    """A group that also takes the common options, and whose commands are such commands."""

    command_class = Command
    group_class = type

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        self.params = [*self.params, *COMMON]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The first sentence of each command, whole: on more lines where one is too short."""
        listed = ((name, self.get_command(context, name)) for name in self.list_commands(context))
        records = [(name, one.get_short_help_str(_WHOLE)) for name, one in listed if one is not None and not one.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(records)

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(context, formatter)
        _Help.format_options(self, context, formatter)


def typed_json(arguments: Sequence[str]) -> bool:
    """Whether a line that could not be parsed asks for JSON."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in before or "--jsonl" in before
